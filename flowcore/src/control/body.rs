//! A body in the config of a control node.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, IgnoredAny};

/// `{nodes, connections, outputs}`. The plan compiles it; whoever reads the config skips it.
#[derive(Debug, Clone)]
pub(crate) struct BodyConfig;

impl<'de> Deserialize<'de> for BodyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for BodyConfig {
    fn schema_name() -> Cow<'static, str> {
        "Body".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // What stands inside is checked like the workflow itself.
        json_schema!({
            "type": "object",
            "description": "Nodes, their connections, and what they give, as in a workflow.",
            "required": ["nodes"],
            "properties": {
                "nodes": { "type": "array" },
                "connections": { "type": "array" },
                "outputs": { "description": "What the body gives; any value with expressions." }
            }
        })
    }
}
