//! A test file as data.

use std::time::Duration;

use flowcore::{Object, Timestamp, Value};
use flowruntime::testing::StandIn;

/// A test file.
#[derive(Debug, Default)]
pub(crate) struct TestFile {
    /// The file of the workflow, relative to this one; by the name of this one if left out.
    pub(crate) workflow: Option<String>,
    pub(crate) cases: Vec<Case>,
}

/// A case, with what the file gives to all of them.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The JSON pointer to it.
    pub(crate) pointer: String,
    /// When the execution starts.
    pub(crate) now: Timestamp,
    pub(crate) inputs: Object,
    /// The names of those that the case itself gives, and not the file.
    pub(crate) own_inputs: Vec<String>,
    pub(crate) secrets: Vec<(String, Value)>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) pins: Vec<Pin>,
    /// Node types and addresses that may run although they touch the world.
    pub(crate) allow: Vec<Named>,
    /// Whether everything may run.
    pub(crate) runs_unpinned: bool,
    pub(crate) expect: Expect,
}

/// Something that the file names, and where.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) pointer: String,
}

/// A signal or an approval.
#[derive(Debug, Clone)]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) key: Option<String>,
    pub(crate) payload: Value,
    /// How long after the start.
    pub(crate) at: Duration,
    pub(crate) pointer: String,
}

/// What a node gives, attempt by attempt.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    pub(crate) address: Named,
    /// Each with the JSON pointer to it.
    pub(crate) attempts: Vec<(StandIn, String)>,
}

/// How an execution is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    /// It does not end: it waits for a signal that nobody sends.
    Waiting,
}

/// The words of a status.
pub(crate) const STATUSES: &[(&str, Status)] = &[
    ("Succeeded", Status::Succeeded),
    ("Failed", Status::Failed),
    ("Cancelled", Status::Cancelled),
    ("TimedOut", Status::TimedOut),
    ("Waiting", Status::Waiting),
];

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        STATUSES.iter().find(|(_, status)| *status == self).map_or("", |(word, _)| word)
    }
}

/// What a case expects; what is left out is not looked at, except the status.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    pub(crate) status: Status,
    /// The outputs, whole.
    pub(crate) outputs: Option<Value>,
    /// What is among the outputs.
    pub(crate) outputs_include: Option<Value>,
    pub(crate) error: ExpectedError,
    pub(crate) ran: Vec<Named>,
    pub(crate) not_ran: Vec<Named>,
    pub(crate) skipped: Vec<Named>,
    pub(crate) failed: Vec<Named>,
    pub(crate) attempts: Vec<(Named, u32)>,
    /// What nodes were given, config and inputs together, by address.
    pub(crate) given: Vec<(Named, Value)>,
    pub(crate) duration: Option<Duration>,
}

/// Why an execution is to fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpectedError {
    pub(crate) code: Option<String>,
    /// The address of the node that failed.
    pub(crate) node: Option<Named>,
    /// A part of the message.
    pub(crate) message: Option<String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: Status::Succeeded,
            outputs: None,
            outputs_include: None,
            error: ExpectedError::default(),
            ran: Vec::new(),
            not_ran: Vec::new(),
            skipped: Vec::new(),
            failed: Vec::new(),
            attempts: Vec::new(),
            given: Vec::new(),
            duration: None,
        }
    }
}
