//! The keywords of objects, arrays, numbers and texts.

use serde_json::{Map, Value as Json};

use super::checker::{Checker, resolve};
use super::describe::{describe, range};
use super::fault::{Fault, SchemaErrorKind, show};
use crate::value::{Number, Object, Value};
use crate::workflow::path::Path;

/// How many schemas are asked for the keys that a message lists.
const KNOWN_KEYS_STEPS: u32 = 1_000;

/// How many references and combinations are followed to see whether a key is known.
const MAX_DEPTH: usize = 8;

impl Checker<'_> {
    pub(super) fn object(
        &mut self,
        keywords: &Map<String, Json>,
        object: &Object,
        path: &Path<'_>,
    ) {
        let properties = keywords.get("properties").and_then(Json::as_object);
        let additional = keywords.get("additionalProperties");
        let patterns = keywords.get("patternProperties").and_then(Json::as_object);
        let unevaluated = keywords.get("unevaluatedProperties");
        for (key, value) in object.iter() {
            if self.is_port(path, key) {
                continue;
            }
            let known = properties.and_then(|properties| properties.get(&**key));
            let matching = patterns.and_then(|patterns| matching(patterns, key));
            match (known.or(matching), additional) {
                (Some(schema), _) => self.member(schema, key, value, path),
                (None, Some(Json::Bool(false))) => self.unknown_key(keywords, key, path),
                (None, Some(schema)) => self.member(schema, key, value, path),
                (None, None) if unevaluated == Some(&Json::Bool(false)) => {
                    let root = self.root();
                    if !evaluates(root, keywords, key, MAX_DEPTH, self.steps()) {
                        self.unknown_key(keywords, key, path);
                    }
                }
                (None, None) => {}
            }
        }
        for key in keywords.get("required").and_then(Json::as_array).into_iter().flatten() {
            if let Some(key) = key.as_str()
                && !object.contains_key(key)
                && !self.is_port(path, key)
            {
                self.missing_key(properties.and_then(|p| p.get(key)), key, path);
            }
        }
    }

    fn unknown_key(&mut self, keywords: &Map<String, Json>, key: &str, path: &Path<'_>) {
        if self.is_open(path) {
            return;
        }
        self.report(|checker| {
            let mut known = Vec::new();
            known_keys(checker.root(), keywords, MAX_DEPTH, &mut { KNOWN_KEYS_STEPS }, &mut known);
            known.extend(checker.ports(path));
            let found = format!("has no key `{key}`");
            let shown = known.iter().map(|key| format!("`{key}`")).collect();
            Fault::new(SchemaErrorKind::UnknownKey, path.key(key).pointer(), found)
                .expected(shown)
                .suggest(key, known)
        });
    }

    fn missing_key(&mut self, schema: Option<&Json>, key: &str, path: &Path<'_>) {
        self.report(|checker| {
            let found = format!("has no `{key}`");
            let expected = schema.map(|schema| describe(checker.root(), schema));
            Fault::new(SchemaErrorKind::MissingKey, path.pointer(), found)
                .expected(expected.unwrap_or_default())
        });
    }

    pub(super) fn items(
        &mut self,
        keyword: &str,
        argument: &Json,
        keywords: &Map<String, Json>,
        value: &Value,
        path: &Path<'_>,
    ) {
        let Some(items) = value.as_array() else { return };
        let prefix = keywords.get("prefixItems").and_then(Json::as_array).map_or(0, Vec::len);
        if keyword == "prefixItems" {
            let schemas = argument.as_array().into_iter().flatten();
            for (index, (schema, item)) in schemas.zip(items.iter()).enumerate() {
                self.schema(schema, item, &path.index(index));
            }
        } else {
            for (index, item) in items.iter().enumerate().skip(prefix) {
                self.schema(argument, item, &path.index(index));
            }
        }
    }

    /// Checks the keywords that are a limit.
    pub(super) fn limit(
        &mut self,
        keyword: &str,
        argument: &Json,
        keywords: &Map<String, Json>,
        value: &Value,
        path: &Path<'_>,
    ) {
        match (keyword, value.untainted()) {
            ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum", Value::Number(n))
                if number(argument).is_some_and(|limit| !within(keyword, *n, limit)) =>
            {
                let expected = range(keywords).map(|range| format!("a number {range}"));
                self.out_of_range(path, format!("is {}", show(value)), expected);
            }
            ("multipleOf", Value::Number(n))
                if number(argument).is_some_and(|step| !is_multiple(*n, step)) =>
            {
                let expected = format!("a multiple of {argument}");
                self.out_of_range(path, format!("is {}", show(value)), Some(expected));
            }
            ("minLength" | "maxLength", Value::String(text)) => {
                self.count(keyword, argument, text.chars().count(), "characters", path);
            }
            ("minItems" | "maxItems", Value::Array(items)) => {
                self.count(keyword, argument, items.len(), "items", path);
            }
            ("minProperties" | "maxProperties", Value::Object(object)) => {
                self.count(keyword, argument, object.len(), "keys", path);
            }
            ("pattern", Value::String(text)) => {
                let Some(pattern) = argument.as_str() else { return };
                if matches(pattern, text) == Some(false) {
                    let expected = format!("a text like `{pattern}`");
                    self.out_of_range(path, format!("is {}", show(value)), Some(expected));
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, keyword: &str, argument: &Json, count: usize, unit: &str, path: &Path<'_>) {
        let Some(limit) = argument.as_u64() else { return };
        let is_least = keyword.starts_with("min");
        let count = count as u64;
        if if is_least { count < limit } else { count > limit } {
            let found =
                if count == 0 { "is empty".to_owned() } else { format!("has {count} {unit}") };
            let bound = if is_least { "at least" } else { "at most" };
            self.out_of_range(path, found, Some(format!("{bound} {limit} {unit}")));
        }
    }

    fn out_of_range(&mut self, path: &Path<'_>, found: String, expected: Option<String>) {
        self.report(|_| {
            Fault::new(SchemaErrorKind::OutOfRange, path.pointer(), found)
                .expected(expected.into_iter().collect())
        });
    }
}

/// The number that a JSON number is.
pub(super) fn number(json: &Json) -> Option<Number> {
    let integer = json.as_i64().map(Number::from).or_else(|| json.as_u64().map(Number::from));
    integer.or_else(|| Number::from_f64(json.as_f64()?).ok())
}

fn within(keyword: &str, value: Number, limit: Number) -> bool {
    let order = value.compare(limit);
    match keyword {
        "minimum" => order.is_ge(),
        "maximum" => order.is_le(),
        "exclusiveMinimum" => order.is_gt(),
        _ => order.is_lt(),
    }
}

fn is_multiple(value: Number, step: Number) -> bool {
    match (value.to_i128(), step.to_i128()) {
        (Some(value), Some(step)) => step == 0 || value % step == 0,
        _ => {
            let quotient = value.as_f64() / step.as_f64();
            (quotient - quotient.round()).abs() < 1e-9
        }
    }
}

/// Whether a text matches a pattern that is only a prefix, a suffix or both; `None` for others.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    let (from_start, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (to_end, rest) = match rest.strip_suffix('$') {
        Some(literal) => (true, literal),
        None => (false, rest),
    };
    let literal = literal(rest)?;
    Some(match (from_start, to_end) {
        (true, true) => text == literal,
        (true, false) => text.starts_with(&literal),
        (false, true) => text.ends_with(&literal),
        (false, false) => text.contains(&literal),
    })
}

