//! Events start the executions of those who listen to them.

use std::sync::Arc;

use flowcore::{Object, Value, ValueError};
use flownodes::event::{Delivery, Publication};
use flowruntime::StartError;
use flowruntime::store::{AuditEntry, StoreError};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value as Json, json};

use super::{Cause, Trigger, prepare};
use crate::app::{App, now};
use crate::problem::reason_of;

/// How many listeners of an event are started side by side.
const AT_ONCE: usize = 16;

/// Why an event was not published, or not to all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// It was published to some or to none; it may be published again.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Makes an entry of the audit log: an action, what it is done to, and more.
type MakeEntry<'a> = &'a (dyn Fn(&str, &str, Map<String, Json>) -> AuditEntry + Sync);

/// Starts the execution of every trigger that listens to an event. Returns when all of them are
/// committed; what could not be started is told, here and in the audit log.
pub(crate) async fn publish(
    app: &App,
    event: &Publication,
    entry: MakeEntry<'_>,
) -> Result<Vec<Delivery>, PublishError> {
    // What was saved, enabled or disabled before, here or on another server, counts.
    app.look().await?;
    let came = Object::from_entries([
        ("topic", Value::from(event.topic.as_str())),
        ("data", event.data.clone()),
        ("id", Value::from(event.id.as_str())),
    ])?;
    let listeners = app.triggers.listeners(&event.project, &event.topic);
    let each = |listener: Arc<Trigger>| {
        let came = came.clone();
        async move { Delivering { app, event, entry }.start(&listener, &came).await }
    };
    let all: Vec<_> = stream::iter(listeners).map(each).buffered(AT_ONCE).collect().await;
    // One that failed has kept none of the others.
    let all: Result<Vec<_>, _> = all.into_iter().collect();
    Ok(all?.into_iter().flatten().collect())
}

/// An event on its way to a listener.
struct Delivering<'a> {
    app: &'a App,
    event: &'a Publication,
    entry: MakeEntry<'a>,
}

impl Delivering<'_> {
    /// Starts the execution of a listener; `None` when the event is not for it. An error is one of
    /// the store: it was started or not.
    async fn start(
        &self,
        listener: &Trigger,
        came: &Object,
    ) -> Result<Option<Delivery>, StoreError> {
        let inputs = match listener.listener.wants(came) {
            Ok(false) => return Ok(None),
            Ok(true) => listener.listener.inputs(came).map_err(flowcore::NodeError::from),
            Err(error) => Err(error),
        };
        let inputs = match inputs {
            Ok(inputs) => inputs,
            Err(error) => {
                let reason = format!("{}: {}", error.code(), error.message());
                return self.failed(listener, reason).await.map(Some);
            }
        };
        match self.try_start(listener, inputs).await {
            Ok(id) => Ok(Some(delivery(listener, Some(id), None))),
            // What would be the same the next time is told; the rest is tried again.
            Err(StartError::Store(error)) if !is_lasting(&error) => Err(error),
            Err(error) => self.failed(listener, reason_of(error)).await.map(Some),
        }
    }

    async fn try_start(&self, listener: &Trigger, inputs: Object) -> Result<String, StartError> {
        let (key, event) = (&listener.key, self.event);
        let cause = Cause {
            key: Some(format!("event/{}/{}/{}", event.id, key.workflow, key.trigger)),
            hops: event.hops,
        };
        let audit = |id: &str| {
            let more = [("execution", json!(id)), ("version", json!(listener.version))];
            self.audit("event.start", listener, more)
        };
        let prepared = prepare(self.app, listener, inputs, cause, audit).await?;
        Ok(prepared.start().await?.id().to_string())
    }

    /// Nothing was started for a listener: the audit log says so.
    async fn failed(&self, listener: &Trigger, reason: String) -> Result<Delivery, StoreError> {
        let entry = self.audit("event.fail", listener, [("reason", json!(reason))]);
        self.app.home.commit(now(), Vec::new(), vec![entry]).await?;
        Ok(delivery(listener, None, Some(reason)))
    }

    fn audit<const N: usize>(
        &self,
        action: &str,
        listener: &Trigger,
        more: [(&str, Json); N],
    ) -> AuditEntry {
        let own = [("event", json!(self.event.id)), ("topic", json!(self.event.topic))];
        let more = own.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value));
        (self.entry)(action, &listener.key.subject(), more.collect())
    }
}

/// Whether the store would say the same again.
fn is_lasting(error: &StoreError) -> bool {
    matches!(error, StoreError::KeyConflict { .. } | StoreError::NoSealingKey)
}

fn delivery(listener: &Trigger, execution: Option<String>, reason: Option<String>) -> Delivery {
    Delivery {
        workflow_id: listener.key.workflow.to_string(),
        trigger: listener.key.trigger.clone(),
        version: listener.version,
        execution_id: execution,
        reason,
    }
}
