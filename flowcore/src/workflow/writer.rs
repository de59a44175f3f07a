//! From a workflow to a tree of values: defaults left out, keys in their usual order.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reader::{
    DURABILITIES, EFFECTS, JOINS, METHODS, MISSED, ON_ERRORS, ON_LIMITS, RESPOND, RETRY_WORKFLOW,
};
use super::{
    CacheSpec, ConcurrencySpec, Connection, HttpMethod, Join, Missed, NodeSpec, OnError, OnLimit,
    Position, RateLimitSpec, Respond, RetryPolicy, Settings, Trigger, TriggerKind, UndoSpec,
    Workflow, WorkflowSpec,
};
use crate::value::{Array, Object, Value};

const TOO_DEEP: &str = "validation limits how deep configs and schemas are nested";

impl Workflow {
    /// The workflow as a value: defaults left out, keys in their usual order. Reading it back gives
    /// an equal workflow.
    ///
    /// # Panics
    /// When a config, schema or output made in Rust code is nested so deep that the whole would be
    /// deeper than a value may be. Validation reports those.
    pub fn to_value(&self) -> Value {
        write_spec(self).into()
    }

    /// The workflow as JSON text for people: indented, with a line break at the end.
    ///
    /// # Panics
    /// As [`Workflow::to_value`].
    pub fn to_json_text(&self) -> String {
        let text = serde_json::to_string_pretty(&self.to_value());
        text.expect("a value has string keys and finite numbers only") + "\n"
    }
}

impl Serialize for Workflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

/// Fails with all problems of keys and types, one a line.
impl<'de> Deserialize<'de> for Workflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (workflow, diagnostics) = Self::from_value(&Value::deserialize(deserializer)?);
        if diagnostics.has_errors() {
            return Err(serde::de::Error::custom(diagnostics));
        }
        Ok(workflow)
    }
}

/// An object under construction.
#[derive(Default)]
struct Keys(Object);

impl Keys {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key, value).expect(TOO_DEEP);
    }

    fn set_some<T: Into<Value>>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets it unless it is the default.
    fn set_other<T: Into<Value> + PartialEq>(&mut self, key: &str, value: T, default: T) {
        if value != default {
            self.set(key, value);
        }
    }

    fn set_items<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T) -> Object) {
        let values = items.iter().map(|item| Value::from(write(item)));
        self.set(key, Array::from_values(values).expect(TOO_DEEP));
    }

    fn extend(mut self, extensions: &Object) -> Object {
        extensions.iter().for_each(|(key, value)| self.set(key, value.clone()));
        self.0
    }
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    let found = words.iter().find(|(_, meaning)| meaning == value);
    found.map(|(word, _)| *word).expect("the table has a word for every value")
}

fn shared(text: &Option<Arc<str>>) -> Option<Value> {
    text.clone().map(Value::from)
}

fn write_spec(spec: &WorkflowSpec) -> Object {
    let mut keys = Keys::default();
    keys.set_some("$schema", spec.schema.as_deref());
    keys.set_some("id", spec.id.as_ref().map(|id| id.to_shared()));
    keys.set_some("name", spec.name.as_deref());
    keys.set_some("description", spec.description.as_deref());
    if let Some(inputs) = &spec.inputs {
        let schemas = inputs.iter().map(|(name, input)| (&**name, input.schema.clone().into()));
        keys.set("inputs", Object::from_entries(schemas).expect(TOO_DEEP));
    }
    keys.set_items("nodes", &spec.nodes, write_node);
    if !spec.connections.is_empty() {
        keys.set_items("connections", &spec.connections, write_connection);
    }
    keys.set_some("outputs", spec.outputs.clone());
    if !spec.triggers.is_empty() {
        keys.set_items("triggers", &spec.triggers, write_trigger);
    }
    if spec.settings != Settings::default() {
        keys.set("settings", write_settings(&spec.settings));
    }
    keys.set_some("when", spec.when.clone());
    keys.extend(&spec.extensions)
}