/// The only text that a pattern matches; `None` when it has signs with a meaning.
fn literal(pattern: &str) -> Option<String> {
    let mut literal = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        literal.push(match letter {
            '\\' => letters.next().filter(char::is_ascii_punctuation)?,
            '^' | '$' | '.' | '|' | '?' | '*' | '+' | '(' | ')' | '[' | ']' | '{' | '}' => {
                return None;
            }
            plain => plain,
        });
    }
    Some(literal)
}

/// The schema of the first pattern that matches a key. A pattern that is not understood might.
fn matching<'s>(patterns: &'s Map<String, Json>, key: &str) -> Option<&'s Json> {
    const ANYTHING: &Json = &Json::Bool(true);
    patterns.iter().find_map(|(pattern, schema)| match matches(pattern, key) {
        Some(true) => Some(schema),
        Some(false) => None,
        None => Some(ANYTHING),
    })
}

/// Whether a schema, or one that it is combined of, knows a key.
fn evaluates(
    root: &Json,
    keywords: &Map<String, Json>,
    key: &str,
    depth: usize,
    steps: &mut u32,
) -> bool {
    let known = keywords.get("properties").is_some_and(|known| known.get(key).is_some());
    let open = keywords.get("additionalProperties").is_some_and(|more| *more != Json::Bool(false));
    let mut parts = parts(root, keywords, depth);
    known || open || parts.any(|part| take(steps) && evaluates(root, part, key, depth - 1, steps))
}

/// The keys that a schema, or one that it is combined of, knows.
fn known_keys(
    root: &Json,
    keywords: &Map<String, Json>,
    depth: usize,
    steps: &mut u32,
    known: &mut Vec<String>,
) {
    let properties = keywords.get("properties").and_then(Json::as_object);
    known.extend(properties.into_iter().flat_map(Map::keys).cloned());
    for part in parts(root, keywords, depth) {
        if take(steps) {
            known_keys(root, part, depth - 1, steps, known);
        }
    }
}

fn take(steps: &mut u32) -> bool {
    let left = *steps > 0;
    *steps = steps.saturating_sub(1);
    left
}

/// The schemas of which one is combined; none when `depth` is used up.
fn parts<'s>(
    root: &'s Json,
    keywords: &'s Map<String, Json>,
    depth: usize,
) -> impl Iterator<Item = &'s Map<String, Json>> {
    let combined = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|keyword| keywords.get(keyword).and_then(Json::as_array))
        .flatten();
    let referred = keywords.get("$ref").and_then(|target| resolve(root, target));
    let conditional = ["then", "else"].into_iter().filter_map(|keyword| keywords.get(keyword));
    let all = combined.chain(referred).chain(conditional).filter_map(Json::as_object);
    all.take(if depth == 0 { 0 } else { usize::MAX })
}
