use proptest::prelude::*;

use crate::workflow::*;
use crate::{Array, Effect, NodeId, Object, Value};

/// What `diagnostics` say, one line each.
fn transcript(diagnostics: &Diagnostics) -> String {
    let mut lines = String::new();
    for diagnostic in diagnostics {
        lines += &diagnostic.to_string();
        if let Some(expected) = &diagnostic.expected {
            lines += &format!("; expected {expected}");
        }
        if let Some(hint) = &diagnostic.hint {
            lines += &format!("; hint: {hint}");
        }
        lines += "\n";
    }
    lines
}

#[track_caller]
fn check(text: &str, expected: &str) {
    check_source(&Source::json("", text), expected);
}

#[track_caller]
fn check_source(source: &Source, expected: &str) {
    let (_, diagnostics) = read_workflow(source);
    let expected: String = expected.lines().map(|line| line.trim().to_owned() + "\n").collect();
    assert_eq!(transcript(&diagnostics), expected.trim_start(), "{}", source.text());
}

/// Only codes and places, for long lists.
#[track_caller]
fn check_codes(text: &str, expected: &str) {
    let (_, diagnostics) = read_workflow(&Source::json("", text));
    let line = |d: &Diagnostic| {
        let place = d.location.as_ref().map(|l| format!("{}:{}", l.line, l.column));
        format!("{} {}", place.unwrap_or_default(), d.code)
    };
    let found: Vec<_> = diagnostics.iter().map(line).collect();
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn texts_that_are_no_json() {
    check(
        "",
        "1:1: error[json.truncated]: the text ends where a JSON value was expected; hint: is the file complete?",
    );
    check(
        "nodes:\n  - id: a\n",
        "1:1: error[json.syntax]: expected a JSON value; hint: this looks like YAML: name the file `.yaml`",
    );
    check(
        "{\"nodes\": [",
        "1:12: error[json.truncated]: the text ends where a JSON value was expected; hint: is the file complete?",
    );
    check(
        "{\"nodes\": [\n  // none\n]}",
        "2:3: error[json.syntax]: expected a JSON value; hint: workflow files are strict JSON; write YAML for comments",
    );
    check(
        "{\"nodes\": [],}",
        "1:14: error[json.syntax]: expected a key in double quotes; hint: workflow files are strict JSON: no comma after the last entry",
    );
    check(
        "{'nodes': []}",
        "1:2: error[json.syntax]: expected a key in double quotes; hint: JSON writes strings in double quotes",
    );
    check(
        "{\"nodes\": []} {}",
        "1:15: error[json.syntax]: there is text after the end of the document",
    );
    check(
        "{\"nodes\": [], \"x-n\": 18446744073709551616}",
        "1:22: error[json.integer_too_large]: the integer does not fit into 64 bits; hint: integers have at most 64 bits; write a larger one as a string",
    );
    check_codes(&"[".repeat(10_000_000), "1:101 json.too_deep");
    check_codes(
        &format!("{{\"nodes\": {}{}}}", "[".repeat(200), "]".repeat(200)),
        "1:110 json.too_deep",
    );
    check_codes("\u{feff}[", "1:2 json.truncated");
}

#[test]
fn duplicate_keys_are_listed_with_everything_else() {
    check(
        "{\"nodes\": [],\n \"nodes\": [{\"id\": \"a\", \"id\": 3}]}",
        "2:2: error[json.duplicate_key]: the key `nodes` stands twice in one object (at /nodes)
         2:12: error[node.missing_key]: a node has no `node_type` (at /nodes/0); expected a node type, such as `http.request`
         2:24: error[json.duplicate_key]: the key `id` stands twice in one object (at /nodes/0/id)
         2:30: error[node.wrong_type]: `id` of a node is a number (at /nodes/0/id); expected a string",
    );
}

#[test]
fn the_workflow_itself() {
    check("[]", "1:1: error[workflow.wrong_type]: the workflow is an array; expected an object");
    check(
        "{}",
        "1:1: error[workflow.missing_key]: the workflow has no `nodes`; expected an array of nodes",
    );
    check(
        "{\"nodes\": null}",
        "1:11: error[workflow.wrong_type]: `nodes` of the workflow is null (at /nodes); expected an array of nodes",
    );
    check(
        "{\"nodes\": {}}",
        "1:11: error[workflow.wrong_type]: `nodes` of the workflow is an object (at /nodes); expected an array",
    );
    check(
        "{\"nodes\": [], \"format_version\": 2}",
        "1:33: error[workflow.unknown_format_version]: this Flow does not read format version 2 (at /format_version); expected 1; hint: a newer Flow may read it",
    );
    check(
        "{\"nodes\": [], \"id\": \"a b\"}",
        "1:21: error[workflow.bad_id]: an id has only letters, digits, `_` and `-`, this one has ' ' (at /id); expected 1 to 128 letters, digits, `_` and `-`",
    );
    check(
        "{\"nodes\": [], \"inputs\": {\"url\": \"string\"}}",
        "1:33: error[input.bad_schema]: input `url` is a string (at /inputs/url); expected a JSON Schema, such as `{\"type\": \"string\"}`",
    );
    check_codes("{\"nodes\": [], \"name\": null, \"description\": null, \"x-note\": 1}", "");
    check(
        "{\"nodes\": [], \"edges\": [], \"setings\": {}}",
        "1:15: error[workflow.unknown_key]: the workflow has no key `edges` (at /edges); did you mean `connections`?; expected `$schema`, `format_version`, `id`, `name`, `description`, `inputs`, `nodes`, `connections`, `outputs`, `triggers`, `settings` or `when`
         1:28: error[workflow.unknown_key]: the workflow has no key `setings` (at /setings); did you mean `settings`?; expected `$schema`, `format_version`, `id`, `name`, `description`, `inputs`, `nodes`, `connections`, `outputs`, `triggers`, `settings` or `when`",
    );
}

#[test]
fn nodes() {
    check(
        r#"{"nodes": [
          "fetch",
          {"id": "a", "node_type": "debug.log", "timeout_ms": "5s", "join": "ANY"},
          {"id": 7, "node_type": "debug.log", "effect": "twice", "config": []},
          {"id": "b", "type": "debug.log"}
        ]}"#,
        r#"2:11: error[node.wrong_type]: a node is a string (at /nodes/0); expected an object
           3:63: error[node.wrong_type]: `timeout_ms` of node `a` is a string (at /nodes/1/timeout_ms); expected a whole number, 0 or more
           3:77: error[node.bad_value]: `join` of node `a` is `ANY` (at /nodes/1/join); did you mean `any`?; expected `all`, `any` or `first`
           4:18: error[node.wrong_type]: `id` of a node is a number (at /nodes/2/id); expected a string
           4:57: error[node.bad_value]: `effect` of a node is `twice` (at /nodes/2/effect); expected `pure`, `read`, `idempotent` or `once`
           4:76: error[node.wrong_type]: `config` of a node is an array (at /nodes/2/config); expected an object
           5:11: error[node.missing_key]: node `b` has no `node_type` (at /nodes/3); expected a node type, such as `http.request`
           5:23: error[node.unknown_key]: node `b` has no key `type` (at /nodes/3/type); did you mean `node_type`?; expected `id`, `node_type`, `name`, `description`, `config`, `when`, `join`, `on_error`, `retry_policy`, `timeout_ms`, `effect`, `undo`, `cache` or `position`"#,
    );
}

