//! `transform.aggregate`: sums and the like, for groups of items.

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
use super::order::Ordered;
use super::records::{
    ABOUT_EXPRESSIONS, NAMES, Scope, array_input, array_port, at_item, pure_inline, raw_config,
    values_port,
};
use super::tally::{Operation, Tally};

const DESCRIPTION: &str = "\
With `group_by` the output is an array with one object per group, in the order in which the groups \
first appear: the fields of the group, then the aggregates. Without it everything is one group, and \
the output is one object.
Values that are equal as numbers, such as 1 and 1.0, are in the same group.

Null is not a value here: every operation leaves it out, and `count` with a `value` counts what is \
not null. Of nothing, `count` and `sum` are 0, `list` and `distinct` are empty, and the others null.
Integers are added up exactly; a sum beyond 64 bits is an error (`aggregate.overflow`).

A text that is a plain name, such as `price`, names a field of the item; `item`, `index`, `input` and \
`values` mean themselves. Everything else is an expression.";

/// The config of `transform.aggregate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AggregateConfig {
    /// What makes a group: a list of fields, or names with an expression each. Without it
    /// everything is one group.
    #[serde(default)]
    #[schemars(with = "Option<GroupBySchema>")]
    group_by: Option<Value>,
    /// The aggregates, by the name of the field that they are given.
    #[schemars(with = "BTreeMap<String, AggregateSpec>")]
    aggregates: Object,
}

/// The forms of `group_by`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used; the maps here would lose the order")]
enum GroupBySchema {
    Fields(Vec<String>),
    Named(BTreeMap<String, String>),
}

/// One aggregate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AggregateSpec {
    /// What is made of the values of a group.
    op: Operation,
    /// The value of an item: a field, or an expression over `item`, `index`, `input` and `values`.
    /// Only `count` does without.
    #[serde(default)]
    value: Option<String>,
}

/// Makes `transform.aggregate`.
pub(super) struct AggregateFactory;

impl NodeFactory for AggregateFactory {
    fn node_type(&self) -> &'static str {
        "transform.aggregate"
    }

    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        let config: AggregateConfig = raw_config(config, &["group_by", "aggregates"])?;
        Ok(NodeInstance::Inline(Box::new(Aggregate::compile(&config)?)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.aggregate")
            .summary("Count, sum and compare items, all of them or in groups")
            .description(format!("{DESCRIPTION}\n\n{ABOUT_EXPRESSIONS}"))
            .config::<AggregateConfig>()
            .raw_fields(&["group_by", "aggregates"])
            .input(array_port("input", "The items").required())
            .input(values_port())
            .output(Port::new("output").description("An object for each group, or the only one"))
            .example(
                "Totals for each customer",
                json!({
                    "group_by": ["customer"],
                    "aggregates": {
                        "orders": { "op": "count" },
                        "total": { "op": "sum", "value": "item.price * item.quantity" }
                    }
                }),
                json!({
                    "input": [
                        { "customer": "b", "price": 2, "quantity": 3 },
                        { "customer": "a", "price": 5, "quantity": 1 },
                        { "customer": "b", "price": 1, "quantity": 1 }
                    ]
                }),
                json!({
                    "output": [
                        { "customer": "b", "orders": 2, "total": 7 },
                        { "customer": "a", "orders": 1, "total": 5 }
                    ]
                }),
            )
            .example(
                "The hottest day of each year",
                json!({
                    "group_by": { "year": "item.date[:4]" },
                    "aggregates": { "hottest": { "op": "max_by", "value": "temp" } }
                }),
                json!({
                    "input": [
                        { "date": "2024-07-01", "temp": 28.5 },
                        { "date": "2024-07-02", "temp": 31.0 },
                        { "date": "2025-07-01", "temp": 30.0 }
                    ]
                }),
                json!({
                    "output": [
                        { "year": "2024", "hottest": { "date": "2024-07-02", "temp": 31.0 } },
                        { "year": "2025", "hottest": { "date": "2025-07-01", "temp": 30.0 } }
                    ]
                }),
            )
            .example(
                "Everything is one group",
                json!({
                    "aggregates": {
                        "average": { "op": "avg", "value": "item" },
                        "largest": { "op": "max", "value": "item" }
                    }
                }),
                json!({ "input": [1, 2, 6] }),
                json!({ "output": { "average": 3.0, "largest": 6 } }),
            )
    }
}

struct Aggregate {
    /// `None` when everything is one group.
    group_by: Option<Vec<(Arc<str>, Expression)>>,
    aggregates: Vec<(Arc<str>, Operation, Option<Expression>)>,
}

