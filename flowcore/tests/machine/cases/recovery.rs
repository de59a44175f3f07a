//! Going on after a crash: what starts again, what does not, and when nobody tries any more.

use flowcore::machine::{Action, Fact, Turn};
use flowcore::{
    CancelReason, Effect, Event, ExecutionStatus, Instance, Join, NodeSpec, OnError, PauseReason,
    Record, RetryPolicy, Timestamp, UndoSpec, Workflow,
};
use serde_json::json;

use crate::stage::{Stage, inline, machine, node, workflow};

/// How the nodes stand after these steps.
#[track_caller]
fn check(flow: &Workflow, steps: &str, statuses: &str) {
    assert_eq!(Stage::new(flow).play(steps).statuses(), statuses, "after: {steps}");
}

fn once(id: &str) -> NodeSpec {
    node(id).effect(Effect::Once)
}

fn policy(max_attempts: u32) -> RetryPolicy {
    RetryPolicy { max_attempts, delay_ms: 1_000, jitter: false, ..RetryPolicy::default() }
}

/// The address, code and certainty of what was not undone.
fn left(stage: &Stage) -> String {
    let left = stage.result().not_undone;
    let texts = left.iter().map(|left| {
        let unknown = if left.outcome_unknown { "?" } else { "" };
        format!("{} {}{unknown}", left.node, left.code)
    });
    texts.collect::<Vec<_>>().join(", ")
}

#[test]
fn what_was_cut_off_starts_again_unless_it_must_not() {
    for effect in [Effect::Pure, Effect::Read, Effect::Idempotent] {
        let flow = workflow([node("a").effect(effect), node("b")], &["a > b"]);
        let mut stage = Stage::new(&flow);
        stage.play("crash");
        assert_eq!(stage.statuses(), "a Running 2, b Pending; Running", "{effect:?}");
        assert_eq!(stage.wishes(), "start a 2", "{effect:?}");
        let names: Vec<&str> = stage.events.iter().map(|record| record.event.name()).collect();
        let started = ["WorkflowStarted", "NodeStarted"];
        assert_eq!(
            names,
            [&started[..], &["Recovered", "NodeInterrupted", "NodeStarted"]].concat()
        );
    }
    let flow = workflow([once("a"), node("b")], &["a > b"]);
    let mut stage = Stage::new(&flow);
    stage.play("crash");
    assert_eq!(stage.statuses(), "a Failed, b Pending; Failed");
    let error = stage.result().error.unwrap();
    assert_eq!((&*error.code, error.node.as_deref()), ("node.outcome_unknown", Some("a")));
    assert!(error.hint.unwrap().contains("once"));
}

#[test]
fn a_once_node_fails_as_others_do_but_is_not_tried_again() {
    let handled = workflow([once("a").retry(policy(3)), node("b")], &["a.error > b"]);
    check(&handled, "crash", "a Failed, b Running; Running");
    let goes_on = once("a").on_error(OnError::ContinueOnError);
    check(&workflow([goes_on, node("b")], &[]), "crash", "a Failed, b Running 2; Running");
    let again = once("a").on_error(OnError::RetryWorkflow { max_attempts: 2 });
    check(&workflow([again, node("b")], &[]), "b ok, crash", "a Running, b Running; Running");
    // One that said itself that it failed is tried again; it is the next attempt that is cut off.
    let flow = workflow([once("a").retry(policy(3))], &[]);
    check(&flow, "a is busy, crash, a is due", "a Running 2; Running");
    check(&flow, "a is busy, a is due, crash", "a Failed 2; Failed");
}

#[test]
fn interruptions_are_no_attempts_for_a_retry_policy() {
    let flow = workflow([node("a").retry(policy(2))], &[]);
    let mut stage = Stage::new(&flow);
    stage.play("crash, crash, a is busy");
    // The third attempt is the first that counts, so the wait is the first wait.
    assert_eq!(stage.wishes(), "set retry of a 3 at 1000");
    stage.play("+1000, a is due, crash, a is busy");
    assert_eq!(stage.statuses(), "a Failed 5; Failed");
    // The time for a node with its retries goes on.
    let bounded = RetryPolicy { max_elapsed_ms: Some(500), ..policy(9) };
    let mut stage = Stage::new(&workflow([node("a").retry(bounded)], &[]));
    stage.play("+300, crash");
    let prepared = stage.machine.prepare(stage.instance("a"), stage.moment()).unwrap();
    assert_eq!(prepared.timeout.unwrap().as_millis(), 200);
    check(&flow, "a is busy, crash", "a Waiting; Waiting");
}

