//! What is wrong with control nodes: each mistake has a code and a place, before anything runs where
//! that is possible.

use flowcore::{ExecutionError, Limits, SignalError, Source, Value, Workflow, check_with};
use flowruntime::{FlowRuntime, StartError, TellError};
use serde_json::{Value as Json, json};

use super::support::{self, Beside};

/// Bodies inside of each other, this many.
fn nested(depth: u32) -> Json {
    let nodes = match depth {
        0 => json!([{ "id": "last", "node_type": "debug.log", "config": { "message": "here" } }]),
        _ => json!([{ "id": format!("each-{depth}"), "node_type": "control.for_each",
                      "config": { "items": [1], "body": nested(depth - 1) } }]),
    };
    json!({ "nodes": nodes })
}

/// A workflow whose only node, `c`, is this.
fn one(node_type: &str, config: &Json) -> Json {
    json!({ "nodes": [{ "id": "c", "node_type": node_type, "config": config }] })
}

fn log(id: &str, message: &str) -> Json {
    json!({ "id": id, "node_type": "debug.log", "config": { "message": message } })
}

/// The errors of a file: code, place, and the text there.
fn problems(text: &str) -> Vec<(String, String)> {
    let invalid = json!({ "id": "invalid", "nodes": [{ "id": "x", "node_type": "debug.lgo" }] });
    let beside = Beside {
        page: vec![Workflow::from_json(&invalid.to_string()).unwrap()],
        ..Beside::default()
    };
    let source = Source::from_path_name("flow.json", text);
    let checked = check_with(&source, &support::registry(), &Limits::default(), Some(&beside));
    let errors = checked.diagnostics.errors();
    errors
        .map(|problem| {
            assert!(problem.location.is_some(), "{problem} has no place in the text");
            (problem.code.to_string(), problem.pointer.clone())
        })
        .collect()
}

#[track_caller]
fn check(flow: &Json, code: &str, pointer: &str) {
    let expected = vec![(code.to_owned(), pointer.to_owned())];
    assert_eq!(problems(&flow.to_string()), expected, "{flow:#}");
}

#[test]
fn bodies_are_checked_like_workflows() {
    let circle = json!({
        "nodes": [log("a", "{{ nodes.b.message }}"), log("b", "{{ nodes.a.message }}")],
    });
    let each = |body: Json| one("control.for_each", &json!({ "items": [], "body": body }));
    check(&each(circle), "workflow.cycle", "/nodes/0/config/body/nodes/0");
    let unknown = json!({ "nodes": [log("a", "{{ nodes.b.message }}")] });
    check(&each(unknown), "expression.unknown_name", "/nodes/0/config/body/nodes/0/config/message");
    let no_type = json!({ "nodes": [{ "id": "a", "node_type": "debug.lgo" }] });
    check(&each(no_type), "node.unknown_type", "/nodes/0/config/body/nodes/0/node_type");
    let own = json!({ "nodes": [log("a", "{{ nodes.c.count }}")] });
    check(&each(own), "expression.unknown_name", "/nodes/0/config/body/nodes/0/config/message");
}

#[test]
fn ids_are_unique_along_a_nesting_chain() {
    let same = json!({ "nodes": [log("c", "x")] });
    let config = json!({ "items": [], "body": same });
    let pointer = "/nodes/0/config/body/nodes/0/id";
    check(&one("control.for_each", &config), "node.duplicate_id", pointer);
    let deep =
        json!({ "nodes": [{ "id": "d", "node_type": "control.try", "config": { "body": same } }] });
    let config = json!({ "items": [], "body": deep });
    let pointer = "/nodes/0/config/body/nodes/0/config/body/nodes/0/id";
    check(&one("control.for_each", &config), "node.duplicate_id", pointer);
    // Beside each other they may be the same.
    let twice = json!({ "branches": [{ "nodes": [log("a", "x")] }, { "nodes": [log("a", "y")] }] });
    assert_eq!(problems(&one("control.parallel_race", &twice).to_string()), []);
}

