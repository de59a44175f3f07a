//! JSON Schemas in words.

use serde_json::{Map, Value as Json};

/// A field of a config.
pub(super) struct Field {
    /// Its name; `by[].key` for a field of an object within.
    pub(super) name: String,
    /// Its type in words.
    pub(super) words: String,
    /// What it is when it is left out.
    pub(super) default: Option<Json>,
    /// Whether it has to be there.
    pub(super) required: bool,
    /// What it is for, and what its values mean.
    pub(super) description: String,
}

/// The fields of an object schema, the required ones first, and after each those of the objects
/// within it.
pub(super) fn fields(root: &Json) -> Vec<Field> {
    let mut found = Fields { root, fields: Vec::new(), objects: Vec::new() };
    found.add(root, "");
    found.fields
}

struct Fields<'a> {
    root: &'a Json,
    fields: Vec<Field>,
    /// The objects whose fields are there, so that each is listed once.
    objects: Vec<&'a Json>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, object: &'a Json, prefix: &str) {
        if self.objects.iter().any(|known| std::ptr::eq(*known, object)) {
            return;
        }
        self.objects.push(object);
        let is_required = |name: &str| {
            let required = object.get("required").and_then(Json::as_array);
            required.is_some_and(|names| names.iter().any(|other| other == name))
        };
        let properties = object.get("properties").and_then(Json::as_object);
        let mut properties: Vec<_> = properties.into_iter().flat_map(Map::iter).collect();
        properties.sort_by_key(|(name, _)| (!is_required(name), *name));
        for (name, schema) in properties {
            let name = format!("{prefix}{name}");
            self.fields.push(Field {
                words: type_words(schema, self.root),
                default: schema.get("default").cloned(),
                required: is_required(&name[prefix.len()..]),
                description: description(schema, self.root),
                name: name.clone(),
            });
            self.add_within(schema, &name);
        }
    }

    /// Adds the fields of the objects that a schema allows.
    fn add_within(&mut self, schema: &'a Json, name: &str) {
        let schema = resolve(schema, self.root);
        for option in options(schema) {
            self.add_within(option, name);
        }
        if let Some(items) = schema.get("items") {
            self.add_within(items, &format!("{name}[]"));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object())
        {
            self.add_within(values, &format!("{name}.*"));
        }
        if schema.get("properties").is_some() {
            self.add(schema, &format!("{name}."));
        }
    }
}

/// What a schema allows, in words.
pub(super) fn type_words(schema: &Json, root: &Json) -> String {
    let schema = resolve(schema, root);
    if let Some(title) = schema.get("title").and_then(Json::as_str)
        && schema.get("properties").is_some()
        && root.get("title").and_then(Json::as_str) != Some(title)
    {
        return title.to_owned();
    }
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    if let Some(values) = schema.get("enum").and_then(Json::as_array) {
        return any_of(values.iter().map(|value| format!("`{value}`")));
    }
    let options = options(schema);
    if !options.is_empty() {
        let options = options.iter().filter(|option| option.get("type") != Some(&"null".into()));
        return any_of(options.map(|option| type_words(option, root)));
    }
    match schema.get("type") {
        Some(Json::String(name)) => named_type(name, schema, root),
        Some(Json::Array(names)) => {
            let names = names.iter().filter_map(Json::as_str).filter(|name| *name != "null");
            any_of(names.map(|name| named_type(name, schema, root)))
        }
        _ => "any".to_owned(),
    }
}

fn named_type(name: &str, schema: &Json, root: &Json) -> String {
    let of = |inner: &Json| match type_words(inner, root) {
        words if words == "any" => name.to_owned(),
        words if words.contains(" or ") => format!("{name} of ({words})"),
        words => format!("{name} of {words}"),
    };
    let inner = match name {
        "array" => schema.get("items"),
        "object" => schema.get("additionalProperties").filter(|values| values.is_object()),
        _ => None,
    };
    inner.map_or_else(|| name.to_owned(), of)
}

fn any_of(words: impl Iterator<Item = String>) -> String {
    let mut different: Vec<String> = Vec::new();
    for words in words {
        if !different.contains(&words) {
            different.push(words);
        }
    }
    different.join(" or ")
}

/// The description of a field, with what each of its values means.
fn description(schema: &Json, root: &Json) -> String {
    let text = |schema: &Json| schema.get("description").and_then(Json::as_str).map(str::to_owned);
    let resolved = resolve(schema, root);
    let mut words = text(schema).or_else(|| text(resolved)).unwrap_or_default();
    for option in options(resolved) {
        if let (Some(value), Some(meaning)) = (option.get("const"), text(option)) {
            words.push_str(&format!("<br>`{value}`: {meaning}"));
        }
    }
    words
}

fn options(schema: &Json) -> &[Json] {
    let options = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Json::as_array);
    options.map_or(&[], Vec::as_slice)
}

/// Follows a reference into the root schema.
fn resolve<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let pointer = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix('#'));
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Json, expected: &str) {
        assert_eq!(type_words(&schema, &schema), expected, "{schema}");
    }

    #[test]
    fn types_have_words() {
        check(json!(true), "any");
        check(json!({ "type": "string" }), "string");
        check(json!({ "type": ["string", "null"] }), "string");
        check(json!({ "type": "array", "items": true }), "array");
        check(json!({ "type": "array", "items": { "type": "integer" } }), "array of integer");
        check(json!({ "type": "object", "additionalProperties": false }), "object");
        check(
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } }),
            "object of (string or number)",
        );
        check(json!({ "enum": ["GET", "PUT"] }), "`\"GET\"` or `\"PUT\"`");
        check(
            json!({ "anyOf": [{ "$ref": "#/$defs/A" }, { "type": "null" }], "$defs": { "A": { "const": 1 } } }),
            "`1`",
        );
    }

    #[test]
    fn fields_of_objects_within_are_listed() {
        let schema = json!({
            "properties": {
                "a": { "type": "string", "default": "x" },
                "z": { "type": "array", "items": { "$ref": "#/$defs/Z" }, "description": "All." }
            },
            "required": ["z"],
            "$defs": {
                "Z": {
                    "properties": {
                        "mode": { "oneOf": [{ "const": "on", "description": "Is on." }] },
                        "more": { "additionalProperties": { "$ref": "#/$defs/Z" } }
                    }
                }
            }
        });
        let found = fields(&schema);
        let names: Vec<_> =
            found.iter().map(|field| (field.name.as_str(), field.required)).collect();
        assert_eq!(names, [("z", true), ("z[].mode", false), ("z[].more", false), ("a", false)]);
        assert_eq!(found[1].description, "<br>`\"on\"`: Is on.");
        assert_eq!(found[3].default, Some(json!("x")));
    }
}
