//! Histories that are full: what ends then, what still runs, and what is said.

use flowcore::machine::{Fact, HistoryLimits};
use flowcore::{Event, ExecutionStatus, UndoSpec, Workflow};
use serde_json::json;

use crate::stage::{Stage, inline, node, workflow};

const MIB: u64 = 1 << 20;

fn events(max: u64) -> HistoryLimits {
    HistoryLimits { max_events: Some(max), max_bytes: None }
}

fn bytes(max: u64) -> HistoryLimits {
    HistoryLimits { max_events: None, max_bytes: Some(max) }
}

/// So many plain functions in a row, after a node with an undo.
fn long(count: usize) -> Workflow {
    let undo = UndoSpec::new("waiting").config_value("a", "{{ nodes.a.x }}");
    let functions = (0..count).map(|number| inline(&format!("n{number}")));
    let links: Vec<String> = (0..count)
        .map(|number| match number {
            0 => "a > n0".to_owned(),
            _ => format!("n{} > n{number}", number - 1),
        })
        .collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    workflow([node("a").undo(undo)].into_iter().chain(functions), &links)
}

/// A loop that goes round until something stops it, within a `control.try` that cleans up.
fn loops() -> Workflow {
    let body = json!({
        "nodes": [{ "id": "loop", "node_type": "control.loop", "config": {
            "state": 0, "max_iterations": 100_000, "until": "false",
            "body": { "nodes": [{ "id": "step", "node_type": "waiting" }], "outputs": 1 }
        } }]
    });
    let clean_up = json!({ "nodes": [{ "id": "tidy", "node_type": "waiting" }] });
    let text = json!({ "nodes": [
        { "id": "t", "node_type": "control.try", "config": { "body": body, "finally": clean_up } }
    ] });
    Workflow::from_json(&text.to_string()).unwrap()
}

#[track_caller]
fn check_end(stage: &Stage, code: &str, hint: &str) {
    let result = stage.result();
    let error = result.error.unwrap();
    assert_eq!(result.status, ExecutionStatus::Failed);
    assert_eq!((error.code.as_str(), error.hint.as_deref()), (code, Some(hint)));
    assert_eq!(error.node, None);
    let ends = stage.events.iter().filter(|r| matches!(r.event, Event::WorkflowCompleted { .. }));
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_history_that_is_full_ends_the_execution_and_what_it_did_is_undone() {
    let mut stage = Stage::limited(&long(200), events(100));
    stage.play("a ok x");
    for number in 0..200 {
        if stage.events.iter().any(|record| is_cancel(&record.event)) {
            break;
        }
        stage.play(&format!("n{number} ok x"));
    }
    let running = stage.open();
    let running = running.strip_suffix(" Running").unwrap();
    stage.play(&format!("{running} stopped"));
    assert_eq!(stage.open(), "a~undo Running", "it has room for that");
    let at = stage.machine.seq();
    assert!((80..95).contains(&at), "{at}");
    stage.play("a~undo ok");
    check_end(&stage, "history.too_many_events", "the limit is the setting `max_events`, 100 here");
    assert!(stage.machine.seq() <= 100);
    assert!(stage.result().not_undone.is_empty());
}

#[test]
fn what_cleans_up_goes_on_and_then_ends_too() {
    let mut stage = Stage::limited(&loops(), events(200));
    let mut iterations = 0;
    while stage.open().contains("step")
        && stage.events.iter().all(|record| !is_cancel(&record.event))
    {
        stage.play(&format!("t.body.loop[{iterations}].step ok x"));
        iterations += 1;
    }
    assert!(iterations > 30, "{iterations}");
    let running = stage.open();
    assert!(running.contains(&format!("loop[{iterations}].step Running")), "{running}");
    stage.play(&format!("t.body.loop[{iterations}].step stopped"));
    assert_eq!(stage.open(), "t Running, t.finally.tidy Running", "what cleans up");
    stage.play("t.finally.tidy ok x");
    check_end(&stage, "history.too_many_events", "the limit is the setting `max_events`, 200 here");
}

fn is_cancel(event: &Event) -> bool {
    matches!(event, Event::CancelRequested { instance: None, .. })
}

#[test]
fn a_history_that_is_too_large_ends_the_execution() {
    let limit = "the limit is the setting `max_history_bytes`, 33554432 here";
    let mut stage = Stage::limited(&long(3), bytes(32 * MIB));
    stage.play("a ok x");
    assert!(!stage.machine.heeds_size(29 * MIB) && stage.machine.heeds_size(30 * MIB));
    stage.tell(Fact::HistoryGrew { bytes: 29 * MIB });
    assert!(!stage.events.iter().any(|record| is_cancel(&record.event)), "there is room");
    stage.tell(Fact::HistoryGrew { bytes: 31 * MIB });
    assert_eq!(stage.play("n0 stopped").open(), "a~undo Running");
    // Less than the limit: what cleans up may go on.
    stage.tell(Fact::HistoryGrew { bytes: 31 * MIB });
    stage.play("a~undo ok");
    check_end(&stage, "history.too_large", limit);
    assert!(!stage.machine.heeds_size(u64::MAX), "nothing follows the end");

    let mut stage = Stage::limited(&long(3), bytes(32 * MIB));
    stage.play("a ok x");
    stage.tell(Fact::HistoryGrew { bytes: 40 * MIB });
    assert!(stage.wishes().ends_with("cancel n0 1: history_too_large"), "{}", stage.wishes());
    stage.play("n0 stopped");
    assert_eq!(stage.open(), "a~undo Running", "cleaning up begins only now");
    stage.tell(Fact::HistoryGrew { bytes: 40 * MIB });
    stage.play("a~undo stopped");
    check_end(&stage, "history.too_large", limit);
    assert!(stage.result().not_undone.iter().any(|left| left.node == "a"));
}

#[test]
fn what_is_paused_ends_when_it_goes_on() {
    let mut stage = Stage::limited(&long(3), bytes(MIB));
    stage.play("pause, a ok x");
    stage.tell(Fact::HistoryGrew { bytes: 2 * MIB });
    assert_eq!(stage.machine.status(), ExecutionStatus::Paused);
    stage.play("resume");
    assert_eq!(stage.open(), "n0 Running");
    stage.tell(Fact::HistoryGrew { bytes: 2 * MIB });
    stage.play("n0 stopped, a~undo ok");
    assert_eq!(stage.machine.status(), ExecutionStatus::Failed);
}

#[test]
fn a_limit_is_that_of_whoever_goes_on() {
    let mut stage = Stage::limited(&long(200), events(1000));
    stage.play("a ok x");
    for number in 0..60 {
        stage.play(&format!("n{number} ok x"));
    }
    assert_eq!(stage.machine.status(), ExecutionStatus::Running);
    // The next process has less room: the first thing that it does is to end.
    let mut stage = stage.with_history(events(64));
    stage.crash();
    assert_eq!(stage.machine.status(), ExecutionStatus::Failed);
    check_end(&stage, "history.too_many_events", "the limit is the setting `max_events`, 64 here");
}
