//! The walk over schema and value.

use serde_json::{Map, Value as Json};

use super::describe::describe;
use super::fault::{Fault, SchemaError, SchemaErrorKind, show};
use super::holds_expression;
use crate::node::NodeDescriptor;
use crate::value::Value;
use crate::workflow::path::Path;

/// A schema may refer to itself in ways whose cost is exponential; one that takes more steps than
/// this is refused.
pub(crate) const MAX_STEPS: u32 = 1_000_000;

/// A value is at most 100 levels deep, and each level may take a few references and combinations.
/// A schema that refers to itself would go on for ever.
const MAX_SCHEMA_DEPTH: u32 = 400;

/// A value with more faults than this is wrong as a whole.
const MAX_FAULTS: usize = 100;

/// How the top level of a node's config is read: keys that name an input port are values of the
/// port, and raw fields hold no expressions.
#[derive(Clone, Copy)]
pub(crate) struct ConfigKeys<'a> {
    pub(crate) descriptor: &'a NodeDescriptor,
}

impl ConfigKeys<'_> {
    fn is_port(&self, key: &str) -> bool {
        self.descriptor.input_port(key).is_some()
    }

    fn is_raw(&self, key: &str) -> bool {
        self.descriptor.raw_fields.iter().any(|field| field == key)
    }
}

