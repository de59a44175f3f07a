//! Control nodes: what they open, and how that ends.

use flowcore::{ExecutionResult, Value, Workflow};
use serde_json::json;

use crate::stage::Stage;

/// A workflow with this control node, `c`, and a node `z` after it.
fn flow(node_type: &str, config: serde_json::Value) -> Workflow {
    let text = json!({
        "nodes": [
            { "id": "c", "node_type": node_type, "config": config },
            { "id": "z", "node_type": "waiting" },
        ],
        "connections": [{ "from_node": "c", "to_node": "z" }],
        "outputs": { "c": outputs_of(node_type) },
    });
    Workflow::from_json(&text.to_string()).unwrap()
}

fn outputs_of(node_type: &str) -> &'static str {
    match node_type {
        "control.for_each" => "{{ nodes.c.results }}",
        "control.loop" => "{{ nodes.c.state }}",
        "wait.signal" => "{{ nodes.c.payload }}",
        "wait.approval" => "{{ nodes.c.approved }}",
        "time.delay" => "{{ nodes.c.waited_ms }}",
        _ => "{{ nodes.c.output }}",
    }
}

/// A body with one node that waits, and gives what that gives on `x`.
fn body(id: &str) -> serde_json::Value {
    json!({ "nodes": [{ "id": id, "node_type": "waiting" }], "outputs": format!("{{{{ nodes.{id}.x }}}}") })
}

/// What is open after these steps; and every stop on the way would have been survived.
#[track_caller]
fn check_open(flow: &Workflow, steps: &str, open: &str) {
    let mut stage = Stage::new(flow);
    stage.play(steps);
    assert_eq!(stage.open(), open, "after: {steps}");
    check_stops(flow, &stage);
}

/// Whatever the last event before a stop was: what is open then is what goes on after it.
#[track_caller]
fn check_stops(flow: &Workflow, stage: &Stage) {
    let again = Stage::after(flow, &stage.events);
    assert_eq!(again.machine, stage.machine, "a fold of everything");
    for stop in 1..stage.events.len() {
        // It does not matter what comes of it, as long as it is possible and something is open.
        let again = Stage::after(flow, &stage.events[..stop]);
        let is_over = again.machine.clone().into_result().is_some();
        assert!(is_over || !again.open().is_empty(), "nothing goes on after event {stop}");
    }
}

#[track_caller]
fn result(flow: &Workflow, steps: &str) -> ExecutionResult {
    let mut stage = Stage::new(flow);
    stage.play(steps);
    check_stops(flow, &stage);
    stage.result()
}

/// How it ends: the status, and the output or the error with the node that failed.
#[track_caller]
fn check_end(flow: &Workflow, steps: &str, end: &str) {
    let result = result(flow, steps);
    let rest = match &result.error {
        Some(error) => format!("{} {}", error.code, error.node.as_deref().unwrap_or("-")),
        None => result.outputs.get("c").unwrap_or(&Value::Null).to_json().to_string(),
    };
    assert_eq!(format!("{} {rest}", result.status), end, "after: {steps}");
}

fn each(more: &serde_json::Value) -> Workflow {
    let mut config = json!({ "items": ["p", "q", "r"], "body": body("a"), "max_concurrency": 2 });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    flow("control.for_each", config)
}

#[test]
fn items_have_scopes_and_results_are_in_order() {
    let flow = each(&json!({}));
    check_open(&flow, "", "c Running, c[0].a Running, c[1].a Running");
    check_open(&flow, "c[1].a ok x", "c Running, c[0].a Running, c[2].a Running");
    check_end(
        &flow,
        "c[1].a ok x, c[2].a ok x, c[0].a ok x, z ok",
        r#"Succeeded ["c[0].a.x","c[1].a.x","c[2].a.x"]"#,
    );
    check_end(&each(&json!({ "items": [] })), "z ok", "Succeeded []");
}

#[test]
fn a_failed_item_is_what_the_node_is_told() {
    let fail = each(&json!({}));
    check_open(&fail, "c[0].a fails", "c Running, c[1].a Running");
    check_end(&fail, "c[0].a fails, c[1].a stopped", "Failed test.failed c[0].a");
    let skip = each(&json!({ "on_item_error": "skip" }));
    check_end(
        &skip,
        "c[0].a fails, c[1].a ok x, c[2].a ok x, z ok",
        r#"Succeeded ["c[1].a.x","c[2].a.x"]"#,
    );
    let collect = each(&json!({ "on_item_error": "collect" }));
    check_end(
        &collect,
        "c[0].a ok x, c[1].a fails, c[2].a ok x, z ok",
        r#"Succeeded ["c[0].a.x",null,"c[2].a.x"]"#,
    );
}