fn write_node(node: &NodeSpec) -> Object {
    let mut keys = Keys::default();
    keys.set("id", node.id.to_shared());
    keys.set("node_type", node.node_type.clone());
    keys.set_some("name", shared(&node.name));
    keys.set_some("description", shared(&node.description));
    if !node.config.as_object().is_empty() {
        keys.set("config", node.config.as_object().clone());
    }
    keys.set_some("when", node.when.clone());
    if node.join != Join::default() {
        keys.set("join", word(JOINS, &node.join));
    }
    keys.set_some("on_error", node.on_error.map(write_on_error));
    keys.set_some("retry_policy", node.retry_policy.as_deref().map(write_retry_policy));
    keys.set_some("timeout_ms", node.timeout_ms);
    keys.set_some("effect", node.effect.map(|effect| word(EFFECTS, &effect)));
    keys.set_some("undo", node.undo.as_deref().map(write_undo));
    keys.set_some("cache", node.cache.as_deref().map(write_cache));
    keys.set_some("position", node.position.as_deref().map(write_position));
    keys.extend(&node.extensions)
}

fn write_undo(undo: &UndoSpec) -> Object {
    let mut keys = Keys::default();
    keys.set("node_type", undo.node_type.clone());
    if !undo.config.as_object().is_empty() {
        keys.set("config", undo.config.as_object().clone());
    }
    keys.set_some("retry_policy", undo.retry_policy.as_deref().map(write_retry_policy));
    keys.set_some("timeout_ms", undo.timeout_ms);
    keys.set_some("effect", undo.effect.map(|effect| word(EFFECTS, &effect)));
    keys.0
}

fn write_connection(connection: &Connection) -> Object {
    let mut keys = Keys::default();
    keys.set("from_node", connection.from_node.to_shared());
    keys.set_some("from_port", shared(&connection.from_port));
    keys.set("to_node", connection.to_node.to_shared());
    keys.set_some("to_port", shared(&connection.to_port));
    keys.0
}

fn write_on_error(on_error: OnError) -> Value {
    let OnError::RetryWorkflow { max_attempts } = on_error else {
        return word(ON_ERRORS, &on_error).into();
    };
    let mut retry = Keys::default();
    retry.set("max_attempts", max_attempts);
    let mut keys = Keys::default();
    keys.set(RETRY_WORKFLOW, retry.0);
    keys.0.into()
}

fn write_retry_policy(policy: &RetryPolicy) -> Object {
    let default = RetryPolicy::default();
    let mut keys = Keys::default();
    keys.set_other("max_attempts", policy.max_attempts, default.max_attempts);
    keys.set_other("delay_ms", policy.delay_ms, default.delay_ms);
    if policy.backoff_multiplier != default.backoff_multiplier {
        keys.set("backoff_multiplier", number(policy.backoff_multiplier));
    }
    keys.set_other("max_delay_ms", policy.max_delay_ms, default.max_delay_ms);
    keys.set_other("retry_on_timeout", policy.retry_on_timeout, default.retry_on_timeout);
    keys.set_other("jitter", policy.jitter, default.jitter);
    keys.set_some("max_elapsed_ms", policy.max_elapsed_ms);
    keys.0
}

fn write_cache(cache: &CacheSpec) -> Object {
    let mut keys = Keys::default();
    keys.set("ttl_ms", cache.ttl_ms);
    keys.set_some("key", shared(&cache.key));
    keys.0
}

/// Whole numbers without `.0`, as people write them; NaN and the infinities, which only Rust code
/// can make, as null.
fn number(number: f64) -> Value {
    let value = crate::Number::from_f64(number).ok();
    let whole = value.filter(|_| number.abs() < 1e15).and_then(crate::Number::as_i64);
    whole.map_or_else(|| Value::from(value), Value::from)
}

