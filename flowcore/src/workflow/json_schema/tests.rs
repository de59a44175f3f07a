use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::super::reader::keys::*;
use super::workflow_schema;
use crate::{NodeDescriptor, NodeOutput, NodeRegistry, Port, Value, check_value};

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema counts")]
struct Config {
    /// Where to.
    url: String,
    tries: u8,
    auth: Option<Auth>,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    raw: u8,
}

#[derive(JsonSchema, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema counts")]
enum Auth {
    Basic { user: String, level: u8 },
    Bearer { token: String },
}

fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    let request = NodeDescriptor::new("http.request")
        .summary("One request")
        .config::<Config>()
        .raw_fields(&["raw"])
        .input(Port::new("body").typed::<Option<u8>>())
        .input(Port::new("tries").typed::<u8>());
    registry.register_function(request, |_| Ok(NodeOutput::new()));
    registry.register_function(NodeDescriptor::untyped("any.thing"), |_| Ok(NodeOutput::new()));
    let json = NodeDescriptor::new("transform.json_parse").input(Port::new("json"));
    registry.register_function(json, |_| Ok(NodeOutput::new()));
    registry
}

#[track_caller]
fn check(file: Json, expected: &str) {
    let schema = workflow_schema(&registry());
    let errors = check_value(&schema, &Value::from_json(file).unwrap());
    let found: Vec<_> = errors.iter().map(|e| format!("{:?} {}", e.kind, e.message)).collect();
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(found, expected);
}

fn node(config: Json) -> Json {
    json!({"nodes": [{"id": "a", "node_type": "http.request", "config": config}]})
}

fn keys(schema: &Json, pointer: &str) -> BTreeSet<String> {
    let properties = schema.pointer(pointer).unwrap()["properties"].as_object().unwrap();
    properties.keys().cloned().collect()
}

#[test]
fn the_schema_has_the_keys_that_the_reader_reads() {
    let schema = workflow_schema(&registry());
    let read = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(keys(&schema, ""), read(WORKFLOW_KEYS));
    assert_eq!(keys(&schema, "/$defs/Node"), read(NODE_KEYS));
    assert_eq!(keys(&schema, "/$defs/Connection"), read(CONNECTION_KEYS));
    assert_eq!(keys(&schema, "/$defs/Settings"), read(SETTINGS_KEYS));
    assert_eq!(keys(&schema, "/$defs/RetryPolicy"), read(RETRY_POLICY_KEYS));
    assert_eq!(keys(&schema, "/$defs/Position"), read(POSITION_KEYS));
    assert_eq!(keys(&schema, "/$defs/CacheSpec"), read(CACHE_KEYS));
    assert_eq!(keys(&schema, "/$defs/ConcurrencySpec"), read(CONCURRENCY_KEYS));
    assert_eq!(keys(&schema, "/$defs/RateLimitSpec"), read(RATE_LIMIT_KEYS));
    assert_eq!(keys(&schema, "/$defs/Undo"), read(UNDO_KEYS));
    assert_eq!(keys(&schema, "/$defs/Body"), read(BODY_KEYS));
    for (index, (_, own)) in TRIGGER_TYPES.iter().enumerate() {
        let known = read(&[TRIGGER_KEYS, own.required, own.optional].concat());
        assert_eq!(keys(&schema, &format!("/$defs/Trigger/oneOf/{index}")), known);
    }
}

#[test]
fn every_key_is_described_and_every_reference_leads_somewhere() {
    fn walk(root: &Json, schema: &Json) {
        match schema {
            Json::Object(object) => {
                if let Some(target) = object.get("$ref").and_then(Json::as_str) {
                    assert!(root.pointer(&target[1..]).is_some(), "{target}");
                }
                object.values().for_each(|value| walk(root, value));
            }
            Json::Array(items) => items.iter().for_each(|item| walk(root, item)),
            _ => {}
        }
    }
    let schema = workflow_schema(&registry());
    walk(&schema, &schema);
    for pointer in ["", "/$defs/Node", "/$defs/Connection", "/$defs/Settings", "/$defs/RetryPolicy"]
    {
        for (key, property) in schema.pointer(pointer).unwrap()["properties"].as_object().unwrap() {
            assert!(property.get("description").is_some(), "{pointer} {key}");
        }
    }
    assert_eq!(
        schema["$defs"]["config.http.request"]["properties"]["url"]["description"],
        "Where to."
    );
    let types = schema["$defs"]["Node"]["properties"]["node_type"]["oneOf"].as_array().unwrap();
    let request = types.iter().find(|known| known["const"] == "http.request").unwrap();
    assert_eq!(request["description"], "One request");
}

