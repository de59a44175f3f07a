//! `transform.validate`: whether a value satisfies a JSON Schema.
//!
//! flowcore has a checker of its own for configs and inputs. It knows what Rust types give, and
//! explains it well; it ignores formats and most patterns and reads `oneOf` as `anyOf`. For data
//! from elsewhere nothing may be ignored, so this node takes a complete implementation.

use flowcore::{
    Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Object, Port, Value,
};
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::records::{pure_inline, raw_config};
use crate::error::with_cause;

/// A value with more problems than this is wrong as a whole.
const MAX_PROBLEMS: usize = 100;

/// A message that shows a longer value than this is no help.
const MAX_SHOWN_BYTES: usize = 200;

const DESCRIPTION: &str = "\
Checks a value against a JSON Schema: draft 2020-12 unless `$schema` names 2019-09, 7, 6 or 4. \
`format` is checked where it is known (`email`, `date-time`, `uri`, `uuid` and others). A `$ref` \
leads within the schema: nothing is fetched from the network or from files.

A value that does not satisfy the schema fails the node with `validate.failed`, and all problems \
are listed, each with its JSON pointer. With `\"on_invalid\": \"report\"` the node succeeds, and \
the ports `valid` and `errors` say what is wrong; `output` is then live only for a valid value.

Bytes are what they are in JSON: an object with the key `$bytes`. Of a value that came from a \
secret, problems are told without showing it.";

/// The config of `transform.validate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ValidateConfig {
    /// The JSON Schema.
    schema: SchemaField,
    /// Whether a value that does not satisfy the schema fails the node.
    #[serde(default)]
    on_invalid: OnInvalid,
    /// Whether `format` is checked.
    #[serde(default = "yes")]
    formats: bool,
}

/// An object, or a boolean for everything and nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum SchemaField {
    Object(serde_json::Map<String, Json>),
    Boolean(bool),
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnInvalid {
    /// It does.
    #[default]
    Fail,
    /// The ports `valid` and `errors` say so.
    Report,
}

fn yes() -> bool {
    true
}

/// Makes `transform.validate`.
pub(super) struct ValidateFactory;

impl NodeFactory for ValidateFactory {
    fn node_type(&self) -> &'static str {
        "transform.validate"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: ValidateConfig = raw_config(config, &["schema", "formats"])?;
        Ok(NodeInstance::Inline(Box::new(Validate(compile(&config)?))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.validate")
            // A schema that combines itself with itself can take long to say what is wrong.
            .execution(Execution::Blocking)
            .summary("Check a value against a JSON Schema")
            .description(DESCRIPTION)
            .config::<ValidateConfig>()
            .raw_fields(&["schema", "formats"])
            .input(Port::new("input").required().description("The value to check"))
            .output(Port::new("output").description("The value; live when it is valid"))
            .output(Port::new("valid").typed::<bool>().description("Whether it is valid"))
            .output(
                Port::new("errors")
                    .typed::<Vec<Problem>>()
                    .description("What is wrong, by JSON pointer; at most 100 problems"),
            )
            .example(
                "An order that is fine",
                json!({ "schema": order_schema() }),
                json!({ "input": { "id": "A-1", "amount": 3 } }),
                json!({ "output": { "id": "A-1", "amount": 3 }, "valid": true, "errors": [] }),
            )
            .example(
                "Say what is wrong, and go on",
                json!({ "schema": order_schema(), "on_invalid": "report" }),
                json!({ "input": { "amount": 0 } }),
                json!({
                    "valid": false,
                    "errors": [
                        {
                            "pointer": "",
                            "keyword": "required",
                            "message": "\"id\" is a required property"
                        },
                        {
                            "pointer": "/amount",
                            "keyword": "minimum",
                            "message": "0 is less than the minimum of 1"
                        }
                    ]
                }),
            )
    }
}

fn order_schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "pattern": "^[A-Z]-[0-9]+$" },
            "amount": { "type": "integer", "minimum": 1 }
        },
        "required": ["id"]
    })
}

fn compile(config: &ValidateConfig) -> Result<Validator, NodeError> {
    let schema = match &config.schema {
        SchemaField::Object(keywords) => Json::Object(keywords.clone()),
        SchemaField::Boolean(everything) => Json::Bool(*everything),
    };
    // Without features the crate fetches nothing: a reference to elsewhere is an error.
    let options = jsonschema::options().should_validate_formats(config.formats);
    options.build(&schema).map_err(|error| {
        let place = error.instance_path().as_str();
        let place = if place.is_empty() { String::new() } else { format!(" at `{place}`") };
        let message = format!("`schema` is no JSON Schema{place}");
        with_cause(NodeError::config(message), &error.to_string())
    })
}

