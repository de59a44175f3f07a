//! What is known of executions that are kept: for lists, as a whole, and what happened when.

mod report;
mod timeline;
mod watch;

pub use report::{Detail, ExecutionReport, ExecutionSummary};
pub use timeline::{Given, Paused, Span, SpanKind, Timeline, Track, describe_wait};
pub(crate) use watch::Watch;
