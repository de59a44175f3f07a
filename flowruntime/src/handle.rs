//! A running execution, from outside.

use std::fmt;
use std::sync::Arc;

use flowcore::machine::MAX_SIGNALS;
use flowcore::{CancelReason, ExecutionId, ExecutionResult, SharedPlan, SignalError, Value};

use crate::control::{Command, Control, Told, Unheard};
use crate::durable::{Durable, TellError};
use crate::event_bus::Subscription;
use crate::history::ExecutionReport;
use crate::journal::JournalError;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The tokio runtime was shut down, or the driver panicked.
    #[error("the execution was lost: its tokio runtime ended, or the driver panicked")]
    Lost,
    /// The execution met a bug in Flow, and is kept nowhere. Everything that ran was stopped; the log
    /// has a dump.
    #[error("the execution failed by a bug in Flow: {message}")]
    Bug {
        /// A lowercase fragment.
        message: String,
    },
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
            Self::Bug { .. } => "runtime.impossible_fact",
            Self::Journal(error) => error.code(),
        }
    }
}

/// A running execution. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct ExecutionHandle {
    pub(crate) control: Arc<Control>,
    /// Where it is kept, if it is.
    pub(crate) durable: Option<Arc<Durable>>,
}

impl ExecutionHandle {
    /// The execution's id.
    pub fn id(&self) -> ExecutionId {
        self.control.execution_id
    }

    /// The plan of what it runs.
    pub fn plan(&self) -> &SharedPlan {
        &self.control.plan
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
    ///
    /// An execution that is kept in a store is told through it, by a task of its own; to know that the
    /// cancel is durable, use [`crate::FlowRuntime::cancel`].
    pub fn cancel_because(&self, reason: CancelReason, by: Option<&str>) {
        let told = Told::Cancel { reason, by: by.map(Arc::from) };
        let Some(durable) = self.durable.clone() else {
            // After the end there is nothing to stop.
            let _ = self.control.command(Command::Told(None, told));
            return;
        };
        let id = self.id();
        // Outside of tokio there is nobody who could send it, and the driver is told at least.
        let Ok(tokio) = tokio::runtime::Handle::try_current() else {
            // After the end there is nothing to stop.
            let _ = self.control.command(Command::Told(None, told));
            return;
        };
        tokio.spawn(async move {
            match durable.tell(id, &told, None).await {
                Ok(()) | Err(TellError::Signal(SignalError::Finished)) => {}
                Err(error) => tracing::warn!(execution_id = %id, %error, "a cancel was lost"),
            }
        });
    }

    /// Sends a signal to the nodes that wait for it, with what comes with it. One that comes before
    /// anybody waits is kept; one wakes one waiter, the one that has waited longest. An approval is a
    /// signal with `{"approved": true or false, "by", "reason"}`.
    ///
    /// Returns once the execution has been told, and when it is kept in a store once that is durable;
    /// it is taken up in the order of the calls. Dropping the future leaves open whether it was told.
    ///
    /// # Errors
    /// [`TellError`] when no node waits for such a signal, when the payload is not what it expects,
    /// when as many are kept as may be and nobody is known to wait for this one, after the end, and
    /// when the store did not keep it. A signal that is accepted is not dropped, unless its waiter
    /// ends otherwise in the same moment and as many are kept as may be.
    pub async fn signal(&self, name: &str, payload: impl Into<Value>) -> Result<(), TellError> {
        self.signal_to(name, None, payload).await
    }

    /// As [`ExecutionHandle::signal`], for the waiter with this key.
    ///
    /// # Errors
    /// As [`ExecutionHandle::signal`].
    pub async fn signal_to(
        &self,
        name: &str,
        key: Option<&str>,
        payload: impl Into<Value>,
    ) -> Result<(), TellError> {
        let payload = payload.into();
        self.control.plan.check_signal(name, &payload)?;
        self.tell(Told::Signal { name: Arc::from(name), key: key.map(Arc::from), payload }).await
    }

    /// Starts nothing more: what runs goes on to its end, times and signals are noted, and the
    /// deadline goes on. A pause of what is paused already changes nothing.
    ///
    /// Returns as [`ExecutionHandle::signal`] does.
    ///
    /// # Errors
    /// [`TellError`] after the end, and when the store did not keep it.
    pub async fn pause(&self, by: Option<&str>) -> Result<(), TellError> {
        self.tell(Told::Pause { by: by.map(Arc::from) }).await
    }

    /// Goes on after a pause. One that is not paused is not changed.
    ///
    /// Returns as [`ExecutionHandle::signal`] does.
    ///
    /// # Errors
    /// [`TellError`] after the end, and when the store did not keep it.
    pub async fn resume(&self, by: Option<&str>) -> Result<(), TellError> {
        self.tell(Told::Resume { by: by.map(Arc::from) }).await
    }

    async fn tell(&self, told: Told) -> Result<(), TellError> {
        match &self.durable {
            Some(durable) => durable.tell(self.id(), &told, None).await,
            None => self.control.command(Command::Told(None, told)).map_err(|unheard| {
                let error = match unheard {
                    Unheard::Ended => SignalError::Finished,
                    Unheard::TooManySignals => SignalError::TooMany { limit: MAX_SIGNALS },
                };
                error.into()
            }),
        }
    }

    /// Whether the execution has ended.
    pub fn is_ended(&self) -> bool {
        self.control.is_ended()
    }

    /// Waits for the end. Cancel safe; may be called often and by many.
    ///
    /// # Errors
    /// [`WaitError::Lost`] when the tokio runtime ended first, [`WaitError::Journal`] when the journal
    /// failed, [`WaitError::Bug`] when Flow did. A failed execution is not an error here: see [`ExecutionResult::status`].
    pub async fn wait(&self) -> Result<ExecutionResult, WaitError> {
        self.control.wait().await
    }

    /// Waits for the end, and tells all that is known of the execution, each node's status and times
    /// included. Cancel safe.
    ///
    /// `None` when that has to be read from the store: the execution was not
    /// [watched](crate::PreparedExecution::watched) from its start, parts of it were executed
    /// elsewhere, or it was told before, which it is once.
    ///
    /// # Errors
    /// As [`ExecutionHandle::wait`].
    pub async fn report(&self) -> Result<Option<ExecutionReport>, WaitError> {
        let result = self.control.wait().await?;
        let watch = self.control.take_watch();
        Ok(watch.and_then(|watch| watch.report(result, &self.control.plan)))
    }
}

impl fmt::Debug for ExecutionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExecutionHandle").field(&self.id()).finish()
    }
}
