//! Settings, and what happens on errors.

use std::sync::Arc;

use super::super::path::Path;
use super::super::{ConcurrencySpec, Durability, OnError, OnLimit, RateLimitSpec, Settings};
use super::fields::{Area, Fields, Problems, SETTINGS};
use crate::value::Value;

/// The keys of the settings, in the order in which they are written.
pub(crate) const SETTINGS_KEYS: &[&str] = &[
    "max_parallel_nodes",
    "max_execution_time_ms",
    "on_error",
    "cleanup_time_ms",
    "durability",
    "concurrency",
    "rate_limits",
    "record_changes",
];

/// The keys of `concurrency`, in the order in which they are written.
pub(crate) const CONCURRENCY_KEYS: &[&str] = &["key", "limit", "on_limit"];

/// The keys of a rate limit, in the order in which they are written.
pub(crate) const RATE_LIMIT_KEYS: &[&str] = &["node_type", "resource", "nodes", "limit", "per_ms"];

/// The words of `on_limit`.
pub(crate) const ON_LIMITS: &[(&str, OnLimit)] =
    &[("queue", OnLimit::Queue), ("skip", OnLimit::Skip), ("cancel_oldest", OnLimit::CancelOldest)];

/// The key of the object form of `on_error`.
pub(crate) const RETRY_WORKFLOW: &str = "RetryWorkflow";

/// The words of `on_error`.
pub(crate) const ON_ERRORS: &[(&str, OnError)] =
    &[("StopWorkflow", OnError::StopWorkflow), ("ContinueOnError", OnError::ContinueOnError)];

/// The words of `durability`.
pub(crate) const DURABILITIES: &[(&str, Durability)] =
    &[("none", Durability::None), ("async", Durability::Async), ("sync", Durability::Sync)];

/// Reads the settings of a workflow.
pub(super) fn read(workflow: &mut Fields<'_, '_>) -> Settings {
    let default = Settings::default();
    let Some(value) = workflow.value("settings") else { return default };
    let path = workflow.path.key("settings");
    let fields = Fields::of(value, &path, &SETTINGS, &"`settings`", workflow.problems);
    let Some(mut fields) = fields.map(|fields| fields.only(SETTINGS_KEYS)) else { return default };
    Settings {
        max_parallel_nodes: fields.u32("max_parallel_nodes"),
        max_execution_time_ms: fields.u64("max_execution_time_ms"),
        on_error: read_on_error(&mut fields, &SETTINGS).unwrap_or_default(),
        cleanup_time_ms: fields.u64("cleanup_time_ms").unwrap_or(default.cleanup_time_ms),
        durability: fields.choice("durability", DURABILITIES),
        concurrency: read_concurrency(&mut fields),
        rate_limits: read_rate_limits(&mut fields),
        record_changes: fields.bool("record_changes").unwrap_or_default(),
    }
}

fn read_concurrency(fields: &mut Fields<'_, '_>) -> Option<ConcurrencySpec> {
    let value = fields.value("concurrency")?;
    let path = fields.path.key("concurrency");
    let fields = Fields::of(value, &path, &SETTINGS, &"`concurrency`", fields.problems)?;
    let mut fields = fields.only(CONCURRENCY_KEYS);
    fields.require("limit", "how many executions run at the same time, at least 1");
    let key = fields.string("key").map(Into::into);
    let on_limit = fields.choice("on_limit", ON_LIMITS).unwrap_or_default();
    Some(ConcurrencySpec { key, limit: fields.u32("limit")?, on_limit })
}

/// Each keeps its index; one that cannot be read limits nothing.
fn read_rate_limits(fields: &mut Fields<'_, '_>) -> Vec<RateLimitSpec> {
    let items = fields.items("rate_limits");
    let path = fields.path.key("rate_limits");
    let read = |(index, item)| {
        let path = path.index(index);
        read_rate_limit(item, &path, fields.problems).unwrap_or_default()
    };
    items.iter().enumerate().map(read).collect()
}

fn read_rate_limit(
    value: &Value,
    path: &Path<'_>,
    problems: &mut Problems,
) -> Option<RateLimitSpec> {
    let mut fields = Fields::of(value, path, &SETTINGS, &"a rate limit", problems)?;
    fields = fields.only(RATE_LIMIT_KEYS);
    fields.require("limit", "how many attempts start within `per_ms`, from 1 to 10000");
    fields.require("per_ms", "the time in which so many start, in milliseconds");
    Some(RateLimitSpec {
        node_type: fields.string("node_type").map(Into::into),
        resource: fields.string("resource").map(Into::into),
        nodes: read_node_names(&mut fields),
        limit: fields.u32("limit").unwrap_or_default(),
        per_ms: fields.u64("per_ms").unwrap_or_default(),
    })
}

fn read_node_names(fields: &mut Fields<'_, '_>) -> Vec<Arc<str>> {
    let items = fields.items("nodes");
    if items.iter().any(|item| item.as_str().is_none()) {
        fields.wrong_type("nodes", "an array of ids of nodes");
    }
    items.iter().filter_map(Value::as_str).map(Arc::from).collect()
}

/// Reads `on_error` of a node or of the settings.
pub(super) fn read_on_error(fields: &mut Fields<'_, '_>, area: &'static Area) -> Option<OnError> {
    const EXPECTED: &str =
        "`StopWorkflow`, `ContinueOnError` or `{\"RetryWorkflow\": {\"max_attempts\": 3}}`";
    let value = fields.value("on_error")?;
    if let Some(word) = value.as_str() {
        if word == RETRY_WORKFLOW {
            fields.report("on_error", area.bad_value, &"has no `max_attempts`", EXPECTED);
            return None;
        }
        return fields.choice("on_error", ON_ERRORS);
    }
    let Some(_) = value.as_object() else {
        fields.wrong_type("on_error", EXPECTED);
        return None;
    };
    let path = fields.path.key("on_error");
    let mut outer =
        Fields::of(value, &path, area, &"`on_error`", fields.problems)?.only(&[RETRY_WORKFLOW]);
    outer.require(RETRY_WORKFLOW, "an object with `max_attempts`");
    let path = outer.path.key(RETRY_WORKFLOW);
    let retry = outer.value(RETRY_WORKFLOW)?;
    let mut retry =
        Fields::of(retry, &path, area, &"`RetryWorkflow`", outer.problems)?.only(&["max_attempts"]);
    retry.require("max_attempts", "how many rounds there are in all, at least 1");
    Some(OnError::RetryWorkflow { max_attempts: retry.u32("max_attempts")? })
}
