//! Rerunning from a node: a new execution that keeps the results of an earlier one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::action::Turn;
use super::apply::Impossible;
use super::state::Machine;
use super::status::Status;
use crate::event::{Event, Instance};
use crate::node::NodeOutput;
use crate::plan::NodeIndex;
use crate::time::Timestamp;
use crate::value::Object;
use crate::workflow::nearest;

/// Results of an earlier execution of the same plan, which its nodes have instead of running.
///
/// Only nodes of the workflow itself, in its first round; what is inside of a control node is part
/// of its result. What those nodes have done belongs to the execution that did it: a new one that
/// fails does not undo it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept {
    /// In the order of the file.
    nodes: Vec<KeptNode>,
}

/// The result of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptNode {
    /// The node.
    pub node: NodeIndex,
    /// The values on its output ports.
    pub outputs: NodeOutput,
    /// What it wrote to the shared state, and nobody that is kept wrote later.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub state_writes: Object,
}

impl Kept {
    /// The nodes, in the order of the file.
    pub fn nodes(&self) -> &[KeptNode] {
        &self.nodes
    }

    /// The result of a node, if it is kept.
    pub fn node(&self, node: NodeIndex) -> Option<&KeptNode> {
        let position = self.nodes.binary_search_by_key(&node, |kept| kept.node).ok()?;
        self.nodes.get(position)
    }
}

/// Why an execution cannot be run again from a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RerunError {
    /// The workflow itself has no such node.
    #[error("the workflow has no node `{node}` to run again from")]
    UnknownNode {
        /// The id.
        node: String,
        /// The id that was probably meant.
        suggestion: Option<String>,
    },
    /// The machine was made without `keep_outputs`, so results are gone.
    #[error("the results of the execution were not kept")]
    OutputsNotKept,
}

impl RerunError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownNode { .. } => "rerun.unknown_node",
            Self::OutputsNotKept => "rerun.outputs_not_kept",
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownNode { suggestion: Some(id), .. } => Some(format!("did you mean `{id}`?")),
            Self::UnknownNode { suggestion: None, node } => {
                let (outer, _) = node.split_once(['.', '['])?;
                Some(format!("what is inside of a control node runs again with it: `{outer}`"))
            }
            Self::OutputsNotKept => None,
        }
    }
}

impl Machine {
    /// What a new execution keeps of this one when it runs again from a node of the workflow itself:
    /// the result of every node of the last round that succeeded, and is neither this node nor one
    /// that waits for it, directly or not. For [`super::Fact::Start`] of a machine of the same plan.
    ///
    /// # Errors
    /// [`RerunError`] when there is no such node, or the machine was made without `keep_outputs`.
    pub fn kept_for_rerun(&self, from: &str) -> Result<Kept, RerunError> {
        if !self.options.keep_outputs {
            return Err(RerunError::OutputsNotKept);
        }
        let graph = self.plan.graph();
        let ids = self.plan.body(0).nodes().map(|node| (node, graph.node(node).id().as_str()));
        let Some((from, _)) = ids.clone().find(|(_, id)| *id == from) else {
            let suggestion = nearest(from, ids.map(|(_, id)| id)).map(str::to_owned);
            return Err(RerunError::UnknownNode { node: from.to_owned(), suggestion });
        };
        let mut runs = vec![false; self.plan.len()];
        let mut open = vec![from];
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut runs[node as usize], true) {
                open.extend(graph.successors(node));
            }
        }
        // Nothing was kept of one that never started.
        let Some(scope) = self.scopes.find(self.root) else { return Ok(Kept::default()) };
        let keeps =
            |node: NodeIndex| scope.node(node).status == Status::Succeeded && !runs[node as usize];
        // They may end in another order, so the last one that wrote a key is the only one.
        let mut last: BTreeMap<&str, NodeIndex> = BTreeMap::new();
        let writes = scope.workflow.iter().flat_map(|workflow| &workflow.writes);
        let writes = writes.filter(|(node, _)| keeps(*node));
        for (node, object) in writes.clone() {
            last.extend(object.keys().map(|key| (&**key, *node)));
        }
        let state_writes = |node: NodeIndex| {
            let own = writes.clone().filter(|(writer, _)| *writer == node);
            let entries = own.flat_map(|(_, object)| object.iter());
            let kept = entries.filter(|(key, _)| last.get(&***key) == Some(&node));
            let mut state = Object::new();
            for (key, value) in kept {
                state.insert(key.clone(), value.clone()).expect("it was in an object already");
            }
            state
        };
        let nodes = scope.nodes().filter(|(node, _)| keeps(*node));
        let nodes = nodes.map(|(node, state)| KeptNode {
            node,
            outputs: state.outputs.clone(),
            state_writes: state_writes(node),
        });
        Ok(Kept { nodes: nodes.collect() })
    }

    /// A node that would start has its result already, if it is kept. Gives whether it is.
    pub(super) fn reuse_kept(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<bool, Impossible> {
        let kept = self.kept.as_ref().filter(|_| instance.scope == self.root);
        let Some(kept) = kept.and_then(|kept| kept.node(instance.node)) else { return Ok(false) };
        let KeptNode { outputs, state_writes, .. } = kept.clone();
        self.cancel_losers(now, instance, turn)?;
        let event = Event::NodeCompleted {
            instance,
            attempt: 0,
            outputs,
            state_writes,
            started_at: now,
            cache: None,
            kept: true,
            changes: None,
            undo: None,
        };
        self.emit(now, event, turn)?;
        Ok(true)
    }
}