impl Aggregate {
    fn compile(config: &AggregateConfig) -> Result<Self, NodeError> {
        let group_by = config.group_by.as_ref().filter(|group_by| !group_by.is_null());
        let group_by = group_by.map(compile_groups).transpose()?;
        let aggregates: Result<Vec<_>, _> =
            config.aggregates.iter().map(|(name, spec)| compile_aggregate(name, spec)).collect();
        let (groups, aggregates) = (group_by.as_deref().unwrap_or_default(), aggregates?);
        let same = |name: &Arc<str>| aggregates.iter().any(|(other, ..)| other == name);
        if let Some((name, _)) = groups.iter().find(|(name, _)| same(name)) {
            let message = format!("`{name}` is both a field of the group and an aggregate");
            return Err(NodeError::config(message));
        }
        Ok(Self { group_by, aggregates })
    }

    fn groups<'a>(&self, ctx: &'a NodeContext) -> Result<Vec<Group<'a>>, NodeError> {
        let scope = Scope::new(ctx)?;
        let mut groups = Vec::new();
        let mut places = BTreeMap::new();
        if self.group_by.is_none() {
            groups.push(self.new_group(Vec::new()));
        }
        for (index, item) in array_input(ctx, "input")?.iter().enumerate() {
            let place = match &self.group_by {
                None => 0,
                Some(fields) => {
                    let key = group_key(fields, &scope, item, index)?;
                    *places.entry(key).or_insert_with_key(|key| {
                        groups.push(self.new_group(key.clone()));
                        groups.len() - 1
                    })
                }
            };
            self.add(&mut groups[place], &scope, item, index)?;
        }
        Ok(groups)
    }

    fn new_group<'a>(&self, key: Vec<Ordered>) -> Group<'a> {
        let tallies = self.aggregates.iter().map(|(_, operation, _)| Tally::new(*operation));
        Group { key, tallies: tallies.collect() }
    }

    fn add<'a>(
        &self,
        group: &mut Group<'a>,
        scope: &Scope<'_>,
        item: &'a Value,
        index: usize,
    ) -> Result<(), NodeError> {
        for (tally, (_, _, expression)) in group.tallies.iter_mut().zip(&self.aggregates) {
            match expression {
                None => tally.add(item, Value::Bool(true)),
                Some(expression) => tally.add(item, scope.eval(expression, item, index)?),
            }
            .map_err(|error| at_item(&error, index))?;
        }
        Ok(())
    }

    fn finish(&self, group: Group<'_>) -> Result<Value, NodeError> {
        let names = self.group_by.iter().flatten().map(|(name, _)| name.clone());
        let fields = names.zip(group.key.into_iter().map(|Ordered(value)| value));
        let mut entries: Vec<_> = fields.collect();
        for ((name, ..), tally) in self.aggregates.iter().zip(group.tallies) {
            let value = tally.finish().map_err(|error| {
                let message = format!("aggregate `{name}`: {}", error.message());
                NodeError::new(error.code().to_owned(), message)
            })?;
            entries.push((name.clone(), value));
        }
        Ok(Value::from(Object::from_entries(entries)?))
    }
}

/// The items of one group so far.
struct Group<'a> {
    key: Vec<Ordered>,
    tallies: Vec<Tally<'a>>,
}

impl InlineNode for Aggregate {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        ctx.config::<AggregateConfig>()?;
        let groups = self.groups(ctx)?.into_iter().map(|group| self.finish(group));
        let mut groups = groups.collect::<Result<Vec<_>, _>>()?;
        let output = match &self.group_by {
            Some(_) => Value::from(Array::from_values(groups)?),
            None => groups.pop().unwrap_or_default(),
        };
        Ok(NodeOutput::of("output", output))
    }
}

fn group_key(
    fields: &[(Arc<str>, Expression)],
    scope: &Scope<'_>,
    item: &Value,
    index: usize,
) -> Result<Vec<Ordered>, NodeError> {
    fields.iter().map(|(_, field)| Ok(Ordered(scope.eval(field, item, index)?))).collect()
}

fn compile_groups(group_by: &Value) -> Result<Vec<(Arc<str>, Expression)>, NodeError> {
    let compile = |name: &str, text: &Value| {
        let text = text.as_str().ok_or_else(|| bad_group(text))?;
        Ok((Arc::from(name), Expression::compile_key(text, &NAMES)?))
    };
    match group_by.untainted() {
        Value::Array(fields) => {
            fields.iter().map(|text| compile(text.as_str().unwrap_or_default(), text)).collect()
        }
        Value::Object(fields) => fields.iter().map(|(name, text)| compile(name, text)).collect(),
        other => Err(bad_group(other)),
    }
}

fn bad_group(found: &Value) -> NodeError {
    let kind = found.kind();
    NodeError::config(format!("`group_by` is made of fields and expressions, which {kind} is not"))
        .with_hint("write `[\"country\"]`, or `{\"year\": \"item.date[:4]\"}`")
}

