//! Cancels, deadlines, and what is left at the end.

use flowcore::machine::Fact;
use flowcore::{CancelReason, ExecutionStatus, OnError, RetryPolicy, Workflow};

use crate::stage::{Stage, check, check_wishes, node, workflow};

/// One node may be tried again, two others wait in line behind it.
fn flow() -> Workflow {
    let retry = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    let mut flow = workflow([node("a").retry(retry), node("b"), node("c")], &["b > c"]);
    flow.settings.max_execution_time_ms = Some(60_000);
    flow
}

#[test]
fn a_cancel_reaches_every_phase() {
    let cases = [
        // Running, and one that was never started.
        (
            "cancel",
            "a Running, b Running, c Pending; Running",
            "cancel a 1: requested, cancel b 1: requested, clear deadline",
        ),
        (
            "cancel, a stopped, b stopped",
            "a Cancelled, b Cancelled, c Pending; Cancelled",
            "finish",
        ),
        ("cancel, a ok x, b ok x", "a Succeeded, b Succeeded, c Pending; Cancelled", "finish"),
        // Between two attempts.
        (
            "a is busy, cancel",
            "a Cancelled, b Running, c Pending; Running",
            "clear retry of a 1, cancel b 1: requested, clear deadline",
        ),
        (
            "a is busy, b ok, c ok, cancel",
            "a Cancelled, b Succeeded, c Succeeded; Cancelled",
            "clear retry of a 1, clear deadline, finish",
        ),
        // While it is ending already.
        ("b fails, cancel", "a Running, b Failed, c Pending; Running", ""),
        ("b fails, cancel, a stopped", "a Cancelled, b Failed, c Pending; Failed", "finish"),
        ("cancel, cancel", "a Running, b Running, c Pending; Running", ""),
        (
            "deadline, cancel, a stopped, b stopped",
            "a Cancelled, b Cancelled, c Pending; TimedOut",
            "finish",
        ),
        // After the end.
        ("a ok, b ok, c ok, cancel", "a Succeeded, b Succeeded, c Succeeded; Succeeded", ""),
    ];
    for (steps, statuses, wishes) in cases {
        check(&flow(), steps, statuses);
        check_wishes(&flow(), steps, wishes);
    }
}

#[test]
fn a_cancel_reaches_what_waits_for_a_permit() {
    let mut stage = Stage::without_permits(&flow());
    assert!(stage.machine.wants_permit());
    stage.play("cancel");
    assert_eq!(stage.statuses(), "a Pending, b Pending, c Pending; Cancelled");
    assert!(!stage.machine.wants_permit());
    stage.play("permit");
    assert_eq!(stage.machine.stale_facts(), 1);
    let mut full = flow();
    full.settings.max_parallel_nodes = Some(1);
    check(&full, "cancel, a stopped", "a Cancelled, b Pending, c Pending; Cancelled");
}

#[test]
fn a_cancel_keeps_a_new_round_from_starting() {
    let mut flow = flow();
    flow.settings.on_error = OnError::RetryWorkflow { max_attempts: 9 };
    check(&flow, "b fails, cancel", "a Running, b Failed, c Pending; Running");
    check_wishes(&flow, "b fails, cancel", "cancel a 1: requested, clear deadline");
    check(&flow, "b fails, cancel, a stopped", "a Cancelled, b Failed, c Pending; Cancelled");
    check_wishes(&flow, "b fails, deadline", "cancel a 1: execution_timeout");
    check(&flow, "b fails, deadline, a stopped", "a Cancelled, b Failed, c Pending; TimedOut");
}

#[test]
fn the_deadline_counts_from_the_start_through_waits_and_rounds() {
    let mut stage = Stage::new(&flow());
    assert_eq!(stage.wishes(), "set deadline at 60000, start a 1, start b 1");
    stage.play("a is busy, b ok, c ok");
    assert_eq!(stage.statuses(), "a Waiting, b Succeeded, c Succeeded; Waiting");
    stage.play("deadline");
    assert_eq!(stage.statuses(), "a Cancelled, b Succeeded, c Succeeded; TimedOut");
    assert_eq!(stage.wishes(), "clear retry of a 1, finish");
    assert_eq!(stage.result().error.unwrap().code, "execution.timed_out");
    let mut rounds = flow();
    rounds.settings.on_error = OnError::RetryWorkflow { max_attempts: 2 };
    check_wishes(&rounds, "b fails, a stopped", "start a 1, start b 1");
    check_wishes(&rounds, "b fails, a stopped, a ok, b ok, c ok", "clear deadline, finish");
    check_wishes(
        &rounds,
        "b fails, a stopped, b fails",
        "clear deadline, cancel a 1: sibling_failed",
    );
}

#[test]
fn how_it_ended_is_told_with_a_code() {
    let cases = [
        ("a ok, b ok, c ok", ExecutionStatus::Succeeded, None),
        ("b fails, a stopped", ExecutionStatus::Failed, Some("test.failed")),
        ("b is late, a stopped", ExecutionStatus::Failed, Some("node.timed_out")),
        ("b panics, a stopped", ExecutionStatus::Failed, Some("node.panicked")),
        ("cancel, a ok, b ok", ExecutionStatus::Cancelled, Some("execution.cancelled")),
        ("deadline, a ok, b ok", ExecutionStatus::TimedOut, Some("execution.timed_out")),
    ];
    for (steps, status, code) in cases {
        let result = Stage::new(&flow()).play(steps).result();
        assert_eq!(result.status, status, "{steps}");
        assert_eq!(result.error.as_ref().map(|error| error.code.as_str()), code, "{steps}");
        assert_eq!(result.outputs.is_null(), code.is_some(), "{steps}");
    }
}

#[test]
fn an_execution_that_failed_holds_no_outputs_but_its_results() {
    let nodes = [node("a"), node("b"), node("c"), node("last")];
    let flow = workflow(nodes, &["a.x > c.a", "b > c", "a > last"]);
    for steps in ["a ok x, last ok x, b fails", "a ok x, last ok x, cancel, b stopped"] {
        let result = Stage::new(&flow).play(steps).result();
        assert!(result.node("a").unwrap().outputs.is_none(), "{steps}");
        assert!(result.node("last").unwrap().outputs.is_some(), "{steps}");
    }
}

#[test]
fn whoever_cancels_for_whatever_reason_ends_the_deadline() {
    for reason in [CancelReason::Requested, CancelReason::Shutdown, CancelReason::ExecutionTimeout]
    {
        let mut stage = Stage::new(&flow());
        stage.play("");
        stage.tell(Fact::Cancel { reason, by: None });
        assert!(stage.wishes().ends_with("clear deadline"), "{}", stage.wishes());
    }
}
