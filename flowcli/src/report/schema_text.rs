//! JSON Schemas in a few words.

use serde_json::Value;

/// The most alternatives that are named.
const MOST_ALTERNATIVES: usize = 8;
/// How deep references are followed: a schema may refer to itself.
const MOST_LEVELS: usize = 4;

/// A field of an object, as its schema describes it.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) required: bool,
    pub(crate) default: Option<Value>,
    pub(crate) description: String,
}

/// The fields of an object's schema.
pub(crate) fn fields(schema: &Value) -> Vec<Field> {
    let object = Words { root: schema }.resolve(schema);
    let Some(properties) = object["properties"].as_object() else { return Vec::new() };
    let required = object["required"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let field = |(name, field): (&String, &Value)| Field {
        name: name.clone(),
        type_name: Words { root: schema }.name(field, MOST_LEVELS),
        required: required.iter().any(|required| required == name),
        default: field.get("default").filter(|default| !default.is_null()).cloned(),
        description: field["description"].as_str().unwrap_or_default().to_owned(),
    };
    properties.iter().map(field).collect()
}

/// What a schema allows, such as `integer`, `array of string` or `"GET" | "POST"`.
pub(crate) fn type_name(schema: &Value) -> String {
    Words { root: schema }.name(schema, MOST_LEVELS)
}

struct Words<'a> {
    /// The document that references point into.
    root: &'a Value,
}

impl<'a> Words<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    fn name(&self, schema: &'a Value, levels: usize) -> String {
        let schema = self.resolve(schema);
        if levels == 0 {
            return "…".to_owned();
        }
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        if let Some(values) = schema["enum"].as_array() {
            return alternatives(values.iter().map(Value::to_string).collect());
        }
        let several = ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array());
        if let Some(several) = several {
            return alternatives(several.iter().map(|one| self.name(one, levels - 1)).collect());
        }
        match &schema["type"] {
            Value::String(name) => self.typed(schema, name, levels),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                alternatives(names.map(|name| self.typed(schema, name, levels)).collect())
            }
            _ => "any".to_owned(),
        }
    }

    fn typed(&self, schema: &'a Value, name: &str, levels: usize) -> String {
        let inner = match name {
            "array" => schema.get("items"),
            "object" => schema.get("additionalProperties").filter(|inner| inner.is_object()),
            _ => None,
        };
        let inner = inner.map(|inner| self.name(inner, levels - 1)).filter(|inner| inner != "any");
        inner.map_or_else(|| name.to_owned(), |inner| format!("{name} of {inner}"))
    }
}

fn alternatives(mut names: Vec<String>) -> String {
    let optional = names.len() > 1 && names.iter().any(|name| name == "null");
    names.retain(|name| !(optional && name == "null"));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    if names.len() > MOST_ALTERNATIVES {
        names.truncate(MOST_ALTERNATIVES);
        names.push("…".to_owned());
    }
    names.join(" | ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Value, expected: &str) {
        assert_eq!(type_name(&schema), expected, "{schema}");
    }

    #[test]
    fn schemas_have_short_names() {
        check(json!(true), "any");
        check(json!({ "type": "integer", "minimum": 0 }), "integer");
        check(json!({ "type": ["string", "null"] }), "string");
        check(json!({ "type": "array", "items": { "type": "string" } }), "array of string");
        check(json!({ "type": "array", "items": true }), "array");
        check(
            json!({ "type": "object", "additionalProperties": { "type": "number" } }),
            "object of number",
        );
        check(json!({ "enum": ["GET", 1] }), "\"GET\" | 1");
        check(
            json!({ "anyOf": [{ "$ref": "#/$defs/A" }, { "type": "null" }],
                "$defs": { "A": { "oneOf": [{ "const": "x" }, { "const": "x" }] } } }),
            "\"x\"",
        );
        check(
            json!({ "type": "array", "items": { "$ref": "#" } }),
            "array of array of array of array of …",
        );
    }

    #[test]
    fn fields_are_described() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": {
            "a": { "type": "string", "description": "The a" },
            "b": { "type": "integer", "default": 3 },
        }});
        let fields = fields(&schema);
        assert_eq!((&*fields[0].type_name, fields[0].required), ("string", true));
        assert_eq!(fields[1].default, Some(json!(3)));
    }
}
