use schemars::JsonSchema;
use serde::Deserialize;

use crate::workflow::*;
use crate::{NodeDescriptor, NodeOutput, NodeRegistry, Port};

#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema counts")]
struct Request {
    url: String,
    #[serde(default)]
    tries: u8,
    #[serde(default)]
    filter: String,
}

fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    let request = NodeDescriptor::new("http.request")
        .config::<Request>()
        .raw_fields(&["filter"])
        .input(Port::new("body").typed::<String>())
        .input(Port::new("parts").typed::<String>().multiple())
        .output(Port::new("status"));
    registry.register_function(request, |_| Ok(NodeOutput::new()));
    let log = NodeDescriptor::new("debug.log").input(Port::new("message").required());
    registry.register_function(log, |_| Ok(NodeOutput::new()));
    registry.register_function(NodeDescriptor::untyped("any.thing"), |_| Ok(NodeOutput::new()));
    registry
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let checked = super::super::check(&Source::json("", text), &registry());
    let line = |d: &Diagnostic| {
        let expected = d.expected.as_ref().map(|text| format!("; expected {text}"));
        format!("{d}{}", expected.unwrap_or_default())
    };
    let found: Vec<_> = checked.diagnostics.iter().map(line).collect();
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(found, expected, "{text}");
    assert_eq!(checked.plan.is_some(), checked.is_ok(), "{text}");
}

/// One node with these keys.
#[track_caller]
fn check_node(keys: &str, expected: &str) {
    let text = format!("{{\"nodes\": [{{\"id\": \"a\", \"node_type\": \"any.thing\",\n{keys}}}]}}");
    check(&text, expected);
}

/// A workflow with one node and these keys.
#[track_caller]
fn check_keys(keys: &str, expected: &str) {
    let text = format!("{{\"nodes\": [{{\"id\": \"a\", \"node_type\": \"any.thing\"}}],\n{keys}}}");
    check(&text, expected);
}

#[test]
fn ids_are_checked_once() {
    check(
        "{\"nodes\": []}",
        "1:11: error[workflow.no_nodes]: the workflow has no nodes (at /nodes)",
    );
    check(
        "{}",
        "1:1: error[workflow.missing_key]: the workflow has no `nodes`; expected an array of nodes",
    );
    check(
        r#"{"nodes": [
          {"id": "a", "node_type": "any.thing"},
          {"id": "", "node_type": "any.thing"},
          {"id": "a b", "node_type": ""},
          {"id": "a", "node_type": "any.thing"},
          {"node_type": "any.thing"},
          3
        ], "connections": [{"from_node": "a"}]}"#,
        "3:18: error[node.bad_id]: an id may not be empty (at /nodes/1/id); expected 1 to 128 letters, digits, `_` and `-`
         4:18: error[node.bad_id]: an id has only letters, digits, `_` and `-`, this one has ' ' (at /nodes/2/id); expected 1 to 128 letters, digits, `_` and `-`
         4:38: error[node.bad_value]: `node_type` of node `a b` is empty (at /nodes/2/node_type); expected a node type, such as `http.request`
         5:18: error[node.duplicate_id]: two nodes have the id `a`; the first is /nodes/0 (at /nodes/3/id)
         6:11: error[node.missing_key]: a node has no `id` (at /nodes/4); expected 1 to 128 letters, digits, `_` and `-`
         7:11: error[node.wrong_type]: a node is a number (at /nodes/5); expected an object
         8:28: error[connection.missing_key]: a connection has no `to_node` (at /connections/0); expected the id of the node that it enters",
    );
    let mut built = Workflow::new("built");
    built.add_node(NodeSpec::new("", "any.thing"));
    let compiled = crate::compile(&built, &registry());
    assert_eq!(compiled.diagnostics.iter().next().unwrap().code, "node.bad_id");
}

