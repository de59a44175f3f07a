//! What follows when a node has failed.

use flowcore::{Event, Join, OnError, RetryPolicy, Value, Workflow};

use crate::stage::{Stage, check, check_wishes, node, workflow};

/// `a` and `b` are under way, `c` waits for `b`, and what happens when `b` fails is up to the test.
fn flow(on_workflow: OnError, on_node: Option<OnError>) -> Workflow {
    let mut failing = node("b");
    failing.on_error = on_node;
    let mut flow = workflow([node("a"), failing, node("c")], &["b > c"]);
    flow.settings.on_error = on_workflow;
    flow
}

#[test]
fn on_error_decides_per_node_or_else_per_workflow() {
    let stop = OnError::StopWorkflow;
    let go_on = OnError::ContinueOnError;
    let again = OnError::RetryWorkflow { max_attempts: 2 };
    let stopped = "a Cancelled, b Failed, c Pending; Failed";
    let went_on = "a Cancelled, b Failed, c Skipped; Succeeded";
    let started_again = "a Running, b Running, c Pending; Running";
    let cases = [
        (stop, None, stopped),
        (stop, Some(stop), stopped),
        (go_on, Some(stop), stopped),
        (go_on, None, went_on),
        (stop, Some(go_on), went_on),
        (again, Some(go_on), went_on),
        (again, None, started_again),
        (stop, Some(again), started_again),
        (OnError::RetryWorkflow { max_attempts: 1 }, None, stopped),
    ];
    for (on_workflow, on_node, statuses) in cases {
        check(&flow(on_workflow, on_node), "b fails, a stopped", statuses);
    }
}

#[test]
fn a_workflow_that_stops_awaits_what_runs() {
    let flow = flow(OnError::StopWorkflow, None);
    check_wishes(&flow, "b fails", "cancel a 1: sibling_failed");
    check(&flow, "b fails", "a Running, b Failed, c Pending; Running");
    check_wishes(&flow, "b fails, a stopped", "finish");
    // What it says at the end counts, but changes nothing.
    check(&flow, "b fails, a ok x", "a Succeeded, b Failed, c Pending; Failed");
    check(&flow, "b fails, a fails", "a Failed, b Failed, c Pending; Failed");
}

#[test]
fn the_first_failure_is_the_error_of_the_execution() {
    let result = Stage::new(&flow(OnError::StopWorkflow, None)).play("b fails, a fails").result();
    let error = result.error.unwrap();
    assert_eq!((error.code.as_str(), error.node.as_deref()), ("test.failed", Some("b")));
    assert_eq!(error.attempts, Some(1));
}

#[test]
fn a_workflow_that_continues_lists_its_failed_nodes() {
    let result = Stage::new(&flow(OnError::ContinueOnError, None)).play("b fails, a ok x").result();
    assert!(result.is_success());
    assert_eq!((result.completed_nodes, result.failed_nodes), (1, 1));
    assert_eq!(result.node("b").unwrap().error.unwrap().code(), "test.failed");
    assert_eq!(result.outputs.to_string(), r#"{"a":{"x":"a.x"}}"#);
}

#[test]
fn rounds_start_afresh_until_there_are_enough() {
    let flow = flow(OnError::RetryWorkflow { max_attempts: 3 }, None);
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b fails");
    assert_eq!(stage.machine.round(), 2);
    assert_eq!(stage.statuses(), "a Running, b Running, c Pending; Running");
    assert_eq!(stage.wishes(), "start a 1, start b 1");
    stage.play("b fails");
    assert_eq!(stage.machine.round(), 2, "it awaits `a` first");
    assert_eq!(stage.wishes(), "cancel a 1: sibling_failed");
    stage.play("a ok x");
    assert_eq!(stage.machine.round(), 3);
    stage.play("b fails, a stopped");
    assert_eq!(stage.statuses(), "a Cancelled, b Failed, c Pending; Failed");
    let result = stage.result();
    assert_eq!(result.rounds, 3);
    assert_eq!(result.error.unwrap().node.as_deref(), Some("b"));
}

#[test]
fn a_connected_error_port_handles_the_failure() {
    let nodes = || [node("a"), node("b"), node("c"), node("d").join(Join::Any)];
    let links = ["a.error > b.a", "a.x > c.a", "a > d", "a.error > d"];
    let flow = workflow(nodes(), &links);
    for end in ["fails", "is late", "panics", "is busy"] {
        let statuses = "a Failed, b Running, c Skipped, d Running; Running";
        check(&flow, &format!("a {end}"), statuses);
    }
    check(&flow, "a ok x", "a Succeeded, b Skipped, c Running, d Running; Running");
    check(&flow, "a ok", "a Succeeded, b Skipped, c Skipped, d Running; Running");
    // Without a connection it is as if it were not there.
    check(&workflow([node("a"), node("b")], &["a > b"]), "a fails", "a Failed, b Pending; Failed");
}

#[test]
fn the_error_port_says_what_happened() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let reads = node("c").config_value("code", "{{ nodes.a.error.code }}");
    let nodes = [node("a").retry(retry), node("b"), reads];
    let mut stage = Stage::new(&workflow(nodes, &["a.error > b.a", "a.error > c"]));
    stage.play("a is busy, a is due, a fails");
    let error = r#"{"code":"test.failed","message":"it had to","node":"a","attempts":2}"#;
    assert_eq!(stage.input("b", 0).unwrap().to_string(), error);
    let prepared = stage.machine.prepare(stage.instance("c"), stage.moment());
    let prepared = prepared.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(prepared.config().unwrap().get("code"), Some(&Value::from("test.failed")));
}

#[test]
fn a_failure_while_ending_is_noted_and_no_more() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let nodes = [node("a").retry(retry), node("b"), node("c")];
    let flow = workflow(nodes, &["a.error > c"]);
    for end in ["a is busy", "a fails", "a is late", "a panics"] {
        let statuses = "a Failed, b Failed, c Pending; Failed";
        check(&flow, &format!("b fails, {end}"), statuses);
    }
}

#[test]
fn an_error_that_is_retried_leaves_no_trace_in_a_success() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let mut stage = Stage::new(&workflow([node("a").retry(retry)], &[]));
    let result = stage.play("a is busy, a is due, a ok x").result();
    assert!(result.node("a").unwrap().error.is_none());
    assert_eq!(result.node("a").unwrap().attempts, 2);
    let kinds: Vec<&str> = stage.events.iter().map(|record| record.event.name()).collect();
    assert_eq!(
        kinds,
        [
            "WorkflowStarted",
            "NodeStarted",
            "NodeFailed",
            "WaitEnded",
            "NodeStarted",
            "NodeCompleted",
            "WorkflowCompleted"
        ]
    );
    assert!(matches!(stage.events[6].event, Event::WorkflowCompleted { error: None, .. }));
}
