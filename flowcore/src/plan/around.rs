//! What stands around a body.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::compile::OuterRead;
use super::graph::NodeIndex;
use crate::control::Local;
use crate::node::PortName;
use crate::workflow::InputSpec;

/// What stands around a body.
pub(super) struct Around<'a> {
    pub(super) ids: &'a HashMap<&'a str, NodeIndex>,
    pub(super) node_types: &'a [Option<u32>],
    pub(super) first: NodeIndex,
    /// The control node that holds the body.
    pub(super) control: NodeIndex,
    /// What the control node gives its body.
    pub(super) locals: &'static [Local],
    pub(super) inputs: Option<&'a IndexMap<String, InputSpec>>,
    pub(super) around: Option<&'a Around<'a>>,
    /// The node is not a control node: the body undoes it. Its input ports are what `input` names
    /// inside, and whether there may be others.
    pub(super) undone: Option<(&'a [PortName], bool)>,
}

/// A node around a body.
pub(super) struct OuterNode {
    pub(super) read: OuterRead,
    pub(super) type_index: Option<u32>,
    /// Its index in the plan.
    pub(super) index: NodeIndex,
    /// Whether it is the control node that holds the body.
    pub(super) holds: bool,
}

impl<'a> Around<'a> {
    /// The inputs of the workflow that everything belongs to.
    pub(super) fn inputs(&self) -> Option<&'a IndexMap<String, InputSpec>> {
        self.inputs
    }

    /// Whether a node around the body has this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// The node around the body with this id.
    pub(super) fn find(&self, id: &str) -> Option<OuterNode> {
        let (mut at, mut levels) = (self, 1);
        loop {
            if let Some(&node) = at.ids.get(id) {
                return Some(OuterNode {
                    read: OuterRead { levels, node },
                    type_index: at.node_types[node as usize],
                    index: at.first + node,
                    holds: node == at.control && at.undone.is_none(),
                });
            }
            at = at.around?;
            levels += 1;
        }
    }

    /// All ids around the body.
    pub(super) fn ids(&self) -> Vec<&'a str> {
        let mut ids: Vec<&str> = self.ids.keys().copied().collect();
        ids.extend(self.around.into_iter().flat_map(Self::ids));
        ids
    }

    /// Whether a control node around gives this name.
    pub(super) fn gives(&self, local: Local) -> bool {
        self.locals.contains(&local) || self.around.is_some_and(|around| around.gives(local))
    }

    /// Whether the control node that holds the body gives this name.
    pub(super) fn gives_itself(&self, local: Local) -> bool {
        self.locals.contains(&local)
    }

    /// The input ports of the node that the body undoes, and whether it may have others.
    pub(super) fn undone(&self) -> Option<(&'a [PortName], bool)> {
        self.undone
    }

    pub(super) fn depth(&self) -> usize {
        1 + self.around.map_or(0, Self::depth)
    }
}
