//! What a schema asks for, in words.

use serde_json::{Map, Value as Json};

use super::checker::resolve;

/// How many references and combinations a description follows.
const MAX_DEPTH: usize = 8;

/// How many alternatives a description lists.
const MAX_ALTERNATIVES: usize = 30;

/// How many schemas are asked for a description.
const MAX_STEPS: u32 = 1_000;

/// The alternatives that a schema allows: "a string", "`GET`".
pub(super) fn describe(root: &Json, schema: &Json) -> Vec<String> {
    let mut description = Description { root, steps: MAX_STEPS, alternatives: Vec::new() };
    description.collect(schema, MAX_DEPTH);
    let mut alternatives = description.alternatives;
    if alternatives.len() > 1 {
        // An optional value may be null, but null is hardly what was meant.
        alternatives.retain(|alternative| alternative != "null");
    }
    alternatives
}

struct Description<'a> {
    root: &'a Json,
    steps: u32,
    alternatives: Vec<String>,
}

impl Description<'_> {
    fn collect(&mut self, schema: &Json, depth: usize) {
        let Some(object) = schema.as_object() else { return };
        if depth == 0 || self.steps == 0 {
            return;
        }
        self.steps -= 1;
        if let Some(target) = object.get("$ref").and_then(|target| resolve(self.root, target)) {
            self.collect(target, depth - 1);
        } else if let Some(value) = object.get("const") {
            self.add(literal(value));
        } else if let Some(values) = object.get("enum").and_then(Json::as_array) {
            values.iter().for_each(|value| self.add(literal(value)));
        } else if let Some(branches) = object.get("anyOf").or_else(|| object.get("oneOf")) {
            let branches = branches.as_array().into_iter().flatten();
            branches.for_each(|branch| self.collect(branch, depth - 1));
        } else {
            self.collect_types(object);
        }
    }

    fn collect_types(&mut self, object: &Map<String, Json>) {
        match object.get("type") {
            Some(Json::String(name)) => self.add(type_name(name, object)),
            Some(Json::Array(names)) => {
                let names = names.iter().filter_map(Json::as_str);
                names.for_each(|name| self.add(type_name(name, object)));
            }
            _ => {}
        }
    }

    fn add(&mut self, alternative: String) {
        let has_room = self.alternatives.len() < MAX_ALTERNATIVES;
        if has_room && !self.alternatives.contains(&alternative) {
            self.alternatives.push(alternative);
        }
    }
}

/// A value of an enum.
fn literal(value: &Json) -> String {
    match value {
        Json::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn type_name(name: &str, schema: &Map<String, Json>) -> String {
    let number = |kind: &str| match range(schema) {
        Some(range) => format!("{kind} {range}"),
        None => kind.to_owned(),
    };
    match name {
        "string" => "a string".into(),
        "number" => number("a number"),
        "integer" => number("a whole number"),
        "boolean" => "true or false".into(),
        "array" => "an array".into(),
        "object" => "an object".into(),
        other => other.into(),
    }
}

/// The limits of a number: "from 1 to 5".
pub(super) fn range(schema: &Map<String, Json>) -> Option<String> {
    let limit =
        |inclusive: &str, exclusive: &str| match (schema.get(inclusive), schema.get(exclusive)) {
            (Some(limit), _) => Some((limit, true)),
            (None, limit) => limit.map(|limit| (limit, false)),
        };
    let low = limit("minimum", "exclusiveMinimum");
    let high = limit("maximum", "exclusiveMaximum");
    Some(match (low, high) {
        (None, None) => return None,
        (Some((low, true)), Some((high, true))) => format!("from {low} to {high}"),
        (Some((low, inclusive)), None) => {
            format!("{} {low}", if inclusive { "of at least" } else { "more than" })
        }
        (None, Some((high, inclusive))) => {
            format!("{} {high}", if inclusive { "of at most" } else { "less than" })
        }
        (Some((low, _)), Some((high, _))) => format!("between {low} and {high}"),
    })
}
