//! `transform.sort`: items in order.

use std::cmp::Ordering;

use flowcore::{
    Array, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::expression::Expression;
use super::order;
use super::records::{
    ABOUT_EXPRESSIONS, NAMES, Scope, array_input, array_port, pure_inline, raw_config, values_port,
};

const DESCRIPTION: &str = "\
Items that compare equal keep their order.
Values of different types have an order, too: null, booleans, numbers, strings, bytes, arrays, \
objects. Numbers compare by value, strings by code point (so `Z` comes before `a`; sort by \
`item.name | lower` to ignore case), arrays item by item, objects by their keys and then by their \
values.
A text that is a plain name, such as `price`, names a field of the item; `item`, `index`, `input` and \
`values` mean themselves. Everything else is an expression.";

/// The config of `transform.sort`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SortConfig {
    /// What to sort by: a field or expression, or a list of them, the most important one first.
    /// Without it the items themselves are compared.
    #[serde(default)]
    by: Option<SortBy>,
}

/// One key or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum SortBy {
    One(SortKey),
    Several(Vec<SortKey>),
}

/// A key, with or without a direction.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum SortKey {
    Ascending(String),
    Directed(DirectedKey),
}

/// A key and its direction.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DirectedKey {
    /// A field of the item, or an expression over `item`, `index`, `input` and `values`.
    key: String,
    /// Whether the largest comes first.
    #[serde(default)]
    descending: bool,
}

/// Makes `transform.sort`.
pub(super) struct SortFactory;

impl NodeFactory for SortFactory {
    fn node_type(&self) -> &'static str {
        "transform.sort"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: SortConfig = raw_config(config, &["by"])?;
        let keys = match config.by {
            None => vec![SortKey::Ascending("item".to_owned())],
            Some(SortBy::One(key)) => vec![key],
            Some(SortBy::Several(keys)) => keys,
        };
        let keys: Result<Vec<_>, _> = keys.into_iter().map(Key::compile).collect();
        Ok(NodeInstance::Inline(Box::new(Sort(keys?))))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.sort")
            .summary("Put items in order")
            .description(format!("{DESCRIPTION}\n\n{ABOUT_EXPRESSIONS}"))
            .config::<SortConfig>()
            .raw_fields(&["by"])
            .input(array_port("input", "The items").required())
            .input(values_port())
            .output(array_port("output", "The items in order"))
            .example(
                "By a field",
                json!({ "by": "name" }),
                json!({ "input": [{ "name": "b" }, { "name": "a" }] }),
                json!({ "output": [{ "name": "a" }, { "name": "b" }] }),
            )
            .example(
                "The largest first, then by name",
                json!({ "by": [{ "key": "item.size.kb", "descending": true }, "name"] }),
                json!({
                    "input": [
                        { "name": "c", "size": { "kb": 1 } },
                        { "name": "b", "size": { "kb": 9 } },
                        { "name": "a", "size": { "kb": 1 } }
                    ]
                }),
                json!({
                    "output": [
                        { "name": "b", "size": { "kb": 9 } },
                        { "name": "a", "size": { "kb": 1 } },
                        { "name": "c", "size": { "kb": 1 } }
                    ]
                }),
            )
    }
}

struct Sort(Vec<Key>);

struct Key {
    expression: Expression,
    descending: bool,
}

impl Key {
    fn compile(key: SortKey) -> Result<Self, NodeError> {
        let (text, descending) = match key {
            SortKey::Ascending(text) => (text, false),
            SortKey::Directed(DirectedKey { key, descending }) => (key, descending),
        };
        Ok(Self { expression: Expression::compile_key(&text, &NAMES)?, descending })
    }
}

impl InlineNode for Sort {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        ctx.config::<SortConfig>()?;
        let scope = Scope::new(ctx)?;
        let mut rows: Vec<(Vec<Value>, &Value)> = Vec::new();
        for (index, item) in array_input(ctx, "input")?.iter().enumerate() {
            let keys = self.0.iter().map(|key| scope.eval(&key.expression, item, index));
            rows.push((keys.collect::<Result<_, _>>()?, item));
        }
        rows.sort_by(|(a, _), (b, _)| self.compare(a, b));
        let output = Array::from_values(rows.into_iter().map(|(_, item)| item.clone()))?;
        Ok(NodeOutput::of("output", output))
    }
}

impl Sort {
    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let orders = self.0.iter().zip(a.iter().zip(b)).map(|(key, (a, b))| {
            let order = order::compare(a, b);
            if key.descending { order.reverse() } else { order }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::order::Ordered;
    use super::super::order::tests::any_value;
    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(config: serde_json::Value, input: serde_json::Value, expected: &str) {
        let output = output_of(&SortFactory, config, json!({ "input": input }), "output");
        assert_eq!(output.to_json_text(), expected);
    }

    #[test]
    fn items_are_sorted_by_keys() {
        check(json!({}), json!([2, "a", null, 1.5, true, []]), r#"[null,true,1.5,2,"a",[]]"#);
        check(json!({ "by": "-item" }), json!([1, 3, 2]), "[3,2,1]");
        check(json!({ "by": { "key": "item", "descending": true } }), json!([1, 3, 2]), "[3,2,1]");
        check(json!({ "by": ["item % 2", "item"] }), json!([4, 3, 2, 1]), "[2,4,1,3]");
        check(json!({ "by": [] }), json!([2, 1]), "[2,1]");
        check(
            json!({ "by": "index * values.sign", "values": { "sign": -1 } }),
            json!([1, 2]),
            "[2,1]",
        );
        check(
            json!({ "by": "a" }),
            json!([{ "a": 1, "n": 1 }, { "a": 1, "n": 0 }]),
            r#"[{"a":1,"n":1},{"a":1,"n":0}]"#,
        );
    }

    #[track_caller]
    fn check_error(config: serde_json::Value, input: serde_json::Value, code: &str) {
        let error = error_of(&SortFactory, config, json!({ "input": input }));
        assert_eq!(error.code(), code, "{error}");
    }

    #[test]
    fn errors_have_codes() {
        check_error(json!({ "by": "prise" }), json!([{ "price": 1 }]), "expression.undefined");
        check_error(json!({ "by": "item +" }), json!([]), "config.invalid");
        check_error(json!({ "by": 3 }), json!([]), "config.invalid");
        check_error(json!({ "by": { "key": "a", "desc": true } }), json!([]), "config.invalid");
        check_error(json!({}), json!({}), "input.invalid");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn sorting_is_an_ordered_stable_permutation(
            values in proptest::collection::vec(any_value(), 0..20)
        ) {
            // Pairs of value and place: sorting by the value must keep equal ones in place order.
            let pairs = values.iter().enumerate().map(|(place, value)| {
                Value::try_from(vec![value.clone(), Value::from(place)]).unwrap()
            });
            let input = Array::from_values(pairs).unwrap();
            let key = Key::compile(SortKey::Ascending("item[0]".to_owned())).unwrap();
            let ctx = NodeContext::builder().input("input", input).build();
            let output = Sort(vec![key]).call(&ctx).unwrap();
            let sorted = output.get("output").and_then(Value::as_array).unwrap();
            let mut expected: Vec<_> = (0..values.len()).collect();
            expected.sort_by_key(|place| (Ordered(values[*place].clone()), *place));
            let places = sorted.iter().map(|pair| {
                pair.pointer("/1").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
            });
            prop_assert!(places.eq(expected.into_iter().map(Some)));
        }
    }
}