#[test]
fn retry_policies_caches_positions_and_on_error() {
    let node = |fields: &str| {
        format!("{{\"nodes\": [{{\"id\": \"a\", \"node_type\": \"t\",\n{fields}}}]}}")
    };
    check(
        &node("\"cache\": {\"ttl\": 5, \"key\": {}}"),
        "2:10: error[node.missing_key]: the cache of node `a` has no `ttl_ms` (at /nodes/0/cache); expected how long a result is good, in milliseconds
         2:11: error[node.unknown_key]: the cache of node `a` has no key `ttl` (at /nodes/0/cache/ttl); expected `ttl_ms` or `key`
         2:28: error[node.wrong_type]: `key` of the cache of node `a` is an object (at /nodes/0/cache/key); expected a string",
    );
    check(&node("\"retry_policy\": {\"max_attempts\": -1, \"delay_ms\": 1.5, \"jiter\": false}"),
"2:34: error[node.out_of_range]: `max_attempts` of the retry policy of node `a` is -1 (at /nodes/0/retry_policy/max_attempts); expected a whole number from 0 to 4294967295
2:50: error[node.wrong_type]: `delay_ms` of the retry policy of node `a` is 1.5 (at /nodes/0/retry_policy/delay_ms); expected a whole number, 0 or more
2:55: error[node.unknown_key]: the retry policy of node `a` has no key `jiter` (at /nodes/0/retry_policy/jiter); did you mean `jitter`?; expected `max_attempts`, `delay_ms`, `backoff_multiplier`, `max_delay_ms`, `retry_on_timeout`, `jitter` or `max_elapsed_ms`");
    check(
        &node("\"retry_policy\": 3"),
        "2:17: error[node.wrong_type]: the retry policy of node `a` is a number (at /nodes/0/retry_policy); expected an object",
    );
    check(
        &node("\"position\": {\"x\": 1}"),
        "2:13: error[node.missing_key]: the position of node `a` has no `y` (at /nodes/0/position); expected a number",
    );
    check(
        &node("\"timeout_ms\": 1e30"),
        "2:15: error[node.out_of_range]: `timeout_ms` of node `a` is 1e+30 (at /nodes/0/timeout_ms); expected a whole number from 0 to 18446744073709551615",
    );
    check_codes(&node("\"timeout_ms\": 5000.0, \"retry_policy\": null"), "");
    check(
        &node("\"on_error\": \"Stop\""),
        "2:13: error[node.bad_value]: `on_error` of node `a` is `Stop` (at /nodes/0/on_error); expected `StopWorkflow` or `ContinueOnError`",
    );
    check(
        &node("\"on_error\": \"RetryWorkflow\""),
        "2:13: error[node.bad_value]: `on_error` of node `a` has no `max_attempts` (at /nodes/0/on_error); expected `StopWorkflow`, `ContinueOnError` or `{\"RetryWorkflow\": {\"max_attempts\": 3}}`",
    );
    check_codes(&node("\"on_error\": 3"), "2:13 node.wrong_type");
    check_codes(&node("\"on_error\": {\"RetryWorkflow\": {}}"), "2:31 node.missing_key");
    check_codes(
        &node("\"on_error\": {\"Retry\": {}}"),
        "2:13 node.missing_key\n2:14 node.unknown_key",
    );
}

#[test]
fn connections_triggers_and_settings() {
    check_codes(
        r#"{"nodes": [], "connections": [
          3,
          {"from": "a", "to_node": "b"},
          {"from_node": "a", "to_node": "b", "to_port": 3}
        ], "triggers": [
          {"type": "cron", "expresion": "* * * * *"},
          {"type": "timer"},
          {},
          {"type": "webhook", "path": "x", "x-note": "kept quiet"},
          {"type": "event"},
          {"type": "webhook", "path": "x", "method": ["PUT", "put", 3], "respond": "later"},
          {"type": "webhook", "path": "x", "method": [], "timeout_ms": -1, "name": "x"}
        ], "settings": {
          "max_paralel_nodes": 3,
          "durability": "Sync",
          "max_execution_time_ms": -1
        }}"#,
        "2:11 connection.wrong_type
         3:11 connection.missing_key
         3:12 connection.unknown_key
         4:57 connection.wrong_type
         6:11 trigger.missing_key
         6:28 trigger.unknown_key
         7:20 trigger.bad_value
         8:11 trigger.missing_key
         10:11 trigger.missing_key
         11:54 trigger.bad_value
         11:54 trigger.wrong_type
         11:84 trigger.bad_value
         12:54 trigger.bad_value
         12:72 trigger.out_of_range
         12:76 trigger.unknown_key
         14:11 settings.unknown_key
         15:25 settings.bad_value
         16:36 settings.out_of_range",
    );
}

