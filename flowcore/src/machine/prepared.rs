//! What an attempt is given, and where it stands.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{Part, ScopeId};
use crate::node::{ConfigCell, Inputs};
use crate::plan::{NodeIndex, Plan};
use crate::value::{Object, Value};

/// What an attempt is given: evaluated, and independent of the machine.
#[derive(Default)]
pub struct Prepared {
    pub(crate) inputs: Inputs,
    pub(crate) config: Option<Arc<ConfigCell>>,
    pub(crate) execution_inputs: Option<Object>,
    /// The shared state as of now; `None` for nodes without access.
    pub(crate) state: Option<Object>,
    /// The round of the workflow.
    pub(crate) round: u32,
    /// The scope that the node is in.
    pub(crate) scope: ScopeId,
    /// Inside of control nodes: where the node stands.
    pub(crate) place: Option<Place>,
    /// The longest that the attempt may take.
    pub timeout: Option<Duration>,
    /// Whether something that it is given is tainted.
    pub is_tainted: bool,
}

impl Prepared {
    /// Lets go of everything, but not of the memory for it.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.inputs.iter_mut().for_each(|input| *input = None);
        self.config = None;
        self.execution_inputs = None;
        self.state = None;
        self.place = None;
        self.timeout = None;
    }

    /// The values on the input ports, in the order of the ports: the declared ones, then those that
    /// connections name.
    pub fn inputs(&self) -> &[Option<Value>] {
        &self.inputs
    }

    /// The state that the nodes share, as of now; `None` for nodes without access.
    pub fn state(&self) -> Option<&Object> {
        self.state.as_ref()
    }

    /// The config with its expressions resolved; `None` when it has none.
    pub fn config(&self) -> Option<&Object> {
        self.config.as_deref().map(ConfigCell::object)
    }
}

/// Where an attempt inside of a control node stands. Most nodes never ask, so what most have is not
/// written out.
pub(crate) enum Place {
    /// In a scope that a node of the workflow itself has opened.
    Shallow { round: u32, opener: NodeIndex, part: Part },
    /// Anywhere else: the rounds of the workflows around, and the address.
    Written { rounds: Arc<str>, address: Arc<str> },
}

impl Place {
    /// The address of the node.
    pub(crate) fn address(&self, plan: &Plan, node: NodeIndex) -> Arc<str> {
        match self {
            Self::Shallow { opener, part, .. } => {
                let id = |node| plan.graph().node(node).id().as_str();
                Arc::from(part.prefix(id(*opener)) + id(node))
            }
            Self::Written { address, .. } => address.clone(),
        }
    }

    /// The rounds of the workflows around, outermost first.
    pub(crate) fn rounds(&self) -> String {
        match self {
            Self::Shallow { round, .. } => round.to_string(),
            Self::Written { rounds, .. } => rounds.to_string(),
        }
    }
}
