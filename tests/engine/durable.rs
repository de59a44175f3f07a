//! Executions in a store: what is accepted ends, whatever happens to the processes.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    Effect, Execution, ExecutionId, ExecutionStatus, NodeError, NodeOutput, ProjectId, Secrets,
    Value, Workflow,
};
use flowruntime::history::{Detail, ExecutionReport, ExecutionSummary};
use flowruntime::store::{Query, Store};
use flowruntime::{ExecutionHandle, FlowRuntime, MemoryJournal, StartError, TellError};
use serde_json::{Value as Json, json};

use crate::site::Site;
use crate::stage::one;
use crate::support::{Signal, kind, on_current_thread, paused, settle, transcript, workflow};

fn steps() -> Workflow {
    workflow(json!({
        "id": "steps",
        "nodes": [
            {"id": "a", "node_type": "quick.task"},
            {"id": "b", "node_type": "deaf.task"},
            {"id": "c", "node_type": "quick.async"},
        ],
        "connections": [
            {"from_node": "a", "to_node": "b"},
            {"from_node": "b", "to_node": "c"},
        ],
    }))
}

both_flavours! {
    async fn what_a_store_keeps_is_what_happened() {
        let site = Site::new();
        let runtime = site.process();
        let workflow = workflow(json!({
            "id": "sum",
            "inputs": {"n": {"type": "integer", "default": 1}},
            "nodes": [
                {"id": "a", "node_type": "quick.inline"},
                {"id": "b", "node_type": "quick.task"},
                {"id": "c", "node_type": "quick.blocking"},
            ],
            "connections": [{"from_node": "a", "to_node": "b"}, {"from_node": "b", "to_node": "c"}],
            "outputs": {"sum": "{{ inputs.n + nodes.a.out + nodes.c.out }}"},
        }));
        let prepared = runtime.prepare(&workflow, ()).unwrap();
        let mut events = prepared.events();
        let handle = prepared.start().await.unwrap();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.outputs.to_json(), json!({"sum": 3}));

        let history = runtime.history(handle.id()).await.unwrap().unwrap();
        assert_eq!(history.row.status, ExecutionStatus::Succeeded);
        assert_eq!(history.row.workflow_id.as_str(), "sum");
        assert_eq!(history.row.last_seq, history.events.len() as u64);
        assert!(history.row.ended_at.is_some() && history.row.owner.is_none());
        assert_eq!(history.inputs.get("n"), Some(&Value::from(1)));
        assert_eq!(history.result.outputs, result.outputs);
        let outputs = history.result.node("b").unwrap().outputs.unwrap();
        assert_eq!(outputs.get("out"), Some(&Value::from(1)));
        let seen = crate::support::collect(&mut events).await;
        assert_eq!(transcript(&history.events), seen);
        let rows = site.store.executions(&Query::default()).await.unwrap();
        assert_eq!(rows, [history.row]);
    }
}

#[test]
fn after_a_crash_finished_nodes_are_not_run_again() {
    let site = Site::new();
    let id = site.dies_after(|runtime| async move {
        let handle = runtime.start(&steps(), ()).await.unwrap();
        settle().await;
        handle.id()
    });
    assert_eq!(site.stage.log.lines(), ["a", "b"]);
    let mut later = site.stage.registry.clone();
    let log = site.stage.log.clone();
    later.register_async(kind("deaf.task", Execution::Task), move |ctx| {
        log.note(format!("{} again", ctx.node_id()));
        async { Ok(NodeOutput::of("out", 1)) }
    });
    paused(async {
        let runtime = site.builder().registry(later).build().unwrap();
        runtime.open().await.unwrap();
        let handle = runtime.handle(id).await.unwrap().unwrap();
        let result = handle.wait().await.unwrap();
        assert!(result.is_success());
        assert_eq!(site.row(id).await.fence, 2);
    });
    assert_eq!(site.stage.log.lines(), ["a", "b", "b again", "c"]);
}

