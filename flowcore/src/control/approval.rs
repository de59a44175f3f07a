//! `wait.approval`: a person.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, Port};

/// The config of `wait.approval`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalConfig {
    /// The name under which it is answered; the node's id unless said otherwise.
    #[serde(default)]
    #[expect(dead_code, reason = "the plan reads it")]
    name: Option<String>,
    /// What is to be approved.
    #[serde(default)]
    #[expect(dead_code, reason = "shown from the event")]
    message: Option<String>,
    /// Tells waits for the same name apart, such as the items of a loop.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// The longest that it waits, in milliseconds; then the port `timed_out` is live.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) wait_ms: Option<u64>,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Approval.node_type())
        .summary("Wait for a person to approve or reject")
        .description(
            "An answer is a signal with the payload `{approved, by, reason}`.\n\
             `flowcli run` asks on the terminal; `--signal name='{\"approved\": true}'` answers in \
             advance.",
        )
        .config::<ApprovalConfig>()
        .raw_fields(&["name"])
        .effect(Effect::Pure)
        .control(ControlKind::Approval)
        .output(Port::new("approved").description("`{by, reason}`: it was approved"))
        .output(Port::new("rejected").description("`{by, reason}`: it was rejected"))
        .output(Port::new("timed_out").typed::<bool>().description("True when nobody answered"))
        .example("A refund", json!({ "message": "Refund 120 euros to Ada?" }), json!({}), json!({}))
}
