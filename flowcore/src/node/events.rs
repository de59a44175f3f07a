//! What a node tells those who watch: not part of the journal, may be dropped under load.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// A message from a running attempt to those who watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "PascalCase")]
#[non_exhaustive]
pub enum NodeEvent {
    /// Something worth knowing.
    Info {
        /// The text.
        message: String,
    },
    /// Something worth worrying about.
    Warning {
        /// The text.
        message: String,
    },
    /// How far the attempt is.
    Progress {
        /// From 0 to 1.
        fraction: f64,
        /// What is being done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Anything else.
    Data {
        /// The value.
        value: Value,
    },
    /// A line that a program wrote to its standard output, without the line's end.
    StdoutLine {
        /// The line; bytes that are not UTF-8 are replaced.
        line: String,
    },
    /// A line that a program wrote to its standard error, without the line's end.
    StderrLine {
        /// The line; bytes that are not UTF-8 are replaced.
        line: String,
    },
}

/// Where the events of one attempt go.
pub trait EventSink: Send + Sync {
    /// Takes an event; never blocks, and may drop it (drops are counted and reported).
    fn emit(&self, event: NodeEvent);
}
