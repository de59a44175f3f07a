//! `time.delay`: some time.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, Port};

/// The config of `time.delay`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelayConfig {
    /// How long to wait, in milliseconds.
    pub(crate) delay_ms: u64,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Delay.node_type())
        .summary("Wait for some time")
        .description(
            "The wait holds no thread and no permit, and a cancelled execution does not wait for \
             its end.\nWhat comes in on `input` goes out on `output`, so the node can stand in the \
             middle of a connection.",
        )
        .config::<DelayConfig>()
        .effect(Effect::Pure)
        .control(ControlKind::Delay)
        .input(Port::new("input").description("A value to pass on"))
        .output(Port::new("output").description("The value of `input`, or null"))
        .output(Port::new("waited_ms").typed::<u64>().description("The time, in milliseconds"))
        .example(
            "Half a second",
            json!({ "delay_ms": 500 }),
            json!({ "input": "go" }),
            json!({ "output": "go", "waited_ms": 500 }),
        )
}