#[test]
fn names_of_bodies_are_known_only_inside() {
    for (name, expected) in [
        ("item", "`item` is known inside of a `control.for_each`"),
        ("index", "`index` is known inside of a `control.for_each` or `control.loop`"),
        ("state", "`state` is known inside of a `control.loop`"),
        ("error", "`error` is known inside of the `catch` of a `control.try`"),
    ] {
        let flow = json!({ "nodes": [log("a", &format!("{{{{ {name} }}}}"))] });
        check(&flow, "expression.unknown_name", "/nodes/0/config/message");
        let checked = flowcore::check(
            &Source::from_path_name("flow.json", flow.to_string()),
            &support::registry(),
        );
        let problem = checked.diagnostics.errors().next().unwrap();
        assert_eq!(problem.hint.as_deref(), Some(expected));
    }
    let finally = json!({ "body": { "nodes": [log("a", "x")] }, "finally": { "nodes": [log("f", "{{ error.code }}")] } });
    let pointer = "/nodes/0/config/finally/nodes/0/config/message";
    check(&one("control.try", &finally), "expression.unknown_name", pointer);
}

#[test]
fn what_a_control_node_needs() {
    let items = json!({ "items": [] });
    check(&one("control.for_each", &items), "control.no_body", "/nodes/0/config");
    let endless = json!({ "body": { "nodes": [log("a", "x")] } });
    check(&one("control.loop", &endless), "control.no_condition", "/nodes/0/config");
    let mut retried = one("control.for_each", &json!({ "items": [], "body": nested(0) }));
    retried["nodes"][0]["retry_policy"] = json!({ "max_attempts": 2 });
    check(&retried, "control.no_retry", "/nodes/0/retry_policy");
    let cases = json!({ "cases": [{ "port": "large", "when": "true" }] });
    let mut switch = one("control.switch", &cases);
    switch["nodes"].as_array_mut().unwrap().push(log("a", "x"));
    switch["connections"] = json!([{ "from_node": "c", "from_port": "lrage", "to_node": "a" }]);
    check(&switch, "connection.unknown_port", "/connections/0/from_port");
    let place = "/nodes/0/config/body/nodes/0/config/body/nodes/0/config/body/nodes/0/config/body\
                 /nodes/0/config/body/nodes/0/config/body/nodes/0/config/body/nodes/0/config/body\
                 /nodes/0/config/body";
    assert_eq!(problems(&nested(8).to_string()), []);
    check(&nested(9), "control.too_deep", place);
}

#[test]
fn a_moment_that_stands_there_is_checked_when_the_file_is_loaded() {
    let until = |config: Json| one("time.until", &config);
    for (config, pointer) in [
        (json!({ "at": "2026-13-01T00:00:00Z" }), "/nodes/0/config/at"),
        (json!({ "at": "18:00" }), "/nodes/0/config/at"),
        (json!({ "time": "25:00" }), "/nodes/0/config/time"),
        (json!({ "time": "18:00", "timezone": "Europe/Olso" }), "/nodes/0/config/timezone"),
        (json!({}), "/nodes/0/config"),
        (json!({ "at": "2026-12-24T18:00:00Z", "time": "18:00" }), "/nodes/0/config"),
    ] {
        check(&until(config), "config.invalid", pointer);
    }
    for good in [
        json!({ "at": "2026-12-24T18:00:00+01:00" }),
        json!({ "time": "18:00:30", "timezone": "Europe/Oslo" }),
        json!({ "time": "{{ 'later' }}", "timezone": "{{ 'here' }}" }),
    ] {
        assert_eq!(problems(&until(good).to_string()), []);
    }
}

#[test]
fn what_ends_the_execution_has_no_undo() {
    let mut stop = one("control.stop", &json!({}));
    stop["nodes"][0]["undo"] = json!({ "node_type": "debug.log", "config": { "message": "x" } });
    check(&stop, "undo.never_runs", "/nodes/0/undo");
}

