//! `control.parallel_race`: the first of many bodies.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use super::body::BodyConfig;
use crate::node::{Effect, NodeDescriptor, Port};

/// The config of `control.parallel_race`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the plan compiles it")]
struct RaceConfig {
    /// What runs at the same time.
    #[schemars(length(min = 1))]
    branches: Vec<BodyConfig>,
}

pub(super) fn descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Race.node_type())
        .summary("Let several bodies race")
        .description(
            "All branches run at the same time, and the first that succeeds wins; the others are \
             cancelled and awaited.\nThe node fails when every branch has failed.\n\
             The nodes of a branch are addressed as `race[0].fetch`.",
        )
        .config::<RaceConfig>()
        .raw_fields(&["branches"])
        .effect(Effect::Pure)
        .control(ControlKind::Race)
        .output(Port::new("output").description("What the winner gave"))
        .output(Port::new("winner").typed::<u64>().description("Its position, from 0"))
        .example(
            "The first answer counts",
            json!({ "branches": [
                { "nodes": [{ "id": "slow", "node_type": "time.delay",
                              "config": { "delay_ms": 60000 } }] },
                { "nodes": [{ "id": "fast", "node_type": "debug.log",
                              "config": { "message": "here" } }],
                  "outputs": "{{ nodes.fast.message }}" }
            ] }),
            json!({}),
            json!({ "output": "here", "winner": 1 }),
        )
}
