//! Pausing and resuming: what goes on, what waits, and what ends a pause.

use flowcore::machine::{Action, Fact, Turn};
use flowcore::{
    CancelReason, ExecutionStatus, Object, PauseReason, RetryPolicy, UndoSpec, Workflow,
};
use serde_json::json;

use crate::stage::{Stage, inline, machine, node, workflow};

/// How the nodes stand after these steps; and a fold of every prefix of it goes on.
#[track_caller]
fn check(flow: &Workflow, steps: &str, statuses: &str) {
    let mut stage = Stage::new(flow);
    stage.play(steps);
    assert_eq!(stage.statuses(), statuses, "after: {steps}");
    let again = Stage::after(flow, &stage.events);
    assert_eq!(again.machine, stage.machine, "a fold of everything");
    for stop in 1..stage.events.len() {
        let again = Stage::after(flow, &stage.events[..stop]);
        let is_over = again.machine.status().is_terminal();
        let is_paused = again.machine.paused().is_some();
        assert!(is_over || is_paused || !again.open().is_empty(), "stuck after event {stop}");
    }
}

fn file(text: &serde_json::Value) -> Workflow {
    Workflow::from_json(&text.to_string()).unwrap()
}

fn body(id: &str) -> serde_json::Value {
    json!({ "nodes": [{ "id": id, "node_type": "waiting" }] })
}

#[test]
fn what_runs_goes_on_and_nothing_follows() {
    let flow = workflow([node("a"), node("b"), node("c")], &["a > b"]);
    check(&flow, "pause", "a Running, b Pending, c Running; Paused");
    check(&flow, "pause, a ok", "a Succeeded, b Pending, c Running; Paused");
    check(&flow, "pause, a ok, resume", "a Succeeded, b Running, c Running; Running");
    // The end waits, too: what is paused stays so until somebody resumes it.
    check(&flow, "a ok, pause, b ok, c ok", "a Succeeded, b Succeeded, c Succeeded; Paused");
    let ended = "a Succeeded, b Succeeded, c Succeeded; Succeeded";
    check(&flow, "a ok, pause, b ok, c ok, resume", ended);
    check(&flow, "a ok, b ok, pause, c ok, resume", ended);
}

#[test]
fn the_first_wish_may_wait_for_a_resume() {
    for first in [node("a"), inline("a")] {
        let flow = workflow([first, node("b")], &["a > b"]);
        let mut stage = Stage::without_permits(&flow);
        stage.play("pause");
        assert_eq!(stage.statuses(), "a Pending, b Pending; Paused");
        assert!(!stage.machine.wants_permit());
        assert!(!stage.machine.is_due(stage.instance("a"), 1), "a wish from before the pause");
        let mut wishes = Vec::new();
        stage.machine.outstanding(&mut wishes);
        assert_eq!(wishes, [], "nothing is outstanding");
        stage.grants = true;
        stage.play("resume");
        assert_eq!(stage.wishes(), "start a 1");
        stage.play("a ok, b ok");
        assert_eq!(stage.statuses(), "a Succeeded, b Succeeded; Succeeded");
    }
}

#[test]
fn skips_retries_and_rounds_wait() {
    let flow = workflow([node("a"), node("b"), node("c")], &["a.x > b", "b > c"]);
    check(&flow, "pause, a ok", "a Succeeded, b Pending, c Pending; Paused");
    check(&flow, "pause, a ok, resume", "a Succeeded, b Skipped, c Skipped; Succeeded");
    let policy = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let flow = workflow([node("a").retry(policy)], &[]);
    check(&flow, "pause, a is busy", "a Waiting; Paused");
    check(&flow, "a is busy, pause, a is due", "a Pending; Paused");
    check(&flow, "a is busy, pause, a is due, resume", "a Running 2; Running");
    let mut flow = workflow([node("a")], &[]);
    flow.settings.on_error = flowcore::OnError::RetryWorkflow { max_attempts: 2 };
    check(&flow, "pause, a fails", "a Failed; Paused");
    check(&flow, "pause, a fails, resume", "a Running; Running");
}

#[test]
fn times_and_signals_are_noted_and_wait() {
    let flow = file(&json!({
        "nodes": [
            { "id": "d", "node_type": "time.delay", "config": { "delay_ms": 100 } },
            { "id": "s", "node_type": "wait.signal", "config": { "name": "go" } },
            { "id": "z", "node_type": "waiting" },
        ],
        "connections": [
            { "from_node": "d", "to_node": "z" }, { "from_node": "s", "to_node": "z" },
        ],
    }));
    let noted = "d Succeeded, s Succeeded, z Pending; Paused";
    check(&flow, "pause", "d Waiting, s Waiting, z Pending; Paused");
    check(&flow, "pause, +100, d waited, signal go", noted);
    check(
        &flow,
        "pause, +100, d waited, signal go, resume",
        "d Succeeded, s Succeeded, z Running; Running",
    );
}

#[test]
fn items_iterations_and_parts_wait() {
    let of = |node_type: &str, config: serde_json::Value| {
        file(&json!({ "nodes": [{ "id": "c", "node_type": node_type, "config": config }] }))
    };
    let cases = [
        (
            of(
                "control.for_each",
                json!({ "items": [1, 2], "max_concurrency": 1, "body": body("a") }),
            ),
            "c[0].a ok",
            "c[1].a Running",
        ),
        (
            of(
                "control.loop",
                json!({ "until": "index > 0", "max_iterations": 2, "body": body("a") }),
            ),
            "c[0].a ok",
            "c[1].a Running",
        ),
        (
            of("control.try", json!({ "body": body("a"), "catch": body("b") })),
            "c.body.a fails",
            "c.catch.b Running",
        ),
        (
            of("control.try", json!({ "body": body("a"), "finally": body("b") })),
            "c.body.a ok",
            "c.finally.b Running",
        ),
    ];
    for (flow, step, next) in cases {
        let mut stage = Stage::new(&flow);
        stage.play(&format!("pause, {step}"));
        assert_eq!(stage.open(), "c Running", "{next} waits");
        let again = Stage::after(&flow, &stage.events);
        assert_eq!(again.machine, stage.machine, "also after a stop");
        stage.play("resume");
        assert_eq!(stage.open(), format!("c Running, {next}"));
    }
}