#[test]
fn node_types_are_known() {
    check(
        r#"{"nodes": [{"id": "a", "node_type": "http.reqest", "config": {"url": 3}}, {"id": "b", "node_type": "time.dely"}]}"#,
        "1:37: error[node.unknown_type]: there is no node type `http.reqest` (at /nodes/0/node_type); did you mean `http.request`?
         1:100: error[node.unknown_type]: there is no node type `time.dely` (at /nodes/1/node_type); did you mean `time.delay`?",
    );
}

#[test]
fn numbers_of_nodes_and_settings() {
    check_node(
        "\"cache\": {\"ttl_ms\": 0}, \"effect\": \"pure\"",
        "2:21: error[node.out_of_range]: `ttl_ms` is 0 (at /nodes/0/cache/ttl_ms); expected at least 1",
    );
    check_node(
        "\"timeout_ms\": 0",
        "2:15: error[node.out_of_range]: `timeout_ms` is 0 (at /nodes/0/timeout_ms); expected at least 1",
    );
    check_node(
        "\"retry_policy\": {\"max_attempts\": 0, \"backoff_multiplier\": 0.5, \"max_elapsed_ms\": 0},\n\"on_error\": {\"RetryWorkflow\": {\"max_attempts\": 0}}",
        "2:34: error[node.out_of_range]: `max_attempts` is 0 (at /nodes/0/retry_policy/max_attempts); expected at least 1
         2:59: error[node.out_of_range]: `backoff_multiplier` is 0.5 (at /nodes/0/retry_policy/backoff_multiplier); expected at least 1
         2:82: error[node.out_of_range]: `max_elapsed_ms` is 0 (at /nodes/0/retry_policy/max_elapsed_ms); expected at least 1
         3:48: error[node.out_of_range]: `max_attempts` is 0 (at /nodes/0/on_error/RetryWorkflow/max_attempts); expected at least 1",
    );
    check_node(
        "\"retry_policy\": {\"delay_ms\": 120000}",
        "2:30: warning[node.delay_cut]: the wait of 120000 ms is cut to `max_delay_ms`, 60000 ms (at /nodes/0/retry_policy/delay_ms)",
    );
    check_keys(
        "\"settings\": {\"max_parallel_nodes\": 0, \"max_execution_time_ms\": 0, \"on_error\": {\"RetryWorkflow\": {\"max_attempts\": 0}}, \"cleanup_time_ms\": 0}",
        "2:36: error[settings.out_of_range]: `max_parallel_nodes` is 0 (at /settings/max_parallel_nodes); expected at least 1
         2:64: error[settings.out_of_range]: `max_execution_time_ms` is 0 (at /settings/max_execution_time_ms); expected at least 1
         2:114: error[settings.out_of_range]: `max_attempts` is 0 (at /settings/on_error/RetryWorkflow/max_attempts); expected at least 1",
    );
}

#[test]
fn conditions_and_limits() {
    check_node(
        "\"when\": false",
        "2:9: error[node.wrong_type]: `when` of node `a` is a boolean (at /nodes/0/when); expected an expression, such as `\"inputs.limit > 0\"`, or a rule in JSONLogic",
    );
    check_keys(
        "\"when\": 1",
        "2:9: error[workflow.wrong_type]: `when` of the workflow is a number (at /when); expected an expression, such as `\"inputs.limit > 0\"`, or a rule in JSONLogic",
    );
    check_keys(
        "\"settings\": {\"concurrency\": {\"limit\": 0}}",
        "2:39: error[settings.out_of_range]: `limit` is 0 (at /settings/concurrency/limit); expected at least 1",
    );
}

