//! The schema of a node type's config, with its ports and with expressions.

use serde_json::{Map, Value as Json, json};

use super::expressions;
use crate::node::{NodeDescriptor, Port};

/// Adds the schema of a config to the definitions. Gives its name, and whether a node of this type
/// needs a config.
pub(super) fn define(
    descriptor: &NodeDescriptor,
    definitions: &mut Map<String, Json>,
) -> (String, bool) {
    let name = format!("config.{}", descriptor.node_type);
    let mut schema = match &descriptor.config_schema {
        Some(schema) => hoisted(schema, &name, definitions),
        None => json!({"type": "object"}),
    };
    let raw = take_raw_fields(&mut schema, descriptor);
    expressions::allow_within(&mut schema);
    for (field, raw_schema) in raw {
        schema["properties"][field] = raw_schema;
    }
    for port in &descriptor.inputs {
        let port_schema = port_schema(port, &name, definitions);
        add_port(&mut schema, &port.name, &port_schema);
    }
    if descriptor.open_inputs {
        open(&mut schema);
    }
    let required = schema.get("required").and_then(Json::as_array);
    let needs_config = required.is_some_and(|keys| !keys.is_empty());
    definitions.insert(name.clone(), schema);
    (name, needs_config)
}

/// The schema without its own `$defs`, which become definitions of the whole.
fn hoisted(schema: &Json, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
        if let Some(Json::Object(own)) = object.remove("$defs") {
            for (name, mut definition) in own {
                rename_references(&mut definition, prefix);
                expressions::allow_within(&mut definition);
                definitions.insert(format!("{prefix}.{name}"), definition);
            }
        }
    }
    rename_references(&mut schema, prefix);
    schema
}

fn rename_references(schema: &mut Json, prefix: &str) {
    match schema {
        Json::Object(object) => {
            for (keyword, argument) in object.iter_mut() {
                match argument {
                    Json::String(target) if keyword == "$ref" => {
                        let renamed = target.replacen("#/$defs/", &format!("#/$defs/{prefix}."), 1);
                        *target = renamed;
                    }
                    other => rename_references(other, prefix),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| rename_references(item, prefix)),
        _ => {}
    }
}

/// The schemas of the fields in which `{{` has no meaning.
fn take_raw_fields(schema: &mut Json, descriptor: &NodeDescriptor) -> Vec<(String, Json)> {
    let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) else {
        return Vec::new();
    };
    let take = |field: &std::borrow::Cow<'static, str>| {
        properties.remove(&**field).map(|schema| (field.to_string(), schema))
    };
    descriptor.raw_fields.iter().filter_map(take).collect()
}

fn port_schema(port: &Port, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    // Of a port with several connections the schema describes one value.
    let schema = if port.multiple { Json::Bool(true) } else { port.schema.clone() };
    let mut schema = match hoisted(&schema, &format!("{prefix}.{}", port.name), definitions) {
        Json::Bool(true) => json!({}),
        schema => schema,
    };
    expressions::allow(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        let description = format!("Input port. {}", port.description);
        object.insert("description".into(), json!(description.trim_end()));
    }
    schema
}

/// Adds a port to the keys of a config, and to those of each alternative that the config is.
fn add_port(schema: &mut Json, name: &str, port: &Json) {
    let Some(object) = schema.as_object_mut() else { return };
    for keyword in ["allOf", "anyOf"] {
        let alternatives = object.get_mut(keyword).and_then(Json::as_array_mut);
        alternatives.into_iter().flatten().for_each(|other| add_port(other, name, port));
    }
    if object.get("type").is_some_and(|kind| kind != "object") {
        return;
    }
    let properties = object.entry("properties").or_insert_with(|| json!({}));
    properties[name] = port.clone();
    if let Some(required) = object.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|key| key != name);
    }
}

/// Other keys may name ports that are not declared.
fn open(schema: &mut Json) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("additionalProperties");
        object.remove("unevaluatedProperties");
    }
}
