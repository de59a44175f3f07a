//! Declared inputs: names, schemas and defaults.

use super::super::schema::{Checker, MAX_STEPS, TYPES};
use super::super::{Diagnostic, Diagnostics, InputSpec, Workflow, nearest};
use crate::id::check_id;
use crate::value::{Array, Object, Value, escape_pointer};

/// Keywords whose value is a schema.
const SCHEMAS: &[&str] = &[
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose value is an array of schemas.
const SCHEMA_ARRAYS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];

/// Keywords whose value is an object of schemas.
const SCHEMA_OBJECTS: &[&str] =
    &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// The other keywords of JSON Schema.
const OTHERS: &[&str] = &[
    "$anchor",
    "$comment",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];

const BAD_SCHEMA: &str = "input.bad_schema";

pub(super) fn check(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    // All defaults together: many costly schemas are as bad as one.
    let mut steps = MAX_STEPS;
    for (name, input) in workflow.inputs.iter().flatten() {
        let pointer = format!("/inputs/{}", escape_pointer(name));
        if let Err(error) = check_id(name) {
            let message = error.to_string().replacen("an id", "the name of an input", 1);
            diagnostics.push(Diagnostic::error("input.bad_name", &pointer, message).at_key());
        }
        let before = diagnostics.len();
        check_schema(&input.schema, &pointer, BAD_SCHEMA, diagnostics);
        if diagnostics.len() == before {
            check_default(name, input, &pointer, &mut steps, diagnostics);
        }
    }
}

fn check_default(
    name: &str,
    input: &InputSpec,
    pointer: &str,
    steps: &mut u32,
    diagnostics: &mut Diagnostics,
) {
    let Some(default) = input.default_value() else { return };
    let schema = Value::from(input.schema.clone()).to_json();
    let subject = format!("the default of input `{name}`");
    for error in Checker::new(&schema, steps).check(default, &subject) {
        let pointer = format!("{pointer}/default{}", error.pointer);
        let mut problem = Diagnostic::error("input.bad_default", pointer, error.message);
        problem.expected = error.expected;
        problem.suggestion = error.suggestion;
        diagnostics.push(problem);
    }
}

/// Reports with this code what is no JSON Schema in a schema.
pub(crate) fn check_schema(
    schema: &Object,
    pointer: &str,
    code: &'static str,
    diagnostics: &mut Diagnostics,
) {
    SchemaCheck { root: schema, code, diagnostics }.object(schema, pointer);
}

/// Looks for what is no JSON Schema in a schema.
struct SchemaCheck<'a> {
    root: &'a Object,
    code: &'static str,
    diagnostics: &'a mut Diagnostics,
}

impl SchemaCheck<'_> {
    fn report(&mut self, pointer: String, message: &str, expected: &str) {
        let problem = Diagnostic::error(self.code, pointer, message);
        self.diagnostics.push(problem.expected(expected));
    }

    fn schema(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::Object(object) => self.object(object, pointer),
            Value::Bool(_) => {}
            other => {
                let message = format!("a schema is {}", other.kind());
                self.report(pointer.to_owned(), &message, "an object, `true` or `false`");
            }
        }
    }

    fn object(&mut self, schema: &Object, pointer: &str) {
        for (keyword, value) in schema.iter() {
            let pointer = format!("{pointer}/{}", escape_pointer(keyword));
            let keyword = &**keyword;
            if SCHEMAS.contains(&keyword) {
                self.schema(value, &pointer);
            } else if SCHEMA_ARRAYS.contains(&keyword) {
                self.schemas(value.as_array(), &pointer);
            } else if SCHEMA_OBJECTS.contains(&keyword) {
                self.named_schemas(value.as_object(), &pointer);
            } else if OTHERS.contains(&keyword) {
                self.other(keyword, value, pointer);
            } else if !keyword.starts_with("x-") {
                self.unknown_keyword(keyword, pointer);
            }
        }
    }

    fn schemas(&mut self, schemas: Option<&Array>, pointer: &str) {
        let Some(schemas) = schemas else {
            let message = "the schemas are not in an array";
            return self.report(pointer.to_owned(), message, "an array of schemas");
        };
        for (index, schema) in schemas.iter().enumerate() {
            self.schema(schema, &format!("{pointer}/{index}"));
        }
    }

    fn named_schemas(&mut self, schemas: Option<&Object>, pointer: &str) {
        let Some(schemas) = schemas else {
            let message = "the schemas are not in an object";
            return self.report(pointer.to_owned(), message, "an object of schemas");
        };
        for (name, schema) in schemas.iter() {
            self.schema(schema, &format!("{pointer}/{}", escape_pointer(name)));
        }
    }

    fn other(&mut self, keyword: &str, value: &Value, pointer: String) {
        match keyword {
            "type" => self.types(value, &pointer),
            "required" if !is_array_of_strings(value) => {
                let message = format!("`required` is {}", value.kind());
                let expected = "an array of keys; an input without `default` is required anyway";
                self.report(pointer, &message, expected);
            }
            "enum" if value.as_array().is_none() => {
                let message = format!("`enum` is {}", value.kind());
                self.report(pointer, &message, "an array of values");
            }
            "$ref" if !self.resolves(value) => {
                let message = format!("`$ref` leads nowhere: {value}");
                self.report(pointer, &message, "a place in this schema, such as `#/$defs/name`");
            }
            _ => {}
        }
    }

    fn types(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::String(name) if TYPES.contains(&&**name) => {}
            Value::String(name) => {
                let message = format!("there is no type `{name}`");
                let mut problem = Diagnostic::error(self.code, pointer, message)
                    .suggest(name, TYPES)
                    .expected(TYPES.map(|name| format!("`{name}`")).join(", "));
                problem.suggestion = problem.suggestion.or_else(|| synonym(name));
                self.diagnostics.push(problem);
            }
            Value::Array(names) => {
                for (index, name) in names.iter().enumerate() {
                    self.types(name, &format!("{pointer}/{index}"));
                }
            }
            other => {
                let message = format!("`type` is {}", other.kind());
                self.report(pointer.to_owned(), &message, "a type, such as `\"string\"`");
            }
        }
    }

    fn resolves(&self, reference: &Value) -> bool {
        let pointer = reference.as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.is_some_and(|at| Value::Object(self.root.clone()).pointer(at).is_some())
    }

    /// JSON Schema ignores what it does not know, and so does Flow; but a misspelt keyword should
    /// not go unseen.
    fn unknown_keyword(&mut self, keyword: &str, pointer: String) {
        let known = [SCHEMAS, SCHEMA_ARRAYS, SCHEMA_OBJECTS, OTHERS].concat();
        let message = format!("JSON Schema has no keyword `{keyword}`, it is ignored");
        let mut warning = Diagnostic::warning("input.unknown_keyword", pointer, message).at_key();
        if self.diagnostics.len() < super::MAX_SUGGESTIONS {
            warning.suggestion = nearest(keyword, known).map(str::to_owned);
        }
        self.diagnostics.push(warning);
    }
}

fn is_array_of_strings(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(|item| item.as_str().is_some()))
}

/// Other words for types.
fn synonym(name: &str) -> Option<String> {
    let meant = match name.to_ascii_lowercase().as_str() {
        "str" | "text" | "date" | "datetime" | "url" => "string",
        "int" | "long" => "integer",
        "float" | "double" | "decimal" => "number",
        "bool" => "boolean",
        "list" | "tuple" => "array",
        "map" | "dict" | "json" | "struct" => "object",
        _ => return None,
    };
    Some(meant.to_owned())
}