#[test]
fn rate_limits() {
    let check_rate = |rate: &str, expected: &str| {
        check_keys(&format!("\"settings\": {{\"rate_limits\": [\n{rate}]}}"), expected);
    };
    check_rate(r#"{"node_type": "any.thing", "limit": 10000, "per_ms": 1}"#, "");
    check_rate(r#"{"resource": "crm", "nodes": ["a"], "limit": 1, "per_ms": 1}"#, "");
    check_rate(
        r#"{"node_type": "any.thing", "limit": 0, "per_ms": 0}, {"node_type": "any.thing", "limit": 10001, "per_ms": 1}"#,
        "3:37: error[settings.out_of_range]: `limit` is 0 (at /settings/rate_limits/0/limit); expected at least 1
         3:50: error[settings.out_of_range]: `per_ms` is 0 (at /settings/rate_limits/0/per_ms); expected at least 1
         3:90: error[settings.out_of_range]: `limit` is 10001 (at /settings/rate_limits/1/limit); expected at most 10000",
    );
    check_rate(
        r#"{"limit": 1, "per_ms": 1}"#,
        "3:1: error[settings.missing_key]: the rate limit does not say what it limits (at /settings/rate_limits/0); expected `node_type`, or `resource` with `nodes`",
    );
    check_rate(
        r#"{"node_type": "any.thing", "resource": "crm", "nodes": ["a"], "limit": 1, "per_ms": 1}"#,
        "3:40: error[settings.bad_value]: the rate limit has a node type and a resource (at /settings/rate_limits/0/resource); expected `node_type`, or `resource` with `nodes`",
    );
    check_rate(
        r#"{"node_type": "any.thing", "nodes": ["a"], "limit": 1, "per_ms": 1}"#,
        "3:37: error[settings.bad_value]: the rate limit has a node type and names nodes (at /settings/rate_limits/0/nodes); expected `node_type`, or `resource` with `nodes`",
    );
    check_rate(
        r#"{"resource": "crm", "limit": 1, "per_ms": 1}"#,
        "3:1: error[settings.missing_key]: the rate limit has no `nodes` that use the resource (at /settings/rate_limits/0); expected `node_type`, or `resource` with `nodes`",
    );
    check_rate(
        r#"{"node_type": "any.thnig", "limit": 1, "per_ms": 1}"#,
        "3:15: error[node.unknown_type]: there is no node type `any.thnig` (at /settings/rate_limits/0/node_type); did you mean `any.thing`?",
    );
    check_rate(
        r#"{"resource": "crm", "nodes": ["b", 5], "per_sec": 1}, 7"#,
        "3:1: error[settings.missing_key]: a rate limit has no `limit` (at /settings/rate_limits/0); expected how many attempts start within `per_ms`, from 1 to 10000
         3:1: error[settings.missing_key]: a rate limit has no `per_ms` (at /settings/rate_limits/0); expected the time in which so many start, in milliseconds
         3:30: error[settings.wrong_type]: `nodes` of a rate limit is an array (at /settings/rate_limits/0/nodes); expected an array of ids of nodes
         3:40: error[settings.unknown_key]: a rate limit has no key `per_sec` (at /settings/rate_limits/0/per_sec); expected `node_type`, `resource`, `nodes`, `limit` or `per_ms`
         3:55: error[settings.wrong_type]: a rate limit is a number (at /settings/rate_limits/1); expected an object",
    );
}

#[test]
fn triggers() {
    check_keys(
        r#""triggers": [
          {"id": "x", "type": "cron", "expression": "61 * * * *"},
          {"id": "x", "type": "cron", "expression": "* * * *", "timezone": "Europe/Olso"},
          {"id": "a b", "type": "cron", "expression": "", "timezone": "oslo"},
          {"type": "webhook", "path": "/orders/new"},
          {"type": "webhook", "path": "a/../b"},
          {"type": "webhook", "path": "a"},
          {"type": "webhook", "path": "a"},
          {"type": "event", "topic": "orders..paid"}
        ]"#,
        "3:53: error[trigger.bad_cron]: the cron expression cannot be read: number out of bounds (at /triggers/0/expression); expected minute, hour, day, month and weekday, such as `0 * * * *` for every hour
         4:18: error[trigger.duplicate_id]: two triggers have the id `x`; the first is /triggers/0 (at /triggers/1/id)
         4:53: error[trigger.bad_cron]: the cron expression cannot be read: pattern must have 5 or 6 fields when years are disallowed (at /triggers/1/expression); expected minute, hour, day, month and weekday, such as `0 * * * *` for every hour
         4:76: error[trigger.unknown_timezone]: there is no time zone `Europe/Olso` (at /triggers/1/timezone); did you mean `Europe/Oslo`?; expected an IANA time zone, such as `Europe/Oslo`
         5:18: error[trigger.bad_id]: an id has only letters, digits, `_` and `-`, this one has ' ' (at /triggers/2/id); expected 1 to 128 letters, digits, `_` and `-`
         5:55: error[trigger.bad_cron]: the cron expression cannot be read: it is empty (at /triggers/2/expression); expected minute, hour, day, month and weekday, such as `0 * * * *` for every hour
         5:71: error[trigger.unknown_timezone]: there is no time zone `oslo` (at /triggers/2/timezone); did you mean `Europe/Oslo`?; expected an IANA time zone, such as `Europe/Oslo`
         6:39: error[trigger.bad_path]: the path `/orders/new` cannot be part of an address (at /triggers/3/path); did you mean `orders/new`?; expected letters, digits, `-`, `_`, `.` and `~`, with `/` between parts
         7:39: error[trigger.bad_path]: the path `a/../b` cannot be part of an address (at /triggers/4/path); expected letters, digits, `-`, `_`, `.` and `~`, with `/` between parts
         9:39: error[trigger.duplicate_path]: two triggers have the path `a`; the first is /triggers/5 (at /triggers/6/path)
         10:38: error[trigger.bad_topic]: `orders..paid` is not a topic (at /triggers/7/topic); expected names with `.` between them, such as `orders.paid`; the last may be `*`",
    );
    check_keys(
        r#""triggers": [
          {"type": "cron", "expression": "*/10 * * * * *", "timezone": "europe/oslo"},
          {"type": "cron", "expression": "0 9 * * MON-FRI"},
          {"type": "cron", "expression": "@daily", "timezone": "UTC"},
          {"type": "webhook", "path": "orders/new~1.json"}, {"type": "manual"}
        ]"#,
        "",
    );
    check_keys(
        r#""triggers": [
          {"id": "1", "type": "manual"},
          {"type": "cron", "expression": "@daily"}
        ]"#,
        "4:11: error[trigger.duplicate_id]: two triggers have the id `1`; the first is /triggers/0 (at /triggers/1)",
    );
}

