//! `workflow.call`: another workflow.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, Port};

/// The config of `workflow.call`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallConfig {
    /// The workflow: an id, or a file beside the one that calls it.
    #[expect(dead_code, reason = "the plan finds it")]
    workflow: String,
    /// Its inputs; checked against what it declares.
    #[serde(default)]
    #[expect(dead_code, reason = "read as values, which keep what is exact and what is secret")]
    inputs: serde_json::Map<String, serde_json::Value>,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Call.node_type())
        .summary("Run another workflow")
        .description(
            "The workflow runs inside of this execution, with a shared state and rounds of its \
             own; its nodes are addressed as `call.fetch`.\nWorkflows call each other at most 8 \
             deep.",
        )
        .config::<CallConfig>()
        .raw_fields(&["workflow"])
        .effect(Effect::Pure)
        .control(ControlKind::Call)
        .output(Port::new("output").description("What the workflow gave"))
        .example(
            "A workflow beside this one",
            json!({ "workflow": "totals.json", "inputs": { "limit": 10 } }),
            json!({}),
            json!({}),
        )
}
