//! `control.stop`: the end of the execution.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor};

/// The config of `control.stop`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopConfig {
    /// Why, for those who read the events.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Stop.node_type())
        .summary("End the execution, successfully")
        .description(
            "Nothing more starts, what runs is cancelled and awaited, and the execution succeeds \
             with the outputs that there are by then.\nInside of bodies and called workflows it \
             ends the whole execution.",
        )
        .config::<StopConfig>()
        .effect(Effect::Pure)
        .control(ControlKind::Stop)
        .example("Nothing to do", json!({ "reason": "no new orders" }), json!({}), json!({}))
}