#[test]
fn webhooks_and_events() {
    check_keys(
        r#""inputs": {"order": {"type": "integer"}, "note": {"type": "string", "default": ""}},
        "triggers": [
          {"type": "webhook", "path": "a"},
          {"type": "webhook", "path": "b", "inputs": {"order": "{{ request.body.id }}"}},
          {"type": "webhook", "path": "c", "inputs": {"order": "{{ reqest.body.id }}", "note": "{{ 1 + }}"}},
          {"type": "webhook", "path": "d", "inputs": {"order": "x", "note": "{{ request.path }}", "nte": 1}},
          {"type": "webhook", "path": "e", "secret": "whsec_a+b/c=", "timeout_ms": 5, "inputs": {"order": 1}},
          {"type": "webhook", "path": "f", "respond": "node", "timeout_ms": 600001, "inputs": {"order": 1}},
          {"type": "event", "topic": "orders.*", "when": "event.data.id > ", "inputs": {"order": 1}},
          {"type": "event", "topic": "*", "when": "event.data.id > 3", "inputs": {"order": "{{ event.data.id }}"}}
        ]"#,
        "4:11: error[input.not_given]: input `order` is not given (at /triggers/0)
         6:68: error[expression.unknown_name]: there is no name `reqest` (at /triggers/2/inputs/order); did you mean `request`?
         6:102: error[expression.syntax]: unexpected end of input, expected expression (at /triggers/2/inputs/note)
         7:64: error[input.wrong_type]: input `order` is a string (at /triggers/3/inputs/order); expected a whole number
         7:106: error[input.undeclared]: the workflow has no input `nte` (at /triggers/3/inputs/nte); did you mean `note`?
         8:54: error[trigger.bad_value]: the name of a secret has only letters, digits, `_` and `-`, this one has '+' (at /triggers/4/secret); expected the name of a secret, not the secret itself
         8:84: error[trigger.bad_value]: `timeout_ms` is given, and the answer waits for nothing (at /triggers/4/timeout_ms)
         9:77: error[trigger.out_of_range]: `timeout_ms` is 600001 (at /triggers/5/timeout_ms); expected a number from 1 to 600000
         10:73: error[expression.syntax]: unexpected end of input, expected expression (at /triggers/6/when)",
    );
}

