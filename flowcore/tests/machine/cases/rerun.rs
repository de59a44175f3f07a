//! Running again from a node, with the results of an earlier execution.

use flowcore::machine::{Fact, Kept, Outcome, RerunError, Turn};
use flowcore::{
    Effect, Event, ExecutionEvent, ExecutionId, Instance, Join, NodeOutput, Object, OnError,
    ScopeId, Timestamp, UndoSpec, Value, Workflow,
};
use serde_json::json;

use crate::stage::{Stage, machine, node, workflow};

/// Plays an execution, and another from a node; checks how the nodes of that stand before its first
/// step, and after its steps.
#[track_caller]
fn check(flow: &Workflow, steps: &str, from: &str, begins: &str, again: &str, ends: &str) {
    let mut stage = Stage::new(flow);
    stage.play(steps);
    let mut rerun = stage.rerun(from);
    assert_eq!(rerun.statuses(), begins, "from {from}, after: {steps}");
    rerun.play(again);
    assert_eq!(rerun.statuses(), ends, "from {from}, after: {steps}; {again}");
    // It goes on from every event.
    for stop in 1..rerun.events.len() {
        let after = Stage::after(flow, &rerun.events[..stop]);
        let is_over = after.machine.status().is_terminal();
        assert!(is_over || !after.open().is_empty(), "stuck after event {stop}");
    }
}

#[test]
fn what_does_not_follow_from_the_node_is_kept() {
    let flow = workflow([node("a"), node("b"), node("c"), node("d")], &["a > b", "b > c", "a > d"]);
    let failed = "a ok, d ok, b ok, c fails";
    let done = "a Succeeded, b Succeeded, c Succeeded, d Succeeded; Succeeded";
    let begins = "a Succeeded, b Succeeded, c Running, d Succeeded; Running";
    check(&flow, failed, "c", begins, "c ok", done);
    let begins = "a Succeeded, b Running, c Pending, d Succeeded; Running";
    check(&flow, failed, "b", begins, "b ok, c ok", done);
    let begins = "a Running, b Pending, c Pending, d Pending; Running";
    check(&flow, failed, "a", begins, "a ok, b ok, c ok, d ok", done);
    // What failed and does not follow from it runs again, too.
    let begins = "a Succeeded, b Succeeded, c Running, d Running; Running";
    check(&flow, failed, "d", begins, "c ok, d ok", done);
}

