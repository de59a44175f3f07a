use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{NodeDescriptor, Port};

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema counts")]
struct Config {
    url: String,
    #[serde(default)]
    method: Method,
    auth: Option<Auth>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Body,
    #[schemars(range(min = 1, max = 5))]
    #[serde(default)]
    tries: u32,
    #[serde(default)]
    pairs: Vec<(u8, String)>,
    ratio: Option<f64>,
    #[serde(default)]
    filter: String,
}

#[derive(JsonSchema, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    /// Look.
    #[default]
    Get,
    /// Change.
    Post,
}

#[derive(JsonSchema, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema counts")]
enum Auth {
    Basic { user: String, password: Option<String> },
    Bearer { token: String },
}

#[derive(JsonSchema, Deserialize, Default)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema counts")]
enum Body {
    #[default]
    None,
    Text(String),
    Parts(Vec<Part>),
}

#[derive(JsonSchema, Deserialize)]
#[expect(dead_code, reason = "only its schema counts")]
struct Part {
    name: String,
    #[serde(flatten)]
    more: More,
}

#[derive(JsonSchema, Deserialize)]
#[expect(dead_code, reason = "only its schema counts")]
struct More {
    size: u8,
}

fn config_schema() -> Json {
    schemars::schema_for!(Config).to_value()
}

fn transcript(errors: &[SchemaError]) -> String {
    let line = |error: &SchemaError| {
        let mut line = format!("{:?} {}: {}", error.kind, error.pointer, error.message);
        if let Some(expected) = &error.expected {
            line += &format!("; expected {expected}");
        }
        if let Some(suggestion) = &error.suggestion {
            line += &format!("; did you mean {suggestion}?");
        }
        line
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check_schema(schema: &Json, value: Json, expected: &str) {
    let errors = check_value(schema, &Value::from_json(value.clone()).unwrap());
    let expected: Vec<_> = expected.lines().map(str::trim).collect();
    assert_eq!(transcript(&errors), expected.join("\n"), "{value}");
}

#[track_caller]
fn check(value: Json, expected: &str) {
    let mut config = value;
    config.as_object_mut().unwrap().entry("url").or_insert("x".into());
    check_schema(&config_schema(), config, expected);
}

#[test]
fn values_that_satisfy() {
    check(json!({"method": "GET", "auth": null, "headers": {"a": "b"}, "body": "text"}), "");
    check(json!({"auth": {"type": "basic", "user": "x"}, "body": [{"name": "a", "size": 3}]}), "");
    check(json!({"tries": 5, "pairs": [[1, "a"], [2.0, "b"]], "ratio": 1}), "");
    check(json!({"body": null}), "");
}

#[test]
fn keys() {
    check(
        json!({"methd": "GET"}),
        "UnknownKey /methd: the value has no key `methd`; expected `auth`, `body`, `filter`, `headers`, `method`, `pairs`, `ratio`, `tries` or `url`; did you mean method?",
    );
    check_schema(
        &config_schema(),
        json!({}),
        "MissingKey : the value has no `url`; expected a string",
    );
    check_schema(&json!(false), json!(1), "NotAllowed : the value may not be given");
    let closed = json!({"allOf": [{"$ref": "#/$defs/a"}], "properties": {"x": true}, "unevaluatedProperties": false, "$defs": {"a": {"properties": {"y": {"type": "null"}}}}});
    check_schema(&closed, json!({"x": 1, "y": null}), "");
    check_schema(
        &closed,
        json!({"z": 1}),
        "UnknownKey /z: the value has no key `z`; expected `x` or `y`",
    );
    let open =
        json!({"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false});
    check_schema(&open, json!({"x-a": "b"}), "");
    check_schema(
        &open,
        json!({"x-a": 1, "y": 1}),
        "WrongType /x-a: `x-a` is a number; expected a string\nUnknownKey /y: the value has no key `y`",
    );
}

#[test]
fn types_and_values() {
    check(json!({"url": 3}), "WrongType /url: `url` is a number; expected a string");
    check(
        json!({"headers": {"a": 1}}),
        "WrongType /headers/a: `headers.a` is a number; expected a string",
    );
    check(json!({"ratio": "x"}), "WrongType /ratio: `ratio` is a string; expected a number");
    check(
        json!({"tries": 1.5}),
        "WrongType /tries: `tries` is a number; expected a whole number from 1 to 5",
    );
    check(json!({"tries": 6}), "OutOfRange /tries: `tries` is `6`; expected a number from 1 to 5");
    check(
        json!({"pairs": [[1]]}),
        "OutOfRange /pairs/0: `pairs[0]` has 1 items; expected at least 2 items",
    );
    check(
        json!({"pairs": [[300, "x"]]}),
        "OutOfRange /pairs/0/0: `pairs[0][0]` is `300`; expected a number from 0 to 255",
    );
    check(
        json!({"method": "get"}),
        "NotAllowed /method: `method` is `get`; expected `GET` or `POST`; did you mean GET?",
    );
    check(
        json!({"method": 1}),
        "WrongType /method: `method` is a number; expected `GET` or `POST`",
    );
    check_schema(&json!({"enum": [1, "a", null]}), json!(1.0), "");
    check_schema(
        &json!({"enum": [1, "a"]}),
        json!("b"),
        "NotAllowed : the value is `b`; expected `1` or `a`",
    );
    check_schema(
        &json!({"not": {"type": "null"}}),
        json!(null),
        "NotAllowed : the value may not be `null`",
    );
    check_schema(
        &json!({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 3}}),
        json!("é"),
        "OutOfRange : the value has 1 characters; expected at least 2 characters",
    );
    check_schema(
        &json!({"if": {"type": "string"}, "else": {"exclusiveMinimum": 3}}),
        json!(3),
        "OutOfRange : the value is `3`; expected a number more than 3",
    );
    check_schema(
        &json!({"multipleOf": 5}),
        json!(7),
        "OutOfRange : the value is `7`; expected a multiple of 5",
    );
    check_schema(
        &json!({"pattern": "^ab"}),
        json!("ba"),
        "OutOfRange : the value is `ba`; expected a text like `^ab`",
    );
    check_schema(&json!({"pattern": "^[0-9]+$"}), json!("ba"), "");
    check_schema(
        &json!({"minItems": 1}),
        json!([]),
        "OutOfRange : the value is empty; expected at least 1 items",
    );
}

#[test]
fn the_alternative_that_was_meant_is_named() {
    check(
        json!({"auth": {"type": "basic"}}),
        "MissingKey /auth: `auth` has no `user`; expected a string",
    );
    check(
        json!({"auth": {"type": "basic", "user": "x", "pasword": "y"}}),
        "UnknownKey /auth/pasword: `auth` has no key `pasword`; expected `password`, `type` or `user`; did you mean password?",
    );
    check(
        json!({"auth": {"type": "baerer", "token": "x"}}),
        "NotAllowed /auth/type: `auth.type` is `baerer`; expected `basic` or `bearer`; did you mean bearer?",
    );
    check(
        json!({"auth": {"type": "digest", "realm": "x"}}),
        "NotAllowed /auth/type: `auth.type` is `digest`; expected `basic` or `bearer`",
    );
    check(
        json!({"auth": {}}),
        "MissingKey /auth: `auth` has no `type`; expected `basic` or `bearer`\nMissingKey /auth: `auth` has no `user`; expected a string",
    );
    check(json!({"auth": "basic"}), "WrongType /auth: `auth` is a string; expected an object");
    check(json!({"body": 3}), "WrongType /body: `body` is a number; expected a string or an array");
    check(
        json!({"body": [{"name": "x", "size": "y"}]}),
        "WrongType /body/0/size: `body[0].size` is a string; expected a whole number from 0 to 255",
    );
}

#[test]
fn hostile_schemas_end() {
    check_schema(
        &json!({"$ref": "#"}),
        json!(1),
        "TooCostly : the value takes too many steps to check",
    );
    let double = json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {
        "a": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}
    }});
    check_schema(&double, json!(1), "TooCostly : the value takes too many steps to check");
    let wide = json!({"anyOf": vec![json!({"$ref": "#"}); 50], "unevaluatedProperties": false});
    let errors = check_value(&wide, &Value::from_json(json!({"x": 1})).unwrap());
    assert!(errors.iter().any(|error| error.kind == SchemaErrorKind::TooCostly));
}