#[test]
fn workflows_that_are_called_exist_and_are_valid() {
    let call = |workflow: &str| one("workflow.call", &json!({ "workflow": workflow }));
    check(&call("nowhere.json"), "call.not_found", "/nodes/0/config/workflow");
    check(&call("invalid"), "call.invalid", "/nodes/0/config/workflow");
}

/// The error with which an execution ends.
async fn error(flow: &Json, inputs: Json) -> ExecutionError {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let workflow = Workflow::from_json(&flow.to_string()).unwrap();
    let inputs = support::value(&inputs).as_object().unwrap().clone();
    let result = runtime.execute(&workflow, inputs).await.unwrap();
    result.error.unwrap_or_else(|| panic!("it succeeded: {flow:#}"))
}

#[track_caller]
fn check_error(error: &ExecutionError, code: &str, node: &str, message: &str) {
    assert_eq!((error.code.as_str(), error.node.as_deref()), (code, Some(node)), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[tokio::test]
async fn items_are_a_list_of_at_most_ten_thousand() {
    let each = json!({
        "inputs": { "list": {} },
        "nodes": [{ "id": "c", "node_type": "control.for_each",
                    "config": { "items": "{{ inputs.list }}", "body": nested(0) } }],
    });
    for (list, kind) in
        [(json!("abc"), "string"), (json!({ "a": 1 }), "object"), (json!(null), "null")]
    {
        let error = error(&each, json!({ "list": list })).await;
        check_error(&error, "input.invalid", "c", kind);
    }
    let million = json!({ "list": vec![0; 1_000_000] });
    check_error(&error(&each, million).await, "for_each.too_many_items", "c", "1000000 items");
    let most = json!({ "list": vec![0; 10_000] });
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let workflow = Workflow::from_json(&each.to_string()).unwrap();
    let inputs = support::value(&most).as_object().unwrap().clone();
    let result = runtime.execute(&workflow, inputs).await.unwrap();
    assert_eq!(result.outputs.pointer("/c/count"), Some(&Value::from(10_000)));
}

#[tokio::test]
async fn a_failure_inside_names_the_item() {
    let check_item = json!({ "nodes": [
        { "id": "check", "node_type": "control.fail", "when": "item > 1",
          "config": { "code": "order.bad", "message": "order {{ item }} is bad" } },
    ] });
    let each = json!({ "items": [1, 2, 3], "max_concurrency": 1, "body": check_item });
    let error = error(&one("control.for_each", &each), json!({})).await;
    check_error(&error, "order.bad", "c[1].check", "order 2 is bad");
}

#[tokio::test]
async fn s26_a_workflow_that_calls_itself_too_often_is_too_deep() {
    let mut own = one("workflow.call", &json!({ "workflow": "own" }));
    own["id"] = json!("own");
    own["nodes"][0]["when"] = json!("true");
    let error = error(&own, json!({})).await;
    check_error(&error, "call.too_deep", "c.c.c.c.c.c.c.c.c", "8 deep");
    // The same when it is kept in the runtime.
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let id = runtime.register(Workflow::from_json(&own.to_string()).unwrap()).unwrap();
    let result = runtime.execute_by_id(&id, ()).await.unwrap();
    assert_eq!(result.error.unwrap().code, "call.too_deep");
}

#[tokio::test]
async fn a_workflow_that_can_only_call_itself_is_refused() {
    let call =
        json!({ "id": "again", "node_type": "workflow.call", "config": { "workflow": "own" } });
    let around = |kind: &str, mut config: Json| {
        config["body"] = json!({ "nodes": [call] });
        json!({ "nodes": [{ "id": "around", "node_type": kind, "config": config }] })
    };
    let with = |key: &str, value: Json| {
        let mut call = call.clone();
        call[key] = value;
        json!({ "nodes": [log("a", "x"), call] })
    };
    let after =
        |connection: Json| json!({ "nodes": [log("a", "x"), call], "connections": [connection] });
    let looped = json!({ "until": "true", "max_iterations": 2 });
    let refused = [
        json!({ "nodes": [call] }),
        after(json!({ "from_node": "a", "to_node": "again" })),
        around("control.try", json!({})),
        around("control.loop", looped),
    ];
    let accepted = [
        with("when", json!("inputs != {}")),
        with("on_error", json!("ContinueOnError")),
        after(json!({ "from_node": "a", "from_port": "error", "to_node": "again" })),
        around("control.for_each", json!({ "items": [] })),
        around("control.loop", json!({ "while": "false", "max_iterations": 2 })),
        around("control.try", json!({ "catch": { "nodes": [log("b", "x")] } })),
        json!({ "nodes": [call, { "id": "stop", "node_type": "control.stop" }] }),
    ];
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let plan = |mut file: Json| {
        file["id"] = json!("own");
        runtime.plan(&Workflow::from_json(&file.to_string()).unwrap()).map(drop)
    };
    for file in refused {
        let Err(StartError::Workflow(problems)) = plan(file.clone()) else { panic!("{file}") };
        let codes: Vec<_> = problems.errors().map(|problem| problem.code).collect();
        assert_eq!(codes, ["call.never_ends"], "{file}: {problems}");
    }
    for file in accepted {
        assert!(plan(file.clone()).is_ok(), "{file}");
    }
}

#[tokio::test]
async fn a_called_workflow_is_given_inputs_that_fit() {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let called = json!({ "id": "called", "inputs": { "n": { "type": "integer" }, "t": { "type": "string" } },
                         "nodes": [log("a", "{{ inputs.n }}")] });
    runtime.register(Workflow::from_json(&called.to_string()).unwrap()).unwrap();
    for (inputs, names) in [
        (json!({ "n": "three", "t": "x" }), "`n`"),
        (json!({ "n": 3 }), "`t`"),
        (json!({ "n": 3, "t": "x", "u": 1 }), "`u`"),
    ] {
        let flow = one("workflow.call", &json!({ "workflow": "called", "inputs": inputs }));
        let workflow = Workflow::from_json(&flow.to_string()).unwrap();
        let error = runtime.execute(&workflow, ()).await.unwrap().error.unwrap();
        check_error(&error, "call.invalid_inputs", "c", names);
    }
}

#[tokio::test]
async fn workflows_that_call_each_other_are_registered_together() {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    // Counts down, by turns.
    let calling = |id: &str, other: &str| {
        let inputs = json!({ "n": "{{ inputs.n - 1 }}" });
        let call = json!({ "id": "call", "node_type": "workflow.call", "when": "inputs.n > 0",
                           "config": { "workflow": other, "inputs": inputs } });
        let file = json!({ "id": id, "inputs": { "n": { "type": "integer" } }, "nodes": [call],
                           "outputs": { "by": format!("{{{{ nodes.call.output.by | default('{id}') }}}}") } });
        Workflow::from_json(&file.to_string()).unwrap()
    };
    let alone = runtime.register(calling("even", "odd")).unwrap_err();
    let StartError::Workflow(problems) = alone else { panic!("{alone}") };
    assert_eq!(problems.errors().next().unwrap().code, "call.not_found");
    // All of them or none.
    let both = [calling("even", "odd"), calling("odd", "nobody")];
    let refused = runtime.register_all(both).unwrap_err();
    assert_eq!((refused.position, refused.problems.errors().count()), (0, 1));
    assert_eq!(refused.to_string(), "workflow 1 of those to register, `even`, is invalid");
    let error = runtime.execute_by_id(&"even".parse().unwrap(), ()).await.unwrap_err();
    assert!(matches!(error, StartError::NoSuchWorkflow(_)), "{error}");

    let ids = runtime.register_all([calling("even", "odd"), calling("odd", "even")]).unwrap();
    assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), ["even", "odd"]);
    for (start, n, last) in [(0, 0, "even"), (0, 3, "odd"), (1, 3, "even"), (1, 4, "odd")] {
        let inputs = support::value(&json!({ "n": n })).as_object().unwrap().clone();
        let result = runtime.execute_by_id(&ids[start], inputs).await.unwrap();
        assert_eq!(result.outputs.pointer("/by"), Some(&Value::from(last)), "{result:?}");
    }
}