#[test]
fn what_waits_is_a_row_and_wakes_in_time() {
    let site = Site::new();
    let workflow = workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "quick.task"},
            {"id": "pause", "node_type": "time.delay", "config": {"delay_ms": 86_400_000}},
            {"id": "b", "node_type": "quick.task"},
        ],
        "connections": [
            {"from_node": "a", "to_node": "pause"},
            {"from_node": "pause", "to_node": "b"},
        ],
    }));
    paused(async {
        let runtime = site.process();
        let handle = runtime.start(&workflow, ()).await.unwrap();
        settle().await;
        let row = site.row(handle.id()).await;
        assert_eq!((row.status, row.owner), (ExecutionStatus::Waiting, None));
        assert!(row.wake_at.is_some());
        let result = handle.wait().await.unwrap();
        assert!(result.is_success());
        assert!(result.duration() >= Duration::from_secs(86_400));
        assert_eq!(site.row(handle.id()).await.fence, 2);
    });
    assert_eq!(site.stage.log.lines(), ["a", "b"]);
}

#[test]
fn a_signal_reaches_what_waits_whoever_executes_it() {
    let site = Site::new();
    let workflow = workflow(json!({
        "nodes": [{"id": "paid", "node_type": "wait.signal"}],
    }));
    let id = site.dies_after(|runtime| async move {
        let handle = runtime.start(&workflow, ()).await.unwrap();
        settle().await;
        handle.id()
    });
    paused(async {
        // One that only looks.
        let visitor = site.process();
        let unknown = visitor.signal(id, "piad", None, 1).await.unwrap_err();
        assert_eq!(unknown.code(), "signal.unknown_name");
        visitor.signal(id, "paid", None, 7).await.unwrap();
        assert_eq!(site.store.messages(id).await.unwrap().len(), 1);
        let runtime = site.process();
        runtime.open().await.unwrap();
        let handle = runtime.handle(id).await.unwrap().unwrap();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.outputs.to_json(), json!({"paid": {"payload": 7}}));
        assert!(site.store.messages(id).await.unwrap().is_empty());
        let late = visitor.signal(id, "paid", None, 7).await.unwrap_err();
        assert_eq!(late.code(), "execution.finished");
        let nobody = ExecutionId::from_uuid(uuid::Uuid::nil());
        let nobody = visitor.cancel(nobody, None).await.unwrap_err();
        assert!(matches!(nobody, TellError::NotFound(_)));
    });
}

#[test]
fn paused_nothing_starts_until_somebody_resumes() {
    let site = Site::new();
    paused(async {
        let runtime = site.process();
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "polite.task"},
                {"id": "wait", "node_type": "time.delay", "config": {"delay_ms": 10_000}},
                {"id": "b", "node_type": "quick.task"},
            ],
            "connections": [{"from_node": "wait", "to_node": "b"}],
            "settings": {"on_error": "ContinueOnError"},
        }));
        let handle = runtime.start(&workflow, ()).await.unwrap();
        settle().await;
        runtime.pause(handle.id(), Some("ada")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(site.row(handle.id()).await.status, ExecutionStatus::Paused);
        assert_eq!(site.stage.log.lines(), ["a"]);
        runtime.resume(handle.id(), None).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(site.stage.log.lines(), ["a", "b"]);
        runtime.cancel(handle.id(), Some("ada")).await.unwrap();
        assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        let history = runtime.history(handle.id()).await.unwrap().unwrap();
        let events = serde_json::to_string(&history.events).unwrap();
        assert!(events.contains(r#""by":"ada""#), "{events}");
    });
}

#[test]
fn a_process_that_goes_hands_its_executions_back() {
    let site = Site::new();
    paused(async {
        let first = site.process();
        let handle = first.start(&steps(), ()).await.unwrap();
        settle().await;
        first.close().await;
        assert_eq!(site.stage.running.now(), 0);
        let row = site.row(handle.id()).await;
        assert_eq!((row.owner, row.status), (None, ExecutionStatus::Running));
        let second = site.process();
        let (taken, is_here) = second.take_up(handle.id(), None).await.unwrap().unwrap();
        assert!(is_here);
        settle().await;
        assert_eq!(site.stage.log.lines(), ["a", "b", "b"]);
        second.cancel(taken.id(), None).await.unwrap();
        assert_eq!(taken.wait().await.unwrap().status, ExecutionStatus::Cancelled);
    });
}

