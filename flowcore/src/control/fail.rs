//! `control.fail`: an error of one's own.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::node::{Effect, Execution, NodeContext, NodeDescriptor, NodeError, NodeOutput};

/// The config of `control.fail`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FailConfig {
    /// The error's code; `control.failed` unless said otherwise.
    #[serde(default = "code")]
    #[schemars(length(min = 1))]
    code: String,
    /// What went wrong.
    message: String,
}

fn code() -> String {
    "control.failed".to_owned()
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new("control.fail")
        .summary("Fail")
        .description("The node fails with this error, as any node may; it is not tried again.")
        .config::<FailConfig>()
        .effect(Effect::Pure)
        .execution(Execution::Inline)
        .example(
            "An order that nobody can deliver",
            json!({ "code": "order.too_large", "message": "{{ inputs.amount }} is too much" }),
            json!({}),
            json!({}),
        )
}

pub(super) fn call(ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
    let config = ctx.config::<FailConfig>()?;
    Err(NodeError::new(config.code.clone(), config.message.clone()))
}
