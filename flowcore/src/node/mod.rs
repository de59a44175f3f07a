//! What a node is, what it is told, and what it answers.

mod cancellation;
mod context;
mod descriptor;
mod error;
mod events;
mod output;
mod policy;
mod registry;
mod state;
mod traits;

pub use cancellation::{CancelReason, Cancellation, Cancelled};
pub use context::{
    AttemptSignals, ContextBuilder, ExecutionScope, NodeContext, NodeSetup, Secrets,
};
pub(crate) use context::{ConfigCell, Inputs};
pub use descriptor::{Effect, EffectOf, Example, Execution, NodeDescriptor, Port};
pub use error::NodeError;
pub use events::{EventSink, NodeEvent};
pub use output::{NodeOutput, PortName};
pub use policy::{Access, Policy};
pub use registry::{NodeRegistry, RegisteredNode};
pub use state::NodeState;
pub use traits::{InlineNode, Node, NodeConfig, NodeFactory, NodeInstance};