#[test]
fn unreadable_entries_keep_their_indices() {
    let text = r#"{"nodes": [3, {"id": "b", "node_type": "t"}], "connections": [3, {"from_node": "a", "to_node": "b"}], "triggers": [3, {"type": "manual"}]}"#;
    let (workflow, _) = read_workflow(&Source::json("dir/my flow.v2.json", text));
    let workflow = workflow.unwrap();
    assert_eq!(
        (&workflow.nodes[0].id, &workflow.nodes[1].id),
        (&NodeId::unchecked(""), &NodeId::unchecked("b"))
    );
    assert_eq!(workflow.connections[1].to_node, "b");
    assert!(!workflow.triggers[0].enabled && workflow.triggers[1].enabled);
    assert_eq!(workflow.id.as_ref().unwrap().as_str(), "my-flow");
    assert_eq!(Source::json("-", "").default_id(), None);
}

#[test]
fn tagged_values_are_recognised_and_read_as_meant() {
    let text = r#"{"nodes": [{"id": "a", "node_type": "t", "config": {
      "method": {"type": "String", "value": "GET"},
      "plain": {"type": "string", "value": "GET"},
      "list": [1, {"type": "Array", "value": [{"type": "Null"}, {"type": "Number", "value": 2.0}]}]
    }}], "triggers": [{"id": "x", "enabled": true, "trigger_type": {"type": "Cron", "expression": "* * * * *"}}]}"#;
    let hint = "hint: this is flowengine's format, which Flow recognises and does not run";
    check(
        text,
        &format!(
            "2:17: error[workflow.tagged_value]: values are written without a tag, this one has `String` (at /nodes/0/config/method); expected `\"GET\"`; {hint}
             4:19: error[workflow.tagged_value]: values are written without a tag, this one has `Array` (at /nodes/0/config/list/1); expected `[null,2.0]`; {hint}
             5:52: error[workflow.tagged_value]: the type of a trigger stands in the trigger itself, as `type` (at /triggers/0/trigger_type); expected `\"type\": \"cron\", \"expression\": \"* * * * *\"`; {hint}"
        ),
    );
    let (workflow, _) = read_workflow(&Source::json("", text));
    let config = workflow.unwrap().nodes[0].config.as_object().clone();
    assert_eq!(
        Value::from(config).to_json_text(),
        r#"{"method":"GET","plain":{"type":"string","value":"GET"},"list":[1,[null,2.0]]}"#
    );
}

