//! Scopes: the workflow, and each item, iteration, branch, part and call that a control node opens.

use std::sync::Arc;

use super::state::{Begun, Ending, Machine, NodeState};
use super::status::Status;
use super::undo::Undo;
use crate::event::{Instance, Part, ScopeId};
use crate::node::NodeOutput;
use crate::plan::{Body, BodyIndex, Graph, NodeIndex};
use crate::time::Timestamp;
use crate::value::Object;

/// The open scopes, by id. Ids count up, so a scope that is gone is never mistaken for another.
#[derive(Clone, Default)]
pub(super) struct Scopes {
    slots: Vec<Option<Box<Scope>>>,
    /// How many are open.
    open: u64,
    /// Closed ones, whose memory is used again; not part of the state.
    #[expect(clippy::vec_box, reason = "they are boxed when they are open")]
    spare: Vec<Box<Scope>>,
}

/// How many closed scopes are kept for their memory.
const MAX_SPARE: usize = 64;

/// The nodes of one scope.
#[derive(Clone, PartialEq)]
pub(super) struct Scope {
    pub(super) id: ScopeId,
    pub(super) body: BodyIndex,
    /// The index of its first node in the plan.
    pub(super) first: NodeIndex,
    /// The control node that opened it; `None` for the workflow itself.
    pub(super) opener: Option<Instance>,
    /// What it is to its opener.
    pub(super) part: Part,
    /// The workflow that it belongs to.
    pub(super) home: ScopeId,
    /// How many scopes are around it.
    pub(super) depth: u8,
    pub(super) nodes: Vec<NodeState>,
    /// How many of its nodes may start or are to be skipped.
    pub(super) queued: u32,
    /// How many of its nodes have an attempt or a scope under way; for a workflow that ends, with the
    /// undo that is under way.
    pub(super) running: u32,
    /// How many of its nodes wait for a time or a signal.
    pub(super) waiting: u32,
    /// How many of its nodes succeeded.
    pub(super) succeeded: u32,
    /// How many of its nodes failed.
    pub(super) failed: u32,
    pub(super) ending: Option<Ending>,
    /// What it undoes, if it undoes something.
    pub(super) undo: Option<Box<Undo>>,
    /// Only scopes of workflows have it.
    pub(super) workflow: Option<Box<WorkflowState>>,
}

/// What a workflow has, and all scopes inside of it share.
#[derive(Clone, Default, PartialEq)]
pub(super) struct WorkflowState {
    pub(super) inputs: Object,
    pub(super) round: u32,
    /// What the nodes share.
    pub(super) state: Object,
    /// Who of the workflow's own nodes wrote what to it, in order, with all that is inside of them;
    /// only while outputs are kept.
    pub(super) writes: Vec<(NodeIndex, Object)>,
}

impl WorkflowState {
    pub(super) fn new(inputs: Object, round: u32) -> Self {
        Self { inputs, round, ..Self::default() }
    }
}

impl PartialEq for Scopes {
    fn eq(&self, other: &Self) -> bool {
        self.slots == other.slots
    }
}

impl Scopes {
    /// The id of the scope that is opened next.
    pub(super) fn next_id(&self) -> ScopeId {
        ScopeId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// An open scope.
    #[inline]
    pub(super) fn get(&self, id: ScopeId) -> &Scope {
        self.slots[id.0 as usize].as_deref().expect("the scope is open")
    }

    /// An open scope.
    #[inline]
    pub(super) fn get_mut(&mut self, id: ScopeId) -> &mut Scope {
        self.slots[id.0 as usize].as_deref_mut().expect("the scope is open")
    }

    /// A scope, if it is open.
    #[inline]
    pub(super) fn find(&self, id: ScopeId) -> Option<&Scope> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    /// The open scopes, in the order in which they were opened.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    /// Lets a scope go.
    pub(super) fn close(&mut self, id: ScopeId) -> Option<Box<Scope>> {
        let scope = self.slots.get_mut(id.0 as usize)?.take()?;
        self.open -= 1;
        Some(scope)
    }

    /// How many are open.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    /// Keeps the memory of a scope that was let go.
    pub(super) fn reuse(&mut self, mut scope: Box<Scope>) {
        if self.spare.len() < MAX_SPARE {
            scope.nodes.clear();
            scope.workflow = None;
            scope.undo = None;
            self.spare.push(scope);
        }
    }

    fn push(&mut self, scope: Box<Scope>) {
        self.open += 1;
        self.slots.push(Some(scope));
    }
}

impl Scope {
    /// The state of a node of this scope.
    #[inline]
    pub(super) fn node(&self, node: NodeIndex) -> &NodeState {
        &self.nodes[(node - self.first) as usize]
    }

