//! One node.

use std::fmt::Display;

use super::super::path::Path;
use super::super::{CacheSpec, Diagnostic, Join, NodeSpec, Position, RetryPolicy, UndoSpec};
use super::fields::{Fields, NODE, Problems};
use super::{settings, tagged};
use crate::node::{Effect, NodeConfig};
use crate::value::Value;

/// The keys of a node, in the order in which they are written.
pub(crate) const NODE_KEYS: &[&str] = &[
    "id",
    "node_type",
    "name",
    "description",
    "config",
    "when",
    "join",
    "on_error",
    "retry_policy",
    "timeout_ms",
    "effect",
    "undo",
    "cache",
    "position",
];

/// The keys of a retry policy, in the order in which they are written.
pub(crate) const RETRY_POLICY_KEYS: &[&str] = &[
    "max_attempts",
    "delay_ms",
    "backoff_multiplier",
    "max_delay_ms",
    "retry_on_timeout",
    "jitter",
    "max_elapsed_ms",
];

/// The keys of `cache`, in the order in which they are written.
pub(crate) const CACHE_KEYS: &[&str] = &["ttl_ms", "key"];
/// The keys of an undo, in the order in which they are written.
pub(crate) const UNDO_KEYS: &[&str] =
    &["node_type", "config", "retry_policy", "timeout_ms", "effect"];

/// The keys of a position.
pub(crate) const POSITION_KEYS: &[&str] = &["x", "y"];

pub(crate) const JOINS: &[(&str, Join)] =
    &[("all", Join::All), ("any", Join::Any), ("first", Join::First)];

pub(crate) const EFFECTS: &[(&str, Effect)] = &[
    ("pure", Effect::Pure),
    ("read", Effect::Read),
    ("idempotent", Effect::Idempotent),
    ("once", Effect::Once),
];

/// Reads one node; an unreadable one has an empty id.
pub(super) fn read(value: &Value, path: &Path<'_>, problems: &mut Problems) -> NodeSpec {
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
    let named = format_args!("node `{id}`");
    let name: &dyn Display = if id.is_empty() { &"a node" } else { &named };
    match Fields::of(value, path, &NODE, name, problems) {
        Some(fields) => read_fields(fields.only(NODE_KEYS), name),
        None => NodeSpec::new("", ""),
    }
}

fn read_fields(mut fields: Fields<'_, '_>, name: &dyn Display) -> NodeSpec {
    fields.require("id", "1 to 128 letters, digits, `_` and `-`");
    fields.require("node_type", "a node type, such as `http.request`");
    NodeSpec {
        name: fields.string("name").map(Into::into),
        description: fields.string("description").map(Into::into),
        config: read_config(&mut fields),
        when: fields.value("when").cloned(),
        join: fields.choice("join", JOINS).unwrap_or_default(),
        on_error: settings::read_on_error(&mut fields, &NODE),
        retry_policy: read_retry_policy(&mut fields, name).map(Box::new),
        timeout_ms: fields.u64("timeout_ms"),
        effect: fields.choice("effect", EFFECTS),
        undo: read_undo(&mut fields, name).map(Box::new),
        cache: read_cache(&mut fields, name).map(Box::new),
        position: read_position(&mut fields, name).map(Box::new),
        extensions: fields.extensions(),
        ..NodeSpec::new(
            fields.string("id").unwrap_or_default(),
            fields.string("node_type").unwrap_or_default(),
        )
    }
}

fn read_config(fields: &mut Fields<'_, '_>) -> NodeConfig {
    let path = fields.path.key("config");
    let config = fields.object("config");
    let config = config.map(|config| tagged::natural(config, &path, fields.problems));
    NodeConfig::new(config.unwrap_or_default())
}

fn read_retry_policy(fields: &mut Fields<'_, '_>, node: &dyn Display) -> Option<RetryPolicy> {
    let value = fields.value("retry_policy")?;
    let path = fields.path.key("retry_policy");
    let name = format_args!("the retry policy of {node}");
    let mut fields =
        Fields::of(value, &path, &NODE, &name, fields.problems)?.only(RETRY_POLICY_KEYS);
    let default = RetryPolicy::default();
    Some(RetryPolicy {
        max_attempts: fields.u32("max_attempts").unwrap_or(default.max_attempts),
        delay_ms: fields.u64("delay_ms").unwrap_or(default.delay_ms),
        backoff_multiplier: fields
            .float("backoff_multiplier")
            .unwrap_or(default.backoff_multiplier),
        max_delay_ms: fields.u64("max_delay_ms").unwrap_or(default.max_delay_ms),
        retry_on_timeout: fields.bool("retry_on_timeout").unwrap_or(default.retry_on_timeout),
        jitter: fields.bool("jitter").unwrap_or(default.jitter),
        max_elapsed_ms: fields.u64("max_elapsed_ms"),
    })
}

fn read_cache(fields: &mut Fields<'_, '_>, node: &dyn Display) -> Option<CacheSpec> {
    let value = fields.value("cache")?;
    let path = fields.path.key("cache");
    let name = format_args!("the cache of {node}");
    let mut fields = Fields::of(value, &path, &NODE, &name, fields.problems)?.only(CACHE_KEYS);
    fields.require("ttl_ms", "how long a result is good, in milliseconds");
    let key = fields.string("key").map(Into::into);
    Some(CacheSpec { ttl_ms: fields.u64("ttl_ms")?, key })
}

fn read_undo(fields: &mut Fields<'_, '_>, node: &dyn Display) -> Option<UndoSpec> {
    let value = fields.value("undo")?;
    let path = fields.path.key("undo");
    let name = format_args!("the undo of {node}");
    let fields = Fields::of(value, &path, &NODE, &name, fields.problems)?;
    let mut keys = UNDO_KEYS.to_vec();
    if fields.value("undo").is_some() {
        keys.push("undo");
        fields.problems.report(|| {
            let message = format!("{name} has an undo itself");
            Diagnostic::error("undo.nested", path.key("undo").pointer(), message)
                .at_key()
                .hint("give it a `retry_policy`: what is not undone is listed in the result")
        });
    }
    let mut fields = fields.only(&keys);
    fields.require("node_type", "a node type, such as `http.request`");
    Some(UndoSpec {
        node_type: fields.string("node_type").unwrap_or_default().into(),
        config: read_config(&mut fields),
        retry_policy: read_retry_policy(&mut fields, &name).map(Box::new),
        timeout_ms: fields.u64("timeout_ms"),
        effect: fields.choice("effect", EFFECTS),
    })
}

fn read_position(fields: &mut Fields<'_, '_>, node: &dyn Display) -> Option<Position> {
    let value = fields.value("position")?;
    let path = fields.path.key("position");
    let name = format_args!("the position of {node}");
    let mut fields = Fields::of(value, &path, &NODE, &name, fields.problems)?.only(POSITION_KEYS);
    fields.require("x", "a number");
    fields.require("y", "a number");
    Some(Position { x: fields.float("x")?, y: fields.float("y")? })
}
