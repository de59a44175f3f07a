//! Undoing: what runs after each ending, in which order, and what is listed.

use flowcore::{NodeSpec, OnError, RetryPolicy, UndoSpec, Workflow, compile};
use serde_json::json;

use crate::nodes::registry;
use crate::stage::{Stage, node, workflow};

/// `a`, then `b`, both with an undo, then `c`.
fn chain() -> Workflow {
    let undo =
        |id: &str| UndoSpec::new("waiting").config_value("a", format!("{{{{ nodes.{id}.x }}}}"));
    workflow([node("a").undo(undo("a")), node("b").undo(undo("b")), node("c")], &["a > b", "b > c"])
}

/// What is open, or how it ended: the status, and what was not undone.
fn view(stage: &Stage) -> String {
    let Some(result) = stage.machine.clone().into_result() else { return stage.open() };
    let left = result.not_undone.iter().map(|left| {
        let unknown = if left.outcome_unknown { "?" } else { "" };
        format!(", {} {}{unknown}", left.node, left.code)
    });
    format!("{}{}", result.status, left.collect::<String>())
}

/// What comes of these steps; and every stop on the way would have been survived.
#[track_caller]
fn check(flow: &Workflow, steps: &str, end: &str) {
    let mut stage = Stage::new(flow);
    stage.play(steps);
    assert_eq!(view(&stage), end, "after: {steps}");
    let again = Stage::after(flow, &stage.events);
    assert_eq!(again.machine, stage.machine, "a fold of everything");
    for stop in 1..stage.events.len() {
        let again = Stage::after(flow, &stage.events[..stop]);
        let is_over = again.machine.clone().into_result().is_some();
        assert!(is_over || !again.open().is_empty(), "nothing goes on after event {stop}");
    }
}

#[test]
fn after_a_failure_the_last_is_undone_first() {
    let failed = "a ok x, b ok x, c fails";
    check(&chain(), failed, "b~undo Running");
    check(&chain(), &format!("{failed}, b~undo ok"), "a~undo Running");
    check(&chain(), &format!("{failed}, b~undo ok, a~undo ok"), "Failed");
    let mut stage = Stage::new(&chain());
    stage.play(failed);
    assert_eq!(stage.input("b~undo", 0), Some("b.x".into()), "what the node gave");
    assert_eq!(stage.wishes(), "set cleanup at 300000, start b~undo 1");
    assert_eq!(stage.play("b~undo ok, a~undo ok").wishes(), "clear cleanup, finish");
}

#[test]
fn success_and_stop_undo_nothing() {
    check(&chain(), "a ok x, b ok x, c ok", "Succeeded");
    let mut stops = chain();
    stops.nodes[2].node_type = "control.stop".into();
    check(&stops, "a ok x, b ok x", "Succeeded");
}

#[test]
fn a_cancel_waits_for_what_runs_and_then_undoes() {
    check(&chain(), "a ok x, cancel", "b Running");
    // What is cut off has perhaps done something.
    let unknown = "Cancelled, b undo.outcome_unknown?";
    check(&chain(), "a ok x, cancel, b stopped", "a~undo Running");
    check(&chain(), "a ok x, cancel, b stopped, a~undo ok", unknown);
    // What succeeds in spite of it has, and is undone.
    check(&chain(), "a ok x, cancel, b ok x, b~undo ok, a~undo ok", "Cancelled");
    check(&chain(), "cancel, a stopped", "Cancelled, a undo.outcome_unknown?");
}

#[test]
fn only_what_may_have_done_something_is_unknown() {
    let mut flow = chain();
    flow.nodes[0].effect = Some(flowcore::Effect::Read);
    check(&flow, "a is late", "Failed");
    check(&chain(), "a fails", "Failed");
    check(&chain(), "a panics", "Failed, a undo.outcome_unknown?");
    check(&chain(), "a ok x, b is late, a~undo ok", "Failed, b undo.outcome_unknown?");
    flow.nodes[0].effect = Some(flowcore::Effect::Idempotent);
    let policy = RetryPolicy { max_attempts: 2, retry_on_timeout: true, ..RetryPolicy::default() };
    flow.nodes[0].retry_policy = Some(Box::new(policy));
    check(&flow, "a is late, cancel", "Cancelled, a undo.outcome_unknown?");
}