#[tokio::test]
async fn more_signals_than_are_kept_are_refused() {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let flow = json!({ "nodes": [
        { "id": "first", "node_type": "wait.signal" },
        { "id": "go", "node_type": "wait.signal" },
        { "id": "each", "node_type": "control.loop", "config": {
            "until": "index >= 999",
            "body": { "nodes": [{ "id": "more", "node_type": "wait.signal" }] },
        } },
    ], "connections": [{ "from_node": "go", "to_node": "each" }] });
    let workflow = Workflow::from_json(&flow.to_string()).unwrap();
    let execution = runtime.start(&workflow, ()).await.unwrap();
    for number in 0..1_000 {
        execution.signal("more", number).await.unwrap();
    }
    let refused = execution.signal("more", 1_000).await.unwrap_err();
    assert!(matches!(refused, TellError::Signal(SignalError::TooMany { limit: 1_000 })));
    assert_eq!(refused.code(), "signal.too_many");
    assert!(refused.hint().is_some());
    // Whoever waits takes one in any case, once it is known that somebody does.
    while execution.signal("first", "in time").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(execution.signal("first", "late").await.unwrap_err().code(), "signal.too_many");
    // What was accepted is there.
    execution.signal("go", Value::Null).await.unwrap();
    let result = execution.wait().await.unwrap();
    assert!(result.is_success(), "{result:?}");
    assert_eq!(result.outputs.pointer("/each/state/more/payload"), Some(&Value::from(999)));
}