    /// The state of a node of this scope.
    #[inline]
    pub(super) fn node_mut(&mut self, node: NodeIndex) -> &mut NodeState {
        &mut self.nodes[(node - self.first) as usize]
    }

    /// The state of a node, if it is one of this scope.
    #[inline]
    pub(super) fn find(&self, node: NodeIndex) -> Option<&NodeState> {
        self.nodes.get(node.checked_sub(self.first)? as usize)
    }

    /// A node of this scope.
    #[inline]
    pub(super) fn instance(&self, node: NodeIndex) -> Instance {
        Instance { scope: self.id, node }
    }

    /// The nodes and their indices in the plan.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &NodeState)> {
        (self.first..).zip(&self.nodes)
    }

    /// The round of the workflow, from 1; 1 in a scope that is no workflow.
    pub(super) fn round(&self) -> u32 {
        self.workflow.as_ref().map_or(1, |workflow| workflow.round)
    }

    /// Whether nothing is left to do in it.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.running == 0 && self.waiting == 0 && (self.queued == 0 || self.ending.is_some())
    }

    /// Whether it goes on although what is around it ends: it cleans up.
    pub(super) fn is_shielded(&self) -> bool {
        matches!(self.part, Part::Finally | Part::Undo)
    }
}

impl Machine {
    /// Opens a scope: its nodes without connections may start.
    pub(super) fn open_scope(
        &mut self,
        body: BodyIndex,
        part: Part,
        opener: Option<Instance>,
        workflow: Option<WorkflowState>,
    ) -> ScopeId {
        let id = self.scopes.next_id();
        let plan = self.plan.clone();
        let plan_body = plan.body(body);
        let around = opener.map(|opener| self.scopes.get(opener.scope));
        let (home, depth) =
            around.map_or((id, 0), |around| (around.home, around.depth.saturating_add(1)));
        let home = if workflow.is_some() { id } else { home };
        let mut scope = self.scopes.spare.pop().unwrap_or_else(|| Box::new(Scope::empty()));
        scope.id = id;
        scope.body = body;
        scope.first = plan_body.first;
        scope.opener = opener;
        scope.part = part;
        scope.home = home;
        scope.depth = depth;
        scope.queued = 0;
        scope.running = 0;
        scope.waiting = 0;
        scope.succeeded = 0;
        scope.failed = 0;
        scope.ending = None;
        scope.workflow = workflow.map(Box::new);
        self.fill(&mut scope, plan_body, plan.graph());
        self.scopes.push(scope);
        id
    }

    fn fill(&mut self, scope: &mut Scope, body: &Body, graph: &Graph) {
        let keep = u32::from(self.options.keep_outputs);
        scope.nodes.reserve_exact(body.len());
        for index in body.nodes() {
            let node = graph.node(index);
            let pending = u32::try_from(graph.incoming(index).len()).unwrap_or(u32::MAX);
            let status = if pending == 0 { Status::Ready } else { Status::Pending };
            if pending == 0 {
                self.ready.push_back(Instance { scope: scope.id, node: index });
                scope.queued += 1;
            }
            scope.nodes.push(NodeState {
                status,
                join: node.join,
                cancel: None,
                handled: false,
                interruptions: 0,
                attempt: 0,
                pending,
                dead: 0,
                readers: graph.readers(index) + keep,
                ready_seq: self.seq,
                end_seq: 0,
                started_at: Timestamp::default(),
                ended_at: Timestamp::default(),
                outputs: NodeOutput::new(),
                in_order: false,
                cache: None,
                error: None,
                control: None,
            });
        }
    }

    /// A scope starts nothing more, nor do those inside of it, except what cleans up.
    pub(super) fn end_scope(&mut self, id: ScopeId, ending: Ending) {
        let scope = self.scopes.get_mut(id);
        let again = scope.ending.replace(ending).is_some();
        self.begun.push(Begun { scope: id, again });
        if scope.queued > 0 {
            scope.queued = 0;
            self.ready.retain(|instance| instance.scope != id);
            self.dead.retain(|instance| instance.scope != id);
        }
        let inside: Vec<ScopeId> = self.scopes.get(id).inside().collect();
        for inner in inside {
            self.cancel_scope(inner, inside_ending(ending));
        }
    }

