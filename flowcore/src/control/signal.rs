//! `wait.signal`: somebody outside.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, Port};

/// The config of `wait.signal`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalConfig {
    /// The signal's name; the node's id unless said otherwise.
    #[serde(default)]
    #[expect(dead_code, reason = "the plan reads it")]
    name: Option<String>,
    /// Tells waits for the same name apart, such as the items of a loop.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// The JSON Schema of the payload; a signal with another one is refused.
    #[serde(default)]
    #[expect(dead_code, reason = "the plan reads it")]
    schema: Option<serde_json::Map<String, serde_json::Value>>,
    /// The longest that it waits, in milliseconds; then the port `timed_out` is live.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) wait_ms: Option<u64>,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Signal.node_type())
        .summary("Wait for a signal")
        .description(
            "A signal comes from outside: `ExecutionHandle::signal`, or `flowcli run --signal \
             name=JSON`.\nOne that comes before anybody waits is kept; one wakes one waiter, the \
             one that has waited longest.\nThe wait holds no permit.",
        )
        .config::<SignalConfig>()
        .raw_fields(&["name", "schema"])
        .effect(Effect::Pure)
        .control(ControlKind::Signal)
        .output(Port::new("payload").description("What came with the signal"))
        .output(Port::new("timed_out").typed::<bool>().description("True when none came in time"))
        .example(
            "A payment, or three days",
            json!({ "name": "paid", "wait_ms": 259_200_000 }),
            json!({}),
            json!({}),
        )
}
