//! `control.merge`: several values become one.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::node::{Effect, Execution, NodeContext, NodeDescriptor, NodeError, NodeOutput, Port};
use crate::value::{Array, Object, Value};

/// The config of `control.merge`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MergeConfig {
    /// How the values become one.
    #[serde(default)]
    mode: Mode,
    /// With `combine`: the field by which records belong together.
    #[serde(default)]
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// A list of the values, as they are.
    #[default]
    Wait,
    /// The items of all lists in one list; what is no list is an item.
    Append,
    /// Records of all lists that have the same `key` become one; without `key`, objects become one.
    /// Of a field that several have, the last counts.
    Combine,
    /// The first value.
    First,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new("control.merge")
        .summary("Bring several values together")
        .description(
            "Connect any number of ports to `inputs`; values are in the order of the connections.\n\
             With `\"join\": \"any\"` branches that were not taken are left out.",
        )
        .config::<MergeConfig>()
        .effect(Effect::Pure)
        .execution(Execution::Inline)
        .input(Port::new("inputs").multiple().required().description("The values"))
        .output(Port::new("output").description("What they became"))
        .example(
            "One list",
            json!({ "mode": "append" }),
            json!({ "inputs": [[1, 2], [3]] }),
            json!({ "output": [1, 2, 3] }),
        )
        .example(
            "Records that belong together",
            json!({ "mode": "combine", "key": "id" }),
            json!({ "inputs": [
                [{ "id": 1, "name": "Ada" }, { "id": 2, "name": "Bob" }],
                [{ "id": 1, "city": "Oslo" }]
            ] }),
            json!({ "output": [
                { "id": 1, "name": "Ada", "city": "Oslo" },
                { "id": 2, "name": "Bob" }
            ] }),
        )
}

pub(super) fn call(ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
    let config = ctx.config::<MergeConfig>()?;
    let inputs = ctx.input("inputs").ok_or_else(|| NodeError::missing_input("inputs"))?;
    let inputs = inputs.untainted().as_array().cloned().unwrap_or_default();
    let output = match (config.mode, &config.key) {
        (Mode::Wait, _) => Value::Array(inputs),
        (Mode::Append, _) => Value::Array(Array::from_values(items(&inputs))?),
        (Mode::First, _) => inputs.iter().next().cloned().unwrap_or_default(),
        (Mode::Combine, Some(key)) => Value::Array(combine_by(&inputs, key)?),
        (Mode::Combine, None) => Value::Object(combine(&inputs)?),
    };
    Ok(NodeOutput::of("output", output))
}

fn items(inputs: &Array) -> Vec<Value> {
    let items = |value: &Value| match value.untainted().as_array() {
        Some(array) => array.iter().cloned().collect(),
        None => vec![value.clone()],
    };
    inputs.iter().flat_map(items).collect()
}

fn object(value: &Value) -> Result<&Object, NodeError> {
    value.untainted().as_object().ok_or_else(|| {
        let message = format!("`combine` needs objects, not {}", value.kind());
        NodeError::new("merge.not_objects", message)
    })
}

fn combine(inputs: &Array) -> Result<Object, NodeError> {
    let mut combined = Object::new();
    for value in inputs.iter() {
        add(&mut combined, object(value)?)?;
    }
    Ok(combined)
}

fn add(combined: &mut Object, more: &Object) -> Result<(), NodeError> {
    for (key, value) in more.iter() {
        combined.insert(key.clone(), value.clone())?;
    }
    Ok(())
}

/// Records in the order in which their keys first come.
fn combine_by(inputs: &Array, key: &str) -> Result<Array, NodeError> {
    let mut order: Vec<Object> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for value in items(inputs) {
        let record = object(&value)?;
        // Texts and numbers that look alike are different keys.
        let name = record.get(key).map(|key| key.to_json().to_string());
        let position = name.map(|name| *known.entry(name).or_insert(order.len()));
        match position.filter(|position| *position < order.len()) {
            Some(position) => add(&mut order[position], record)?,
            None => order.push(record.clone()),
        }
    }
    Ok(Array::from_values(order.into_iter().map(Value::Object))?)
}