#[test]
fn one_that_is_leaving_starts_nothing() {
    let mut site = Site::new();
    let may_end = Signal::new();
    let waits = may_end.clone();
    site.stage.registry.register_async(kind("held", Execution::Async), move |_| {
        let waits = waits.clone();
        async move {
            waits.wait().await;
            Ok(NodeOutput::new())
        }
    });
    let workflow = workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "held"},
            {"id": "b", "node_type": "quick.task", "effect": "once"},
        ],
        "connections": [{"from_node": "a", "to_node": "b"}],
    }));
    paused(async {
        let first = site.process();
        let handle = first.start(&workflow, ()).await.unwrap();
        settle().await;
        // The driver hears of both in one turn.
        may_end.give();
        first.close().await;
        let second = site.process();
        let (taken, _) = second.take_up(handle.id(), None).await.unwrap().unwrap();
        // One that was started would not be started again.
        assert!(taken.wait().await.unwrap().is_success());
        let history = second.history(handle.id()).await.unwrap().unwrap();
        assert!(!transcript(&history.events).contains("Recovered"));
    });
    assert_eq!(site.stage.log.lines(), ["b"]);
}

#[test]
fn what_a_process_hands_back_goes_on_in_another_by_itself() {
    let site = Site::new();
    paused(async {
        let first = site.builder().max_executions(1).build().unwrap();
        let running = first.start(&steps(), ()).await.unwrap().id();
        let queued = first.start(&one("quick.task"), ()).await.unwrap().id();
        settle().await;
        let second = site.process();
        second.open().await.unwrap();
        first.close().await;
        let queued = second.handle(queued).await.unwrap().unwrap();
        let running = second.handle(running).await.unwrap().unwrap();
        assert!(queued.wait().await.unwrap().is_success());
        settle().await;
        assert_eq!(site.row(running.id()).await.fence, 2);
        let mut lines = site.stage.log.lines();
        lines.sort();
        assert_eq!(lines, ["a", "a", "b", "b"], "one `a` of each, and `b` once more");
        second.cancel(running.id(), None).await.unwrap();
        assert_eq!(running.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        // It began only where it was executed.
        let history = second.history(queued.id()).await.unwrap().unwrap();
        assert_eq!(history.events.len(), 4, "{:?}", transcript(&history.events));
    });
}

both_flavours! {
    async fn a_process_goes_as_soon_as_its_executions_are_left() {
        for _ in 0..500 {
            let site = Site::new();
            let runtime = site.process();
            runtime.start(&one("deaf.task"), ()).await.unwrap();
            runtime.close().await;
            assert!(runtime.execute(&one("quick.task"), ()).await.is_err());
        }
    }
}

#[test]
fn whoever_watches_anew_hears_of_the_end() {
    let site = Site::new();
    paused(async {
        let (first, second) = (site.process(), site.process());
        let handle = first.start(&steps(), ()).await.unwrap();
        settle().await;
        drop(second.handle(handle.id()).await.unwrap().unwrap());
        let watched = second.handle(handle.id()).await.unwrap().unwrap();
        first.cancel(handle.id(), None).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(3600), watched.wait()).await;
        assert_eq!(ended.unwrap().unwrap().status, ExecutionStatus::Cancelled);
    });
}

#[test]
fn what_goes_on_here_is_told_to_the_journal_that_asked_for_it() {
    let site = Site::new();
    let id = site.dies_after(|runtime| async move {
        let handle = runtime.start(&steps(), ()).await.unwrap();
        settle().await;
        handle.id()
    });
    paused(async {
        let second = site.process();
        let journal = Arc::new(MemoryJournal::new());
        let (handle, _) = second.take_up(id, Some(journal.clone())).await.unwrap().unwrap();
        settle().await;
        second.cancel(id, None).await.unwrap();
        handle.wait().await.unwrap();
        let events = journal.events();
        let seqs: Vec<u64> = events.iter().filter_map(flowcore::ExecutionEvent::seq).collect();
        let history = second.history(id).await.unwrap().unwrap();
        let first = seqs[0];
        assert!(first > 1, "what was before is not told again");
        assert_eq!(seqs, (first..=history.row.last_seq).collect::<Vec<u64>>());
    });
}