#[test]
fn what_was_told_to_stop_has() {
    let flow = workflow([node("a").undo(UndoSpec::new("waiting")), node("b")], &[]);
    let mut stage = Stage::new(&flow);
    stage.play("cancel, crash");
    assert_eq!(stage.statuses(), "a Cancelled, b Cancelled; Cancelled");
    assert_eq!(left(&stage), "a undo.outcome_unknown?");
    // A loser of a race.
    let race = [node("a"), node("b"), node("c").join(Join::First)];
    let race = workflow(race, &["a > c", "b > c"]);
    check(&race, "a ok", "a Succeeded, b Running, c Running; Running");
    check(&race, "a ok, crash", "a Succeeded, b Cancelled, c Running 2; Running");
}

#[test]
fn what_waits_to_start_again_may_have_done_its_work() {
    let undo = || UndoSpec::new("waiting");
    let flow = workflow([node("a").undo(undo())], &[]);
    // It is cancelled before it starts again.
    let mut stage = Stage::new(&flow);
    stage.grants = false;
    stage.play("permit, crash, cancel");
    assert_eq!(stage.statuses(), "a Cancelled; Cancelled");
    assert_eq!(left(&stage), "a undo.outcome_unknown?");
    let mut stage = Stage::new(&flow);
    stage.play("pause, crash");
    assert_eq!(stage.statuses(), "a Pending; Paused");
    stage.play("cancel");
    assert_eq!(stage.statuses(), "a Cancelled; Cancelled");
    assert_eq!(left(&stage), "a undo.outcome_unknown?");
    // What only looks has left nothing behind.
    let flow = workflow([node("a").effect(Effect::Read).undo(undo())], &[]);
    let mut stage = Stage::new(&flow);
    stage.play("pause, crash, cancel");
    assert_eq!(left(&stage), "");
    // Undoing itself is cut off.
    let flow = workflow([node("a").undo(undo().effect(Effect::Once)), node("b")], &["a > b"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b fails, crash");
    assert_eq!(left(&stage), "a node.outcome_unknown?");
    let flow = workflow([node("a").undo(undo()), node("b")], &["a > b"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b fails, crash");
    assert_eq!(stage.open(), "a~undo Running");
    stage.play("a~undo ok");
    assert_eq!(left(&stage), "");
}

#[test]
fn inline_nodes_that_leave_something_behind_say_that_they_start() {
    let effects = [Effect::Pure, Effect::Read, Effect::Idempotent, Effect::Once];
    let begun = ["a Pending", "a Pending", "a Running", "a Running"];
    let after =
        ["a Pending; Running", "a Pending; Running", "a Running 2; Running", "a Failed; Failed"];
    for ((effect, begun), after) in effects.into_iter().zip(begun).zip(after) {
        let mut stage = Stage::new(&workflow([inline("a").effect(effect)], &[]));
        assert_eq!(stage.statuses(), format!("{begun}; Running"), "{effect:?}");
        stage.play("crash");
        assert_eq!(stage.statuses(), after, "{effect:?}");
    }
    // Nothing else starts before one has ended, and it starts again as the last of those that ran.
    let flow = workflow([inline("a"), node("b"), node("c")], &["c > a"]);
    let mut stage = Stage::new(&flow);
    stage.play("c ok");
    assert_eq!(stage.statuses(), "a Running, b Running, c Succeeded; Running");
    stage.play("crash");
    assert_eq!(stage.wishes(), "start b 2, start a 2");
    stage.play("a ok, b ok");
    assert_eq!(stage.statuses(), "a Succeeded 2, b Succeeded 2, c Succeeded; Succeeded");
}

#[test]
fn what_ran_goes_before_what_never_did() {
    let mut flow = workflow([node("a"), node("b"), node("c"), node("d")], &[]);
    flow.settings.max_parallel_nodes = Some(2);
    check(&flow, "a ok", "a Succeeded, b Running, c Running, d Pending; Running");
    check(&flow, "a ok, crash", "a Succeeded, b Running 2, c Running 2, d Pending; Running");
}

#[test]
fn times_go_on() {
    let mut flow = Workflow::from_json(
        &json!({
            "nodes": [
                { "id": "d", "node_type": "time.delay", "config": { "delay_ms": 100 } },
                { "id": "a", "node_type": "waiting", "retry_policy":
                    { "max_attempts": 2, "delay_ms": 50, "jitter": false } },
            ],
        })
        .to_string(),
    )
    .unwrap();
    flow.settings.max_execution_time_ms = Some(1_000);
    let mut stage = Stage::new(&flow);
    stage.play("a is busy, +5000, crash");
    let wishes = "set deadline at 1000, set wait of d at 100, set retry of a 1 at 50";
    assert_eq!(stage.wishes(), wishes, "what is past due fires at once");
    assert!(matches!(stage.events.last().unwrap().event, Event::Recovered { interrupted: 0, .. }));
}

#[test]
fn a_signal_that_came_is_not_lost() {
    // It comes while the node waits, or before.
    for steps in ["d waited, signal go", "signal go, d waited"] {
        let text = json!({
            "nodes": [
                { "id": "d", "node_type": "time.delay", "config": { "delay_ms": 100 } },
                { "id": "s", "node_type": "wait.signal", "config": { "name": "go" } },
                { "id": "z", "node_type": "waiting" },
            ],
            "connections": [
                { "from_node": "d", "to_node": "s" }, { "from_node": "s", "to_node": "z" },
            ],
        });
        let flow = Workflow::from_json(&text.to_string()).unwrap();
        let mut whole = Stage::new(&flow);
        whole.play(&format!("+100, {steps}"));
        assert_eq!(whole.statuses(), "d Succeeded, s Succeeded, z Running; Running");
        let is_signal = |record: &Record| record.event.name() == "SignalReceived";
        let came = whole.events.iter().position(is_signal).unwrap();
        for stop in came + 1..=whole.events.len() {
            let mut stage = Stage::new(&flow);
            stage.events = whole.events[..stop].to_vec();
            stage.now = 100;
            stage.play("crash");
            if stage.open().contains("d Waiting") {
                stage.play("d waited");
            }
            let open = stage.open();
            assert_eq!(open, "z Running", "{steps}, after event {stop}");
        }
    }
}

#[test]
fn cleaning_up_has_its_time_also_after_a_crash() {
    let body = |id: &str| json!({ "nodes": [{ "id": id, "node_type": "waiting" }] });
    let text = json!({ "nodes": [{ "id": "t", "node_type": "control.try",
        "config": { "body": body("a"), "finally": body("f") } }] });
    let flow = Workflow::from_json(&text.to_string()).unwrap();
    let mut stage = Stage::new(&flow);
    stage.play("t.body.a ok, cancel");
    // Nothing was kept after the cancel itself.
    let is_cancel = |event: &Event| matches!(event, Event::CancelRequested { .. });
    let cancel = stage.events.iter().position(|record| is_cancel(&record.event)).unwrap();
    stage.events.truncate(cancel + 1);
    stage.play("crash");
    assert_eq!(stage.open(), "t Running, t.finally.f Running");
    assert!(stage.wishes().contains("set cleanup at 300000"), "{}", stage.wishes());
}

#[test]
fn the_third_crash_in_a_row_pauses() {
    let flow = workflow([node("a"), node("b")], &[]);
    check(&flow, "crash, crash", "a Running 3, b Running 3; Running");
    let mut stage = Stage::new(&flow);
    stage.play("crash, crash, crash");
    assert_eq!(stage.statuses(), "a Pending 3, b Pending 3; Paused");
    assert_eq!(stage.wishes(), "", "nothing starts again");
    let event = &stage.events.last().unwrap().event;
    let Event::Paused { reason: PauseReason::CrashLoop, node: Some(node), .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(*node, stage.instance("a"));
    assert_eq!(PauseReason::CrashLoop.code(), Some("recovery.crash_loop"));
    // It stays paused, whoever starts the process again.
    assert_eq!(stage.play("crash").statuses(), "a Pending 3, b Pending 3; Paused");
    // Whoever resumes it has looked: it is counted anew.
    stage.play("resume");
    assert_eq!(stage.statuses(), "a Running 4, b Running 4; Running");
    assert_eq!(stage.play("crash, crash").statuses(), "a Running 6, b Running 6; Running");
    assert_eq!(stage.play("crash").statuses(), "a Pending 6, b Pending 6; Paused");
    assert_eq!(stage.play("cancel").statuses(), "a Cancelled 6, b Cancelled 6; Cancelled");
}

#[test]
fn the_node_that_was_cut_off_most_often_is_named() {
    let flow = workflow([node("a"), node("b"), node("c")], &["a > c"]);
    let mut stage = Stage::new(&flow);
    // The first crash is followed by progress, so the row begins after it.
    stage.play("crash, a ok, crash, crash, crash");
    assert_eq!(stage.statuses(), "a Succeeded 2, b Running 5, c Running 4; Running");
    stage.play("crash");
    assert_eq!(stage.machine.status(), ExecutionStatus::Paused);
    let b = stage.instance("b");
    let named: Vec<Option<Instance>> = stage
        .events
        .iter()
        .filter_map(|record| match &record.event {
            Event::Paused { node, .. } => Some(*node),
            _ => None,
        })
        .collect();
    assert_eq!(named, [Some(b)]);
}

#[test]
fn only_crashes_that_cut_something_off_count() {
    // Nothing is cut off while everything waits.
    let flow = workflow([node("a").retry(policy(9))], &[]);
    check(&flow, "a is busy, crash, crash, crash, crash, a is due", "a Running 2; Running");
    // A failure is a result, too, and so is what a crash itself brings about.
    check(&flow, "crash, crash, a is busy, crash, a is due, crash", "a Running 5; Running");
    let each = |id: &str| once(id).on_error(OnError::ContinueOnError);
    let flow = workflow([each("a"), each("b"), each("c"), node("z")], &["a.error > z"]);
    check(&flow, "crash", "a Failed, b Failed, c Failed, z Running; Running");
    // Where nothing would start again, nothing has to be paused.
    let flow = workflow([once("a")], &[]);
    check(&flow, "crash, crash, crash", "a Failed; Failed");
    // A pause that was decided and not kept is decided again.
    let mut stage = Stage::new(&workflow([node("a")], &[]));
    stage.play("crash, crash, crash");
    stage.events.pop();
    stage.play("crash");
    assert_eq!(stage.statuses(), "a Pending 3; Paused");
}

#[test]
fn before_the_start_and_after_the_end_there_is_nothing_to_recover() {
    let flow = workflow([node("a")], &[]);
    let mut unstarted = machine(&flow);
    let mut turn = Turn::recording();
    unstarted.handle(Timestamp::default(), Fact::Recover { fence: 7 }, &mut turn).unwrap();
    assert_eq!(unstarted.stale_facts(), 1);
    assert!(turn.events.is_empty() && turn.wishes.is_empty());
    let mut stage = Stage::new(&flow);
    stage.play("a ok");
    let events = stage.events.len();
    stage.play("crash");
    assert_eq!(stage.wishes(), "finish");
    assert_eq!(stage.events.len(), events);
}

#[test]
fn the_events_say_who_goes_on_and_what_was_cut_off() {
    let mut stage = Stage::new(&workflow([node("a"), node("b")], &[]));
    let mut turn = Turn::recording();
    stage.machine.handle(stage.moment(), Fact::Recover { fence: 42 }, &mut turn).unwrap();
    let events: Vec<serde_json::Value> = turn
        .events
        .iter()
        .map(|recorded| serde_json::to_value(&recorded.record.event).unwrap())
        .collect();
    assert_eq!(events[0], json!({ "type": "Recovered", "fence": 42, "interrupted": 2 }));
    let instance = json!({ "scope": 0, "node": 0 });
    let cut = json!({ "type": "NodeInterrupted", "instance": instance, "attempt": 1 });
    assert_eq!(events[1], cut);
    assert!(turn.wishes.is_empty(), "they wait for permits: {:?}", turn.wishes);
    // What was wished of the attempts before is not done any more, and their ends are stale.
    let (a, reason) = (stage.instance("a"), CancelReason::Requested);
    assert!(!stage.machine.is_due(a, 1) && !stage.machine.is_under_way(a, 1));
    let mut turn = Turn::recording();
    let outcome = flowcore::machine::Outcome::Cancelled;
    let started_at = stage.moment();
    let late = Fact::AttemptEnded { instance: a, attempt: 1, started_at, outcome, jitter: 0.0 };
    stage.machine.handle(stage.moment(), late, &mut turn).unwrap();
    assert_eq!(stage.machine.stale_facts(), 1);
    let cancel = Fact::Cancel { reason, by: None };
    stage.machine.handle(stage.moment(), cancel, &mut turn).unwrap();
    let finish = turn.wishes.iter().any(|wish| wish.action == Action::Finish);
    assert!(finish, "nothing of them is awaited: {:?}", turn.wishes);
}