/// Checks one value against one schema.
pub(crate) struct Checker<'a> {
    root: &'a Json,
    /// Whether a string that holds an expression satisfies every schema.
    templates: bool,
    config: Option<ConfigKeys<'a>>,
    faults: Vec<Fault>,
    /// While alternatives are tried: whether one thing is wrong already. No faults are made then.
    trying: Option<bool>,
    steps: &'a mut u32,
    /// How many schemas are being checked within each other.
    depth: u32,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(root: &'a Json, steps: &'a mut u32) -> Self {
        Self {
            root,
            templates: false,
            config: None,
            faults: Vec::new(),
            trying: None,
            steps,
            depth: 0,
        }
    }

    /// Strings that hold expressions satisfy every schema.
    pub(crate) fn with_templates(mut self) -> Self {
        self.templates = true;
        self
    }

    /// The value is the config of a node.
    pub(crate) fn with_config(mut self, keys: ConfigKeys<'a>) -> Self {
        self.config = Some(keys);
        self
    }

    /// Checks a value, which messages call `name`.
    pub(crate) fn check(self, value: &Value, name: &str) -> Vec<SchemaError> {
        self.check_at(value, &Path::Root, name)
    }

    /// Checks a value that is part of a larger one, which messages call `name`.
    pub(crate) fn check_at(
        mut self,
        value: &Value,
        path: &Path<'_>,
        name: &str,
    ) -> Vec<SchemaError> {
        self.schema(self.root, value, path);
        self.faults.into_iter().map(|fault| fault.into_error(name)).collect()
    }

    /// Checks the config of a node.
    pub(crate) fn check_config(mut self, config: &Value) -> Vec<SchemaError> {
        self.schema(self.root, config, &Path::Root);
        if self.faults.is_empty() {
            return Vec::new();
        }
        let node_type = self.config.map_or("", |config| &config.descriptor.node_type);
        let name = format!("the config of `{node_type}`");
        self.faults.into_iter().map(|fault| fault.into_error(&name)).collect()
    }

    pub(super) fn report(&mut self, fault: impl FnOnce(&Self) -> Fault) {
        match &mut self.trying {
            Some(failed) => *failed = true,
            None if self.faults.len() < MAX_FAULTS => {
                let fault = fault(self);
                self.faults.push(fault);
            }
            None => {}
        }
    }

    pub(super) fn schema(&mut self, schema: &Json, value: &Value, path: &Path<'_>) {
        if self.trying == Some(true) || !self.step(path) {
            return;
        }
        self.depth += 1;
        self.any_schema(schema, value, path);
        self.depth -= 1;
    }

    fn any_schema(&mut self, schema: &Json, value: &Value, path: &Path<'_>) {
        match schema {
            Json::Object(_) if self.templates && value.as_str().is_some_and(holds_expression) => {}
            Json::Object(keywords) => self.keywords(schema, keywords, value, path),
            Json::Bool(false) => self.report(|_| {
                let found = "may not be given".to_owned();
                Fault::new(SchemaErrorKind::NotAllowed, path.pointer(), found)
            }),
            _ => {}
        }
    }

    /// Counts one step; false when there were too many.
    fn step(&mut self, path: &Path<'_>) -> bool {
        if *self.steps == 0 || self.depth == MAX_SCHEMA_DEPTH {
            let is_known = self.faults.iter().any(|f| f.kind == SchemaErrorKind::TooCostly);
            if !is_known {
                self.report(|_| {
                    let found = "takes too many steps to check".to_owned();
                    Fault::new(SchemaErrorKind::TooCostly, path.pointer(), found)
                });
            }
            return false;
        }
        *self.steps -= 1;
        true
    }

    fn keywords(
        &mut self,
        schema: &Json,
        keywords: &Map<String, Json>,
        value: &Value,
        path: &Path<'_>,
    ) {
        if let Some(types) = keywords.get("type")
            && !is_of_type(value, types)
        {
            self.report(|checker| {
                let found = format!("is {}", value.kind());
                Fault::new(SchemaErrorKind::WrongType, path.pointer(), found)
                    .expected(describe(checker.root, schema))
            });
            return;
        }
        for (keyword, argument) in keywords {
            self.keyword(keyword, argument, schema, keywords, (value, path));
        }
        if let Value::Object(object) = value.untainted() {
            self.object(keywords, object, path);
        }
    }

    fn keyword(
        &mut self,
        keyword: &str,
        argument: &Json,
        schema: &Json,
        keywords: &Map<String, Json>,
        (value, path): (&Value, &Path<'_>),
    ) {
        match keyword {
            "$ref" => {
                if let Some(target) = resolve(self.root, argument) {
                    self.schema(target, value, path);
                }
            }
            "allOf" => {
                let all = argument.as_array().into_iter().flatten();
                all.for_each(|schema| self.schema(schema, value, path));
            }
            "anyOf" | "oneOf" => self.any_of(argument, value, path),
            "const" => self.one_of(schema, std::slice::from_ref(argument), value, path),
            "enum" => {
                let values = argument.as_array().map_or(&[][..], Vec::as_slice);
                self.one_of(schema, values, value, path);
            }
            "not" => self.not(argument, value, path),
            "if" => self.condition(argument, keywords, value, path),
            "items" | "prefixItems" => self.items(keyword, argument, keywords, value, path),
            _ => self.limit(keyword, argument, keywords, value, path),
        }
    }

    fn one_of(&mut self, schema: &Json, allowed: &[Json], value: &Value, path: &Path<'_>) {
        if allowed.iter().any(|allowed| equals(value, allowed)) {
            return;
        }
        self.report(|checker| {
            let fault = Fault::new(
                SchemaErrorKind::NotAllowed,
                path.pointer(),
                format!("is {}", show(value)),
            )
            .expected(describe(checker.root, schema));
            let words = allowed.iter().filter_map(Json::as_str).map(str::to_owned).collect();
            match value.as_str() {
                Some(word) => fault.suggest(word, words),
                None => fault,
            }
        });
    }

    /// Whether a value satisfies a schema, without noting what is wrong.
    pub(super) fn satisfies(&mut self, schema: &Json, value: &Value, path: &Path<'_>) -> bool {
        let before = self.trying.replace(false);
        self.schema(schema, value, path);
        std::mem::replace(&mut self.trying, before) == Some(false)
    }

    /// What is wrong with a value by one schema.
    pub(super) fn faults_by(
        &mut self,
        schema: &Json,
        value: &Value,
        path: &Path<'_>,
    ) -> Vec<Fault> {
        let before = std::mem::take(&mut self.faults);
        self.schema(schema, value, path);
        std::mem::replace(&mut self.faults, before)
    }

    /// While alternatives are tried: notes that this one is wrong. False when none is tried.
    pub(super) fn fail(&mut self) -> bool {
        self.trying.as_mut().is_some_and(|failed| {
            *failed = true;
            true
        })
    }

    /// The steps that are left.
    pub(super) fn steps(&mut self) -> &mut u32 {
        self.steps
    }

    pub(super) fn root(&self) -> &'a Json {
        self.root
    }

    /// Whether a key at this place names an input port.
    pub(super) fn is_port(&self, path: &Path<'_>, key: &str) -> bool {
        matches!(path, Path::Root) && self.config.is_some_and(|config| config.is_port(key))
    }

    /// Whether a key that the schema does not know may be a port that the descriptor does not list.
    pub(super) fn is_open(&self, path: &Path<'_>) -> bool {
        matches!(path, Path::Root) && self.config.is_some_and(|c| c.descriptor.open_inputs)
    }

    /// The names of the input ports, where keys may name them.
    pub(super) fn ports(&self, path: &Path<'_>) -> Vec<String> {
        match self.config {
            Some(config) if matches!(path, Path::Root) => {
                config.descriptor.inputs.iter().map(|port| port.name.to_string()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Checks the value of a key of an object.
    pub(super) fn member(&mut self, schema: &Json, key: &str, value: &Value, path: &Path<'_>) {
        let templates = self.templates;
        if matches!(path, Path::Root) && self.config.is_some_and(|config| config.is_raw(key)) {
            self.templates = false;
        }
        self.schema(schema, value, &path.key(key));
        self.templates = templates;
    }
}

/// The schema that a `$ref` within the same document means.
pub(super) fn resolve<'s>(root: &'s Json, reference: &Json) -> Option<&'s Json> {
    let pointer = reference.as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

fn is_of_type(value: &Value, types: &Json) -> bool {
    match types {
        Json::String(name) => is_of_named_type(value, name),
        Json::Array(names) => {
            names.iter().filter_map(Json::as_str).any(|name| is_of_named_type(value, name))
        }
        _ => true,
    }
}

fn is_of_named_type(value: &Value, name: &str) -> bool {
    match (value.untainted(), name) {
        (Value::Null, "null")
        | (Value::Bool(_), "boolean")
        | (Value::Number(_), "number")
        | (Value::String(_), "string")
        | (Value::Array(_), "array")
        | (Value::Object(_), "object") => true,
        (Value::Number(number), "integer") => number.to_i128().is_some(),
        // JSON has no bytes: they are an object there, an array in many Rust types.
        (Value::Bytes(_), "array" | "object") => true,
        // What is no type of JSON Schema is not for this check.
        (_, name) => !TYPES.contains(&name),
    }
}

/// The types of JSON Schema.
pub(crate) const TYPES: [&str; 7] =
    ["null", "boolean", "number", "integer", "string", "array", "object"];

/// Whether a value is a JSON value; numbers compare by value.
fn equals(value: &Value, json: &Json) -> bool {
    match (value.untainted(), json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Number(a), Json::Number(_)) => {
            super::keywords::number(json).is_some_and(|b| a.compare(b).is_eq())
        }
        (Value::String(a), Json::String(b)) => **a == **b,
        (Value::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equals(a, b))
        }
        (Value::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(&**key).is_some_and(|b| equals(a, b)))
        }
        _ => false,
    }
}
