//! `control.if` and `control.switch`: which way to go.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::ControlKind;
use crate::node::{Effect, NodeDescriptor, Port};
use crate::value::Value;

/// The config of `control.if`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the plan compiles it")]
struct IfConfig {
    /// An expression that is true or false, as in `when`.
    condition: String,
}

/// The config of `control.switch`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the plan compiles it")]
struct SwitchConfig {
    /// The ways to go; the first whose condition is true counts.
    #[schemars(length(min = 1))]
    cases: Vec<SwitchCase>,
}

/// One way to go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchCase {
    /// The output port.
    #[schemars(length(min = 1))]
    pub(crate) port: String,
    /// An expression that is true or false, as in `when`.
    pub(crate) when: String,
}

pub(super) fn if_descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::If.node_type())
        .summary("Go one of two ways")
        .description(
            "What comes in on `input` goes out on `true` or on `false`; what is connected to the \
             other port is skipped.\nBranches meet again in a node with `\"join\": \"any\"`.",
        )
        .config::<IfConfig>()
        .raw_fields(&["condition"])
        .effect(Effect::Pure)
        .control(ControlKind::If)
        .input(Port::new("input").description("A value to pass on"))
        .output(Port::new("true").description("The value of `input`, or null: it is true"))
        .output(Port::new("false").description("The value of `input`, or null: it is false"))
        .example(
            "Large orders take another way",
            json!({ "condition": "input.input > 100" }),
            json!({ "input": 250 }),
            json!({ "true": 250 }),
        )
}

pub(super) fn switch_descriptor() -> NodeDescriptor {
    NodeDescriptor::new(ControlKind::Switch.node_type())
        .summary("Go one of many ways")
        .description(
            "What comes in on `input` goes out on the port of the first case whose condition is \
             true, else on `default`; what is connected to the other ports is skipped.",
        )
        .config::<SwitchConfig>()
        .raw_fields(&["cases"])
        .effect(Effect::Pure)
        .control(ControlKind::Switch)
        .input(Port::new("input").description("A value to pass on"))
        .output(Port::new("default").description("The value of `input`, or null: no case is true"))
        .open_outputs()
        .example(
            "By size",
            json!({ "cases": [
                { "port": "large", "when": "input.input >= 100" },
                { "port": "small", "when": "input.input < 10" }
            ] }),
            json!({ "input": 250 }),
            json!({ "large": 250 }),
        )
}

/// Reads one case of a config.
pub(crate) fn read_case(value: &Value) -> Option<SwitchCase> {
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    Some(SwitchCase { port: text("port")?, when: text("when")? })
}
