//! Executions that are kept are told something, whoever executes them.

use std::sync::Arc;

use flowcore::{CancelReason, ExecutionId, SignalError, Value};

use super::{Durable, LoadError};
use crate::control::Told;
use crate::runtime::FlowRuntime;
use crate::store::{AuditEntry, Message, MessageId, Sent, StoreError};

/// Why an execution was not told something.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// The signal is none that a node waits for.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// There is no such execution.
    #[error("there is no execution `{0}`")]
    NotFound(ExecutionId),
    /// As many messages wait for the execution as may.
    #[error("too many messages wait for execution `{0}`")]
    TooMany(ExecutionId),
    /// What is kept of it cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store did not keep the message.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TellError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signal(error) => error.code(),
            Self::NotFound(_) => "execution.not_found",
            Self::TooMany(_) => "execution.too_many_messages",
            Self::Load(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Signal(error) => error.hint(),
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::NotFound(_) | Self::TooMany(_) | Self::Load(_) => None,
        }
    }
}

impl Durable {
    /// Leaves a message for an execution, and an entry in the audit log. Both are durable when this
    /// returns.
    pub(crate) async fn tell(
        &self,
        id: ExecutionId,
        told: &Told,
        audit: Option<AuditEntry>,
    ) -> Result<(), TellError> {
        let stored = self.codec.write(told).map_err(LoadError::from)?;
        let at = self.clock.now();
        // Values do not stand apart here: a message is gone when it was taken up.
        if let Some((digest, _)) = stored.apart.first() {
            let message = format!("the payload is too large, a value of it stands apart: {digest}");
            return Err(LoadError::from(flowcore::value::StoredError::Malformed(message)).into());
        }
        let message = Message { id: MessageId::new(), at, body: stored.text };
        match self.store.send(id, message, audit).await? {
            Sent::Kept => {
                self.look.notify_one();
                Ok(())
            }
            Sent::Finished => Err(SignalError::Finished.into()),
            Sent::NotFound => Err(TellError::NotFound(id)),
            Sent::TooMany => Err(TellError::TooMany(id)),
        }
    }
}

/// Something that an execution is to be told; see [`FlowRuntime::tell`].
#[must_use = "it is told nothing until one of the methods is called"]
pub struct Tell<'a> {
    runtime: &'a FlowRuntime,
    id: ExecutionId,
    audit: Option<AuditEntry>,
}

impl Tell<'_> {
    /// Writes down who told it, in the transaction in which the message is kept. Without a store that
    /// has an audit log it changes nothing.
    pub fn audit(mut self, entry: AuditEntry) -> Self {
        self.audit = Some(entry);
        self
    }

    /// Asks it to stop. It will, when this returns.
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn cancel(self, by: Option<&str>) -> Result<(), TellError> {
        let told = Told::Cancel { reason: CancelReason::Requested, by: by.map(Arc::from) };
        self.told(&told).await
    }

    /// Pauses it; see [`ExecutionHandle::pause`](crate::ExecutionHandle::pause).
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn pause(self, by: Option<&str>) -> Result<(), TellError> {
        self.told(&Told::Pause { by: by.map(Arc::from) }).await
    }

    /// Goes on with it after a pause; see [`ExecutionHandle::resume`](crate::ExecutionHandle::resume).
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn resume(self, by: Option<&str>) -> Result<(), TellError> {
        self.told(&Told::Resume { by: by.map(Arc::from) }).await
    }

    /// Sends it a signal; see [`ExecutionHandle::signal`](crate::ExecutionHandle::signal).
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn signal(
        self,
        name: &str,
        key: Option<&str>,
        payload: impl Into<Value>,
    ) -> Result<(), TellError> {
        let (id, durable) = (self.id, self.runtime.durable(self.id)?);
        let row = durable.store.execution(id).await?.ok_or(TellError::NotFound(id))?;
        let plan = self.runtime.plan_of(durable, row.definition).await?;
        let payload = payload.into();
        plan.check_signal(name, &payload)?;
        self.told(&Told::Signal { name: name.into(), key: key.map(Arc::from), payload }).await
    }

    async fn told(self, told: &Told) -> Result<(), TellError> {
        self.runtime.durable(self.id)?.tell(self.id, told, self.audit).await
    }
}

impl FlowRuntime {
    /// Tells an execution something that is durable when the call returns, whoever executes it.
    pub fn tell(&self, id: ExecutionId) -> Tell<'_> {
        Tell { runtime: self, id, audit: None }
    }

    /// [`Tell::cancel`].
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn cancel(&self, id: ExecutionId, by: Option<&str>) -> Result<(), TellError> {
        self.tell(id).cancel(by).await
    }

    /// [`Tell::pause`].
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn pause(&self, id: ExecutionId, by: Option<&str>) -> Result<(), TellError> {
        self.tell(id).pause(by).await
    }

    /// [`Tell::resume`].
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn resume(&self, id: ExecutionId, by: Option<&str>) -> Result<(), TellError> {
        self.tell(id).resume(by).await
    }

    /// [`Tell::signal`].
    ///
    /// # Errors
    /// [`TellError`].
    pub async fn signal(
        &self,
        id: ExecutionId,
        name: &str,
        key: Option<&str>,
        payload: impl Into<Value>,
    ) -> Result<(), TellError> {
        self.tell(id).signal(name, key, payload).await
    }

    fn durable(&self, id: ExecutionId) -> Result<&Arc<Durable>, TellError> {
        self.shared.durable.as_ref().ok_or(TellError::NotFound(id))
    }
}