#[test]
fn the_deadline_undoes_in_the_time_for_cleaning_up() {
    let mut flow = chain();
    flow.settings.max_execution_time_ms = Some(1_000);
    flow.settings.cleanup_time_ms = 200;
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b ok x, +1000, deadline, c stopped");
    assert_eq!(stage.wishes(), "set cleanup at 1200, start b~undo 1");
    stage.play("+200, cleanup, b~undo stopped");
    assert_eq!(view(&stage), "TimedOut, b undo.aborted?, a undo.aborted");
}

#[test]
fn a_second_cancel_ends_it() {
    let undoing = "a ok x, b ok x, cancel, c stopped";
    check(&chain(), &format!("{undoing}, cancel"), "b~undo Running");
    let left = "Cancelled, b undo.aborted?, a undo.aborted";
    check(&chain(), &format!("{undoing}, cancel, b~undo stopped"), left);
    // What ends in spite of it has ended.
    check(&chain(), &format!("{undoing}, cancel, b~undo ok"), "Cancelled, a undo.aborted");
    let left = "Cancelled, b test.failed, a undo.aborted";
    check(&chain(), &format!("{undoing}, cancel, b~undo fails"), left);
    // After a failure the first cancel is the second reason to end.
    let left = "Failed, b undo.aborted?, a undo.aborted";
    check(&chain(), "a ok x, b ok x, c fails, cancel, b~undo stopped", left);
}

#[test]
fn what_cannot_be_undone_is_listed_and_the_rest_goes_on() {
    let failed = "a ok x, b ok x, c fails";
    check(&chain(), &format!("{failed}, b~undo fails, a~undo ok"), "Failed, b test.failed");
    let late = format!("{failed}, b~undo is late, a~undo ok");
    check(&chain(), &late, "Failed, b node.timed_out?");
    // `x` is not there.
    check(&chain(), "a ok x, b ok y, c fails, a~undo ok", "Failed, b expression.undefined");
    check(&chain(), "a ok y, b fails", "Failed, a expression.undefined");
}

#[test]
fn an_undo_has_its_own_retries_and_time() {
    let mut flow = chain();
    let policy = RetryPolicy { max_attempts: 2, jitter: false, ..RetryPolicy::default() };
    let undo = UndoSpec::new("waiting").retry(policy).timeout_ms(70);
    flow.nodes[1].undo = Some(Box::new(undo));
    let busy = "a ok x, b ok x, c fails, b~undo is busy";
    check(&flow, busy, "b~undo Waiting");
    let mut stage = Stage::new(&flow);
    assert_eq!(stage.play(busy).wishes(), "set retry of b~undo 1 at 1000");
    let prepared = stage.machine.prepare(stage.instance("b~undo"), stage.moment()).unwrap();
    assert_eq!(prepared.timeout, Some(std::time::Duration::from_millis(70)));
    check(&flow, &format!("{busy}, b~undo is due, b~undo ok, a~undo ok"), "Failed");
    // One that reported its failure has done nothing.
    check(&flow, &format!("{busy}, cancel"), "Failed, b undo.aborted, a undo.aborted");
}

#[test]
fn a_new_round_undoes_the_one_before() {
    let mut flow = chain();
    flow.settings.on_error = OnError::RetryWorkflow { max_attempts: 2 };
    let again = "a ok x, b ok x, c fails, b~undo fails";
    check(&flow, &format!("{again}, a~undo ok"), "a Running");
    // What was not undone stays in the list, whatever the new round comes to.
    check(&flow, &format!("{again}, a~undo ok, a ok x, b ok x, c ok"), "Succeeded, b test.failed");
    check(&flow, &format!("{again}, cancel, a~undo ok"), "Cancelled, b test.failed");
    check(
        &flow,
        &format!("{again}, cancel, cancel, a~undo stopped"),
        "Cancelled, b test.failed, a undo.aborted?",
    );
    check(
        &flow,
        &format!("{again}, cleanup, a~undo stopped"),
        "TimedOut, b test.failed, a undo.aborted?",
    );
}

