//! Where events are kept.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use flowcore::ExecutionEvent;

use crate::store::StoreError;

/// Why a journal did not take events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JournalError {
    /// A lowercase fragment.
    pub message: String,
    code: &'static str,
}

/// The code of a write that comes too late.
const FENCED: &str = "execution.fenced";

impl JournalError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: "journal.failed" }
    }

    /// Somebody else executes the execution now.
    pub(crate) fn fenced() -> Self {
        let message = "another process executes it now, or it has ended".to_owned();
        Self { message, code: FENCED }
    }

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whether somebody else executes the execution now.
    pub(crate) fn is_fenced(&self) -> bool {
        self.code == FENCED
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        Self { message: error.to_string(), code: error.code() }
    }
}

/// Where the events of an execution are kept, in order.
///
/// The driver hands over each turn's events at once and goes on when they are taken; an attempt with
/// an effect, the end, and publishing wait until everything before them is durable.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Takes events, in order; slow journals hold the execution back by not returning. Messages of
    /// nodes come along at their place and need not be kept.
    ///
    /// # Errors
    /// [`JournalError`]; the execution is then cancelled.
    async fn append(&self, events: &[ExecutionEvent]) -> Result<(), JournalError>;

    /// Returns when every fact up to this number is durable.
    ///
    /// # Errors
    /// [`JournalError`]; the execution is then cancelled.
    async fn durable(&self, seq: u64) -> Result<(), JournalError>;

    /// Whether events are wanted at all; they are not even made otherwise.
    fn is_enabled(&self) -> bool {
        true
    }
}

/// A journal that wants nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullJournal;

#[async_trait]
impl Journal for NullJournal {
    async fn append(&self, _events: &[ExecutionEvent]) -> Result<(), JournalError> {
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        Ok(())
    }

    fn is_enabled(&self) -> bool {
        false
    }
}

/// A journal in memory: durable as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    events: Mutex<Vec<ExecutionEvent>>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// The facts so far, in order.
    pub fn events(&self) -> Vec<ExecutionEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, events: &[ExecutionEvent]) -> Result<(), JournalError> {
        let mut kept = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(events.iter().filter(|event| event.seq().is_some()).cloned());
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        Ok(())
    }
}
