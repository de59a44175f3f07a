//! What a node is, what it is told, and what it answers.

mod cancellation;
mod context;
mod context_builder;
mod descriptor;
mod error;
mod events;
mod hidden;
mod output;
mod policy;
mod registrations;
mod registry;
mod signals;
mod state;
mod traits;

pub use cancellation::{CancelReason, Cancellation, Cancelled};
pub(crate) use context::{ConfigCell, Inputs};
pub use context::{ExecutionScope, NodeContext, Origin, Secrets};
pub use context_builder::ContextBuilder;
pub use descriptor::{Effect, EffectOf, Example, Execution, NodeDescriptor, Port};
pub use error::NodeError;
pub use events::{EventSink, NodeEvent};
pub use hidden::Hidden;
pub use output::{NodeOutput, PortName};
pub use policy::{Access, Policy, Reach};
pub use registrations::NodeRegistrations;
pub use registry::{NodeRegistry, RegisteredNode};
pub use signals::AttemptSignals;
pub use state::NodeState;
pub use traits::{InlineNode, Node, NodeConfig, NodeFactory, NodeInstance};