#[test]
fn strings_with_expressions_satisfy_everything() {
    let schema = config_schema();
    let descriptor = NodeDescriptor::new("t")
        .config::<Config>()
        .input(Port::new("items").typed::<Vec<u8>>())
        .raw_fields(&["filter"]);
    let errors = |config: Json| {
        let mut steps = MAX_STEPS;
        let checker = Checker::new(&schema, &mut steps)
            .with_templates()
            .with_config(ConfigKeys { descriptor: &descriptor });
        transcript(&checker.check(&Value::from_json(config).unwrap(), "the config"))
    };
    assert_eq!(
        errors(json!({"url": "x", "tries": "{{ inputs.n }}", "auth": "{{ x }}", "items": 3})),
        ""
    );
    assert_eq!(
        errors(json!({"url": "x", "tries": "{{{{ no }}"})),
        "WrongType /tries: `tries` is a string; expected a whole number from 1 to 5"
    );
    assert_eq!(errors(json!({"url": "x", "filter": "{{ text }}"})), "");
    assert_eq!(
        errors(json!({"url": "x", "item": 1})),
        "UnknownKey /item: the config has no key `item`; expected `auth`, `body`, `filter`, `headers`, `method`, `pairs`, `ratio`, `tries`, `url` or `items`; did you mean items?"
    );
    let raw = NodeDescriptor::new("t").config::<Config>().raw_fields(&["tries"]);
    let mut steps = MAX_STEPS;
    let checker = Checker::new(&schema, &mut steps)
        .with_templates()
        .with_config(ConfigKeys { descriptor: &raw });
    let config = Value::from_json(json!({"url": "x", "tries": "{{ 3 }}"})).unwrap();
    assert_eq!(
        transcript(&checker.check(&config, "the config")),
        "WrongType /tries: `tries` is a string; expected a whole number from 1 to 5"
    );
    for (text, holds) in
        [("{{ x }}", true), ("{{{{", false), ("{{{{ {{ x", true), ("{ {", false), ("{{{a", true)]
    {
        assert_eq!(holds_expression(text), holds, "{text}");
    }
}
