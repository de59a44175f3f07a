//! What starts executions.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Workflow;
use crate::time::Timestamp;
use crate::value::Object;

/// Something that starts executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Unique within the workflow.
    pub id: Option<Arc<str>>,
    /// Whether it starts executions.
    pub enabled: bool,
    /// What it waits for.
    #[serde(flatten)]
    pub kind: TriggerKind,
}

impl Workflow {
    /// What a trigger is called, by its place in the list: its id or, without one, that place.
    /// No two triggers of a workflow that was checked are called the same.
    pub fn trigger_name(&self, index: usize) -> Cow<'_, str> {
        match self.triggers.get(index).and_then(|trigger| trigger.id.as_deref()) {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(index.to_string()),
        }
    }
}

/// The times of a cron expression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CronTrigger {
    /// Five fields (minute, hour, day, month, weekday) or six with seconds first.
    pub expression: String,
    /// An IANA time zone; UTC unless said otherwise.
    pub timezone: Option<String>,
    /// Which of the times that were missed are made up for.
    pub missed: Missed,
    /// The inputs of each execution.
    pub inputs: Object,
    /// The input that is given the due time, as text in RFC 3339.
    pub due_time_input: Option<String>,
}

impl CronTrigger {
    /// The times of this expression, in UTC and without inputs; of those that were missed, the latest.
    pub fn new(expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            timezone: None,
            missed: Missed::default(),
            inputs: Object::default(),
            due_time_input: None,
        }
    }

    /// The inputs of the execution that is due at this time.
    pub fn inputs_at(&self, due: Timestamp) -> Object {
        let mut inputs = self.inputs.clone();
        if let Some(name) = &self.due_time_input {
            inputs.insert(name.as_str(), due.to_string()).expect("a text has no depth");
        }
        inputs
    }
}

/// Which due times are made up for when nobody was there to start their executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// None.
    Skip,
    /// The last one.
    #[default]
    Latest,
    /// All, the last 100 at most.
    All,
}

/// What a trigger waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TriggerKind {
    /// Somebody who asks.
    Manual,
    /// The times of a cron expression.
    Cron(CronTrigger),
    /// An HTTP request to `/hooks/{path}`.
    Webhook {
        /// The path.
        path: String,
    },
    /// An event of another execution or system.
    Event {
        /// The event's name.
        name: String,
    },
}
