//! The JSON Schema of test files.

use serde_json::{Value as Json, json};

use super::file::STATUSES;
use super::reader::UNPINNED;

/// The schema, for editors.
pub(crate) fn schema() -> Json {
    let statuses: Vec<&str> = STATUSES.iter().map(|(word, _)| *word).collect();
    let text = |description: &str| json!({ "type": "string", "description": description });
    let addresses = |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    let shared = json!({
        "now": { "type": "string", "format": "date-time", "description":
            "When the execution starts; 2026-01-01T00:00:00Z unless given." },
        "inputs": { "type": "object", "description": "The inputs of the execution." },
        "secrets": { "type": "object", "description": "Secrets that are none." },
        "pins": { "type": "object", "description":
            "What nodes give instead of running, by address, such as `each[3].fetch`.",
            "additionalProperties": { "anyOf": [
                { "$ref": "#/$defs/pin" },
                { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/pin" } } ] } },
        "allow": addresses("Node types and addresses that may run although they touch the world."),
        "unpinned": { "enum": UNPINNED.map(|(word, _)| word), "description":
            "Whether nodes that touch the world may run without a pin." },
    });
    let file = json!({
        "$schema": { "type": "string" },
        "format_version": { "const": 1 },
        "workflow": text("The file of the workflow, relative to this one; by its name unless given."),
        "description": { "type": "string" },
        "cases": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/case" } },
    });
    let case = json!({
        "name": text("What the case shows, in words."),
        "description": { "type": "string" },
        "signals": { "type": "array", "items": { "$ref": "#/$defs/signal" } },
        "expect": { "$ref": "#/$defs/expect" },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow workflow test",
        "$ref": "#/$defs/file",
        "$defs": {
            "file": object(&[&file, &shared], &["cases"]),
            "case": object(&[&case, &shared], &["name"]),
            "signal": object(&[&json!({
                "name": text("The name of the signal or the approval."),
                "key": { "type": "string" },
                "payload": { "description": "What comes with it; for an approval also true or false." },
                "at": text("How long after the start, such as `3d`, or a moment in RFC 3339."),
            })], &["name"]),
            "pin": object(&[&json!({
                "outputs": { "type": "object", "description": "The outputs by port." },
                "error": object(&[&json!({
                    "code": { "type": "string" },
                    "message": { "type": "string" },
                    "retryable": { "type": "boolean" },
                })], &["code"]),
                "after": text("How much virtual time the attempt takes."),
            })], &[]),
            "expect": object(&[&json!({
                "status": { "enum": statuses },
                "outputs": { "description": "The outputs, whole." },
                "outputs_include": { "description": "What is among the outputs." },
                "error": object(&[&json!({
                    "code": { "type": "string" },
                    "node": { "type": "string" },
                    "message": text("A part of the message."),
                })], &[]),
                "ran": addresses("Nodes that ran."),
                "not_ran": addresses("Nodes that did not run."),
                "skipped": addresses("Nodes that were skipped."),
                "failed": addresses("Nodes whose last attempt failed."),
                "attempts": { "type": "object",
                    "additionalProperties": { "type": "integer", "minimum": 0 } },
                "given": { "type": "object", "description":
                    "What is among the config and the inputs that a node was given, by address." },
                "duration": text("How much virtual time passed."),
            })], &[]),
        },
    })
}

/// An object with these keys and no others, except those that begin with `x-`.
fn object(parts: &[&Json], required: &[&str]) -> Json {
    let members = parts.iter().filter_map(|part| part.as_object()).flatten();
    let properties: serde_json::Map<String, Json> =
        members.map(|(key, value)| (key.clone(), value.clone())).collect();
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
        "required": required,
    })
}

#[cfg(test)]
mod tests {
    use super::super::reader;
    use super::*;

    #[test]
    fn the_schema_has_the_keys_that_the_reader_reads() {
        let schema = schema();
        let check = |pointer: &str, keys: &[&str]| {
            let properties = schema.pointer(pointer).and_then(Json::as_object).unwrap();
            let mut known: Vec<&str> = properties.keys().map(String::as_str).collect();
            let mut keys = keys.to_vec();
            known.sort_unstable();
            keys.sort_unstable();
            assert_eq!(known, keys, "{pointer}");
        };
        check("/$defs/file/properties", &reader::FILE_KEYS);
        check("/$defs/case/properties", &reader::CASE_KEYS);
        check("/$defs/signal/properties", &reader::SIGNAL_KEYS);
        check("/$defs/pin/properties", &reader::PIN_KEYS);
        check("/$defs/pin/properties/error/properties", &reader::PIN_ERROR_KEYS);
        check("/$defs/expect/properties", &reader::EXPECT_KEYS);
        check("/$defs/expect/properties/error/properties", &reader::EXPECTED_ERROR_KEYS);
    }
}
