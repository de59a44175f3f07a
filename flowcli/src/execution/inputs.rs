//! The inputs of an execution, from the command line and from a file.

use flowcore::value::read_json;
use flowcore::{
    Diagnostic, InputSpec, Location, Object, SchemaErrorKind, Source, Value, Workflow, check_value,
};

use crate::error::CliError;
use crate::source::read_text;

/// An input of the command line: `name=value` or `name:=JSON`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InputArg {
    name: String,
    value: Given,
}

#[derive(Debug, Clone, PartialEq)]
enum Given {
    /// To be converted as the workflow declares the input.
    Text(String),
    /// As it is.
    Value(Value),
}

/// Reads an input of the command line.
pub(crate) fn parse_arg(text: &str) -> Result<InputArg, String> {
    let expected = "expected `name=value`, or `name:=JSON`";
    let (name, value) = text.split_once('=').ok_or(expected)?;
    let (name, value) = match name.strip_suffix(':') {
        None => (name, Given::Text(value.to_owned())),
        Some(name) => {
            let value = read_json(value).map_err(|error| format!("after `:=`, {error}"))?;
            (name, Given::Value(value))
        }
    };
    if name.is_empty() {
        return Err(expected.to_owned());
    }
    Ok(InputArg { name: name.to_owned(), value })
}

/// What can be wrong with a file of inputs.
pub(crate) enum InputsError {
    /// It could not be read.
    File(CliError),
    /// It is not an object in JSON.
    Content(Box<(Source, Diagnostic)>),
}

/// The inputs: those of the file, and over them those of the command line.
pub(crate) fn collect(
    workflow: &Workflow,
    file: Option<&str>,
    args: &[InputArg],
) -> Result<Object, InputsError> {
    let mut inputs = match file {
        Some(name) => read_file(name)?,
        None => Object::new(),
    };
    for arg in args {
        let spec = workflow.inputs.as_ref().and_then(|inputs| inputs.get(&arg.name));
        let value = match &arg.value {
            Given::Value(value) => value.clone(),
            Given::Text(text) => convert(text, spec),
        };
        let too_deep = |_| InputsError::File(CliError::InputTooDeep(arg.name.clone()));
        inputs.insert(arg.name.as_str(), value).map_err(too_deep)?;
    }
    Ok(inputs)
}

fn read_file(name: &str) -> Result<Object, InputsError> {
    let source = Source::json(name, read_text(name).map_err(InputsError::File)?);
    let bad = |code, message: String, at: usize| {
        let mut diagnostic = Diagnostic::error(code, "", message);
        diagnostic.location = Some(Location::new(source.text(), at..at + 1));
        InputsError::Content(Box::new((source.clone(), diagnostic)))
    };
    let value = read_json(source.text())
        .map_err(|error| bad(error.kind.code(), error.to_string(), error.offset))?;
    let found = value.kind();
    let object = value.as_object().cloned();
    object.ok_or_else(|| {
        bad("cli.bad_inputs_file", format!("inputs are an object by name, and this is {found}"), 0)
    })
}

/// What a text means for an input that is declared so: text, if the schema takes text; else JSON.
/// What fits neither way is left for the check of all inputs, which says why.
fn convert(text: &str, spec: Option<&InputSpec>) -> Value {
    let as_text = Value::from(text);
    let Some(spec) = spec else { return as_text };
    let schema = Value::from(spec.schema.clone()).to_json();
    let wrong_type = |error: &SchemaErrorKind| {
        matches!(error, SchemaErrorKind::WrongType | SchemaErrorKind::NotAllowed)
    };
    let takes_text = !check_value(&schema, &as_text).iter().any(|error| wrong_type(&error.kind));
    if takes_text {
        return as_text;
    }
    let parsed = read_json(text).ok();
    let fits =
        |value: &Value| !check_value(&schema, value).iter().any(|error| wrong_type(&error.kind));
    parsed.filter(fits).unwrap_or(as_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &str, text: &str, expected: &str) {
        let schema = read_json(schema).unwrap().as_object().unwrap().clone();
        let spec = InputSpec { schema };
        assert_eq!(convert(text, Some(&spec)).to_json_text(), expected, "{text}");
    }

    #[test]
    fn texts_are_converted_as_declared() {
        check(r#"{"type": "string"}"#, "5", "\"5\"");
        check(r#"{"type": "string", "minLength": 3}"#, "5", "\"5\"");
        check(r#"{"type": "integer"}"#, "5", "5");
        check(r#"{"type": "integer", "maximum": 3}"#, "5", "5");
        check(r#"{"type": "integer"}"#, "5.5", "\"5.5\"");
        check(r#"{"type": "boolean"}"#, "true", "true");
        check(r#"{"type": "boolean"}"#, "yes", "\"yes\"");
        check(r#"{"type": ["integer", "null"]}"#, "null", "null");
        check(r#"{"type": "array", "items": {"type": "integer"}}"#, "[1, 2]", "[1,2]");
        check(r#"{"type": "object"}"#, "{\"a\": 1}", "{\"a\":1}");
        check(r#"{"enum": [1, "x"]}"#, "1", "1");
        check(r#"{"enum": [1, "x"]}"#, "x", "\"x\"");
        check("{}", "5", "\"5\"");
        assert_eq!(convert("5", None), Value::from("5"));
    }

    #[test]
    fn arguments_are_split() {
        let text = |name: &str, value: &str| InputArg {
            name: name.to_owned(),
            value: Given::Text(value.to_owned()),
        };
        assert_eq!(parse_arg("a=b=c"), Ok(text("a", "b=c")));
        assert_eq!(parse_arg("a="), Ok(text("a", "")));
        assert_eq!(parse_arg("a:b=c"), Ok(text("a:b", "c")));
        let json = InputArg { name: "a".to_owned(), value: Given::Value(Value::from(1)) };
        assert_eq!(parse_arg("a:=1"), Ok(json));
        for bad in ["a", "=b", ":=1", "a:=x", "a:="] {
            assert!(parse_arg(bad).is_err(), "{bad}");
        }
    }
}