fn compile_aggregate(
    name: &Arc<str>,
    spec: &Value,
) -> Result<(Arc<str>, Operation, Option<Expression>), NodeError> {
    let spec: AggregateSpec = spec
        .to_typed()
        .map_err(|error| NodeError::config(format!("aggregate `{name}`: {error}")))?;
    if spec.value.is_none() && spec.op != Operation::Count {
        return Err(NodeError::config(format!("aggregate `{name}` needs a `value`")));
    }
    let expression = spec.value.map(|text| Expression::compile_key(&text, &NAMES)).transpose()?;
    Ok((name.clone(), spec.op, expression))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    #[track_caller]
    fn check(config: &str, input: &str, expected: &str) {
        let inputs = format!("{{\"input\": {input}}}");
        let output = output_of(&AggregateFactory, config, inputs.as_str(), "output");
        assert_eq!(output.to_json_text(), expected, "{config}");
    }

    #[test]
    fn groups_come_in_order_of_appearance() {
        let config = r#"{"group_by": ["k", "item.n % 2"], "aggregates": {"z": {"op": "count"}}}"#;
        check(
            config,
            r#"[{"k": "b", "n": 1}, {"k": "a", "n": 2}, {"k": "b", "n": 3}, {"k": "b", "n": 2}]"#,
            r#"[{"k":"b","item.n % 2":1,"z":2},{"k":"a","item.n % 2":0,"z":1},{"k":"b","item.n % 2":0,"z":1}]"#,
        );
        check(config, "[]", "[]");
        let numbers = r#"{"group_by": ["item"], "aggregates": {"n": {"op": "count"}}}"#;
        check(numbers, "[1, 1.0, null, null]", r#"[{"item":1,"n":2},{"item":null,"n":2}]"#);
    }

    #[test]
    fn without_groups_there_is_one_object() {
        let config =
            r#"{"aggregates": {"n": {"op": "count"}, "m": {"op": "count", "value": "a"}}}"#;
        check(config, r#"[{"a": 1}, {"a": null}]"#, r#"{"n":2,"m":1}"#);
        check(config, "[]", r#"{"n":0,"m":0}"#);
    }

    #[track_caller]
    fn check_error(config: &str, input: &str, code: &str) -> NodeError {
        let inputs = format!("{{\"input\": {input}}}");
        let error = error_of(&AggregateFactory, config, inputs.as_str());
        assert_eq!(error.code(), code, "{error}");
        error
    }

    #[test]
    fn errors_have_codes() {
        let sum = r#"{"aggregates": {"total": {"op": "sum", "value": "item"}}}"#;
        let error = check_error(sum, "[1, \"x\"]", "aggregate.not_number");
        assert_eq!(error.message(), "item 1: `sum` takes numbers, and not a string");
        let error = check_error(
            sum,
            "[9223372036854775807, 9223372036854775807, 9223372036854775807]",
            "aggregate.overflow",
        );
        assert_eq!(error.message(), "aggregate `total`: the sum does not fit into 64 bits");
        check_error(sum, "[1e308, 1e308]", "aggregate.overflow");
        check_error(r#"{"aggregates": {"n": {"op": "sum"}}}"#, "[]", "config.invalid");
        check_error(
            r#"{"aggregates": {"n": {"op": "product", "value": "a"}}}"#,
            "[]",
            "config.invalid",
        );
        check_error(
            r#"{"aggregates": {"n": {"op": "count", "field": "a"}}}"#,
            "[]",
            "config.invalid",
        );
        check_error("{}", "[]", "config.invalid");
        check_error(r#"{"group_by": 3, "aggregates": {}}"#, "[]", "config.invalid");
        check_error(r#"{"group_by": [3], "aggregates": {}}"#, "[]", "config.invalid");
        check_error(
            r#"{"group_by": ["n"], "aggregates": {"n": {"op": "count"}}}"#,
            "[]",
            "config.invalid",
        );
        check_error(r#"{"group_by": ["a"], "aggregates": {}}"#, "[{}]", "expression.undefined");
    }

    #[test]
    fn real_records_have_a_hottest_day() {
        let config = r#"{
            "group_by": {"year": "item.date[:4]"},
            "aggregates": {"hottest": {"op": "max_by", "value": "temp_max"}, "days": {"op": "count"}}
        }"#;
        check(
            config,
            r#"[{"date": "2012/08/16", "temp_max": 34.4}, {"date": "2012/08/17", "temp_max": 33.9}]"#,
            r#"[{"year":"2012","hottest":{"date":"2012/08/16","temp_max":34.4},"days":2}]"#,
        );
    }
}
