//! `transform.map`: a new value for every item.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowcore::{
    Array, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Object, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::expression::Expression;
use super::records::{ABOUT_EXPRESSIONS, NAMES, Scope, pure_inline, raw_config, values_port};

const DESCRIPTION: &str = "\
Either `fields` or `expression` says what the new value is.
The input is an array, and so is the output; any other input is a single item, and the output a \
single value.";

/// The config of `transform.map`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MapConfig {
    /// The new value is an object: for each of its fields an expression over `item`, `index`,
    /// `input` and `values`. Not together with `expression`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    fields: Option<Object>,
    /// The new value is what this expression over `item`, `index`, `input` and `values` gives. Not
    /// together with `fields`.
    expression: Option<String>,
    /// Whether the new object keeps the fields of the item, which then must be an object; `fields`
    /// adds to them or replaces them.
    #[serde(default)]
    keep: bool,
}

/// Makes `transform.map`.
pub(super) struct MapFactory;

impl NodeFactory for MapFactory {
    fn node_type(&self) -> &'static str {
        "transform.map"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: MapConfig = raw_config(config, &["fields", "expression"])?;
        let mapping = match (config.fields, config.expression) {
            (Some(fields), None) => Mapping::Fields(compile_fields(&fields)?),
            (None, Some(text)) => Mapping::Value(Expression::compile(&text, &NAMES)?),
            _ => {
                return Err(NodeError::config(
                    "exactly one of `fields` and `expression` is needed",
                ));
            }
        };
        Ok(NodeInstance::Inline(Box::new(Map(mapping))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.map")
            .summary("Make a new value of every item")
            .description(format!("{DESCRIPTION}\n\n{ABOUT_EXPRESSIONS}"))
            .config::<MapConfig>()
            .raw_fields(&["fields", "expression"])
            .input(Port::new("input").required().description("The items, or a single one"))
            .input(values_port())
            .output(Port::new("output").description("The new items, or the new single one"))
            .example(
                "New objects",
                json!({ "fields": { "name": "item.first ~ ' ' ~ item.last", "nr": "index + 1" } }),
                json!({ "input": [{ "first": "Ada", "last": "Lovelace" }] }),
                json!({ "output": [{ "name": "Ada Lovelace", "nr": 1 }] }),
            )
            .example(
                "One value of each",
                json!({ "expression": "item.price * item.quantity" }),
                json!({ "input": [{ "price": 2, "quantity": 3 }, { "price": 5, "quantity": 1 }] }),
                json!({ "output": [6, 5] }),
            )
            .example(
                "One more field for a single object",
                json!({
                    "keep": true,
                    "fields": { "big": "item.size > values.limit" },
                    "values": { "limit": 10 }
                }),
                json!({ "input": { "id": "a", "size": 12 } }),
                json!({ "output": { "id": "a", "size": 12, "big": true } }),
            )
    }
}

fn compile_fields(fields: &Object) -> Result<Vec<(Arc<str>, Expression)>, NodeError> {
    let compile = |(name, text): (&Arc<str>, &Value)| {
        let text = text.as_str().ok_or_else(|| {
            let kind = text.kind();
            NodeError::config(format!("field `{name}` needs the text of an expression, not {kind}"))
                .with_hint("a fixed text is written `'text'`, a fixed number `\"1\"`")
        })?;
        Ok((name.clone(), Expression::compile(text, &NAMES)?))
    };
    fields.iter().map(compile).collect()
}

struct Map(Mapping);

enum Mapping {
    Fields(Vec<(Arc<str>, Expression)>),
    Value(Expression),
}

impl InlineNode for Map {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let keep = ctx.config::<MapConfig>()?.keep;
        let scope = Scope::new(ctx)?;
        let input = scope.input();
        let map = |(index, item)| self.map(&scope, item, index, keep);
        let output = match input.as_array() {
            Some(items) => {
                let items: Result<Vec<_>, _> = items.iter().enumerate().map(map).collect();
                Value::from(Array::from_values(items?)?)
            }
            None => map((0, input))?,
        };
        Ok(NodeOutput::of("output", output))
    }
}

