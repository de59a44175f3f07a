//! `docs/workflow-format.md` against the JSON Schema: the same keys, the same defaults, the same keys
//! required.

use std::collections::BTreeMap;
use std::fs;

use flowcore::NodeRegistry;
use serde_json::{Map, Value as Json, json};

use super::support;

/// The rows of the first table of a section: type, default and meaning by key.
fn table(page: &str, section: &str) -> BTreeMap<String, [String; 3]> {
    let start = page.lines().position(|line| line.trim_start_matches('#') == format!(" {section}"));
    let lines = page.lines().skip(start.unwrap_or_else(|| panic!("no section {section}")));
    let rows = lines.skip_while(|line| !line.starts_with("| Key |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, key, kind, default, meaning, _] = cells[..] else { panic!("{row}") };
        let [kind, default, meaning] = [kind, default, meaning].map(str::to_owned);
        (key.trim_matches('`').to_owned(), [kind, default, meaning])
    })
    .collect()
}

#[track_caller]
fn check(section: &str, properties: &Map<String, Json>, required: &Json) {
    let page = fs::read_to_string(support::path("docs/workflow-format.md")).unwrap();
    let table = table(&page, section);
    let documented: Vec<&String> = table.keys().collect();
    let mut known: Vec<&String> = properties.keys().collect();
    known.sort();
    assert_eq!(documented, known, "{section}");
    for (key, schema) in properties {
        let [kind, default, meaning] = &table[key];
        let is_required = required.as_array().is_some_and(|keys| keys.contains(&json!(key)));
        assert_eq!(default == "required", is_required, "{section}, {key}");
        assert!(!meaning.is_empty(), "{section}, {key}");
        let is_planned = meaning.starts_with("planned");
        let refused = schema["type"] == "null" || schema["const"] == false;
        assert_eq!(is_planned, refused, "{section}, {key}");
        if let Some(expected) = schema.get("default").filter(|default| !default.is_object()) {
            let shown = default.trim_matches('`');
            assert_eq!(shown, expected.to_string(), "{section}, {key}: the default");
        }
        if !is_planned {
            check_type(kind, schema, &format!("{section}, {key}"));
        }
    }
}

/// Where the schema names one simple type, the page begins with it.
#[track_caller]
fn check_type(kind: &str, schema: &Json, place: &str) {
    let first = schema["type"].as_array().map_or(&schema["type"], |types| &types[0]);
    let Some(name) = first.as_str() else { return };
    let is_same = kind.starts_with(name) || (kind == "id" && name == "string");
    assert!(is_same || name == "object" || schema.get("enum").is_some(), "{place}: {kind}");
}

#[test]
fn every_key_has_a_row() {
    let schema = flowcore::workflow_schema(&NodeRegistry::new());
    let definition = |name: &str| {
        let definition = schema["$defs"].get(name).unwrap_or_else(|| panic!("no {name}"));
        (definition["properties"].as_object().unwrap().clone(), definition["required"].clone())
    };
    check("Workflow", schema["properties"].as_object().unwrap(), &schema["required"]);
    for (section, name) in [
        ("Inputs", "Input"),
        ("Nodes", "Node"),
        ("Undo", "Undo"),
        ("Position", "Position"),
        ("Retry policy", "RetryPolicy"),
        ("Connections", "Connection"),
        ("Settings", "Settings"),
    ] {
        let (properties, required) = definition(name);
        check(section, &properties, &required);
    }
}

#[test]
fn every_key_of_a_trigger_has_a_row() {
    let schema = flowcore::workflow_schema(&NodeRegistry::new());
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for kind in schema["$defs"]["Trigger"]["oneOf"].as_array().unwrap() {
        properties.extend(kind["properties"].as_object().unwrap().clone());
        required.extend(kind["required"].as_array().unwrap().clone());
    }
    properties.insert("type".to_owned(), json!({ "type": "string" }));
    check("Triggers", &properties, &json!(required));
}
