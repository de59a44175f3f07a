//! The inputs of an execution, checked against what the workflow declares.

use std::sync::Arc;

use super::path::Path;
use super::schema::{Checker, MAX_STEPS};
use super::{Diagnostic, Diagnostics, InputSpec, Workflow};
use crate::value::{Object, Value, escape_pointer};

/// Checks inputs against what the workflow declares, and fills in defaults.
///
/// A workflow that declares no `inputs` takes any. Otherwise an input without a default must be
/// given, unless its type allows null, one that is not declared is an error, and values must satisfy
/// their schemas.
///
/// # Errors
/// Every problem; pointers start at the inputs.
pub fn resolve_inputs(workflow: &Workflow, given: Object) -> Result<Object, Diagnostics> {
    let Some(declared) = &workflow.inputs else { return Ok(given) };
    let mut problems = Diagnostics::new();
    // Those that are given as they are declared need not be put together.
    if given.keys().map(|name| &**name).eq(declared.keys().map(String::as_str)) {
        for ((name, spec), value) in declared.iter().zip(given.values()) {
            check_input(name, spec, value, &mut problems);
        }
        return if problems.has_errors() { Err(problems) } else { Ok(given) };
    }
    for name in given.keys().filter(|name| !declared.contains_key(&***name)) {
        let message = format!("the workflow has no input `{name}`");
        problems.push(
            Diagnostic::error("input.undeclared", format!("/{}", escape_pointer(name)), message)
                .suggest(name, declared.keys().map(String::as_str)),
        );
    }
    let mut entries: Vec<(Arc<str>, Value)> = Vec::with_capacity(declared.len());
    for (name, spec) in declared {
        if let Some(value) = given.get(name) {
            check_input(name, spec, value, &mut problems);
        }
        match given.get(name).or_else(|| spec.default_value()) {
            Some(value) => entries.push((Arc::from(name.as_str()), value.clone())),
            None if spec.allows_null() => {
                entries.push((Arc::from(name.as_str()), Value::Null));
            }
            None => problems.push(
                Diagnostic::error("input.not_given", "", format!("input `{name}` is not given"))
                    .hint("give it, or declare a `default`"),
            ),
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Object::from_entries(entries).expect("each was in an object already"))
}

/// Defaults need no check: they passed it when the workflow was compiled.
fn check_input(name: &str, spec: &InputSpec, value: &Value, problems: &mut Diagnostics) {
    if spec.schema.is_empty() || spec.is_plainly(value) {
        return;
    }
    let schema = Value::from(spec.schema.clone()).to_json();
    let mut steps = MAX_STEPS;
    let path = Path::Root.key(name);
    for error in Checker::new(&schema, &mut steps).check_at(value, &path, "") {
        let message = format!("input {}", error.message);
        let mut problem = Diagnostic::error(error.kind.input_code(), error.pointer, message);
        problem.expected = error.expected;
        problem.suggestion = error.suggestion;
        problems.push(problem);
    }
}

impl InputSpec {
    /// Whether the schema asks for nothing but the type that the value has: most do, and then it
    /// need not be made into what the checker reads.
    fn is_plainly(&self, value: &Value) -> bool {
        let type_of = match value {
            Value::Bool(_) => "boolean",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Number(number) if number.to_i128().is_some() => "integer",
            Value::Null | Value::Number(_) | Value::Bytes(_) | Value::Tainted(_) => return false,
        };
        self.schema.iter().all(|(key, wanted)| match &**key {
            "type" => {
                let wanted = wanted.as_str();
                wanted == Some(type_of) || (type_of == "integer" && wanted == Some("number"))
            }
            "default" | "description" | "title" => true,
            _ => false,
        })
    }

    /// Whether the schema says that null is a value of this input.
    pub(super) fn allows_null(&self) -> bool {
        let is_null = |value: &Value| value.as_str() == Some("null");
        self.schema.get("type").is_some_and(|kind| {
            is_null(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(is_null))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::read_json;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        let workflow = Workflow::from_json(
            r#"{"nodes": [], "inputs": {
              "url": {"type": "string", "minLength": 1},
              "limit": {"type": "integer", "default": 100},
              "tag": {"type": ["string", "null"]},
              "mode": {"enum": ["fast", "slow"], "default": "slow"}
            }}"#,
        );
        let given = read_json(given).unwrap().as_object().unwrap().clone();
        let found = match resolve_inputs(&workflow.unwrap(), given) {
            Ok(inputs) => Value::from(inputs).to_json_text(),
            Err(problems) => problems.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check_plainly(schema: &str, value: &str, expected: bool) {
        let spec = InputSpec { schema: read_json(schema).unwrap().as_object().unwrap().clone() };
        let found = spec.is_plainly(&read_json(value).unwrap());
        assert_eq!(found, expected, "{schema}, {value}");
    }

    #[test]
    fn a_value_of_the_only_type_needs_no_checker() {
        check_plainly(r#"{"type": "string", "description": "A name"}"#, r#""x""#, true);
        check_plainly(r#"{"type": "number", "default": 1}"#, "2", true);
        check_plainly(r#"{"type": "integer"}"#, "2", true);
        check_plainly(r#"{"type": "integer"}"#, "2.5", false);
        check_plainly(r#"{"type": "string"}"#, "2", false);
        check_plainly(r#"{"type": ["string", "null"]}"#, r#""x""#, false);
        check_plainly(r#"{"type": "string", "minLength": 2}"#, r#""x""#, false);
        check_plainly(r#"{"type": "object", "required": ["a"]}"#, "{}", false);
    }

    #[test]
    fn inputs_are_checked_and_defaults_filled_in() {
        check(
            r#"{"url": "x", "mode": "fast"}"#,
            r#"{"url":"x","limit":100,"tag":null,"mode":"fast"}"#,
        );
        check(
            r#"{"url": "x", "limit": 1, "tag": "t", "mode": "slow"}"#,
            r#"{"url":"x","limit":1,"tag":"t","mode":"slow"}"#,
        );
        check(
            r#"{"url": "", "limit": 1, "tag": "t", "mode": "slow"}"#,
            "error[input.out_of_range]: input `url` is empty (at /url)",
        );
        check("{}", "error[input.not_given]: input `url` is not given");
        check(
            r#"{"ulr": "x", "url": "", "limit": "3", "mode": "fats"}"#,
            "error[input.undeclared]: the workflow has no input `ulr` (at /ulr); did you mean `url`?\n\
             error[input.out_of_range]: input `url` is empty (at /url)\n\
             error[input.wrong_type]: input `limit` is a string (at /limit)\n\
             error[input.not_allowed]: input `mode` is `fats` (at /mode); did you mean `fast`?",
        );
    }
}
