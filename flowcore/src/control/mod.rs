//! Control nodes: what they are, and what their configs say. The machine runs them.

mod approval;
mod body;
mod call;
mod choose;
mod delay;
mod fail;
mod for_each;
mod kind;
mod loops;
mod merge;
mod race;
mod registry;
mod signal;
mod stop;
mod try_catch;
mod until;

pub(crate) use approval::ApprovalConfig;
pub(crate) use call::CallConfig;
pub(crate) use choose::{SwitchCase, read_case};
pub(crate) use delay::DelayConfig;
pub(crate) use for_each::ForEachConfig;
pub use for_each::OnItemError;
pub use kind::ControlKind;
pub(crate) use kind::Local;
pub(crate) use loops::LoopConfig;
pub(crate) use registry::control_nodes;
pub(crate) use signal::SignalConfig;
pub(crate) use stop::StopConfig;
pub(crate) use until::{UntilConfig, mistakes as until_mistakes};
