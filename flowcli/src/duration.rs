//! Durations of the command line.

use std::time::Duration;

pub(crate) use flowcore::duration::{parse, show};

/// A duration of the command line, and how it was written there.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) duration: Duration,
    pub(crate) text: String,
}

/// Reads a duration of the command line.
pub(crate) fn parse_arg(text: &str) -> Result<Given, String> {
    parse(text).map(|duration| Given { duration, text: text.to_owned() })
}
