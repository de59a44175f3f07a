//! What the tests came to.

use std::time::Duration;

use flowcore::Diagnostics;
use serde::Serialize;

use super::difference::Difference;
use super::expect::{judge, show};
use super::file::Case;
use super::stage::Ran;
use crate::report::human::{BOLD, DIM, clean, paint};

/// What one case came to.
#[derive(Debug, Serialize)]
pub(crate) struct CaseReport {
    pub(crate) name: String,
    pub(crate) passed: bool,
    /// How much virtual time passed.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub(crate) duration: Duration,
    /// How long it really took.
    #[serde(skip)]
    pub(crate) took: Duration,
    pub(crate) differences: Vec<Difference>,
}

/// What one file came to.
#[derive(Debug, Serialize)]
pub(crate) struct FileReport {
    pub(crate) file: String,
    pub(crate) cases: Vec<CaseReport>,
    /// What is wrong with the file; then no case ran.
    pub(crate) diagnostics: Diagnostics,
    /// The nodes that no case ran; null when not all cases ran.
    pub(crate) not_run: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl FileReport {
    /// Whether its cases could be run at all.
    pub(crate) fn can_run(&self) -> bool {
        self.error.is_none() && !self.diagnostics.has_errors()
    }
}

fn millis<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(time.as_millis())
}

impl CaseReport {
    pub(crate) fn new(case: &Case, ran: &Ran, took: Duration) -> Self {
        let differences = judge(case, ran);
        let (name, duration) = (case.name.clone(), ran.duration);
        Self { name, passed: differences.is_empty(), duration, took, differences }
    }

    /// One that was not run, but listed.
    pub(crate) fn listed(case: &Case) -> Self {
        let (name, zero) = (case.name.clone(), Duration::ZERO);
        Self { name, passed: true, duration: zero, took: zero, differences: Vec::new() }
    }

    /// The line of the case, and a line for each difference.
    pub(crate) fn text(&self) -> String {
        let name = clean(&self.name);
        if self.passed {
            let time = match self.duration {
                Duration::ZERO => String::new(),
                time => paint(DIM, &format!(" ({} of virtual time)", show(time))),
            };
            return format!("  {} {name}{time}\n", paint(GOOD, "ok  "));
        }
        let mut text = format!("  {} {}\n", paint(BAD, "FAIL"), paint(BOLD, &name));
        for difference in &self.differences {
            let (at, message) = (clean(&difference.at), clean(&difference.message));
            text.push_str(&format!("         {}: {message}\n", paint(DIM, &at)));
        }
        text
    }
}

const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default();
const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