#[test]
fn triggers_are_so_many_at_most() {
    let many = |count: usize| {
        format!("\"triggers\": [{}]", vec![r#"{"type": "manual"}"#; count].join(", "))
    };
    check_keys(&many(100), "");
    check_keys(
        &many(101),
        "2:13: error[workflow.out_of_range]: the workflow has 101 triggers (at /triggers); expected at most 100",
    );
}

#[test]
fn inputs_of_cron_triggers() {
    let declared = r#""inputs": {"day": {"type": "string"}, "n": {"type": "integer", "default": 1}},
          "triggers": "#;
    let check = |triggers: &str, expected: &str| {
        check_keys(&format!("{declared}{triggers}"), expected);
    };
    check(
        r#"[
          {"type": "cron", "expression": "@daily"},
          {"type": "cron", "expression": "@daily", "inputs": {"day": 3, "m": 1}},
          {"type": "cron", "expression": "@daily", "due_time_input": "n", "inputs": {"day": "x"}},
          {"type": "cron", "expression": "@daily", "due_time_input": "dy"},
          {"type": "cron", "expression": "@daily", "due_time_input": "day", "inputs": {"day": "x"}}
        ]"#,
        "4:11: error[input.not_given]: input `day` is not given (at /triggers/0)
         5:70: error[input.wrong_type]: input `day` is a number (at /triggers/1/inputs/day); expected a string
         5:78: error[input.undeclared]: the workflow has no input `m` (at /triggers/1/inputs/m)
         6:70: error[input.wrong_type]: input `n` is a string (at /triggers/2/due_time_input); expected a whole number
         7:70: error[input.undeclared]: the workflow has no input `dy` (at /triggers/3/due_time_input); did you mean `day`?
         8:70: error[trigger.bad_value]: the input `day` is given in `inputs`, too (at /triggers/4/due_time_input)",
    );
    check(
        r#"[
          {"type": "cron", "expression": "@daily", "inputs": {"day": "x", "n": 3}},
          {"type": "cron", "expression": "@daily", "due_time_input": "day", "missed": "all"}
        ]"#,
        "",
    );
}

#[test]
fn inputs() {
    check_keys(
        r##""inputs": {
          "a b": {},
          "one": {"type": "int"},
          "two": {"type": "string", "default": 3},
          "three": {"type": "integer", "required": true},
          "four": {"type": "object", "properties": {"x": {"type": ["string", 1]}}, "requird": []},
          "five": {"$ref": "#/$defs/none"},
          "six": {"enum": ["fast", "slow"], "default": "fats"},
          "seven": {"$ref": "#/$defs/a", "$defs": {"a": {"minimum": 3}}, "default": 2}
        }"##,
        r##"3:11: error[input.bad_name]: the name of an input has only letters, digits, `_` and `-`, this one has ' ' (at /inputs/a b)
           4:27: error[input.bad_schema]: there is no type `int` (at /inputs/one/type); did you mean `integer`?; expected `null`, `boolean`, `number`, `integer`, `string`, `array`, `object`
           5:48: error[input.bad_default]: the default of input `two` is a number (at /inputs/two/default); expected a string
           6:52: error[input.bad_schema]: `required` is a boolean (at /inputs/three/required); expected an array of keys; an input without `default` is required anyway
           7:78: error[input.bad_schema]: `type` is a number (at /inputs/four/properties/x/type/1); expected a type, such as `"string"`
           7:84: warning[input.unknown_keyword]: JSON Schema has no keyword `requird`, it is ignored (at /inputs/four/requird); did you mean `required`?
           8:28: error[input.bad_schema]: `$ref` leads nowhere: "#/$defs/none" (at /inputs/five/$ref); expected a place in this schema, such as `#/$defs/name`
           9:56: error[input.bad_default]: the default of input `six` is `fats` (at /inputs/six/default); did you mean `fast`?; expected `fast` or `slow`
           10:85: error[input.bad_default]: the default of input `seven` is `2` (at /inputs/seven/default); expected a number of at least 3"##,
    );
    check_keys(
        r#""inputs": {"url": {"type": "string", "format": "uri", "x-hint": 1}, "n": {"type": "integer", "default": 3}}"#,
        "",
    );
}

