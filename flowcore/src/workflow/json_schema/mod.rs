//! The JSON Schema of workflow files, so that editors complete and check them.

mod bodies;
mod config;
mod expressions;
mod file;
mod triggers;

use serde_json::{Map, Value as Json, json};

use crate::node::NodeRegistry;

/// The JSON Schema (2020-12) of workflow files whose nodes are of these types, the configs of nodes
/// included.
///
/// It says less than [`crate::check`], which also knows connections, expressions and what values
/// mean together.
pub fn workflow_schema(registry: &NodeRegistry) -> Json {
    let mut schema = file::schema();
    let mut definitions = match schema.remove("$defs") {
        Some(Json::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    definitions.values_mut().for_each(allow_extensions);
    definitions.insert("Expression".into(), expressions::schema());
    definitions.insert("Trigger".into(), triggers::schema());
    definitions.insert("Input".into(), file::input_schema());
    definitions.insert("Body".into(), bodies::schema());
    let mut choices = Vec::new();
    let mut conditions = Vec::new();
    let (mut undo_choices, mut undo_conditions) = (Vec::new(), Vec::new());
    for registered in registry.iter() {
        let descriptor = &registered.descriptor;
        let choice = json!({"const": descriptor.node_type, "description": descriptor.summary});
        let (name, needs_config) = config::define(descriptor, &mut definitions);
        let condition = condition(&descriptor.node_type, &name, needs_config);
        if descriptor.control_kind().is_some() {
            bodies::refer(&name, &mut definitions);
        } else {
            undo_choices.push(choice.clone());
            undo_conditions.push(condition.clone());
        }
        choices.push(choice);
        conditions.push(condition);
    }
    if let Some(node) = definitions.get_mut("Node").and_then(Json::as_object_mut) {
        add_node_types(node, choices, conditions);
    }
    if let Some(undo) = definitions.get_mut("Undo").and_then(Json::as_object_mut) {
        add_node_types(undo, undo_choices, undo_conditions);
    }
    let mut whole = Json::Object(schema);
    allow_extensions(&mut whole);
    whole["$defs"] = Json::Object(definitions);
    whole
}

/// Which config a node of this type has.
fn condition(node_type: &str, config: &str, needs_config: bool) -> Json {
    let mut then = json!({"properties": {"config": {"$ref": format!("#/$defs/{config}")}}});
    if needs_config {
        then["required"] = json!(["config"]);
    }
    json!({
        "if": {"properties": {"node_type": {"const": node_type}}, "required": ["node_type"]},
        "then": then,
    })
}

fn add_node_types(node: &mut Map<String, Json>, choices: Vec<Json>, conditions: Vec<Json>) {
    if choices.is_empty() {
        return;
    }
    if let Some(node_type) = node.get_mut("properties").and_then(|keys| keys.get_mut("node_type")) {
        node_type["oneOf"] = Json::Array(choices);
    }
    node.insert("allOf".into(), Json::Array(conditions));
}

/// Keys that begin with `x-` may stand in every object of the file.
fn allow_extensions(schema: &mut Json) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("additionalProperties") == Some(&Json::Bool(false)) {
        object.insert("patternProperties".into(), json!({"^x-": true}));
    }
}

#[cfg(test)]
mod tests;