struct Validate(Validator);

impl InlineNode for Validate {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<ValidateConfig>()?;
        let input = ctx.required_input("input")?;
        let json = serde_json::to_value(input.reveal())
            .expect("a value has string keys and finite numbers only");
        // Much cheaper than looking for problems, and mostly all there is to do.
        if self.0.is_valid(&json) {
            let errors = Value::from(flowcore::Array::new());
            let output = NodeOutput::of("output", input.clone()).with("valid", true);
            return Ok(output.with("errors", errors));
        }
        let problems = problems(&self.0, &json, input.is_tainted());
        match config.on_invalid {
            OnInvalid::Fail => Err(failure(&problems)),
            OnInvalid::Report => {
                let errors: Result<Vec<Value>, _> =
                    problems.iter().map(Problem::to_value).collect();
                Ok(NodeOutput::of("valid", false).with("errors", Value::try_from(errors?)?))
            }
        }
    }
}

/// One thing that is wrong with a value.
#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
struct Problem {
    /// Where it is, as a JSON pointer.
    pointer: String,
    /// The keyword of the schema that is not satisfied.
    keyword: String,
    /// What is wrong.
    message: String,
}

impl Problem {
    fn new(error: &ValidationError<'_>, secret: bool) -> Self {
        let keyword = error.kind().keyword().to_owned();
        let message = if secret {
            // Every message may show the value or its keys.
            format!("the value does not satisfy `{keyword}`")
        } else {
            let plain = error.to_string();
            let short = plain.len() <= MAX_SHOWN_BYTES;
            if short { plain } else { error.masked_with("the value").to_string() }
        };
        Self { pointer: error.instance_path().as_str().to_owned(), keyword, message }
    }

    fn to_value(&self) -> Result<Value, flowcore::ValueError> {
        let entries = [
            ("pointer", Value::from(&*self.pointer)),
            ("keyword", Value::from(&*self.keyword)),
            ("message", Value::from(&*self.message)),
        ];
        Object::from_entries(entries).map(Value::from)
    }
}

fn problems(validator: &Validator, json: &Json, secret: bool) -> Vec<Problem> {
    let errors = validator.iter_errors(json).take(MAX_PROBLEMS);
    let mut problems: Vec<_> = errors.map(|error| Problem::new(&error, secret)).collect();
    // The keywords of the schema come in no order that one could rely on.
    problems.sort();
    problems
}