#[test]
fn configs() {
    let request = |config: &str| {
        format!(
            "{{\"nodes\": [{{\"id\": \"a\", \"node_type\": \"http.request\", \"config\":\n{{{config}}}}}]}}"
        )
    };
    check(
        &request("\"url\": \"x\", \"body\": \"{{ 1 }}\", \"parts\": [1], \"tries\": \"{{ 3 }}\""),
        "",
    );
    check(
        &request("\"urll\": \"x\", \"body\": 3, \"tries\": 300"),
        "2:1: error[config.missing_key]: the config of `http.request` has no `url` (at /nodes/0/config); expected a string
         2:2: error[config.unknown_key]: the config of `http.request` has no key `urll` (at /nodes/0/config/urll); did you mean `url`?; expected `filter`, `tries`, `url`, `body` or `parts`
         2:23: error[config.wrong_type]: `body` is a number (at /nodes/0/config/body); expected a string
         2:35: error[config.out_of_range]: `tries` is `300` (at /nodes/0/config/tries); expected a number from 0 to 255",
    );
    check(
        &request("\"url\": \"x\", \"bdy\": \"\""),
        "2:14: error[config.unknown_key]: the config of `http.request` has no key `bdy` (at /nodes/0/config/bdy); did you mean `body`?; expected `filter`, `tries`, `url`, `body` or `parts`",
    );
    check(
        &request("\"url\": {\"type\": \"String\", \"value\": \"x\"}"),
        "2:9: error[workflow.tagged_value]: values are written without a tag, this one has `String` (at /nodes/0/config/url); expected `\"x\"`",
    );
    check(r#"{"nodes": [{"id": "a", "node_type": "any.thing", "config": {"x": [1]}}]}"#, "");
    check(
        r#"{"nodes": [{"id": "a", "node_type": "debug.log", "config": {"message": {"x": 1}, "x": 2}}]}"#,
        "1:82: error[config.unknown_key]: the config of `debug.log` has no key `x` (at /nodes/0/config/x); expected `message`",
    );
}

#[test]
fn s25_workflows_that_are_too_large() {
    let nodes = |count: usize| {
        let node = |index| format!("{{\"id\": \"n{index}\", \"node_type\": \"any.thing\"}}");
        format!("{{\"nodes\": [{}]}}", (0..count).map(node).collect::<Vec<_>>().join(","))
    };
    check(&nodes(10_000), "");
    check(
        &nodes(10_001),
        "1:11: error[workflow.too_many_nodes]: the workflow has 10001 nodes (at /nodes); expected at most 10000",
    );
    let (source, registry) = (Source::json("", nodes(10_001)), registry());
    let found = check_within(&source, &registry, &Limits::none());
    assert!(found.is_ok() && found.plan.is_some());
    let one = Limits::none().max_nodes(Some(1)).max_connections(Some(0));
    let text = r#"{"nodes": [{"id": "a", "node_type": "any.thing"}, {"id": "b", "node_type": "any.thing"}], "connections": [{"from_node": "a", "to_node": "b"}]}"#;
    let found = check_within(&Source::json("", text), &registry, &one);
    let codes: Vec<_> = found.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["workflow.too_many_nodes", "workflow.too_many_connections"]);
    let hint = found.diagnostics.iter().next().unwrap().hint.clone();
    assert_eq!(hint.as_deref(), Some("the limit is the setting `max_nodes`"));
}

