//! Histories that become as long or as large as they may, in a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::{
    Event, Execution, ExecutionResult, ExecutionStatus, Limits, NodeOutput, Value, Workflow,
};
use flowruntime::{ExecutionHandle, FlowRuntime};
use serde_json::json;

use crate::site::Site;
use crate::support::{EXECUTIONS, kind, on_current_thread, paused, settle, workflow};

const MIB: usize = 1 << 20;

fn limited(site: &Site, limits: Limits) -> FlowRuntime {
    site.builder().limits(limits).build().unwrap()
}

/// Goes round and round, and cleans up when it ends.
fn loops(node_type: &str) -> Workflow {
    let body = json!({"nodes": [{"id": "loop", "node_type": "control.loop", "config": {
        "state": 0, "max_iterations": 100_000, "until": "false",
        "body": {"nodes": [{"id": "step", "node_type": node_type}], "outputs": 0}
    }}]});
    workflow(json!({"nodes": [
        {"id": "beside", "node_type": "polite.task"},
        {"id": "t", "node_type": "control.try", "config": {
            "body": body,
            "finally": {"nodes": [{"id": "tidy", "node_type": "quick.task"}]}
        }}
    ]}))
}

/// Waits for the end, and looks at what is kept of it.
async fn ended(runtime: &FlowRuntime, handle: &ExecutionHandle) -> (ExecutionResult, u64) {
    let result = handle.wait().await.unwrap();
    let history = runtime.history(handle.id()).await.unwrap().unwrap();
    let seqs: Vec<u64> = history.events.iter().filter_map(flowcore::ExecutionEvent::seq).collect();
    assert_eq!(seqs, (1..=history.row.last_seq).collect::<Vec<_>>());
    let ends = history
        .events
        .iter()
        .filter(|event| matches!(event.event(), Some(Event::WorkflowCompleted { .. })));
    assert_eq!(ends.count(), 1);
    assert_eq!(history.row.status, result.status);
    assert_eq!(history.row.error, result.error);
    (result, history.row.last_seq)
}

fn code(result: &ExecutionResult) -> Option<&str> {
    result.error.as_ref().map(|error| error.code.as_str())
}

#[test]
fn s27_one_that_has_as_many_events_as_it_may_cleans_up_and_fails() {
    for execution in ["inline", "async", "task", "blocking"] {
        let site = Site::new();
        paused(async {
            let runtime = limited(&site, Limits::default().max_events(Some(500)));
            let handle = runtime.start(&loops(&format!("quick.{execution}")), ()).await.unwrap();
            let (result, events) = ended(&runtime, &handle).await;
            assert_eq!(
                (result.status, code(&result)),
                (ExecutionStatus::Failed, Some("history.too_many_events"))
            );
            let hint = result.error.unwrap().hint.unwrap();
            assert_eq!(hint, "the limit is the setting `max_events`, 500 here");
            assert!((400..=500).contains(&events), "{events}");
        });
        let lines = site.stage.log.lines();
        assert_eq!(lines.last().map(String::as_str), Some("tidy"), "{execution}");
        assert_eq!(site.stage.running.now(), 0, "what ran was told to stop");
    }
}

#[test]
fn the_count_goes_on_after_a_crash() {
    let site = Site::new();
    let waits = json!({"nodes": [
        {"id": "each", "node_type": "control.for_each", "config": {
            "items": (0..40).collect::<Vec<_>>(),
            "body": {"nodes": [{"id": "a", "node_type": "quick.task"}]}
        }},
        {"id": "wait", "node_type": "deaf.task"},
        {"id": "more", "node_type": "control.for_each", "config": {
            "items": (0..40).collect::<Vec<_>>(),
            "body": {"nodes": [{"id": "b", "node_type": "quick.task"}]}
        }}],
        "connections": [
            {"from_node": "each", "to_node": "wait"}, {"from_node": "wait", "to_node": "more"}
        ]
    });
    let limits = || Limits::default().max_events(Some(300));
    let id = paused(async {
        let handle = limited(&site, limits()).start(&workflow(waits), ()).await.unwrap();
        settle().await;
        handle.id()
    });
    site.store.kill_owners();
    let mut later = site.stage.registry.clone();
    later.register_async(kind("deaf.task", Execution::Task), |_| async { Ok(NodeOutput::new()) });
    paused(async {
        let runtime = site.builder().registry(later).limits(limits()).build().unwrap();
        runtime.open().await.unwrap();
        let handle = runtime.handle(id).await.unwrap().unwrap();
        let (result, events) = ended(&runtime, &handle).await;
        assert_eq!(code(&result), Some("history.too_many_events"));
        assert!((250..=300).contains(&events), "{events}");
    });
}

