//! Expressions may stand wherever a config has a value.

use serde_json::{Map, Value as Json, json};

/// Keywords whose value is a schema of a part of the value.
const PARTS: &[&str] = &["additionalProperties", "items", "unevaluatedProperties"];

/// Keywords whose value is an object of schemas of parts of the value.
const NAMED_PARTS: &[&str] = &["properties", "patternProperties"];

/// Keywords whose value is an array of schemas of the value itself.
const SAME: &[&str] = &["allOf", "anyOf", "oneOf"];

pub(super) fn schema() -> Json {
    json!({
        "description": "A string with an expression in `{{ }}`.",
        "type": "string",
        "pattern": "\\{\\{",
    })
}

/// Allows expressions in all parts of a value, but not instead of the value itself.
pub(super) fn allow_within(schema: &mut Json) {
    let Some(object) = schema.as_object_mut() else { return };
    for (keyword, argument) in object.iter_mut() {
        match (keyword.as_str(), argument) {
            (part, schema) if PARTS.contains(&part) => allow(schema),
            (parts, Json::Object(schemas)) if NAMED_PARTS.contains(&parts) => {
                schemas.values_mut().for_each(allow);
            }
            ("prefixItems", Json::Array(schemas)) => schemas.iter_mut().for_each(allow),
            (same, Json::Array(schemas)) if SAME.contains(&same) => {
                schemas.iter_mut().for_each(allow_within);
            }
            ("$defs", Json::Object(schemas)) => schemas.values_mut().for_each(allow_within),
            _ => {}
        }
    }
    // An expression for a tag fits every alternative, which `oneOf` would refuse.
    if let Some(alternatives) = object.remove("oneOf") {
        object.insert("anyOf".into(), alternatives);
    }
}

/// Allows expressions instead of a value and in all its parts.
pub(super) fn allow(schema: &mut Json) {
    allow_within(schema);
    let Some(object) = schema.as_object_mut().filter(|object| !takes_any_string(object)) else {
        return;
    };
    let mut outer = Map::new();
    // Editors show these; they are not about one alternative.
    for annotation in ["title", "description", "default", "examples"] {
        if let Some(value) = object.remove(annotation) {
            outer.insert(annotation.into(), value);
        }
    }
    let inner = std::mem::take(object);
    outer.insert("anyOf".into(), json!([inner, {"$ref": "#/$defs/Expression"}]));
    *object = outer;
}

/// Whether every string satisfies a schema, as far as its own keywords tell.
fn takes_any_string(schema: &Map<String, Json>) -> bool {
    let takes_strings = match schema.get("type") {
        None => true,
        Some(Json::String(name)) => name == "string",
        Some(Json::Array(names)) => names.iter().any(|name| name == "string"),
        Some(_) => false,
    };
    let limits = [
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "const",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
    ];
    takes_strings && !limits.iter().any(|keyword| schema.contains_key(*keyword))
}