#[test]
fn one_that_lost_an_execution_changes_nothing_any_more() {
    let site = Site::new();
    paused(async {
        let (first, second) = (site.process(), site.process());
        let handle = first.start(&steps(), ()).await.unwrap();
        settle().await;
        // It is taken for dead, and lives.
        site.store.kill_owners();
        second.open().await.unwrap();
        settle().await;
        assert_eq!(site.row(handle.id()).await.fence, 2);
        assert_eq!(site.stage.running.now(), 2);
        second.cancel(handle.id(), None).await.unwrap();
        let seen = second.handle(handle.id()).await.unwrap().unwrap().wait().await.unwrap();
        assert_eq!(seen.status, ExecutionStatus::Cancelled);
        let history = second.history(handle.id()).await.unwrap().unwrap();
        let ends = history.events.iter().filter(|event| event.is_last()).count();
        assert_eq!(ends, 1);
    });
}

#[test]
fn the_same_key_is_the_same_execution() {
    let site = Site::new();
    on_current_thread(async {
        let runtime = site.process();
        let start = |n: i64| {
            let inputs = [("n", Value::from(n))];
            runtime.prepare(&one("quick.task"), inputs).unwrap().key("order-1").start()
        };
        let first = start(1).await.unwrap();
        let again = start(1).await.unwrap();
        assert_eq!(first.id(), again.id());
        assert!(again.wait().await.unwrap().is_success());
        let after_its_end = start(1).await.unwrap();
        assert_eq!(after_its_end.wait().await.unwrap().execution_id, first.id());
        let other = start(2).await.unwrap_err();
        assert_eq!(other.code(), "execution.key_conflict");
        assert!(matches!(other, StartError::Store(_)));
    });
    assert_eq!(site.stage.log.lines(), ["a"]);
}

#[test]
fn one_that_runs_another_again_is_of_its_project_and_version() {
    let site = Site::new();
    let quick = workflow(json!({"id": "w", "nodes": [{"id": "a", "node_type": "quick.task"}]}));
    paused(async {
        let runtime = site.process();
        let project = ProjectId::new("shop").unwrap();
        let prepared = runtime.prepare(&quick, ()).unwrap().project(project.clone()).version(3);
        let first = prepared.key("k").start().await.unwrap();
        first.wait().await.unwrap();
        let again = runtime.prepare_rerun(first.id(), None).await.unwrap();
        let again = again.start().await.unwrap();
        again.wait().await.unwrap();
        // The same key in another project is another start.
        let other = runtime.prepare(&quick, ()).unwrap().key("k").start().await.unwrap();
        other.wait().await.unwrap();
        let query = Query { project: project.clone(), ..Query::default() };
        let rows = site.store.executions(&query).await.unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, [again.id(), first.id()]);
        assert!(rows.iter().all(|row| row.project == project && row.version == Some(3)));
        let rows = site.store.executions(&Query::default()).await.unwrap();
        let [row] = &*rows else { panic!("{rows:?}") };
        assert_eq!((row.id, &row.project, row.version), (other.id(), &ProjectId::default(), None));
        // Documents say it, also that there is none.
        for (id, version) in [(again.id(), json!(3)), (other.id(), json!(null))] {
            let (row, replay) = runtime.replay(id).await.unwrap().unwrap();
            let summary = serde_json::to_value(ExecutionSummary::from(&row)).unwrap();
            let report = ExecutionReport::of(row, replay, Detail::Of(&[])).unwrap();
            let report = serde_json::to_value(&report).unwrap();
            assert_eq!(
                (summary.get("version"), report.get("version")),
                (Some(&version), Some(&version))
            );
        }
    });
}

/// What is told without the store, and what the store gives.
async fn told_and_kept(runtime: &FlowRuntime, handle: &ExecutionHandle) -> (Option<Json>, Json) {
    let told = handle.report().await.unwrap();
    let (row, replay) = runtime.replay(handle.id()).await.unwrap().unwrap();
    let kept = ExecutionReport::of(row, replay, Detail::Of(&[])).unwrap();
    let json = |report: &ExecutionReport| serde_json::to_value(report).unwrap();
    (told.as_ref().map(json), json(&kept))
}