fn write_position(position: &Position) -> Object {
    let mut keys = Keys::default();
    keys.set("x", number(position.x));
    keys.set("y", number(position.y));
    keys.0
}

fn write_settings(settings: &Settings) -> Object {
    let default = Settings::default();
    let mut keys = Keys::default();
    keys.set_some("max_parallel_nodes", settings.max_parallel_nodes);
    keys.set_some("max_execution_time_ms", settings.max_execution_time_ms);
    if settings.on_error != default.on_error {
        keys.set("on_error", write_on_error(settings.on_error));
    }
    keys.set_other("cleanup_time_ms", settings.cleanup_time_ms, default.cleanup_time_ms);
    keys.set_some("durability", settings.durability.map(|word_of| word(DURABILITIES, &word_of)));
    keys.set_some("concurrency", settings.concurrency.as_ref().map(write_concurrency));
    if !settings.rate_limits.is_empty() {
        keys.set_items("rate_limits", &settings.rate_limits, write_rate_limit);
    }
    keys.set_other("record_changes", settings.record_changes, default.record_changes);
    keys.0
}

fn write_concurrency(concurrency: &ConcurrencySpec) -> Object {
    let mut keys = Keys::default();
    keys.set_some("key", shared(&concurrency.key));
    keys.set("limit", concurrency.limit);
    if concurrency.on_limit != OnLimit::default() {
        keys.set("on_limit", word(ON_LIMITS, &concurrency.on_limit));
    }
    keys.0
}

fn write_rate_limit(rate: &RateLimitSpec) -> Object {
    let mut keys = Keys::default();
    keys.set_some("node_type", shared(&rate.node_type));
    keys.set_some("resource", shared(&rate.resource));
    if !rate.nodes.is_empty() {
        let nodes = rate.nodes.iter().map(|node| Value::from(node.clone()));
        keys.set("nodes", Array::from_values(nodes).expect(TOO_DEEP));
    }
    keys.set("limit", rate.limit);
    keys.set("per_ms", rate.per_ms);
    keys.0
}

fn write_trigger(trigger: &Trigger) -> Object {
    let mut keys = Keys::default();
    keys.set_some("id", shared(&trigger.id));
    match &trigger.kind {
        TriggerKind::Manual => keys.set("type", "manual"),
        TriggerKind::Cron(cron) => {
            keys.set("type", "cron");
            keys.set("expression", cron.expression.as_str());
            keys.set_some("timezone", cron.timezone.as_deref());
            if cron.missed != Missed::default() {
                keys.set("missed", word(MISSED, &cron.missed));
            }
            if !cron.inputs.is_empty() {
                keys.set("inputs", cron.inputs.clone());
            }
            keys.set_some("due_time_input", cron.due_time_input.as_deref());
        }
        TriggerKind::Webhook(webhook) => {
            keys.set("type", "webhook");
            keys.set("path", webhook.path.as_str());
            match webhook.methods.as_slice() {
                [HttpMethod::Post] => {}
                [one] => keys.set("method", word(METHODS, one)),
                several => {
                    let words = several.iter().map(|one| Value::from(word(METHODS, one)));
                    keys.set("method", Array::from_values(words).expect(TOO_DEEP));
                }
            }
            keys.set_some("secret", webhook.secret.as_deref());
            if webhook.respond != Respond::default() {
                keys.set("respond", word(RESPOND, &webhook.respond));
            }
            keys.set_some("timeout_ms", webhook.timeout_ms);
            keys.set_some("inputs", webhook.inputs.clone());
        }
        TriggerKind::Event(event) => {
            keys.set("type", "event");
            keys.set("topic", event.topic.as_str());
            keys.set_some("when", event.when.as_deref());
            keys.set_some("inputs", event.inputs.clone());
        }
    }
    keys.set_other("enabled", trigger.enabled, true);
    keys.0
}
