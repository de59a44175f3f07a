//! One trigger.

use std::fmt::Display;

use super::super::path::Path;
use super::super::{
    CronTrigger, EventTrigger, HttpMethod, Missed, Respond, Trigger, TriggerKind, WebhookTrigger,
};
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
    (
        "webhook",
        TriggerKeys {
            required: &["path"],
            optional: &["method", "secret", "respond", "timeout_ms", "inputs"],
        },
    ),
    ("event", TriggerKeys { required: &["topic"], optional: &["when", "inputs"] }),
];

pub(crate) const MISSED: &[(&str, Missed)] =
    &[("skip", Missed::Skip), ("latest", Missed::Latest), ("all", Missed::All)];

pub(crate) const RESPOND: &[(&str, Respond)] =
    &[("accepted", Respond::Accepted), ("outputs", Respond::Outputs), ("node", Respond::Node)];

pub(crate) const METHODS: &[(&str, HttpMethod)] = &[
    ("GET", HttpMethod::Get),
    ("POST", HttpMethod::Post),
    ("PUT", HttpMethod::Put),
    ("PATCH", HttpMethod::Patch),
    ("DELETE", HttpMethod::Delete),
];

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
        "webhook" => TriggerKind::Webhook(WebhookTrigger {
            path: fields.string("path").map(text)?,
            methods: read_methods(fields),
            secret: fields.string("secret").map(text),
            respond: fields.choice("respond", RESPOND).unwrap_or_default(),
            timeout_ms: fields.u64("timeout_ms"),
            inputs: fields.object("inputs").cloned(),
        }),
        "event" => TriggerKind::Event(EventTrigger {
            topic: fields.string("topic").map(text)?,
            when: fields.string("when").map(text),
            inputs: fields.object("inputs").cloned(),
        }),
        _ => TriggerKind::Manual,
    })
}

/// One method or several; POST unless said otherwise.
fn read_methods(fields: &mut Fields<'_, '_>) -> Vec<HttpMethod> {
    const EXPECTED: &str = "a method, such as `POST`, or a list of methods";
    let words = match fields.value("method") {
        None => return vec![HttpMethod::Post],
        Some(Value::Array(words)) => words.iter().map(Value::as_str).collect(),
        Some(word) => vec![word.as_str()],
    };
    if words.is_empty() {
        fields.report("method", TRIGGER.bad_value, &"is empty", EXPECTED);
    }
    let mut methods = Vec::new();
    for word in words {
        let Some(word) = word else {
            fields.wrong_type("method", EXPECTED);
            continue;
        };
        match METHODS.iter().find(|(name, _)| *name == word) {
            Some((_, method)) if methods.contains(method) => {}
            Some((_, method)) => methods.push(*method),
            None => {
                let names: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
                fields.bad_choice("method", word, &names);
            }
        }
    }
    methods
}