fn failure(problems: &[Problem]) -> NodeError {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        MAX_PROBLEMS => format!("{MAX_PROBLEMS} problems or more"),
        more => format!("{more} problems"),
    };
    let message = format!("the value does not satisfy the schema, {count}");
    let error = NodeError::new("validate.failed", message)
        .with_hint("`\"on_invalid\": \"report\"` goes on, with what is wrong on the port `errors`");
    problems.iter().fold(error, |error, problem| {
        let place = if problem.pointer.is_empty() { "the value" } else { &problem.pointer };
        with_cause(error, &format!("{place}: {}", problem.message))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of, run};
    use super::*;

    #[track_caller]
    fn check(schema: Json, input: Json, expected: &[&str]) {
        let config = json!({ "schema": schema, "on_invalid": "report" });
        let output = run(&ValidateFactory, config, json!({ "input": input })).unwrap();
        let errors = output.get("errors").unwrap().to_json();
        let line = |error: &Json| {
            let text = |key: &str| error[key].as_str().unwrap().to_owned();
            format!("{}: {}", text("pointer"), text("message"))
        };
        let lines: Vec<String> = errors.as_array().unwrap().iter().map(line).collect();
        assert_eq!(lines, expected, "{schema}");
        assert_eq!(output.get("valid"), Some(&Value::from(expected.is_empty())));
        assert_eq!(output.get("output").is_some(), expected.is_empty());
    }

    #[test]
    fn all_of_json_schema_counts() {
        check(json!(true), json!(1), &[]);
        check(json!(false), json!(1), &[": False schema does not allow 1"]);
        check(
            json!({ "oneOf": [{ "type": "integer" }, { "minimum": 3 }] }),
            json!(3),
            &[": 3 is valid under more than one of the schemas listed in the 'oneOf' keyword"],
        );
        check(
            json!({ "items": { "pattern": "^(a|b)+$" } }),
            json!(["ab", "c"]),
            &["/1: \"c\" does not match \"^(a|b)+$\""],
        );
        check(json!({ "format": "email" }), json!("ada"), &[": \"ada\" is not a \"email\""]);
        check(json!({ "format": "int64" }), json!("unknown formats are ignored"), &[]);
        check(
            json!({ "maximum": 9007199254740992_i64 }),
            json!(9007199254740993_i64),
            &[": 9007199254740993 is greater than the maximum of 9007199254740992"],
        );
        check(
            json!({ "$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": true }),
            json!(3),
            &[": 3 is less than or equal to the minimum of 3"],
        );
        let tree = json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } } }
        });
        check(tree, json!({ "next": { "next": 1 } }), &["/next/next: 1 is not of type \"object\""]);
        check(json!({ "required": ["$bytes"] }), json!({ "$bytes": "AQL/" }), &[]);
    }

    #[test]
    fn formats_may_be_ignored() {
        let config = json!({ "schema": { "format": "email" }, "formats": false });
        let valid = output_of(&ValidateFactory, config, json!({ "input": "ada" }), "valid");
        assert_eq!(valid, Value::from(true));
    }

    #[test]
    fn a_failure_lists_every_problem() {
        let inputs = json!({ "input": { "id": 7, "amount": 0 } });
        let error = error_of(&ValidateFactory, json!({ "schema": order_schema() }), inputs);
        assert_eq!((error.code(), error.is_retryable()), ("validate.failed", false));
        assert_eq!(error.message(), "the value does not satisfy the schema, 2 problems");
        let causes =
            ["/amount: 0 is less than the minimum of 1", "/id: 7 is not of type \"string\""];
        assert_eq!(error.causes(), causes);
        let many = json!({ "input": vec![1; 1000] });
        let schema = json!({ "schema": { "items": { "type": "string" } } });
        let error = error_of(&ValidateFactory, schema, many);
        assert_eq!(error.message(), "the value does not satisfy the schema, 100 problems or more");
        assert_eq!(error.causes().len(), 100);
    }

    #[test]
    fn long_values_and_secrets_are_not_shown() {
        let number = json!({ "schema": { "type": "number" } });
        let long = json!({ "input": "x".repeat(1000) });
        let error = error_of(&ValidateFactory, number.clone(), long);
        assert_eq!(error.causes(), ["the value: the value is not of type \"number\""]);
        let NodeInstance::Inline(node) = ValidateFactory
            .instance(&NodeConfig::new(crate::testing::object(number.clone())))
            .unwrap()
        else {
            panic!("a plain function")
        };
        let ctx = NodeContext::builder()
            .config(crate::testing::object(number))
            .input("input", Value::from("s3cret").tainted());
        let error = node.call(&ctx.build()).unwrap_err();
        assert_eq!(error.causes(), ["the value: the value does not satisfy `type`"]);
    }

    #[track_caller]
    fn check_bad(config: Json, code: &str) {
        assert_eq!(error_of(&ValidateFactory, config, json!({ "input": 1 })).code(), code);
    }

    #[test]
    fn bad_schemas_and_configs_are_named() {
        for schema in [
            json!({ "type": "strin" }),
            json!({ "pattern": "(" }),
            json!({ "$ref": "#/$defs/nowhere" }),
            json!({ "$ref": "https://example.org/schema.json" }),
            json!({ "$ref": "file:///etc/hosts" }),
            json!({ "$schema": "https://example.org/meta" }),
        ] {
            check_bad(json!({ "schema": schema }), "config.invalid");
        }
        check_bad(json!({}), "config.invalid");
        check_bad(json!({ "schema": "string" }), "config.invalid");
        check_bad(json!({ "schema": {}, "on_invalid": "ignore" }), "config.invalid");
        check_bad(json!({ "schema": {}, "strict": true }), "config.invalid");
        let missing = error_of(&ValidateFactory, json!({ "schema": {} }), json!({}));
        assert_eq!(missing.code(), "input.missing");
    }

    #[test]
    fn hostile_schemas_and_patterns_end() {
        check(json!({ "$ref": "#" }), json!(1), &[]);
        check(json!({ "allOf": [{ "$ref": "#" }] }), json!(1), &[]);
        let slow = json!({ "pattern": "^(?=(a+)+$)b" });
        let long = format!("{}b", "a".repeat(50));
        let said = format!(": \"{long}\" does not match \"^(?=(a+)+$)b\"");
        check(slow, json!(long), &[&said]);
    }
}
