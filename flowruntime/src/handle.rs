//! A running execution, from outside.

use std::fmt;
use std::sync::Arc;

use flowcore::machine::MAX_SIGNALS;
use flowcore::{CancelReason, ExecutionId, ExecutionResult, SignalError, Value};

use crate::control::{Command, Control, Unheard};
use crate::event_bus::Subscription;
use crate::journal::JournalError;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The tokio runtime was shut down, or the driver hit a bug in Flow.
    #[error("the execution was lost: its tokio runtime ended, or the driver panicked")]
    Lost,
    /// The journal failed. Everything that ran was stopped; what the journal took is all that is
    /// known.
    #[error("the execution was given up: its journal failed")]
    Journal(#[source] JournalError),
}

impl WaitError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lost => "execution.lost",
            Self::Journal(error) => error.code(),
        }
    }
}

/// A running execution. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct ExecutionHandle {
    pub(crate) control: Arc<Control>,
}

impl ExecutionHandle {
    /// The execution's id.
    pub fn id(&self) -> ExecutionId {
        self.control.execution_id
    }

    /// The events from now on, up to the last one of this execution; none after its end. To miss
    /// none, subscribe before
    /// the start: [`crate::PreparedExecution::events`].
    pub fn events(&self) -> Subscription {
        self.control.subscribe()
    }

    /// Asks the execution to stop; returns at once. Running attempts are told at once, and have a
    /// grace period. A second call, or one after the end, changes nothing.
    pub fn cancel(&self) {
        self.cancel_because(CancelReason::Requested, None);
    }

    /// As [`ExecutionHandle::cancel`], saying why and who asked. With
    /// [`CancelReason::ExecutionTimeout`] the execution ends `TimedOut`.
    pub fn cancel_because(&self, reason: CancelReason, by: Option<&str>) {
        // After the end there is nothing to stop.
        let _ = self.control.command(Command::Cancel { reason, by: by.map(Arc::from) });
    }

    /// Sends a signal to the nodes that wait for it, with what comes with it. One that comes before
    /// anybody waits is kept; one wakes one waiter, the one that has waited longest. An approval is a
    /// signal with `{"approved": true or false, "by", "reason"}`.
    ///
    /// Returns once the execution has been told; it is taken up in the order of the calls.
    ///
    /// # Errors
    /// [`SignalError`] when no node waits for such a signal, when the payload is not what it expects,
    /// when as many are kept as may be and nobody is known to wait for this one, and after the end.
    /// A signal that is accepted is not dropped, unless its waiter ends otherwise in the same moment
    /// and as many are kept as may be.
    pub fn signal(&self, name: &str, payload: impl Into<Value>) -> Result<(), SignalError> {
        self.signal_to(name, None, payload)
    }

    /// As [`ExecutionHandle::signal`], for the waiter with this key.
    ///
    /// # Errors
    /// As [`ExecutionHandle::signal`].
    pub fn signal_to(
        &self,
        name: &str,
        key: Option<&str>,
        payload: impl Into<Value>,
    ) -> Result<(), SignalError> {
        let payload = payload.into();
        self.control.plan.check_signal(name, &payload)?;
        let (name, key) = (Arc::from(name), key.map(Arc::from));
        let told = self.control.command(Command::Signal { name, key, payload });
        told.map_err(|unheard| match unheard {
            Unheard::Ended => SignalError::Finished,
            Unheard::TooManySignals => SignalError::TooMany { limit: MAX_SIGNALS },
        })
    }

    /// Whether the execution has ended.
    pub fn is_ended(&self) -> bool {
        self.control.is_ended()
    }

    /// Waits for the end. Cancel safe; may be called often and by many.
    ///
    /// # Errors
    /// [`WaitError::Lost`] when the tokio runtime ended first, [`WaitError::Journal`] when the journal
    /// failed. A failed execution is not an error here: see [`ExecutionResult::status`].
    pub async fn wait(&self) -> Result<ExecutionResult, WaitError> {
        self.control.wait().await
    }
}

impl fmt::Debug for ExecutionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExecutionHandle").field(&self.id()).finish()
    }
}