#[tokio::test]
async fn signals_that_nobody_waits_for_or_that_do_not_fit() {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let schema = json!({ "type": "object", "required": ["amount"],
                         "properties": { "amount": { "type": "integer" } } });
    let flow = json!({ "nodes": [
        { "id": "paid", "node_type": "wait.signal", "config": { "schema": schema } },
        { "id": "ask", "node_type": "wait.approval" },
    ] });
    let workflow = Workflow::from_json(&flow.to_string()).unwrap();
    let execution = runtime.start(&workflow, ()).await.unwrap();
    let send =
        async |name: &str, payload: Json| execution.signal(name, support::value(&payload)).await;
    let unknown = send("piad", json!({})).await.unwrap_err();
    assert_eq!(unknown.code(), "signal.unknown_name");
    assert_eq!(unknown.hint().as_deref(), Some("did you mean `paid`?"));
    for payload in [json!(null), json!({}), json!({ "amount": "12" })] {
        let refused = send("paid", payload).await.unwrap_err();
        assert_eq!(refused.code(), "signal.invalid", "{refused}");
    }
    let refused = send("ask", json!({ "by": "ada" })).await.unwrap_err();
    assert_eq!(refused.code(), "signal.invalid", "{refused}");
    // What was refused woke nobody.
    send("paid", json!({ "amount": 12 })).await.unwrap();
    send("ask", json!({ "approved": true })).await.unwrap();
    let result = execution.wait().await.unwrap();
    assert_eq!(result.outputs.pointer("/paid/payload/amount"), Some(&Value::from(12)));
    let late = send("paid", json!({ "amount": 12 })).await.unwrap_err();
    assert_eq!(late.code(), "execution.finished");
}

#[tokio::test]
async fn bad_configs_that_only_an_execution_can_see() {
    let flow = json!({ "inputs": { "time": {} }, "nodes": [
        { "id": "c", "node_type": "time.until", "config": { "time": "{{ inputs.time }}" } },
    ] });
    let late = error(&flow, json!({ "time": "25:00" })).await;
    check_error(&late, "config.invalid", "c", "`25:00` is not a time of day");
    let flow = one("control.if", &json!({ "condition": "1 + 1" }));
    check_error(&error(&flow, json!({})).await, "when.not_boolean", "c", "condition");
}
