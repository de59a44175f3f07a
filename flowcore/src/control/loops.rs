//! `control.loop`: a body again and again.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use super::body::BodyConfig;
use crate::node::{Effect, NodeDescriptor, Port};

/// How often a body runs at most, unless the config says otherwise.
const MAX_ITERATIONS: u32 = 1_000;

/// The config of `control.loop`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoopConfig {
    /// What is done again and again; `state` and `index` are known inside, and what it gives is the
    /// next `state`.
    #[expect(dead_code, reason = "the plan compiles it")]
    body: BodyConfig,
    /// An expression, as in `when`, that is asked before each iteration; false ends the loop.
    #[serde(default, rename = "while")]
    #[expect(dead_code, reason = "the plan compiles it")]
    before: Option<String>,
    /// An expression, as in `when`, that is asked after each iteration; true ends the loop.
    #[serde(default, rename = "until")]
    #[expect(dead_code, reason = "the plan compiles it")]
    after: Option<String>,
    /// How often the body runs at most; more is the error `loop.limit`.
    #[serde(default = "max_iterations")]
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) max_iterations: u32,
}

fn max_iterations() -> u32 {
    MAX_ITERATIONS
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Loop.node_type())
        .summary("Do something again and again")
        .description(
            "With `while`, the condition is asked before each iteration; with `until`, after it.\n\
             What the body gives is `state` in the next iteration.\n\
             The nodes of an iteration are addressed as `loop[2].fetch`.",
        )
        .config::<LoopConfig>()
        .raw_fields(&["body", "while", "until"])
        .effect(Effect::Pure)
        .control(ControlKind::Loop)
        .input(Port::new("state").description("`state` in the first iteration"))
        .output(Port::new("state").description("What the last iteration gave"))
        .output(Port::new("iterations").typed::<u64>().description("How often the body ran"))
        .example(
            "Doubling",
            json!({
                "while": "state < 100",
                "body": {
                    "nodes": [{ "id": "double", "node_type": "debug.log",
                                "config": { "message": "{{ state * 2 }}" } }],
                    "outputs": "{{ nodes.double.message }}"
                }
            }),
            json!({ "state": 3 }),
            json!({ "state": 192, "iterations": 6 }),
        )
}
