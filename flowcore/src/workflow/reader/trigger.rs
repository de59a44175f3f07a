//! One trigger.

use std::fmt::Display;

use super::super::path::Path;
use super::super::{CronTrigger, Missed, Trigger, TriggerKind};
use super::fields::{Fields, Problems, TRIGGER};
use super::tagged;
use crate::value::Value;

/// The keys that every trigger may have, in the order in which they are written.
pub(crate) const TRIGGER_KEYS: &[&str] = &["id", "type", "enabled"];

/// The types of triggers, each with its own keys: first those that it must have.
pub(crate) const TRIGGER_TYPES: &[(&str, TriggerKeys)] = &[
    ("manual", TriggerKeys { required: &[], optional: &[] }),
    (
        "cron",
        TriggerKeys {
            required: &["expression"],
            optional: &["timezone", "missed", "inputs", "due_time_input"],
        },
    ),
    ("webhook", TriggerKeys { required: &["path"], optional: &[] }),
    ("event", TriggerKeys { required: &["name"], optional: &[] }),
];

pub(crate) const MISSED: &[(&str, Missed)] =
    &[("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All)];

/// The keys that only one type of trigger has.
#[derive(Clone, Copy)]
pub(crate) struct TriggerKeys {
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
}

/// Reads one trigger; an unreadable one is a manual one that is not enabled.
pub(super) fn read(value: &Value, path: &Path<'_>, problems: &mut Problems) -> Trigger {
    let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
    let named = format_args!("trigger `{id}`");
    let name: &dyn Display = if id.is_empty() { &"a trigger" } else { &named };
    let unreadable = Trigger { id: None, enabled: false, kind: TriggerKind::Manual };
    if value.get("trigger_type").is_some() {
        tagged::report_trigger_type(value, path, problems);
        return unreadable;
    }
    match Fields::of(value, path, &TRIGGER, name, problems) {
        Some(fields) => read_fields(fields).unwrap_or(unreadable),
        None => unreadable,
    }
}

fn read_fields(mut fields: Fields<'_, '_>) -> Option<Trigger> {
    fields.require("type", "`manual`, `cron`, `webhook` or `event`");
    let keys = fields.choice("type", TRIGGER_TYPES)?;
    let known = [TRIGGER_KEYS, keys.required, keys.optional].concat();
    let mut fields = fields.only(&known);
    for key in keys.required {
        fields.require(key, "a string");
    }
    Some(Trigger {
        id: fields.string("id").map(Into::into),
        enabled: fields.bool("enabled").unwrap_or(true),
        kind: read_kind(&mut fields)?,
    })
}

fn read_kind(fields: &mut Fields<'_, '_>) -> Option<TriggerKind> {
    let text = |text: &str| text.to_owned();
    Some(match fields.string("type")? {
        "cron" => TriggerKind::Cron(CronTrigger {
            expression: fields.string("expression").map(text)?,
            timezone: fields.string("timezone").map(text),
            missed: fields.choice("missed", MISSED).unwrap_or_default(),
            inputs: fields.object("inputs").cloned().unwrap_or_default(),
            due_time_input: fields.string("due_time_input").map(text),
        }),
        "webhook" => TriggerKind::Webhook { path: fields.string("path").map(text)? },
        "event" => TriggerKind::Event { name: fields.string("name").map(text)? },
        _ => TriggerKind::Manual,
    })
}