#[test]
fn kept_nodes_have_no_attempt_and_their_results_are_seen() {
    let reads = node("b").config_value("a", "{{ nodes.a.x }}");
    let flow = workflow([node("a"), reads], &[]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b fails");
    let mut rerun = stage.rerun("b");
    assert_eq!(rerun.input("b", 0), Some(Value::from("a.x")));
    assert_eq!(rerun.wishes(), "start b 1");
    let Event::NodeCompleted { attempt: 0, kept: true, outputs, .. } = &rerun.events[1].event
    else {
        panic!("{:?}", rerun.events[1])
    };
    assert_eq!(*outputs, NodeOutput::of("x", "a.x"));
    rerun.play("b ok");
    let result = rerun.result();
    let a = result.node("a").unwrap();
    assert_eq!((a.attempts, a.started_at), (0, None), "it did not run");
    // What was kept is kept once more.
    let third = rerun.rerun("b");
    assert_eq!(third.statuses(), "a Succeeded, b Running; Running");
}

#[test]
fn the_events_say_what_is_kept() {
    let flow = workflow([node("a"), node("b")], &["a > b"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b fails");
    let rerun = stage.rerun("b");
    let flat = |record: &flowcore::Record| {
        let (id, plan) = (ExecutionId::from_uuid(uuid::Uuid::nil()), rerun.machine.plan().clone());
        serde_json::to_value(ExecutionEvent::fact(id, plan, record.clone())).unwrap()
    };
    assert_eq!(flat(&rerun.events[0])["kept"], json!(["a"]));
    assert_eq!(flat(&rerun.events[1])["kept"], json!(true));
    assert!(flat(&stage.events[0]).get("kept").is_none(), "most keep nothing");
    assert!(serde_json::to_value(&stage.events[0]).unwrap().get("kept").is_none());
    let nothing = stage.rerun("a");
    assert!(serde_json::to_value(&nothing.events[0]).unwrap().get("kept").is_none());
}

#[test]
fn control_nodes_are_kept_with_all_that_is_inside() {
    let text = json!({
        "nodes": [
            { "id": "each", "node_type": "control.for_each", "config": {
                "items": [1, 2],
                "body": { "nodes": [{ "id": "a", "node_type": "waiting" }], "outputs": "{{ nodes.a.x }}" },
            } },
            { "id": "wait", "node_type": "time.delay", "config": { "delay_ms": 1000 } },
            { "id": "z", "node_type": "waiting", "config": { "a": "{{ nodes.each.results }}" } },
        ],
        "connections": [{ "from_node": "wait", "to_node": "z" }],
    });
    let flow = Workflow::from_json(&text.to_string()).unwrap();
    let mut stage = Stage::new(&flow);
    stage.play("each[0].a ok x, each[1].a ok x, wait waited, z fails");
    let rerun = stage.rerun("z");
    assert_eq!(rerun.open(), "z Running");
    let results = rerun.input("z", 0).unwrap().to_json();
    assert_eq!(results, json!(["each[0].a.x", "each[1].a.x"]));
    // A node that is to run again runs with all that is inside of it.
    assert_eq!(stage.rerun("each").open(), "each Running, each[0].a Running, each[1].a Running");
}

#[test]
fn the_shared_state_is_as_it_was() {
    let text = json!({ "nodes": [
        { "id": "a", "node_type": "waiting" },
        { "id": "b", "node_type": "waiting" },
        { "id": "each", "node_type": "control.for_each", "config": {
            "items": [1], "body": { "nodes": [{ "id": "i", "node_type": "waiting" }] } } },
        { "id": "z", "node_type": "waiting" },
    ], "connections": [
        { "from_node": "a", "to_node": "z" }, { "from_node": "b", "to_node": "z" },
        { "from_node": "each", "to_node": "z" },
    ] });
    let flow = Workflow::from_json(&text.to_string()).unwrap();
    let mut stage = Stage::new(&flow);
    let ends = |stage: &mut Stage, id: &str, keys: &[&str]| {
        let entries = keys.iter().map(|key| ((*key).to_owned(), Value::from(id)));
        let state_writes = Object::from_entries(entries).unwrap();
        let outputs = NodeOutput::of("x", 1);
        stage.end(id, Outcome::Succeeded { outputs, state_writes, cache: None });
    };
    // They end in another order than they stand in the file.
    ends(&mut stage, "b", &["first", "of b"]);
    ends(&mut stage, "each[0].i", &["inside", "of b"]);
    ends(&mut stage, "a", &["first"]);
    let state = |stage: &Stage| {
        let prepared = stage.machine.prepare(stage.instance("z"), stage.moment()).unwrap();
        let state = prepared.state().unwrap();
        ["first", "of b", "inside"].map(|key| state.get(key).cloned())
    };
    let before = state(&stage);
    assert_eq!(before, ["a", "each[0].i", "each[0].i"].map(|id| Some(Value::from(id))));
    stage.play("z fails");
    assert_eq!(state(&stage.rerun("z")), before);
    // What the nodes wrote that run again is gone.
    assert_eq!(stage.kept("a").unwrap().node(1).unwrap().state_writes.len(), 1);
    assert_eq!(stage.kept("each").unwrap().node(1).unwrap().state_writes.len(), 1);
}

#[test]
fn races_are_decided_as_they_were() {
    let race = [node("a"), node("b"), node("c").join(Join::First), node("d")];
    let flow = workflow(race, &["a > c", "b > c", "c > d"]);
    let mut stage = Stage::new(&flow);
    stage.play("b ok, a stopped, c ok, d fails");
    let mut rerun = stage.rerun("d");
    // `a` was not kept, and has begun before it is known that it lost.
    assert_eq!(rerun.statuses(), "a Running, b Succeeded, c Succeeded, d Running; Running");
    assert_eq!(rerun.wishes(), "start a 1, cancel a 1: lost_race, start d 1");
    rerun.play("a stopped, d ok");
    assert_eq!(rerun.statuses(), "a Cancelled, b Succeeded, c Succeeded, d Succeeded; Succeeded");
}

#[test]
fn a_new_round_keeps_nothing_and_the_last_one_is_kept() {
    let mut flow = workflow([node("a"), node("b")], &["a > b"]);
    flow.settings.on_error = OnError::RetryWorkflow { max_attempts: 2 };
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b fails, a ok y, b fails");
    assert_eq!(stage.kept("b").unwrap().nodes()[0].outputs, NodeOutput::of("y", "a.y"));
    let mut rerun = stage.rerun("b");
    assert_eq!(rerun.statuses(), "a Succeeded, b Running; Running");
    rerun.play("b fails");
    assert_eq!(rerun.statuses(), "a Running, b Pending; Running");
}

#[test]
fn what_is_kept_is_not_undone_by_another_execution() {
    let undo = || UndoSpec::new("waiting");
    let flow =
        workflow([node("a").undo(undo()), node("b").undo(undo()), node("c")], &["a > b", "b > c"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok, b ok, c fails, b~undo ok, a~undo ok");
    let mut rerun = stage.rerun("b");
    rerun.play("b ok, c fails");
    assert_eq!(rerun.open(), "b~undo Running");
    rerun.play("b~undo ok");
    assert_eq!(rerun.result().not_undone, [], "what `a` did belongs to the one that did it");
}

#[test]
fn it_may_crash_and_pause_as_any_other() {
    let flow = workflow([node("a"), node("b").effect(Effect::Pure)], &["a > b"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok, b fails");
    let mut rerun = stage.rerun("b");
    rerun.play("crash");
    assert_eq!(rerun.statuses(), "a Succeeded, b Running 2; Running");
    // Nothing was kept but the start.
    rerun.events.truncate(1);
    rerun.play("crash");
    assert_eq!(rerun.statuses(), "a Succeeded, b Running; Running");
    let mut early = machine(&flow);
    let kept = Some(Box::new(stage.kept("b").unwrap()));
    let now = Timestamp::default();
    let start = Fact::Start { inputs: Object::new(), kept };
    early.handle(now, start, &mut Turn::default()).unwrap();
    let a = Instance { scope: ScopeId(0), node: 0 };
    assert!(!early.is_due(a, 1), "it never starts");
}

#[test]
fn only_nodes_that_there_are_can_be_run_from() {
    let flow = workflow([node("fetch"), node("b")], &[]);
    let mut stage = Stage::new(&flow);
    stage.play("fetch ok, b fails");
    let unknown = |id: &str| {
        let error = stage.kept(id).unwrap_err();
        assert_eq!(error.code(), "rerun.unknown_node");
        (error.to_string(), error.hint())
    };
    assert_eq!(
        unknown("fetsh"),
        (
            "the workflow has no node `fetsh` to run again from".to_owned(),
            Some("did you mean `fetch`?".to_owned())
        )
    );
    assert_eq!(unknown("something").1, None);
    let inside = "what is inside of a control node runs again with it: `each`";
    assert_eq!(unknown("each[3].total").1.as_deref(), Some(inside));
    let forgetful = stage.machine.kept_for_rerun("b").unwrap_err();
    assert_eq!(forgetful, RerunError::OutputsNotKept);
    assert_eq!((forgetful.code(), forgetful.hint()), ("rerun.outputs_not_kept", None));
    stage.events.clear();
    assert_eq!(stage.kept("b").unwrap(), Kept::default(), "of one that never started");
}