#[test]
fn undoing_waits_and_its_time_goes_on() {
    let undo = UndoSpec::new("waiting");
    let mut flow = workflow(
        [node("a").undo(undo.clone()), node("b").undo(undo), node("c")],
        &["a > b", "b > c"],
    );
    flow.settings.cleanup_time_ms = 200;
    let open = |steps: &str| {
        let mut stage = Stage::new(&flow);
        stage.play(steps);
        (stage.open(), stage.machine.status())
    };
    let failed = "a ok x, b ok x, pause, c fails";
    assert_eq!(open(failed), (String::new(), ExecutionStatus::Paused));
    let undoing = |node: &str| format!("{node}~undo Running");
    assert_eq!(open(&format!("{failed}, resume")).0, undoing("b"));
    // It ends already, so a cancel can only let it; it is not the second one, which stops undoing.
    assert_eq!(open(&format!("{failed}, cancel")).0, undoing("b"));
    assert_eq!(open(&format!("{failed}, cancel, b~undo ok")).0, undoing("a"));
    let paused = "a ok x, b ok x, c fails, pause, b~undo ok";
    assert_eq!(open(paused), (String::new(), ExecutionStatus::Paused));
    assert_eq!(open(&format!("{paused}, resume")).0, undoing("a"));
    for stop in ["cancel", "+200, cleanup"] {
        assert_eq!(open(&format!("{paused}, {stop}")).1, ExecutionStatus::Failed, "{stop}");
    }
}

#[test]
fn a_cancel_and_the_deadline_end_a_pause() {
    let mut flow = workflow([node("a"), node("b")], &["a > b"]);
    flow.settings.max_execution_time_ms = Some(1_000);
    check(&flow, "pause, a ok, cancel", "a Succeeded, b Pending; Cancelled");
    check(&flow, "pause, cancel, a stopped", "a Cancelled, b Pending; Cancelled");
    check(&flow, "pause, a ok, +1000, deadline", "a Succeeded, b Pending; TimedOut");
    let mut stage = Stage::new(&flow);
    stage.play("pause, cancel");
    assert_eq!(stage.statuses(), "a Running, b Pending; Running", "what ends is not paused");
    assert_eq!(stage.wishes(), "cancel a 1: requested, clear deadline");
    // A failure is another end: the deadline is over, and the end waits.
    check(&flow, "pause, a fails", "a Failed, b Pending; Paused");
    check(&flow, "pause, a fails, cancel", "a Failed, b Pending; Failed");
}

#[test]
fn a_pause_in_a_pause_and_a_resume_without_one_are_stale() {
    let flow = workflow([node("a"), node("b")], &["a > b"]);
    let pause = || Fact::Pause { reason: PauseReason::Requested, by: Some("somebody".into()) };
    let resume = || Fact::Resume { by: None };
    let cases = [
        ("a second pause", "pause", pause()),
        ("a resume without a pause", "", resume()),
        ("a second resume", "pause, resume", resume()),
        ("a resume after a cancel", "pause, cancel", resume()),
        ("a permit in a pause", "pause, a ok", Fact::PermitGranted),
        ("a pause after the end", "a ok, b ok", pause()),
        ("a resume after the end", "a ok, b ok", resume()),
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
    let mut unstarted = machine(&flow);
    for fact in [pause(), resume()] {
        unstarted.handle(flowcore::Timestamp::default(), fact, &mut Turn::default()).unwrap();
    }
    assert_eq!((unstarted.stale_facts(), unstarted.status()), (2, ExecutionStatus::Queued));
}

#[test]
fn the_first_fact_after_the_start_may_be_a_pause() {
    let flow = workflow([inline("a"), node("b")], &["a > b"]);
    let mut machine = machine(&flow);
    let now = flowcore::Timestamp::default();
    let mut turn = Turn::recording();
    machine.handle(now, Fact::Start { inputs: Object::new(), kept: None }, &mut turn).unwrap();
    let by: Option<std::sync::Arc<str>> = Some("somebody".into());
    let pause = Fact::Pause { reason: PauseReason::Requested, by: by.clone() };
    machine.handle(now, pause, &mut turn).unwrap();
    // What was wished before is not done.
    for wish in turn.wishes.drain(..) {
        if let Action::Start { instance, attempt } = wish.action {
            assert!(!machine.is_due(instance, attempt));
        }
    }
    assert_eq!(machine.status(), ExecutionStatus::Paused);
    let events: Vec<&str> = turn.events.iter().map(|event| event.record.event.name()).collect();
    assert_eq!(events, ["WorkflowStarted", "Paused"]);
    let said = serde_json::to_value(&turn.events[1].record).unwrap();
    assert_eq!(said["reason"], "requested");
    assert_eq!(said["by"], "somebody");
    let reason = CancelReason::Requested;
    machine.handle(now, Fact::Cancel { reason, by }, &mut turn).unwrap();
    assert_eq!(machine.status(), ExecutionStatus::Cancelled, "nothing has to be resumed first");
}