impl Map {
    fn map(
        &self,
        scope: &Scope<'_>,
        item: &Value,
        index: usize,
        keep: bool,
    ) -> Result<Value, NodeError> {
        let fields = match &self.0 {
            Mapping::Value(expression) => return scope.eval(expression, item, index),
            Mapping::Fields(fields) => fields,
        };
        let kept = if keep { Some(kept_fields(item, index)?) } else { None };
        let made = |(name, expression): &(Arc<str>, Expression)| -> Result<_, NodeError> {
            Ok((name.clone(), scope.eval(expression, item, index)?))
        };
        if let Some(kept) = kept
            && !fields.iter().any(|(name, _)| kept.contains_key(name))
        {
            // A copy of the whole, to which the new fields are added.
            let mut object = kept.clone();
            for field in fields {
                let (name, value) = made(field)?;
                object.insert(name, value)?;
            }
            return Ok(Value::from(object));
        }
        let made: Vec<_> = fields.iter().map(made).collect::<Result<_, _>>()?;
        let Some(kept) = kept else { return Ok(Value::from(Object::from_entries(made)?)) };
        // What is replaced may have been the deepest field, or the only tainted one, so the object
        // is made anew.
        let kept = kept.iter().map(|(name, value)| (name.clone(), value.clone()));
        Ok(Value::from(Object::from_entries(kept.chain(made))?))
    }
}

fn kept_fields(item: &Value, index: usize) -> Result<&Object, NodeError> {
    item.as_object().ok_or_else(|| {
        let kind = item.kind();
        NodeError::new("map.not_object", format!("item {index}: {kind} has no fields to keep"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(config: &str, input: &str, expected: &str) {
        let inputs = format!("{{\"input\": {input}}}");
        let output = output_of(&MapFactory, config, inputs.as_str(), "output");
        assert_eq!(output.to_json_text(), expected, "{config}");
    }

    #[test]
    fn arrays_give_arrays_and_others_one_value() {
        let fields = r#"{"fields": {"z": "item.n + 1", "a": "index"}}"#;
        check(fields, r#"[{"n": 1}, {"n": 2.5}]"#, r#"[{"z":2,"a":0},{"z":3.5,"a":1}]"#);
        check(fields, r#"{"n": 1}"#, r#"{"z":2,"a":0}"#);
        check(r#"{"expression": "item"}"#, "null", "null");
        check(r#"{"expression": "item"}"#, "[]", "[]");
        check(r#"{"expression": "item / (input | sum)"}"#, "[1, 3]", "[0.25,0.75]");
    }

    #[test]
    fn kept_fields_come_first_and_are_replaced_in_place() {
        let config = r#"{"keep": true, "fields": {"b": "item.b * 2", "c": "0"}}"#;
        check(config, r#"[{"b": 1, "a": 2}]"#, r#"[{"b":2,"a":2,"c":0}]"#);
        check(
            r#"{"keep": true, "fields": {"c": "0"}}"#,
            r#"[{"b": 1}, {}]"#,
            r#"[{"b":1,"c":0},{"c":0}]"#,
        );
    }

    #[track_caller]
    fn check_error(config: serde_json::Value, input: serde_json::Value, code: &str) {
        let error = error_of(&MapFactory, config, json!({ "input": input }));
        assert_eq!(error.code(), code, "{error}");
    }

    #[test]
    fn errors_have_codes() {
        check_error(json!({}), json!([]), "config.invalid");
        check_error(json!({ "fields": {}, "expression": "1" }), json!([]), "config.invalid");
        check_error(json!({ "fields": { "a": 1 } }), json!([]), "config.invalid");
        check_error(json!({ "fields": { "a": "item." } }), json!([]), "config.invalid");
        check_error(json!({ "keep": true, "fields": {} }), json!([1]), "map.not_object");
        let config = json!({ "keep": true, "fields": { "a": "item.a" } });
        check_error(config, json!([1]), "map.not_object");
        check_error(json!({ "expression": "item.a" }), json!([{}]), "expression.undefined");
        check_error(json!({ "expression": "1", "values": 3 }), json!([1]), "input.invalid");
        let config = json!({ "expression": "item.a" });
        let error = error_of(&MapFactory, config, json!({ "input": [{ "a": 1 }, {}] }));
        assert_eq!(error.message(), "item 1: `item.a` is undefined");
    }
}
