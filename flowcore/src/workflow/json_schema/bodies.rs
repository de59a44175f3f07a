//! The bodies of control nodes, which hold nodes like those of the file itself.

use serde_json::{Map, Value as Json, json};

/// The schema of a body.
pub(super) fn schema() -> Json {
    json!({
        "description": "Nodes, their connections, and what they give, as in a workflow.",
        "type": "object",
        "required": ["nodes"],
        "properties": {
            "nodes": {
                "description": "The nodes.",
                "type": "array",
                "items": {"$ref": "#/$defs/Node"},
                "minItems": 1,
            },
            "connections": {
                "description": "The connections between them. An expression that reads a node \
                                connects as well.",
                "type": ["array", "null"],
                "items": {"$ref": "#/$defs/Connection"},
            },
            "outputs": {
                "description": "What the body gives, any value with expressions; without this key \
                                the outputs of the nodes on which nothing depends.",
            },
        },
        "additionalProperties": false,
        "patternProperties": {"^x-": true},
    })
}

/// The config of a control node says only that a body has nodes; here it refers to the nodes of the
/// file, so that editors complete them.
pub(super) fn refer(config: &str, definitions: &mut Map<String, Json>) {
    if let Some(body) = definitions.get_mut(&format!("{config}.Body")) {
        *body = json!({"$ref": "#/$defs/Body"});
    }
}
