//! Checking values against JSON Schemas.
//!
//! The part of JSON Schema (2020-12) that describes data and that Rust types give: types, enums,
//! objects, arrays, ranges, combinations and `$ref` within the schema. `format`, patterns that are
//! more than a prefix or suffix, and what is unknown are ignored; `oneOf` is read as `anyOf`.

mod branches;
mod checker;
mod describe;
mod fault;
mod keywords;

use serde_json::Value as Json;

use crate::value::Value;

pub(crate) use checker::{Checker, ConfigKeys, MAX_STEPS, TYPES};
pub use fault::{SchemaError, SchemaErrorKind};

/// Checks a value against a JSON Schema; empty when it satisfies it.
///
/// At most 100 errors are listed. A schema that would take more than a million steps gives
/// [`SchemaErrorKind::TooCostly`].
pub fn check_value(schema: &Json, value: &Value) -> Vec<SchemaError> {
    let mut steps = MAX_STEPS;
    Checker::new(schema, &mut steps).check(value, "the value")
}

/// Whether a string holds an expression: `{{`, unless it is the `{{{{` of a literal `{{`.
pub(crate) fn holds_expression(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        if !rest[at..].starts_with("{{{{") {
            return true;
        }
        rest = &rest[at + 4..];
    }
    false
}

#[cfg(test)]
mod tests;