#[test]
fn what_is_watched_is_told_as_the_store_would() {
    let site = Site::new();
    let ends = [
        json!({"id": "a", "node_type": "quick.task", "retry_policy": {"max_attempts": 2}}),
        json!({"id": "a", "node_type": "quick.inline", "when": "inputs.n > 1"}),
        json!({"id": "a", "node_type": "time.delay", "config": {"delay_ms": 3_600_000}}),
        json!({"id": "a", "node_type": "control.fail", "config": {"message": "no"}}),
        json!({
            "id": "a", "node_type": "control.for_each", "config": {
                "items": [1, 2, 3],
                "body": {"nodes": [{"id": "b", "node_type": "quick.async"}]},
            },
        }),
    ];
    paused(async {
        let runtime = site.process();
        for node in ends {
            let workflow = workflow(json!({
                "id": "watched",
                "inputs": {"n": {"type": "integer"}},
                "nodes": [node, {"id": "z", "node_type": "quick.task"}],
                "connections": [{"from_node": "a", "to_node": "z"}],
                "outputs": {"n": "{{ inputs.n }}"},
            }));
            let inputs = || [("n", Value::from(1))];
            let prepared = runtime.prepare(&workflow, inputs()).unwrap().version(7);
            let handle = prepared.watched().start().await.unwrap();
            let (told, kept) = told_and_kept(&runtime, &handle).await;
            assert_eq!(told.as_ref(), Some(&kept), "{node}");
            // It is told once, and nothing is known of one that was not watched.
            assert_eq!(told_and_kept(&runtime, &handle).await, (None, kept));
            let handle = runtime.start(&workflow, inputs()).await.unwrap();
            assert_eq!(told_and_kept(&runtime, &handle).await.0, None);
        }
    });
}

#[test]
fn what_was_executed_elsewhere_is_not_told_in_part() {
    let site = Site::new();
    paused(async {
        let first = site.process();
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "quick.task"},
                {"id": "b", "node_type": "wait.signal", "config": {"name": "go"}},
            ],
            "connections": [{"from_node": "a", "to_node": "b"}],
        }));
        let handle = first.prepare(&workflow, ()).unwrap().watched().start().await.unwrap();
        settle().await;
        // Another process takes it up.
        let second = site.process();
        second.signal(handle.id(), "go", None, Value::from(1)).await.unwrap();
        let elsewhere = second.handle(handle.id()).await.unwrap().unwrap();
        assert!(elsewhere.wait().await.unwrap().is_success());
        let (told, kept) = told_and_kept(&first, &handle).await;
        assert!(told.is_none() || told == Some(kept));
    });
}

#[test]
fn what_comes_from_a_secret_is_sealed() {
    let mut site = Site::new();
    let echo = kind("echo", Execution::Async).effect(Effect::Pure);
    site.stage.registry.register_async(echo, |ctx| async move {
        Ok::<_, NodeError>(NodeOutput::of("out", ctx.config_object().get("token").unwrap().clone()))
    });
    paused(async {
        let secrets = Secrets::new([("token".to_owned(), Value::from("s3cret"))]);
        let runtime = site.builder().secrets(secrets).build().unwrap();
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "echo", "config": {"token": "{{ secrets.token }}"}},
                {"id": "b", "node_type": "time.delay", "config": {"delay_ms": 86_400_000}},
                {"id": "c", "node_type": "quick.task", "when": "nodes.a.out == 's3cret'"},
            ],
            "connections": [
                {"from_node": "a", "to_node": "b"}, {"from_node": "b", "to_node": "c"},
            ],
        }));
        let handle = runtime.start(&workflow, ()).await.unwrap();
        assert!(handle.wait().await.unwrap().is_success());
        assert_eq!(site.stage.log.lines(), ["c"]);
        let history = runtime.history(handle.id()).await.unwrap().unwrap();
        assert!(!serde_json::to_string(&history.events).unwrap().contains("s3cret"));
    });
}

#[test]
fn without_durability_nothing_is_kept() {
    let site = Site::new();
    paused(async {
        let runtime = site.process();
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "quick.task"}],
            "settings": {"durability": "none"},
        }));
        assert!(runtime.execute(&workflow, ()).await.unwrap().is_success());
        assert!(site.store.executions(&Query::default()).await.unwrap().is_empty());
    });
}