    /// As [`Machine::end_scope`], for one inside of what ends.
    pub(super) fn cancel_scope(&mut self, id: ScopeId, ending: Ending) {
        let scope = self.scopes.get(id);
        if scope.is_shielded() && !self.cleanup_aborted {
            return;
        }
        // What fails already goes on failing, unless something stronger comes.
        let is_stronger = match (scope.ending, ending) {
            (None | Some(Ending::NewRound), _) => true,
            (Some(Ending::Cancelled(old)), Ending::Cancelled(new)) => new > old,
            (
                Some(Ending::Failed(_) | Ending::Outputs | Ending::Stopped | Ending::Cancelled(_)),
                _,
            ) => false,
        };
        if is_stronger {
            self.end_scope(id, ending);
        } else {
            let inside: Vec<ScopeId> = self.scopes.get(id).inside().collect();
            inside.into_iter().for_each(|inner| self.cancel_scope(inner, ending));
        }
    }

    /// The open instance at an address, such as `each[3].fetch`.
    pub fn find_address(&self, address: &str) -> Option<Instance> {
        let instances = self
            .scopes
            .iter()
            .flat_map(|scope| scope.nodes().map(move |(node, _)| scope.instance(node)));
        instances.into_iter().find(|instance| self.address(*instance) == address)
    }

    /// Every node of the open scopes, by address, and how it stands; in the order in which the scopes
    /// were opened.
    pub fn open_nodes(&self) -> impl Iterator<Item = (String, Status)> + '_ {
        self.scopes.iter().flat_map(|scope| {
            scope.nodes().map(|(node, state)| (self.address(scope.instance(node)), state.status))
        })
    }

    /// Where an instance stands, such as `each[3].fetch`; the node's id at the top level. What undoes
    /// a node stands beside it, at `each[3].fetch~undo`.
    pub fn address(&self, instance: Instance) -> String {
        let id = self.plan_node(instance).id().as_str();
        match self.scopes.find(instance.scope) {
            Some(scope) if scope.opener.is_some() => format!("{}{id}", self.prefix(scope)),
            Some(Scope { undo: Some(undo), .. }) => format!("{}~undo", undo.node),
            Some(_) | None => id.to_owned(),
        }
    }

    /// As [`Machine::address`]; `None` at the top level.
    pub fn inner_address(&self, instance: Instance) -> Option<Arc<str>> {
        let scope = self.scopes.find(instance.scope)?;
        if scope.opener.is_none() && scope.undo.is_none() {
            return None;
        }
        Some(Arc::from(self.address(instance)))
    }

    /// What stands before the ids of the nodes of a scope.
    pub(super) fn prefix(&self, scope: &Scope) -> String {
        let Some(opener) = scope.opener else { return String::new() };
        scope.part.prefix(&self.address(opener))
    }

    /// The rounds of the workflows around an instance, outermost first: `1`, or `2.1` inside of a
    /// call.
    pub(super) fn rounds(&self, scope: &Scope) -> String {
        let home = self.home(scope);
        match home.opener {
            Some(opener) => {
                let outer = self.rounds(self.scopes.get(opener.scope));
                format!("{outer}.{}", home.round())
            }
            None => home.round().to_string(),
        }
    }
}

impl Scope {
    fn empty() -> Self {
        Self {
            id: ScopeId(0),
            body: 0,
            first: 0,
            opener: None,
            part: Part::Workflow,
            home: ScopeId(0),
            depth: 0,
            nodes: Vec::new(),
            queued: 0,
            running: 0,
            waiting: 0,
            succeeded: 0,
            failed: 0,
            ending: None,
            undo: None,
            workflow: None,
        }
    }

    /// The scopes that its control nodes have open.
    pub(super) fn inside(&self) -> impl Iterator<Item = ScopeId> + '_ {
        let controls = self.nodes.iter().filter_map(|node| node.control.as_deref());
        // Most scopes have no control node under way; then nothing is looked at.
        let controls = controls.take(if self.running > 0 { usize::MAX } else { 0 });
        controls.flat_map(|control| control.open.iter().copied())
    }
}

impl Part {
    /// What stands before the ids of the nodes of a scope that this node has opened.
    pub(super) fn prefix(self, opener: &str) -> String {
        match self {
            Self::Item(index) | Self::Iteration(index) | Self::Branch(index) => {
                format!("{opener}[{index}].")
            }
            Self::Body => format!("{opener}.body."),
            Self::Catch => format!("{opener}.catch."),
            Self::Finally => format!("{opener}.finally."),
            // What undoes has no opener.
            Self::Workflow | Self::Undo => format!("{opener}."),
        }
    }
}

/// What the end of a scope is for those inside of it.
fn inside_ending(ending: Ending) -> Ending {
    use crate::node::CancelReason;
    match ending {
        Ending::NewRound | Ending::Failed(_) | Ending::Outputs => {
            Ending::Cancelled(CancelReason::SiblingFailed)
        }
        Ending::Stopped => Ending::Cancelled(CancelReason::Stopped),
        Ending::Cancelled(reason) => Ending::Cancelled(reason),
    }
}
