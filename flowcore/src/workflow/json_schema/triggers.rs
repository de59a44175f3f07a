//! The schema of triggers, from the table of their keys.

use serde_json::{Value as Json, json};

use super::super::reader::{TRIGGER_KEYS, TRIGGER_TYPES, TriggerKeys};

pub(super) fn schema() -> Json {
    let types = TRIGGER_TYPES.iter().map(|(name, keys)| one(name, *keys));
    json!({
        "description": "Something that starts executions.",
        "type": "object",
        "oneOf": types.collect::<Vec<_>>(),
    })
}

fn one(name: &str, keys: TriggerKeys) -> Json {
    let required = [&["type"], keys.required].concat();
    let mut schema = json!({
        "properties": {},
        "required": required,
        "additionalProperties": false,
        "patternProperties": {"^x-": true},
    });
    for key in [TRIGGER_KEYS, keys.required, keys.optional].concat() {
        schema["properties"][key] = property(key);
    }
    schema["properties"]["type"] = json!({"const": name, "description": description(name)});
    schema
}

fn description(name: &str) -> &'static str {
    match name {
        "manual" => "Somebody who asks.",
        "cron" => "The times of a cron expression.",
        "webhook" => "An HTTP request to `/hooks/{path}`.",
        "event" => "An event of another execution or system.",
        _ => "",
    }
}

fn property(key: &str) -> Json {
    match key {
        "id" => json!({
            "description": "Unique within the workflow.",
            "type": ["string", "null"],
            "pattern": "^[A-Za-z0-9_-]{1,128}$",
        }),
        "enabled" => json!({
            "description": "Whether it starts executions.",
            "type": ["boolean", "null"],
            "default": true,
        }),
        "expression" => json!({
            "description": "Minute, hour, day, month and weekday, or six fields with seconds first.",
            "type": "string",
            "examples": ["0 * * * *", "30 6 * * MON-FRI"],
        }),
        "timezone" => json!({
            "description": "An IANA time zone, such as `Europe/Oslo`; UTC unless said otherwise.",
            "type": ["string", "null"],
        }),
        "missed" => json!({
            "description": "Which of the times that were missed are made up for.",
            "enum": ["skip", "latest", "all", null],
            "default": "latest",
        }),
        "inputs" => json!({
            "description": "The inputs of each execution.",
            "type": ["object", "null"],
        }),
        "due_time_input" => json!({
            "description": "The input that is given the due time, as text in RFC 3339.",
            "type": ["string", "null"],
        }),
        "path" => json!({
            "description": "The path after `/hooks/`.",
            "type": "string",
            "minLength": 1,
        }),
        "name" => json!({
            "description": "The name of the event.",
            "type": "string",
            "minLength": 1,
        }),
        _ => json!({}),
    }
}
