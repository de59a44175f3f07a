//! The schema of triggers, from the table of their keys.

use serde_json::{Value as Json, json};

use super::super::WebhookTrigger;
use super::super::reader::{METHODS, TRIGGER_KEYS, TRIGGER_TYPES, TriggerKeys};

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
        schema["properties"][key] = property(name, key);
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

fn property(of: &str, key: &str) -> Json {
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
            "description": match of {
                "webhook" => "The inputs of each execution, with expressions over `request`.",
                "event" => "The inputs of each execution, with expressions over `event`.",
                _ => "The inputs of each execution.",
            },
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
        "method" => {
            let words: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
            json!({
                "description": "The method that it takes, or a list of methods.",
                "default": "POST",
                "oneOf": [
                    {"enum": words},
                    {"type": "array", "items": {"enum": words}, "minItems": 1},
                    {"type": "null"},
                ],
            })
        }
        "secret" => json!({
            "description": "The name of the secret that requests must be signed with, as Standard Webhooks says.",
            "type": ["string", "null"],
            "pattern": "^[A-Za-z0-9_-]{1,128}$",
        }),
        "respond" => json!({
            "description": "What a request is answered: that it is accepted, the outputs of the workflow, or what a node `webhook.respond` says.",
            "enum": ["accepted", "outputs", "node", null],
            "default": "accepted",
        }),
        "timeout_ms" => json!({
            "description": "How long an answer waits for the execution.",
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": WebhookTrigger::MAX_TIMEOUT_MS,
            "default": WebhookTrigger::TIMEOUT_MS,
        }),
        "topic" => json!({
            "description": "The topic of the events, such as `orders.paid`, or `orders.*`.",
            "type": "string",
            "minLength": 1,
        }),
        "when" => json!({
            "description": "Which events it is for: an expression over `event`.",
            "type": ["string", "null"],
        }),
        _ => json!({}),
    }
}
