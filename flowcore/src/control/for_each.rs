//! `control.for_each`: a body for each item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ControlKind;
use super::body::BodyConfig;
use crate::node::{Effect, NodeDescriptor, Port};

/// How many bodies run at the same time, unless the config says otherwise: enough to hide waits,
/// and few enough that ten thousand items do not become ten thousand open files.
const MAX_CONCURRENCY: u32 = 16;

/// The config of `control.for_each`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForEachConfig {
    /// What is done with each item; `item` and `index` are known inside.
    #[serde(default)]
    #[expect(dead_code, reason = "the plan compiles it")]
    body: Option<BodyConfig>,
    /// In place of a body: the workflow to call for each item.
    #[serde(default)]
    #[expect(dead_code, reason = "the plan compiles it")]
    workflow: Option<String>,
    /// The inputs of that workflow; the input `item` unless said otherwise.
    #[serde(default)]
    #[expect(dead_code, reason = "the plan compiles it")]
    inputs: Option<serde_json::Map<String, serde_json::Value>>,
    /// How many items are under way at the same time.
    #[serde(default = "max_concurrency")]
    #[schemars(range(min = 1))]
    pub(crate) max_concurrency: u32,
    /// What follows when the body fails for an item.
    #[serde(default)]
    pub(crate) on_item_error: OnItemError,
}

fn max_concurrency() -> u32 {
    MAX_CONCURRENCY
}

/// What follows when the body of a `control.for_each` fails for an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnItemError {
    /// The other items are cancelled, and the node fails.
    #[default]
    Fail,
    /// The item is left out of the results.
    Skip,
    /// The item's result is null, and `errors` says why.
    Collect,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::ForEach.node_type())
        .summary("Do something for each item of a list")
        .description(
            "Each item has a scope of its own: its nodes are addressed as `each[3].fetch`.\n\
             Results are in the order of the items, whatever the order in which they end.\n\
             At most 10,000 items.",
        )
        .config::<ForEachConfig>()
        .raw_fields(&["body", "workflow", "inputs"])
        .effect(Effect::Pure)
        .control(ControlKind::ForEach)
        .input(
            Port::new("items")
                .typed::<Vec<serde_json::Value>>()
                .required()
                .description("The items"),
        )
        .output(
            Port::new("results")
                .typed::<Vec<serde_json::Value>>()
                .description("What the body gave for each item, in order"),
        )
        .output(
            Port::new("errors")
                .typed::<Vec<serde_json::Value>>()
                .description("`{index, code, message, node}` of each item that failed"),
        )
        .output(Port::new("count").typed::<u64>().description("How many items there were"))
        .example(
            "Squares",
            json!({ "body": {
                "nodes": [{ "id": "square", "node_type": "debug.log",
                            "config": { "message": "{{ item * item }}" } }],
                "outputs": "{{ nodes.square.message }}"
            } }),
            json!({ "items": [1, 2, 3] }),
            json!({ "results": [1, 4, 9], "errors": [], "count": 3 }),
        )
}
