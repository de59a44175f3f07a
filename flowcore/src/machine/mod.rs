//! The state of one execution, as plain owned data.
//!
//! [`Machine::handle`] *decides*: it turns a [`Fact`] into events, applies each, and emits
//! [`Action`]s. [`Machine::apply`] *folds*: it alone changes state, decides nothing and evaluates
//! nothing. Every decision is in the events, so applying them to a fresh machine gives the same
//! state, and [`Machine::outstanding`] derives from the state alone what must be under way.
//!
//! No clock and no randomness: time and jitter come in with the fact.

mod action;
mod apply;
mod attempt;
mod cache_key;
mod changes;
mod control;
mod decide;
mod end;
mod fact;
mod history;
mod lookup;
mod outstanding;
mod pause;
mod prepared;
mod race;
mod recovery;
mod rerun;
mod resolve;
mod result;
mod scopes;
mod state;
mod status;
mod undo;

pub use action::{Action, Recorded, Timer, Turn, Wish};
pub use apply::Impossible;
pub use control::{MAX_SIGNALS, Waiter};
pub use fact::{Fact, FactSummary, Outcome};
pub use history::HistoryLimits;
pub use prepared::Prepared;
pub use rerun::{Kept, KeptNode, RerunError};
pub use result::{ExecutionResult, NodeResult};
pub use state::{Machine, MachineOptions};
pub use status::{Change, ExecutionStatus, NodeStatus, Status};