#[test]
fn outputs_that_fail_undo_too() {
    let mut flow = chain();
    flow.add_output("all", "{{ nodes.a.x.nothing }}").unwrap();
    flow.settings.max_execution_time_ms = Some(1_000);
    let mut stage = Stage::new(&flow);
    assert_eq!(
        stage.play("a ok x, b ok x, c ok").wishes(),
        "set cleanup at 300000, clear deadline, start b~undo 1"
    );
    check(&flow, "a ok x, b ok x, c ok, b~undo ok, a~undo ok", "Failed");
    check(&flow, "a ok x, b ok x, c ok, b~undo ok, cancel, a~undo ok", "Failed");
}

/// Items of which the last fails, `finally` and a node after what is caught.
fn nested() -> Workflow {
    let undo = json!({ "node_type": "waiting",
        "config": { "a": "{{ item }} {{ nodes.a.x }} {{ input.b }}" } });
    let body = json!({ "nodes": [
        { "id": "a", "node_type": "waiting", "config": { "b": "{{ index }}" }, "undo": undo },
        { "id": "b", "node_type": "waiting" },
    ], "connections": [{ "from_node": "a", "to_node": "b" }] });
    let each = json!({ "nodes": [{ "id": "e", "node_type": "control.for_each",
        "config": { "items": ["p", "q"], "body": body } }] });
    let finally = json!({ "nodes": [{ "id": "f", "node_type": "waiting" }] });
    let text = json!({ "nodes": [
        { "id": "t", "node_type": "control.try",
          "config": { "body": each, "catch": { "nodes": [{ "id": "k", "node_type": "waiting" }] },
                      "finally": finally } },
        { "id": "z", "node_type": "waiting" },
    ], "connections": [{ "from_node": "t", "to_node": "z" }] });
    Workflow::from_json(&text.to_string()).unwrap()
}

#[test]
fn what_stands_inside_is_undone_after_its_scopes_are_gone() {
    let inside = "t.body.e[0].a ok x, t.body.e[0].b ok, t.body.e[1].a ok x, t.body.e[1].b fails";
    // What is caught undoes nothing, until everything fails.
    check(&nested(), inside, "t Running, t.catch.k Running");
    let caught = format!("{inside}, t.catch.k ok, t.finally.f ok");
    check(&nested(), &format!("{caught}, z ok"), "Succeeded");
    check(&nested(), &format!("{caught}, z fails"), "t.body.e[1].a~undo Running");
    let mut stage = Stage::new(&nested());
    stage.play(&format!("{caught}, z fails"));
    let given = stage.input("t.body.e[1].a~undo", 0);
    assert_eq!(given, Some("q t.body.e[1].a.x 1".into()), "as the node saw it");
    stage.play("t.body.e[1].a~undo ok");
    let given = stage.input("t.body.e[0].a~undo", 0);
    assert_eq!(given, Some("p t.body.e[0].a.x 0".into()));
    stage.play("t.body.e[0].a~undo ok");
    assert_eq!(view(&stage), "Failed");
}

#[test]
fn finally_comes_before_it_and_shares_its_time() {
    let finally = "t Running, t.finally.f Running";
    let concurrent = "t.body.e[0].a ok x, t.body.e[0].b ok, t.body.e[1].a ok x, cancel, \
                      t.body.e[1].b stopped";

    check(&nested(), concurrent, finally);
    let mut stage = Stage::new(&nested());
    stage.play(concurrent);
    assert_eq!(stage.wishes(), "set cleanup at 300000, start t.finally.f 1");
    assert_eq!(stage.play("t.finally.f ok").wishes(), "start t.body.e[1].a~undo 1");
    let left = "Cancelled, t.body.e[1].a undo.aborted, t.body.e[0].a undo.aborted";
    check(&nested(), &format!("{concurrent}, cancel, t.finally.f stopped"), left);
}