/// Registers `large`, which gives as many bytes as its config says, all different.
fn register_large(site: &mut Site, execution: Execution) {
    let calls = Arc::new(AtomicUsize::new(0));
    let call = move |ctx: &flowcore::NodeContext| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        let bytes = ctx.config_object().get("bytes").and_then(Value::as_u64).unwrap();
        let text = format!("{call} {}", "x".repeat(usize::try_from(bytes).unwrap()));
        Ok(NodeOutput::of("out", text))
    };
    match execution {
        Execution::Inline | Execution::Blocking => {
            site.stage.registry.register_function(kind("large", execution), call);
        }
        Execution::Async | Execution::Task | Execution::Control => {
            site.stage.registry.register_async(kind("large", execution), move |ctx| {
                std::future::ready(call(&ctx))
            });
        }
    }
}

fn large_each(items: usize, bytes: usize) -> Workflow {
    workflow(json!({"nodes": [{"id": "each", "node_type": "control.for_each", "config": {
        "items": (0..items).collect::<Vec<_>>(), "max_concurrency": 1,
        "body": {
            "nodes": [{"id": "a", "node_type": "large", "config": {"bytes": bytes}}],
            "outputs": 0,
        }
    }}]}))
}

#[test]
fn one_whose_history_is_as_large_as_it_may_be_fails() {
    for execution in EXECUTIONS {
        // Values that stand apart, and such that do not.
        for bytes in [2 * MIB, MIB / 4] {
            let mut site = Site::new();
            register_large(&mut site, execution);
            on_current_thread(async {
                let limit = Some(6 * MIB as u64);
                let runtime = limited(&site, Limits::default().max_history_bytes(limit));
                let handle = runtime.start(&large_each(400, bytes), ()).await.unwrap();
                let (result, events) = ended(&runtime, &handle).await;
                assert_eq!(result.status, ExecutionStatus::Failed);
                assert_eq!(code(&result), Some("history.too_large"));
                let hint = result.error.unwrap().hint.unwrap();
                assert_eq!(hint, "the limit is the setting `max_history_bytes`, 6291456 here");
                // Each item has three or four events. What inline nodes give may wait a moment.
                let most = usize::try_from(events).unwrap() / 3 * bytes;
                assert!(most < 16 * MIB, "{execution:?}: {events} events with {bytes} bytes");
            });
        }
    }
}

#[test]
fn a_value_that_occurs_often_is_counted_once() {
    let mut site = Site::new();
    let text: Arc<str> = "x".repeat(MIB + 1).into();
    site.stage.registry.register_async(kind("same", Execution::Task), move |_| {
        std::future::ready(Ok(NodeOutput::of("out", text.clone())))
    });
    paused(async {
        let limit = Some(2 * MIB as u64);
        let runtime = limited(&site, Limits::default().max_history_bytes(limit));
        let workflow = workflow(json!({"nodes": [
            {"id": "each", "node_type": "control.for_each", "config": {
                "items": (0..10).collect::<Vec<_>>(),
                "body": {"nodes": [{"id": "a", "node_type": "same"}], "outputs": 0}
            }}
        ]}));
        let handle = runtime.start(&workflow, ()).await.unwrap();
        assert!(ended(&runtime, &handle).await.0.is_success());
    });
}

#[test]
fn s20_an_output_that_is_too_large_fails_its_node() {
    for execution in EXECUTIONS {
        let mut site = Site::new();
        register_large(&mut site, execution);
        on_current_thread(async {
            let limits = Limits::default().max_output_bytes(Some(3 * MIB as u64));
            let runtime = limited(&site, limits);
            let one = |bytes: usize, durability: &str| {
                workflow(json!({
                    "nodes": [{
                        "id": "a", "node_type": "large", "config": {"bytes": bytes},
                        "retry_policy": {"max_attempts": 3},
                    }],
                    "outputs": {},
                    "settings": {"durability": durability},
                }))
            };
            assert!(runtime.execute(&one(2 * MIB, "sync"), ()).await.unwrap().is_success());
            let result = runtime.execute(&one(4 * MIB, "sync"), ()).await.unwrap();
            let error = result.error.unwrap();
            assert_eq!((error.code.as_str(), error.attempts), ("output.too_large", Some(1)));
            assert!(error.hint.unwrap().ends_with("the limit is the setting `max_output_bytes`"));
            assert!(
                error.message.starts_with("the output `out` has about 419"),
                "{}",
                error.message
            );
            // What is kept nowhere needs no room.
            assert!(runtime.execute(&one(4 * MIB, "none"), ()).await.unwrap().is_success());
        });
    }
}

#[test]
fn what_is_kept_nowhere_has_no_history_that_could_be_full() {
    let site = Site::new();
    paused(async {
        let limits = Limits::default().max_events(Some(20)).max_history_bytes(Some(1000));
        let runtime = limited(&site, limits);
        let each = |durability: &str| {
            workflow(json!({
                "nodes": [{"id": "each", "node_type": "control.for_each", "config": {
                    "items": (0..100).collect::<Vec<_>>(),
                    "body": {"nodes": [{"id": "a", "node_type": "quick.inline"}]}
                }}],
                "settings": {"durability": durability},
            }))
        };
        assert!(runtime.execute(&each("none"), ()).await.unwrap().is_success());
        assert!(!runtime.execute(&each("sync"), ()).await.unwrap().is_success());
    });
}
