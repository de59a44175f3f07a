//! `control.try`: a body, what follows its failure, and what always follows.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use super::body::BodyConfig;
use crate::node::{Effect, NodeDescriptor, Port};

/// The config of `control.try`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the plan compiles it")]
struct TryConfig {
    /// What is tried.
    body: BodyConfig,
    /// What follows a failure; `error` is known inside: `{code, message, node, attempts}`.
    #[serde(default)]
    catch: Option<BodyConfig>,
    /// What follows in any case, also after a cancel.
    #[serde(default)]
    finally: Option<BodyConfig>,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Try.node_type())
        .summary("Try something, and clean up")
        .description(
            "When the body fails, `catch` takes its place: what it gives is the output.\n\
             `finally` runs in any case, also when the execution is cancelled or out of time; a \
             cancel does not enter `catch`.\n\
             The nodes are addressed as `try.body.fetch`, `try.catch.fetch`, `try.finally.fetch`.",
        )
        .config::<TryConfig>()
        .raw_fields(&["body", "catch", "finally"])
        .effect(Effect::Pure)
        .control(ControlKind::Try)
        .output(Port::new("output").description("What the body gave, or `catch`"))
        .output(Port::new("caught").typed::<bool>().description("Whether the body failed"))
        .example(
            "A value in place of an error",
            json!({
                "body": { "nodes": [{ "id": "broken", "node_type": "control.fail",
                                      "config": { "message": "out of paper" } }] },
                "catch": {
                    "nodes": [{ "id": "report", "node_type": "debug.log",
                                "config": { "message": "{{ error.message }}" } }],
                    "outputs": "{{ nodes.report.message }}"
                }
            }),
            json!({}),
            json!({ "output": "out of paper", "caught": true }),
        )
}