#[test]
fn a_flood_of_problems_is_cut() {
    let text = format!("{{\"nodes\": [{}0]}}", "0,".repeat(5_000));
    let (_, diagnostics) = read_workflow(&Source::json("", text));
    assert_eq!(diagnostics.len(), 1_001);
    let last = diagnostics.iter().last().unwrap();
    assert_eq!(
        (last.code, &*last.message),
        ("workflow.too_many_problems", "4001 more problems are not listed")
    );
}

#[test]
fn a_full_file_is_written_as_it_was_read() {
    let text = include_str!("full.json");
    let workflow = Workflow::from_json(text).unwrap();
    assert_eq!(workflow.to_json_text(), text);
    let minimal = Workflow::from_json(r#"{"nodes": []}"#).unwrap();
    assert_eq!(minimal.to_value().to_json_text(), r#"{"nodes":[]}"#);
    let json = serde_json::to_string(&workflow).unwrap();
    assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), workflow);
    let error = serde_json::from_str::<Workflow>(r#"{"nodes": [{}]}"#).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 2, "{error}");
}

fn text() -> impl Strategy<Value = String> {
    "[a-z\u{e9} {}\"\\\\]{0,8}"
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|v| Array::from_values(v).unwrap().into()),
            object_of(inner).prop_map(Value::from),
        ]
    })
}

fn object_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Object> {
    proptest::collection::vec((text(), values), 0..4)
        .prop_map(|entries| Object::from_entries(entries).unwrap())
}

fn extensions() -> impl Strategy<Value = Object> {
    proptest::collection::vec(("x-[a-z]{0,3}", json()), 0..2)
        .prop_map(|entries| Object::from_entries(entries).unwrap())
}

fn on_error() -> impl Strategy<Value = OnError> {
    prop_oneof![
        Just(OnError::StopWorkflow),
        Just(OnError::ContinueOnError),
        any::<u32>().prop_map(|max_attempts| OnError::RetryWorkflow { max_attempts })
    ]
}

prop_compose! {
    fn retry_policy()(max_attempts: u32, delay_ms: u64, backoff_multiplier in 0.0..1e9_f64, max_delay_ms: u64, retry_on_timeout: bool, jitter: bool, max_elapsed_ms: Option<u64>) -> RetryPolicy {
        RetryPolicy { max_attempts, delay_ms, backoff_multiplier, max_delay_ms, retry_on_timeout, jitter, max_elapsed_ms }
    }
}

prop_compose! {
    fn undo()(
        node_type in text(),
        config in object_of(json()),
        retry_policy in proptest::option::of(retry_policy()),
        timeout_ms: Option<u64>,
        effect in proptest::option::of(prop_oneof![Just(Effect::Pure), Just(Effect::Once)]),
    ) -> UndoSpec {
        UndoSpec {
            retry_policy: retry_policy.map(Box::new), timeout_ms, effect,
            ..UndoSpec::new(node_type).config(config)
        }
    }
}