#[test]
fn workflows_that_are_too_deep() {
    let text = format!("{}{}", "[".repeat(97), "]".repeat(97));
    let value = crate::value::read_json(&text).unwrap();
    let mut workflow = Workflow::new("deep");
    workflow.add_node(NodeSpec::new("a", "any.thing").config_value("x", value));
    let codes: Vec<_> =
        crate::compile(&workflow, &registry()).diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["workflow.too_deep"]);
}

#[test]
fn many_problems_are_cut() {
    let nodes = vec!["{\"id\": \"a\", \"node_type\": \"any.thing\"}"; 3_000].join(",");
    let found =
        super::super::check(&Source::json("", format!("{{\"nodes\": [{nodes}]}}")), &registry());
    assert_eq!(found.diagnostics.len(), 1_001);
    assert_eq!(
        found.diagnostics.iter().last().unwrap().message,
        "1999 more problems are not listed"
    );
}

/// Comparing every wrong name with all others would take minutes.
#[test]
fn many_wrong_names_are_reported_quickly() {
    let node = |i| {
        format!(
            "{{\"id\": \"node-{i}\", \"node_type\": \"http.reqest{i}\", \"config\": {{\"x\": \"{{{{ nodes.nod-{i}.x }}}}\"}}}}"
        )
    };
    let connection = |i| format!("{{\"from_node\": \"nod-{i}\", \"to_node\": \"node-{i}\"}}");
    let text = format!(
        "{{\"nodes\": [{}], \"connections\": [{}]}}",
        (0..5_000).map(node).collect::<Vec<_>>().join(","),
        (0..10_000).map(connection).collect::<Vec<_>>().join(","),
    );
    let checked = super::super::check(&Source::json("", text), &registry());
    assert_eq!(checked.diagnostics.len(), 1_001);
    let suggested = checked.diagnostics.iter().filter(|d| d.suggestion.is_some()).count();
    assert!((1..=100).contains(&suggested), "{suggested}");
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\",
    "\\u",
    "\\ud83d",
    "{{",
    "}}",
    "é",
    "😀",
    "\n",
    " ",
    "-",
    "0",
    "1e999",
    "99999999999999999999",
    "null",
    "true",
    "'",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "|\n ",
    "!x ",
    "id",
    "nodes",
    "config",
    "x-",
    "\t",
    "$bytes",
    "type",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::with_cases(400)
    })]

    /// Whatever the text, there is an answer, and every problem has a place in it.
    #[test]
    fn broken_texts_have_problems_with_places(
        edits in proptest::collection::vec((0..3000_usize, 0..40_usize, 0..PIECES.len()), 1..6),
        is_yaml: bool,
        minimal: bool,
    ) {
        let mut text: String = if minimal {
            "nodes:\n  - id: é\n    node_type: http.request\n    config: {url: 'it''s {{ nodes.x.y }}'}\n    when: |-\n      input.x >\n      {{ 1\n".into()
        } else {
            include_str!("../reader/full.json").into()
        };
        for (at, length, piece) in edits {
            let mut start = at % (text.len() + 1);
            while !text.is_char_boundary(start) { start -= 1; }
            let mut end = (start + length / 4).min(text.len());
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, PIECES[piece]);
        }
        let source = if is_yaml { Source::yaml("", text) } else { Source::json("", text) };
        let checked = super::super::check(&source, &registry());
        proptest::prop_assert!(!checked.diagnostics.is_empty());
        for diagnostic in &checked.diagnostics {
            let location = diagnostic.location.clone().unwrap();
            proptest::prop_assert!(
                source.text().get(location.range.clone()).is_some(),
                "{diagnostic} {:?}", location.range
            );
            proptest::prop_assert_eq!(&Location::new(source.text(), location.range.clone()), &location);
        }
    }
}
