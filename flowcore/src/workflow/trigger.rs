//! What starts executions.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

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
    Webhook(WebhookTrigger),
    /// An event of another execution or system.
    Event(EventTrigger),
}

/// HTTP requests to a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookTrigger {
    /// The path after `/hooks/`.
    pub path: String,
    /// The methods that it takes.
    #[serde(rename = "method")]
    pub methods: Vec<HttpMethod>,
    /// The secret that requests must be signed with, as Standard Webhooks says; without one, the
    /// address has a part that nobody can guess.
    pub secret: Option<String>,
    /// What a request is answered.
    pub respond: Respond,
    /// How long an answer waits for the execution, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// The inputs of each execution, with expressions over `request`; see [`Listener`](super::Listener).
    pub inputs: Option<Object>,
}

impl WebhookTrigger {
    /// How long an answer waits for the execution, in milliseconds, unless said otherwise.
    pub const TIMEOUT_MS: u64 = 30_000;

    /// The longest that an answer may wait for the execution, in milliseconds.
    pub const MAX_TIMEOUT_MS: u64 = 600_000;

    /// Requests with POST to this path, not signed, and answered at once.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            methods: vec![HttpMethod::Post],
            secret: None,
            respond: Respond::default(),
            timeout_ms: None,
            inputs: None,
        }
    }

    /// How long an answer waits for the execution.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(Self::TIMEOUT_MS))
    }
}

/// A method of HTTP that a webhook may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl HttpMethod {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a request to a webhook is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Respond {
    /// At once that the execution is accepted.
    #[default]
    Accepted,
    /// The outputs of the workflow, once it has ended.
    Outputs,
    /// What a node `webhook.respond` says.
    Node,
}

/// Events of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventTrigger {
    /// The topic, such as `orders.paid`; `orders.*` is every topic that begins with `orders.`.
    pub topic: String,
    /// Which events it is for: an expression over `event`.
    pub when: Option<String>,
    /// The inputs of each execution, with expressions over `event`; see [`Listener`](super::Listener).
    pub inputs: Option<Object>,
}

impl EventTrigger {
    /// All events of this topic.
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), when: None, inputs: None }
    }

    /// Whether it listens to a topic; its `when` is another question.
    pub fn listens_to(&self, topic: &str) -> bool {
        match self.topic.strip_suffix('*') {
            Some(beginning) => topic.len() > beginning.len() && topic.starts_with(beginning),
            None => self.topic == topic,
        }
    }
}

/// The longest topic, in bytes.
const MAX_TOPIC: usize = 256;

/// Whether a text is the topic of an event: names of letters, digits, `_` and `-`, with `.` between
/// them, and not longer than 256 bytes.
pub fn is_topic(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_name = |name: &str| !name.is_empty() && name.chars().all(is_letter);
    text.len() <= MAX_TOPIC && text.split('.').all(is_name)
}

/// Whether a text may stand in a trigger as its topic: one of an event, or with `*` as its last name.
pub(crate) fn is_topic_pattern(text: &str) -> bool {
    text == "*" || is_topic(text) || text.strip_suffix(".*").is_some_and(is_topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_names_with_dots() {
        for good in ["orders", "orders.paid", "a-b.c_d.9"] {
            assert!(is_topic(good) && is_topic_pattern(good), "{good}");
        }
        let long = "x".repeat(MAX_TOPIC + 1);
        for bad in ["", ".", "orders.", ".paid", "a..b", "a b", "ø", "orders/paid", &long] {
            assert!(!is_topic(bad) && !is_topic_pattern(bad), "{bad}");
        }
        for pattern in ["*", "orders.*", "orders.eu.*"] {
            assert!(!is_topic(pattern) && is_topic_pattern(pattern), "{pattern}");
        }
        for bad in ["**", "orders*", "*.paid", "orders.*.paid", "orders.**"] {
            assert!(!is_topic_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn a_star_is_one_name_or_more() {
        for (trigger, topic, expected) in [
            ("orders.paid", "orders.paid", true),
            ("orders.paid", "orders", false),
            ("orders.paid", "orders.paid.late", false),
            ("orders.*", "orders.paid", true),
            ("orders.*", "orders.paid.late", true),
            ("orders.*", "orders", false),
            ("orders.*", "ordersx.paid", false),
            ("*", "orders", true),
        ] {
            let listens = EventTrigger::new(trigger).listens_to(topic);
            assert_eq!(listens, expected, "{trigger} {topic}");
        }
    }
}