prop_compose! {
    fn node()(
        names in (text(), text(), proptest::option::of(text()), proptest::option::of(text())),
        config in object_of(json()),
        when in proptest::option::of(json()),
        join in prop_oneof![Just(Join::All), Just(Join::Any), Just(Join::First)],
        on_error in proptest::option::of(on_error()),
        retry_policy in proptest::option::of(retry_policy()),
        timeout_ms: Option<u64>,
        effect in proptest::option::of(prop_oneof![Just(Effect::Pure), Just(Effect::Read), Just(Effect::Idempotent), Just(Effect::Once)]),
        undo in proptest::option::of(undo()),
        cache in proptest::option::of((any::<u64>(), proptest::option::of(text()))),
        position in proptest::option::of((-1e9..1e9_f64, -100_i32..100)),
        extensions in extensions(),
    ) -> NodeSpec {
        NodeSpec {
            name: names.2.map(Into::into), description: names.3.map(Into::into), when, join, on_error,
            retry_policy: retry_policy.map(Box::new), timeout_ms, effect,
            undo: undo.map(Box::new),
            cache: cache.map(|(ttl_ms, key)| Box::new(CacheSpec { ttl_ms, key: key.map(Into::into) })),
            position: position.map(|(x, y)| Box::new(Position { x, y: y.into() })), extensions,
            ..NodeSpec::new(names.0, names.1).config(config)
        }
    }
}

prop_compose! {
    fn settings()(max_parallel_nodes: Option<u32>, max_execution_time_ms: Option<u64>, on_error in on_error(), cleanup_time_ms: u64, durability in proptest::option::of(prop_oneof![Just(Durability::None), Just(Durability::Async), Just(Durability::Sync)]), concurrency in proptest::option::of((proptest::option::of(text()), any::<u32>(), prop_oneof![Just(OnLimit::Queue), Just(OnLimit::Skip), Just(OnLimit::CancelOldest)])), rate_limits in proptest::collection::vec((proptest::option::of(text()), proptest::option::of(text()), proptest::collection::vec(text(), 0..3), any::<u32>(), any::<u64>()), 0..3), record_changes: bool) -> Settings {
        let rate_limits = rate_limits.into_iter().map(|(node_type, resource, nodes, limit, per_ms)| RateLimitSpec {
            node_type: node_type.map(Into::into), resource: resource.map(Into::into),
            nodes: nodes.into_iter().map(Into::into).collect(), limit, per_ms,
        }).collect();
        let concurrency = concurrency.map(|(key, limit, on_limit)| ConcurrencySpec { key: key.map(Into::into), limit, on_limit });
        Settings { max_parallel_nodes, max_execution_time_ms, on_error, cleanup_time_ms, durability, concurrency, rate_limits, record_changes }
    }
}

fn trigger() -> impl Strategy<Value = Trigger> {
    let kind = prop_oneof![
        Just(TriggerKind::Manual),
        cron().prop_map(TriggerKind::Cron),
        webhook().prop_map(TriggerKind::Webhook),
        event().prop_map(TriggerKind::Event),
    ];
    (proptest::option::of(text()), any::<bool>(), kind).prop_map(|(id, enabled, kind)| Trigger {
        id: id.map(Into::into),
        enabled,
        kind,
    })
}

fn given() -> impl Strategy<Value = Option<Object>> {
    proptest::option::of(proptest::option::of((text(), text()))).prop_map(|inputs| {
        let entries = |input: Option<(String, String)>| {
            let entries = input.into_iter().map(|(name, value)| (name, Value::from(value)));
            Object::from_entries(entries).unwrap()
        };
        inputs.map(entries)
    })
}

fn webhook() -> impl Strategy<Value = WebhookTrigger> {
    let methods = prop_oneof![
        Just(vec![HttpMethod::Post]),
        Just(vec![HttpMethod::Get]),
        Just(vec![HttpMethod::Put, HttpMethod::Patch, HttpMethod::Delete]),
    ];
    let respond = prop_oneof![Just(Respond::Accepted), Just(Respond::Outputs), Just(Respond::Node)];
    let timeout = proptest::option::of(any::<u64>());
    (text(), methods, proptest::option::of(text()), respond, timeout, given()).prop_map(
        |(path, methods, secret, respond, timeout_ms, inputs)| WebhookTrigger {
            path,
            methods,
            secret,
            respond,
            timeout_ms: timeout_ms.map(|number| number >> 1),
            inputs,
        },
    )
}