#[test]
fn what_cannot_be_gone_through_fails_the_node() {
    check_end(&each(&json!({ "items": "{{ 'text' }}" })), "", "Failed input.invalid c");
    let many = each(&json!({ "items": "{{ range(10001) }}" }));
    check_end(&many, "", "Failed for_each.too_many_items c");
}

#[test]
fn a_cancel_reaches_what_is_inside() {
    let flow = each(&json!({}));
    check_open(&flow, "cancel", "c Running, c[0].a Running, c[1].a Running");
    let end = "Cancelled execution.cancelled -";
    check_end(&flow, "cancel, c[1].a stopped, c[0].a stopped", end);
    check_end(&flow, "c[0].a ok x, cancel, c[1].a ok x, c[2].a stopped", end);
}

#[test]
fn a_node_that_takes_too_long_takes_what_is_inside_with_it() {
    let mut flow = each(&json!({}));
    flow.nodes[0].timeout_ms = Some(500);
    check_open(&flow, "c is over", "c Running, c[0].a Running, c[1].a Running");
    check_end(&flow, "c is over, c[0].a stopped, c[1].a ok x", "Failed node.timed_out c");
}

#[test]
fn loops_carry_their_state() {
    let config = json!({ "state": "s", "until": "index == 2", "body": body("a") });
    let until = flow("control.loop", config);
    check_open(&until, "", "c Running, c[0].a Running");
    check_open(&until, "c[0].a ok x", "c Running, c[1].a Running");
    check_end(&until, "c[0].a ok x, c[1].a ok x, c[2].a ok x, z ok", r#"Succeeded "c[2].a.x""#);
    let config = json!({ "state": 5, "while": "state < 5", "body": body("a") });
    check_end(&flow("control.loop", config), "z ok", "Succeeded 5");
    let config = json!({ "while": "true", "body": body("a"), "max_iterations": 2 });
    let endless = flow("control.loop", config);
    check_end(&endless, "c[0].a ok x, c[1].a ok x", "Failed loop.limit c");
    check_end(&endless, "c[0].a fails", "Failed test.failed c[0].a");
}

#[test]
fn the_first_branch_that_succeeds_wins() {
    let config = json!({ "branches": [body("a"), body("b")] });
    let race = flow("control.parallel_race", config);
    check_open(&race, "", "c Running, c[0].a Running, c[1].b Running");
    check_open(&race, "c[1].b ok x", "c Running, c[0].a Running");
    let end = r#"Succeeded "c[1].b.x""#;
    check_end(&race, "c[1].b ok x, c[0].a stopped, z ok", end);
    check_end(&race, "c[1].b ok x, c[0].a ok x, z ok", end);
    check_end(&race, "c[0].a fails, c[1].b ok x, z ok", end);
    check_end(&race, "c[0].a fails, c[1].b fails", "Failed race.all_failed c");
}

fn trial(parts: &[&str]) -> Workflow {
    let mut config = json!({ "body": body("a") });
    for part in parts {
        config[*part] = body(if *part == "catch" { "k" } else { "f" });
    }
    flow("control.try", config)
}

#[test]
fn what_fails_is_caught_and_finally_comes_in_any_case() {
    let all = trial(&["catch", "finally"]);
    check_open(&all, "c.body.a fails", "c Running, c.catch.k Running");
    check_open(&all, "c.body.a ok x", "c Running, c.finally.f Running");
    let (body, catch) = ("c.body.a ok x", "c.body.a fails, c.catch.k ok x");
    check_end(&all, &format!("{body}, c.finally.f ok, z ok"), r#"Succeeded "c.body.a.x""#);
    check_end(&all, &format!("{catch}, c.finally.f ok, z ok"), r#"Succeeded "c.catch.k.x""#);
    let failed = "c.body.a fails, c.catch.k fails, c.finally.f ok";
    check_end(&all, failed, "Failed test.failed c.catch.k");
    let failed = &format!("{body}, c.finally.f fails");
    check_end(&all, failed, "Failed test.failed c.finally.f");
    check_end(
        &trial(&["finally"]),
        "c.body.a fails, c.finally.f ok",
        "Failed test.failed c.body.a",
    );
    check_end(&trial(&[]), "c.body.a fails", "Failed test.failed c.body.a");
}

#[test]
fn a_cancel_does_not_enter_catch_but_finally() {
    let all = trial(&["catch", "finally"]);
    let end = "Cancelled execution.cancelled -";
    check_open(&all, "cancel, c.body.a fails", "c Running, c.finally.f Running");
    check_end(&all, "cancel, c.body.a fails, c.finally.f ok", end);
    check_end(&all, "cancel, c.body.a stopped, c.finally.f fails", end);
    // What cleans up already goes on, until somebody wants that to stop, too.
    check_open(&all, "c.body.a ok x, cancel", "c Running, c.finally.f Running");
    check_end(&all, "c.body.a ok x, cancel, c.finally.f ok", end);
    let (second, late) = ("cancel, c.body.a stopped, cancel", "cancel, c.body.a stopped, cleanup");
    check_end(&all, &format!("{second}, c.finally.f stopped"), end);
    check_end(&all, &format!("{late}, c.finally.f stopped"), end);
}

#[test]
fn cleaning_up_has_its_own_time() {
    let mut all = trial(&["finally"]);
    all.settings.max_execution_time_ms = Some(1_000);
    all.settings.cleanup_time_ms = 200;
    let steps = "+1000, deadline, c.body.a stopped";
    let mut stage = Stage::new(&all);
    assert_eq!(stage.play(steps).wishes(), "set cleanup at 1200, start c.finally.f 1");
    assert_eq!(stage.play("c.finally.f ok").wishes(), "clear cleanup, finish");
    assert_eq!(stage.result().status.as_str(), "TimedOut");
}

#[test]
fn waits_end_by_themselves_or_by_a_signal() {
    let delay = flow("time.delay", json!({ "delay_ms": 300 }));
    check_open(&delay, "", "c Waiting");
    assert_eq!(Stage::new(&delay).wishes(), "set wait of c at 300");
    check_end(&delay, "+300, c waited, z ok", "Succeeded 300");
    check_end(&delay, "cancel", "Cancelled execution.cancelled -");
    let signal = flow("wait.signal", json!({ "name": "paid", "wait_ms": 50 }));
    check_end(&signal, "signal paid, z ok", r#"Succeeded "paid!""#);
    check_end(&signal, "c waited, z ok", "Succeeded null");
    assert_eq!(Stage::new(&signal).play("signal paid").wishes(), "clear wait of c, start z 1");
}

#[test]
fn signals_that_come_early_are_kept_and_one_wakes_one() {
    let text = json!({ "nodes": [
        { "id": "a", "node_type": "waiting" },
        { "id": "s", "node_type": "wait.signal", "config": { "name": "go" } },
        { "id": "t", "node_type": "wait.signal", "config": { "name": "go" } },
        { "id": "k", "node_type": "wait.signal", "config": { "name": "go", "key": "{{ 'k' ~ 1 }}" } },
    ], "connections": [{ "from_node": "a", "to_node": "t" }] });
    let flow = Workflow::from_json(&text.to_string()).unwrap();
    let open = "a Running, s Waiting, k Waiting";
    check_open(&flow, "", open);
    check_open(&flow, "signal other", open);
    check_open(&flow, "signal go k1", "a Running, s Waiting");
    check_open(&flow, "signal go", "a Running, k Waiting");
    // The second is kept until there is somebody to wake.
    check_open(&flow, "signal go, signal go", "a Running, k Waiting");
    check_open(&flow, "signal go, signal go, a ok", "k Waiting");
    check_open(&flow, "a ok, signal go", "t Waiting, k Waiting");
}

#[test]
fn a_stop_ends_the_whole_execution_well() {
    let stopping = json!({ "nodes": [
        { "id": "a", "node_type": "waiting" },
        { "id": "stop", "node_type": "control.stop", "config": { "reason": "done" } },
    ], "connections": [{ "from_node": "a", "to_node": "stop" }] });
    let flow = each(&json!({ "body": stopping }));
    check_open(&flow, "c[0].a ok", "c Running, c[1].a Running");
    check_end(&flow, "c[0].a ok, c[1].a stopped", "Succeeded null");
}

#[test]
fn choices_take_one_way() {
    let text = json!({
        "inputs": { "n": { "type": "integer" } },
        "nodes": [
            { "id": "if", "node_type": "control.if", "config": { "condition": "inputs.n > 1" } },
            { "id": "yes", "node_type": "waiting" },
            { "id": "no", "node_type": "waiting" },
            { "id": "switch", "node_type": "control.switch", "config": { "input": "v", "cases": [
                { "port": "two", "when": "inputs.n == 2" },
                { "port": "more", "when": "inputs.n > 1" },
            ] } },
            { "id": "two", "node_type": "waiting" },
            { "id": "more", "node_type": "waiting" },
            { "id": "none", "node_type": "waiting" },
        ],
        "connections": [
            { "from_node": "if", "from_port": "true", "to_node": "yes" },
            { "from_node": "if", "from_port": "false", "to_node": "no" },
            { "from_node": "switch", "from_port": "two", "to_node": "two" },
            { "from_node": "switch", "from_port": "more", "to_node": "more" },
            { "from_node": "switch", "from_port": "default", "to_node": "none" },
        ],
    });
    let flow = Workflow::from_json(&text.to_string()).unwrap();
    for (n, open) in [(1, "no, none"), (2, "yes, two"), (3, "yes, more")] {
        let inputs = flowcore::Object::from_entries([("n", Value::from(n))]).unwrap();
        let stage = Stage::with_inputs(&flow, inputs);
        assert_eq!(stage.open().replace(" Running", ""), open, "{n}");
    }
}

#[test]
fn a_round_starts_everything_inside_again() {
    let mut flow = each(&json!({}));
    flow.settings.on_error = flowcore::OnError::RetryWorkflow { max_attempts: 2 };
    let again = "c[0].a fails, c[1].a stopped";
    check_open(&flow, again, "c Running, c[0].a Running, c[1].a Running");
    check_end(
        &flow,
        &format!("{again}, c[0].a ok x, c[1].a ok x, c[2].a ok x, z ok"),
        r#"Succeeded ["c[0].a.x","c[1].a.x","c[2].a.x"]"#,
    );
    check_end(&flow, &format!("{again}, {again}"), "Failed test.failed c[0].a");
}

#[test]
fn bodies_stand_inside_of_each_other() {
    let inner = json!({ "nodes": [
        { "id": "d", "node_type": "control.for_each",
          "config": { "items": "{{ item }}", "body": body("a") } },
    ], "outputs": "{{ nodes.d.results }}" });
    let flow = each(&json!({ "items": [[1, 2], [3]], "body": inner }));
    check_open(
        &flow,
        "",
        "c Running, c[0].d Running, c[1].d Running, c[0].d[0].a Running, c[0].d[1].a Running, c[1].d[0].a Running",
    );
    check_end(
        &flow,
        "c[1].d[0].a ok x, c[0].d[1].a ok x, c[0].d[0].a ok x, z ok",
        r#"Succeeded [["c[0].d[0].a.x","c[0].d[1].a.x"],["c[1].d[0].a.x"]]"#,
    );
    check_end(
        &flow,
        "c[1].d[0].a ok x, c[0].d[1].a fails, c[0].d[0].a stopped",
        "Failed test.failed c[0].d[1].a",
    );
}

#[test]
fn each_round_has_its_own_time_to_clean_up() {
    let mut config = json!({ "body": body("a") });
    config["finally"] = body("f");
    let mut flow = flow("control.try", config);
    flow.add_node(flowcore::NodeSpec::new("b", "waiting"));
    flow.settings.on_error = flowcore::OnError::RetryWorkflow { max_attempts: 2 };
    let mut stage = Stage::new(&flow);
    stage.play("b fails, c.body.a stopped");
    assert_eq!(stage.play("c.finally.f ok").wishes(), "clear cleanup, start b 1, start c.body.a 1");
    stage.play("b fails");
    assert_eq!(
        stage.play("c.body.a stopped").wishes(),
        "set cleanup at 300000, start c.finally.f 1"
    );
    check_stops(&flow, &stage);
}

#[test]
fn what_a_body_gives_is_its_failure() {
    let mut broken = body("a");
    broken["outputs"] = json!("{{ nodes.a.x.nothing }}");
    let flow = each(&json!({ "body": broken }));
    check_end(&flow, "c[1].a ok x, c[0].a stopped", "Failed expression.undefined c[1]");
}

#[test]
fn results_are_those_of_the_workflow_itself() {
    let flow = each(&json!({ "items": ["p"] }));
    let result = result(&flow, "c[0].a ok x, z ok");
    assert_eq!(result.node("c").unwrap().attempts, 1);
    assert!(result.node("a").is_none());
}

#[test]
fn a_signal_wakes_only_whom_it_fits() {
    let text = json!({ "nodes": [
        { "id": "n", "node_type": "wait.signal",
          "config": { "name": "go", "schema": { "type": "integer" } } },
        { "id": "t", "node_type": "wait.signal",
          "config": { "name": "go", "schema": { "type": "string" } } },
    ] });
    let flow = Workflow::from_json(&text.to_string()).unwrap();
    check_open(&flow, "signal go", "n Waiting");
}

#[test]
fn a_second_cancel_also_stops_what_would_clean_up_later() {
    let tries = ["p", "q"].map(|id| {
        let (body, finally) = (body(&format!("{id}1")), body(&format!("{id}2")));
        json!({ "id": id, "node_type": "control.try", "config": { "body": body, "finally": finally } })
    });
    let flow = Workflow::from_json(&json!({ "nodes": tries }).to_string()).unwrap();
    let begun = "cancel, p.body.p1 stopped";
    let open = "p Running, q Running, q.body.q1 Running, p.finally.p2 Running";
    check_open(&flow, begun, open);
    let stopped = format!("{begun}, cancel, p.finally.p2 stopped");
    check_open(&flow, &stopped, "q Running, q.body.q1 Running");
    let mut stage = Stage::new(&flow);
    stage.play(&format!("{stopped}, q.body.q1 stopped"));
    assert_eq!(stage.result().status, flowcore::ExecutionStatus::Cancelled, "{}", stage.open());
}
