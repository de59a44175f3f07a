//! Facts that come too early or too late.

use flowcore::machine::{Fact, Outcome, Timer, Turn};
use flowcore::{
    CancelReason, ExecutionStatus, Instance, NodeError, NodeOutput, Object, OnError, RetryPolicy,
    ScopeId, Timestamp,
};

use crate::stage::{Stage, machine, node, workflow};

fn ended(instance: Instance, attempt: u32) -> Fact {
    let outputs = NodeOutput::of("x", "late");
    Fact::AttemptEnded {
        instance,
        attempt,
        started_at: Timestamp::default(),
        outcome: Outcome::Succeeded { outputs, state_writes: Object::new(), cache: None },
        jitter: 0.0,
    }
}

#[test]
fn facts_that_come_before_the_start_are_stale() {
    let mut unstarted = machine(&workflow([node("a")], &[]));
    let instance = Instance { scope: ScopeId(0), node: 0 };
    let facts = [
        Fact::PermitGranted,
        Fact::Cancel { reason: CancelReason::Requested, by: None },
        Fact::TimerFired(Timer::Deadline),
        Fact::TimerFired(Timer::Retry { instance, attempt: 1 }),
        Fact::AttemptEnded {
            instance,
            attempt: 1,
            started_at: Timestamp::default(),
            outcome: Outcome::Cancelled,
            jitter: 0.0,
        },
    ];
    let mut turn = Turn::recording();
    for (count, fact) in (1..).zip(facts) {
        unstarted.handle(Timestamp::default(), fact.clone(), &mut turn).unwrap();
        assert_eq!(unstarted.stale_facts(), count, "{fact:?}");
    }
    unstarted.resume(Timestamp::default(), &mut turn).unwrap();
    assert!(turn.events.is_empty() && turn.wishes.is_empty(), "{turn:?}");
    assert_eq!(unstarted.status(), ExecutionStatus::Queued);
}

#[test]
fn the_result_of_an_attempt_that_never_started_is_stale() {
    let mut stage = Stage::without_permits(&workflow([node("a")], &[]));
    assert!(stage.machine.wants_permit());
    let outcome = Outcome::Failed(NodeError::new("test.late", "from another life"));
    let (instance, started_at) = (stage.instance("a"), stage.moment());
    stage.tell(Fact::AttemptEnded { instance, attempt: 1, started_at, outcome, jitter: 0.0 });
    assert_eq!(stage.machine.stale_facts(), 1);
    assert_eq!(stage.statuses(), "a Pending; Running");
}

#[test]
fn an_execution_waits_only_when_nothing_waits_for_a_permit() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let mut stage = Stage::new(&workflow([node("a").retry(retry), node("b")], &["a.error > b"]));
    stage.play("a is busy");
    assert_eq!(stage.statuses(), "a Waiting, b Pending; Waiting");
    stage.grants = false;
    stage.play("a is due");
    assert_eq!(stage.statuses(), "a Pending, b Pending; Running");
}

#[test]
fn what_was_answered_already_is_stale() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let mut flow = workflow([node("a").retry(retry), node("b")], &[]);
    flow.settings.on_error = OnError::RetryWorkflow { max_attempts: 2 };
    flow.settings.max_execution_time_ms = Some(1_000);
    let (first, second) = (ScopeId(0), ScopeId(1));
    let a = |scope| Instance { scope, node: 0 };
    let retry = |attempt| Fact::TimerFired(Timer::Retry { instance: a(first), attempt });
    let cancel = || Fact::Cancel { reason: CancelReason::Shutdown, by: None };
    let cases = [
        ("a result between attempts", "a is busy", ended(a(first), 1)),
        ("a result of an earlier attempt", "a is busy, a is due", ended(a(first), 1)),
        ("a result of a later attempt", "", ended(a(first), 2)),
        ("a result after the end of the node", "a ok", ended(a(first), 1)),
        ("a result of an earlier round", "b fails, a stopped", ended(a(first), 1)),
        ("a result of a later round", "", ended(a(second), 1)),
        ("a node that there is not", "", ended(Instance { scope: first, node: 9 }, 1)),
        ("a timer that was never set", "", retry(1)),
        ("a timer that has fired", "a is busy, a is due", retry(1)),
        ("a timer of a later attempt", "a is busy", retry(2)),
        ("a timer of an earlier round", "a is busy, b fails", retry(1)),
        ("a permit that nobody wants", "", Fact::PermitGranted),
        ("a second cancel, though for a stronger reason", "cancel", cancel()),
        ("the deadline after a cancel", "cancel", Fact::TimerFired(Timer::Deadline)),
        ("a second deadline", "deadline", Fact::TimerFired(Timer::Deadline)),
        ("a cancel after the end", "a ok, b ok", cancel()),
        ("the deadline after the end", "a ok, b ok", Fact::TimerFired(Timer::Deadline)),
        ("a permit after the end", "a ok, b ok", Fact::PermitGranted),
        ("a result after the end", "a ok, b ok", ended(a(first), 1)),
    ];
    for (title, steps, fact) in cases {
        let mut stage = Stage::new(&flow);
        stage.play(steps);
        let before = stage.machine.clone();
        let mut turn = Turn::recording();
        stage.machine.handle(stage.moment(), fact, &mut turn).unwrap();
        assert_eq!(stage.machine.stale_facts(), before.stale_facts() + 1, "{title}");
        assert_eq!(stage.machine, before, "{title}");
        assert!(turn.events.is_empty() && turn.wishes.is_empty(), "{title}: {turn:?}");
    }
}

#[test]
fn events_that_cannot_follow_are_refused() {
    let flow = workflow([node("a"), node("b")], &["a > b"]);
    let events = Stage::new(&flow).play("a ok, b ok").events.clone();
    let refused = |positions: &[usize]| {
        let mut machine = machine(&flow);
        let mut results = (1..).zip(positions).map(|(seq, position)| {
            let record = flowcore::Record { seq, ..events[*position].clone() };
            machine.apply(record).map_err(|error| error.to_string())
        });
        results.find_map(Result::err)
    };
    let out_of_bounds =
        |seq: u64| Some(format!("event {seq} comes before the start or after the end"));
    let cannot = |node: &str, change: &str, status: &str| {
        Some(format!("node `{node}` cannot {change} when it is {status}"))
    };
    // 0 start, 1 `a` starts, 2 `a` succeeds, 3 `b` starts, 4 `b` succeeds, 5 the end.
    assert_eq!(refused(&[0, 1, 2, 3, 4, 5]), None);
    assert_eq!(refused(&[1]), out_of_bounds(1));
    assert_eq!(refused(&[0, 0]), out_of_bounds(2));
    assert_eq!(refused(&[0, 5, 1]), out_of_bounds(3));
    assert_eq!(refused(&[0, 3]), cannot("b", "Start", "Pending"));
    assert_eq!(refused(&[0, 1, 1]), cannot("a", "Start", "Running"));
    assert_eq!(refused(&[0, 1, 2, 2]), cannot("a", "Succeed", "Succeeded"));
    let mut machine = machine(&flow);
    let gap = machine.apply(events[1].clone()).unwrap_err();
    assert_eq!(gap.to_string(), "event 2 follows event 0");
    machine.apply(events[0].clone()).unwrap();
    let instance = Instance { scope: ScopeId(7), node: 0 };
    let event = flowcore::Event::WaitEnded { instance };
    let record = flowcore::Record { seq: 2, at: Timestamp::default(), event };
    assert_eq!(
        machine.apply(record).unwrap_err().to_string(),
        "event 2 is about a node that does not exist"
    );
}