fn event() -> impl Strategy<Value = EventTrigger> {
    (text(), proptest::option::of(text()), given()).prop_map(|(topic, when, inputs)| EventTrigger {
        topic,
        when,
        inputs,
    })
}

fn cron() -> impl Strategy<Value = CronTrigger> {
    let missed = prop_oneof![Just(Missed::Skip), Just(Missed::Latest), Just(Missed::All)];
    let optional = || proptest::option::of(text());
    (text(), optional(), missed, proptest::option::of((text(), text())), optional()).prop_map(
        |(expression, timezone, missed, input, due_time_input)| CronTrigger {
            expression,
            timezone,
            missed,
            inputs: Object::from_entries(
                input.iter().map(|(name, value)| (name.as_str(), Value::from(value.clone()))),
            )
            .unwrap(),
            due_time_input,
        },
    )
}

fn connection() -> impl Strategy<Value = Connection> {
    (text(), proptest::option::of(text()), text(), proptest::option::of(text())).prop_map(
        |(from, from_port, to, to_port)| Connection {
            from_node: NodeId::unchecked(&from),
            from_port: from_port.map(Into::into),
            to_node: NodeId::unchecked(&to),
            to_port: to_port.map(Into::into),
        },
    )
}

prop_compose! {
    fn spec()(
        texts in (proptest::option::of(text()), proptest::option::of("[a-z]{1,5}"), proptest::option::of(text()), proptest::option::of(text())),
        inputs in proptest::option::of(proptest::collection::vec((text(), object_of(json())), 0..3)),
        nodes in proptest::collection::vec(node(), 0..4),
        connections in proptest::collection::vec(connection(), 0..3),
        outputs in proptest::option::of(object_of(json())),
        triggers in proptest::collection::vec(trigger(), 0..3),
        settings in settings(),
        when in proptest::option::of(json()),
        extensions in extensions(),
    ) -> WorkflowSpec {
        WorkflowSpec {
            schema: texts.0, id: texts.1.map(|id| id.parse().unwrap()), name: texts.2, description: texts.3,
            inputs: inputs.map(|inputs| inputs.into_iter().map(|(name, schema)| (name, InputSpec { schema })).collect()),
            nodes, connections, outputs, triggers, settings, when, extensions,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn what_is_written_reads_as_the_same(spec in spec()) {
        let workflow = Workflow::from(spec);
        let (read, diagnostics) = Workflow::from_value(&workflow.to_value());
        prop_assert_eq!(transcript(&diagnostics), "");
        prop_assert_eq!(&read, &workflow);
        prop_assert_eq!(&Workflow::from_json(&workflow.to_json_text()).unwrap(), &workflow);
    }
}

#[cfg(feature = "yaml")]
#[test]
fn yaml_has_the_same_keys_and_problems() {
    let yaml = |text: &str| Source::from_path_name("a.yml", text);
    check_source(
        &yaml(
            "# comment\nnodes:\n  - id: fetch\n    node_type: http.request\n    timeout_ms: 5s\n    \
             confg: {url: x}\n  - id: b\n    id: c\n",
        ),
        "5:17: error[node.wrong_type]: `timeout_ms` of node `fetch` is a string (at /nodes/0/timeout_ms); expected a whole number, 0 or more
         6:5: error[node.unknown_key]: node `fetch` has no key `confg` (at /nodes/0/confg); did you mean `config`?; expected `id`, `node_type`, `name`, `description`, `config`, `when`, `join`, `on_error`, `retry_policy`, `timeout_ms`, `effect`, `undo`, `cache` or `position`
         7:5: error[node.missing_key]: node `c` has no `node_type` (at /nodes/1); expected a node type, such as `http.request`
         8:5: error[yaml.duplicate_key]: the key `id` stands twice in one mapping (at /nodes/1/id)",
    );
    check_source(&yaml("nodes: [\n"), "1:8: error[yaml.syntax]: unclosed bracket '['");
    check_source(
        &yaml("outputs:\n  a: {{ inputs.a }}\n"),
        "2:7: error[yaml.bad_key]: keys are plain texts (at /outputs/a); hint: in YAML, a value that begins with `{{` stands in quotes",
    );
    let json = Workflow::from_json(include_str!("full.json")).unwrap();
    assert_eq!(Workflow::from_yaml(include_str!("full.json")).unwrap(), json);
}