/// `a`, which has an undo, then a call of this workflow, then `z`.
fn calling(called: &str) -> Workflow {
    let undo = UndoSpec::new("waiting").config_value("a", "{{ nodes.a.x }}");
    let call = NodeSpec::new("c", "workflow.call").config_value("workflow", called);
    workflow([node("a").undo(undo), call, node("z")], &["a > c", "c > z"])
}

#[test]
fn what_a_called_workflow_did_is_undone_with_the_rest() {
    let flow = calling("pair");
    let called = "a ok x, c.x ok x, c.y ok";
    check(&flow, &format!("{called}, z ok"), "Succeeded");
    let undone = "c.x~undo ok, a~undo ok";
    for failed in [format!("{called}, z fails"), "a ok x, c.x ok x, c.y fails".to_owned()] {
        check(&flow, &failed, "c.x~undo Running");
        check(&flow, &format!("{failed}, c.x~undo ok"), "a~undo Running");
        check(&flow, &format!("{failed}, {undone}"), "Failed");
    }
    check(&flow, &format!("a ok x, c.x ok x, cancel, c.y stopped, {undone}"), "Cancelled");
    let mut stage = Stage::new(&flow);
    stage.play(&format!("{called}, z fails"));
    assert_eq!(stage.input("c.x~undo", 0), Some("c.x.x".into()), "what the node gave");
}

#[test]
fn a_called_workflow_that_starts_again_undoes_only_its_own() {
    let flow = calling("pair.again");
    let again = "a ok x, c.x ok x, c.y fails";
    check(&flow, again, "c Running, c.x~undo Running");
    let second = format!("{again}, c.x~undo ok, c.x ok x");
    check(&flow, &second, "c Running, c.y Running");
    check(&flow, &format!("{second}, c.y ok, z ok"), "Succeeded");
    check(&flow, &format!("{second}, c.y fails, c.x~undo ok, a~undo ok"), "Failed");
}

#[test]
fn a_node_that_undoes_is_checked_as_any_other() {
    let check = |undo: UndoSpec, expected: &str| {
        let flow = workflow([node("a"), node("b").undo(undo)], &["a.x > b.a"]);
        let found = compile(&flow, &registry()).diagnostics;
        let found: Vec<String> =
            found.iter().map(|problem| format!("{} {}", problem.code, problem.pointer)).collect();
        assert_eq!(found.join(", "), expected);
    };
    let undo = |text: &str| UndoSpec::new("waiting").config_value("a", text);
    check(undo("{{ nodes.a.x }} {{ nodes.b.y }} {{ input.b }} {{ execution.id }}"), "");
    check(UndoSpec::new("wating"), "node.unknown_type /nodes/1/undo/node_type");
    check(UndoSpec::new("control.try"), "undo.control_node /nodes/1/undo/node_type");
    check(UndoSpec::new("waiting.needing"), "port.unconnected /nodes/1/undo");
    check(undo("{{ nodes.c.x }}"), "expression.unknown_name /nodes/1/undo/config/a");
    check(undo("{{ nodes.b.z }}"), "expression.unknown_name /nodes/1/undo/config/a");
    check(undo("{{ nodes.undo.x }}"), "expression.unknown_name /nodes/1/undo/config/a");
    check(undo("{{ item }}"), "expression.unknown_name /nodes/1/undo/config/a");
    check(undo("x").timeout_ms(0), "node.out_of_range /nodes/1/undo/timeout_ms");
    let policy = RetryPolicy { max_attempts: 0, ..RetryPolicy::default() };
    check(undo("x").retry(policy), "node.out_of_range /nodes/1/undo/retry_policy/max_attempts");
}
