//! An execution under way, here or on a server.

use std::sync::Arc;

use flowcore::{CancelReason, ExecutionId, ExecutionResult, Value};
use flowruntime::{ExecutionHandle, Journal};
use serde_json::json;
use tokio::sync::Mutex;

use crate::error::CliError;
use crate::messages::Messages;
use crate::report::human;
use crate::server::{Api, Ask, Following};

/// An execution under way.
#[derive(Clone)]
pub(super) enum Running {
    /// In this process.
    Here(ExecutionHandle),
    /// On a server.
    There(Arc<There>),
}

/// An execution of a server.
pub(super) struct There {
    api: Arc<Api>,
    id: ExecutionId,
    /// Taken when it has ended.
    following: Mutex<Option<Following>>,
    /// Who is told of its events.
    tee: Arc<dyn Journal>,
    messages: Arc<Messages>,
}

impl There {
    pub(super) fn new(
        api: Arc<Api>,
        mut following: Following,
        tee: Arc<dyn Journal>,
        messages: Arc<Messages>,
    ) -> Self {
        following.tell(messages.clone());
        let id = following.id();
        Self { api, id, following: Mutex::new(Some(following)), tee, messages }
    }

    async fn wait(&self) -> Result<ExecutionResult, CliError> {
        let mut place = self.following.lock().await;
        let following = place.as_mut().expect("it is waited for once");
        while let Some(event) = following.next().await? {
            // It only hands on, and what it cannot hand on has been told.
            let _ = self.tee.append(&[event]).await;
        }
        let following = place.take().expect("it was there before");
        Ok(following.into_result())
    }

    fn path<'a>(&self, id: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
        ["executions", id].iter().chain(rest).copied().collect()
    }

    /// Asks for the end. It may take until the server answers, and somebody may press Ctrl-C again
    /// meanwhile, so nobody waits for it here.
    fn cancel(self: &Arc<Self>) {
        let there = self.clone();
        tokio::spawn(async move {
            let id = there.id.to_string();
            let ask = Ask::post(there.path(&id, &["cancel"]), "{}".to_owned());
            if let Err(error) = there.api.send(ask).await {
                there.messages.line(&human::error(&error.into()));
            }
        });
    }

    async fn signal(&self, name: &str, key: Option<&str>, payload: &Value) {
        let id = self.id.to_string();
        let body = json!({ "key": key, "payload": payload }).to_string();
        let ask = Ask::post(self.path(&id, &["signals", name]), body);
        if let Err(error) = self.api.send(ask).await {
            // It goes on waiting, and whoever answered wants to know.
            self.messages.line(&human::error(&error.into()));
        }
    }
}

impl Running {
    pub(super) fn id(&self) -> ExecutionId {
        match self {
            Self::Here(execution) => execution.id(),
            Self::There(execution) => execution.id,
        }
    }

    /// Waits for its end. Of one on a server this hands on its events, so it is waited for once.
    pub(super) async fn wait(&self) -> Result<ExecutionResult, CliError> {
        match self {
            Self::Here(execution) => Ok(execution.wait().await?),
            Self::There(execution) => execution.wait().await,
        }
    }

    /// Asks it to end.
    pub(super) fn cancel(&self, reason: CancelReason, by: &str) {
        match self {
            Self::Here(execution) => execution.cancel_because(reason, Some(by)),
            Self::There(execution) => execution.cancel(),
        }
    }

    /// Gives it a signal. One that has ended needs none.
    pub(super) async fn signal(&self, name: &str, key: Option<&str>, payload: Value) {
        match self {
            Self::Here(execution) => {
                let _ = execution.signal_to(name, key, payload).await;
            }
            Self::There(execution) => execution.signal(name, key, &payload).await,
        }
    }
}