#[test]
fn bodies_hold_nodes_like_those_of_the_file() {
    let inside = |node: Json| {
        let each = json!({"items": [1], "body": {"nodes": [node], "outputs": "{{ item }}"}});
        let each = json!({"id": "each", "node_type": "control.for_each", "config": each});
        let branches = json!({"branches": [{"nodes": [each], "connections": []}]});
        json!({"nodes": [{"id": "race", "node_type": "control.parallel_race", "config": branches}]})
    };
    let node = |config: Json| json!({"id": "a", "node_type": "http.request", "config": config});
    check(inside(node(json!({"url": "/"}))), "");
    check(
        inside(node(json!({"url": 5}))),
        "WrongType `nodes[0].config.branches[0].nodes[0].config.body.nodes[0].config.url` is a number",
    );
    let body = json!({"node": []});
    let tries = json!({"id": "t", "node_type": "control.try", "config": {"body": body}});
    check(
        json!({"nodes": [tries]}),
        "UnknownKey `nodes[0].config.body` has no key `node`
         MissingKey `nodes[0].config.body` has no `nodes`",
    );
}

#[test]
fn good_files_satisfy_it() {
    let mut any = NodeRegistry::new();
    for node_type in ["http.request", "transform.json_parse"] {
        let descriptor = NodeDescriptor::untyped(node_type);
        any.register_function(descriptor, |_| Ok(NodeOutput::new()));
    }
    let full = crate::value::read_json(include_str!("../reader/full.json")).unwrap();
    assert_eq!(check_value(&workflow_schema(&any), &full), []);
    check(
        node(
            json!({"url": "{{ x }}", "tries": "{{ 3 }}", "auth": {"type": "basic", "user": "x", "level": "{{ y }}"}, "body": "{{ z }}"}),
        ),
        "",
    );
    check(node(json!({"url": "x", "auth": null, "body": 3})), "");
    check(
        json!({"nodes": [{"id": "a", "node_type": "any.thing", "config": {"x": 1}, "x-note": 1}], "x-y": 1}),
        "",
    );
    check(
        json!({"nodes": [{"id": "a", "node_type": "any.thing"}], "triggers": [{"type": "cron", "expression": "* * * * *", "x-a": 1}], "settings": {"on_error": {"RetryWorkflow": {"max_attempts": 2}}, "durability": "sync"}}),
        "",
    );
}

#[test]
fn bad_files_do_not() {
    check(json!({"nodes": []}), "OutOfRange `nodes` is empty");
    check(node(json!({})), "MissingKey `nodes[0].config` has no `url`");
    check(
        json!({"nodes": [{"id": "a", "node_type": "http.request"}]}),
        "MissingKey `nodes[0]` has no `config`",
    );
    check(
        json!({"nodes": [{"id": "a", "node_type": "http.reqest"}]}),
        "NotAllowed `nodes[0].node_type` is `http.reqest`",
    );
    check(node(json!({"url": "x", "urll": "x"})), "UnknownKey `nodes[0].config` has no key `urll`");
    check(
        node(json!({"url": "x", "raw": "{{ 1 }}"})),
        "WrongType `nodes[0].config.raw` is a string",
    );
    check(node(json!({"url": "x", "tries": "3"})), "OutOfRange `nodes[0].config.tries` is `3`");
    check(
        node(json!({"url": "x", "auth": {"type": "basic", "user": "x", "level": "y"}})),
        "OutOfRange `nodes[0].config.auth.level` is `y`",
    );
    check(
        json!({"nodes": [{"id": "a", "node_type": "any.thing", "undo": 1}], "settings": {"record_changes": 1, "concurrency": {"limit": 0}}}),
        "WrongType `nodes[0].undo` is a number\nOutOfRange `settings.concurrency.limit` is `0`\nWrongType `settings.record_changes` is a number",
    );
    check(
        json!({"nodes": [{"id": "a", "node_type": "any.thing", "tiemout_ms": 1}], "triggers": [{"type": "corn"}]}),
        "UnknownKey `nodes[0]` has no key `tiemout_ms`\nNotAllowed `triggers[0].type` is `corn`",
    );
}
