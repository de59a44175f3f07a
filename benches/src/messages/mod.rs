//! Rules over messages: each is parsed, mapped six times and checked three times.

#[cfg(feature = "dataflow")]
mod dataflow;
mod drive;
mod flow;
mod orders;
mod section;

pub use section::{child, run};
