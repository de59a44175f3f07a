//! How many executions of a workflow with the same key run at the same time.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{CancelReason, Event, Execution, ExecutionStatus, NodeOutput, Value, Workflow};
use flowruntime::store::MemoryStore;
use flowruntime::{ExecutionHandle, FlowRuntime, FlowRuntimeBuilder, StartError};
use serde_json::json;

use crate::support::{
    Log, Running, Signal, kind, on_current_thread, paused, settle, transcript, watch, workflow,
};

/// A node type `hold`, which notes `who`, and ends when it is let go.
struct Hold {
    log: Log,
    running: Running,
    started: Signal,
    let_go: Signal,
    registry: flowcore::NodeRegistry,
    builder: FlowRuntimeBuilder,
}

impl Hold {
    fn new() -> Self {
        let (log, running) = (Log::default(), Running::default());
        let (started, let_go) = (Signal::new(), Signal::new());
        let mut registry = flowcore::NodeRegistry::new();
        registry.register_async(kind("hold", Execution::Async), {
            let (log, running) = (log.clone(), running.clone());
            let (started, let_go) = (started.clone(), let_go.clone());
            move |ctx| {
                let (log, guard) = (log.clone(), running.enter());
                let (started, let_go) = (started.clone(), let_go.clone());
                async move {
                    log.note(ctx.input("who").map(ToString::to_string).unwrap_or_default());
                    started.give();
                    let_go.wait().await;
                    drop(guard);
                    Ok(NodeOutput::new())
                }
            }
        });
        let builder = FlowRuntime::builder().registry(registry.clone());
        Self { log, running, started, let_go, registry, builder }
    }
}

fn flow(concurrency: serde_json::Value) -> Workflow {
    workflow(json!({
        "id": "limited",
        "inputs": {"who": {}, "key": {"default": "one"}},
        "nodes": [{"id": "a", "node_type": "hold"}],
        "settings": {"concurrency": concurrency},
    }))
}

async fn start(runtime: &FlowRuntime, flow: &Workflow, who: i64, key: &str) -> ExecutionHandle {
    let inputs = [("who", Value::from(who)), ("key", Value::from(key))];
    runtime.start(flow, inputs).await.unwrap()
}

async fn status(handle: &ExecutionHandle) -> ExecutionStatus {
    handle.wait().await.unwrap().status
}

both_flavours! {
    async fn one_more_waits_in_the_order_of_the_starts() {
        let hold = Hold::new();
        let runtime = hold.builder.build().unwrap();
        let flow = flow(json!({"limit": 1}));
        let mut handles = Vec::new();
        for who in 0..6 {
            handles.push(start(&runtime, &flow, who, "any").await);
        }
        for handle in &handles {
            hold.started.wait().await;
            assert_eq!(hold.running.now(), 1);
            hold.let_go.give();
            assert_eq!(status(handle).await, ExecutionStatus::Succeeded);
        }
        assert_eq!(hold.log.joined(), "0, 1, 2, 3, 4, 5");
    }

    async fn as_many_run_as_may() {
        let hold = Hold::new();
        let runtime = hold.builder.build().unwrap();
        let flow = flow(json!({"limit": 2}));
        let mut handles = Vec::new();
        for who in 0..6 {
            handles.push(start(&runtime, &flow, who, "any").await);
        }
        for ended in 0..6 {
            if ended < 5 {
                hold.started.wait().await;
            }
            if ended == 0 {
                hold.started.wait().await;
            }
            settle().await;
            assert_eq!((hold.running.now(), hold.log.len()), ((6 - ended).min(2), (ended + 2).min(6)));
            hold.let_go.give();
            // Either of the two may be the one that is let go.
            while handles.iter().filter(|handle| handle.is_ended()).count() == ended {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn executions_of_other_keys_workflows_and_projects_do_not_count() {
        let hold = Hold::new();
        let runtime = hold.builder.build().unwrap();
        let limited = flow(json!({"key": "inputs.key", "limit": 1}));
        let mut other = limited.clone();
        other.id = Some("other".parse().unwrap());
        let mut same_id = limited.clone();
        same_id.name = Some("a newer version".to_owned());
        start(&runtime, &limited, 0, "a").await;
        start(&runtime, &limited, 1, "b").await;
        start(&runtime, &other, 2, "a").await;
        let theirs = [("who", Value::from(4)), ("key", Value::from("a"))];
        let theirs = runtime.prepare(&limited, theirs).unwrap();
        theirs.project("theirs".parse().unwrap()).start().await.unwrap();
        for _ in 0..4 {
            hold.started.wait().await;
        }
        let waits = start(&runtime, &same_id, 3, "a").await;
        settle().await;
        assert_eq!((hold.log.len(), hold.running.now()), (4, 4));
        (0..5).for_each(|_| hold.let_go.give());
        assert_eq!(status(&waits).await, ExecutionStatus::Succeeded);
    }

    async fn one_more_is_skipped() {
        let hold = Hold::new();
        let runtime = hold.builder.build().unwrap();
        let flow = flow(json!({"limit": 1, "on_limit": "skip"}));
        let first = start(&runtime, &flow, 0, "").await;
        let prepared = runtime.prepare(&flow, [("who", Value::from(1))]).unwrap();
        let mut events = prepared.events();
        let error = prepared.start().await.unwrap_err();
        assert!(matches!(&error, StartError::Skipped { workflow, limit: 1 } if *workflow == "limited"));
        assert_eq!(error.code(), "execution.skipped");
        assert!(events.next().await.is_none(), "it has no events, and they end");
        hold.let_go.give();
        status(&first).await;
        // Whoever hears of the end finds the place free.
        let next = start(&runtime, &flow, 2, "").await;
        hold.let_go.give();
        status(&next).await;
        assert_eq!(hold.log.joined(), "0, 2");
    }

    async fn the_oldest_is_cancelled_and_awaited() {
        let hold = Hold::new();
        let runtime = hold.builder.build().unwrap();
        let flow = flow(json!({"limit": 1, "on_limit": "cancel_oldest"}));
        let (first, journal) = watch(&runtime, &flow, [("who", Value::from(0))]).await;
        hold.started.wait().await;
        let second = start(&runtime, &flow, 1, "").await;
        assert_eq!(status(&first).await, ExecutionStatus::Cancelled);
        hold.started.wait().await;
        assert_eq!(hold.running.now(), 1);
        hold.let_go.give();
        assert_eq!(status(&second).await, ExecutionStatus::Succeeded);
        let events = journal.events();
        assert_eq!(
            transcript(&events),
            "started\na started #1\nto stop superseded\na cancelled superseded\n\
             ended Cancelled execution.cancelled"
        );
        let by = events.iter().find_map(|event| match event.event()? {
            Event::CancelRequested { by, .. } => by.clone(),
            _ => None,
        });
        assert_eq!(by.unwrap().to_string(), second.id().to_string());
        let error = first.wait().await.unwrap().error.unwrap();
        assert_eq!(error.message, "the execution was cancelled (superseded)");
    }

    async fn of_many_only_the_newest_are_left() {
        let hold = Hold::new();
        let runtime = hold.builder.build().unwrap();
        let flow = flow(json!({"limit": 2, "on_limit": "cancel_oldest"}));
        let mut handles = Vec::new();
        for who in 0..10 {
            handles.push(start(&runtime, &flow, who, "").await);
        }
        for (who, handle) in handles.iter().enumerate().take(8) {
            assert_eq!(status(handle).await, ExecutionStatus::Cancelled, "{who}");
        }
        // Only now: one that is about to hear of its cancel would end well.
        (0..2).for_each(|_| hold.let_go.give());
        for handle in &handles[8..] {
            assert_eq!(status(handle).await, ExecutionStatus::Succeeded);
        }
        assert_eq!(hold.running.now(), 0);
    }

    async fn one_that_waits_is_cancelled_at_once_and_holds_nothing() {
        let hold = Hold::new();
        let runtime = hold.builder.max_executions(2).max_running_nodes(2).build().unwrap();
        let limited = flow(json!({"limit": 1}));
        let free = flow(json!({"limit": 1, "key": "'free'"}));
        let first = start(&runtime, &limited, 0, "").await;
        hold.started.wait().await;
        let (waits, journal) = watch(&runtime, &limited, [("who", Value::from(1))]).await;
        let last = start(&runtime, &limited, 2, "").await;
        // It takes no slot of the runtime, nor a permit.
        let other = start(&runtime, &free, 3, "").await;
        hold.started.wait().await;
        assert_eq!(hold.running.now(), 2);
        waits.cancel_because(CancelReason::Requested, Some("a test"));
        assert_eq!(status(&waits).await, ExecutionStatus::Cancelled);
        assert_eq!(
            transcript(&journal.events()),
            "started\nto stop requested\nended Cancelled execution.cancelled"
        );
        (0..3).for_each(|_| hold.let_go.give());
        for handle in [first, other, last] {
            assert_eq!(status(&handle).await, ExecutionStatus::Succeeded);
        }
        assert_eq!((hold.log.count("1"), hold.log.count("2")), (0, 1));
    }
}

#[test]
fn a_key_that_has_no_value_is_an_error_of_the_start() {
    on_current_thread(async {
        let runtime = Hold::new().builder.build().unwrap();
        let flow = flow(json!({"limit": 1, "key": "inputs.who.name"}));
        let error = runtime.prepare(&flow, [("who", Value::from(1))]).unwrap_err();
        assert!(matches!(error, StartError::ConcurrencyKey(_)));
        assert_eq!(error.code(), "expression.undefined");
    });
}

#[test]
fn a_driver_that_is_lost_gives_its_place_back() {
    let hold = Hold::new();
    let runtime = hold.builder.build().unwrap();
    let flow = flow(json!({"limit": 1, "on_limit": "skip"}));
    on_current_thread(async {
        start(&runtime, &flow, 0, "").await;
        hold.started.wait().await;
    });
    on_current_thread(async {
        let next = start(&runtime, &flow, 1, "").await;
        hold.let_go.give();
        assert_eq!(status(&next).await, ExecutionStatus::Succeeded);
    });
}

#[test]
fn one_that_goes_on_in_another_process_takes_its_place_again() {
    let hold = Hold::new();
    let store = Arc::new(MemoryStore::new());
    let flow = flow(json!({"key": "inputs.key", "limit": 1}));
    let process = || {
        let builder = FlowRuntime::builder().registry(hold.registry.clone());
        builder.store(store.clone()).build().unwrap()
    };
    let moment = || tokio::time::sleep(Duration::from_secs(5));
    paused(async {
        let first = process();
        let running = start(&first, &flow, 1, "one").await.id();
        let queued = start(&first, &flow, 2, "one").await.id();
        moment().await;
        first.close().await;
        assert_eq!((hold.log.lines(), hold.running.now()), (vec!["1".to_owned()], 0));

        let second = process();
        second.open().await.unwrap();
        moment().await;
        let newer = start(&second, &flow, 3, "one").await;
        let other = start(&second, &flow, 4, "two").await;
        let running = second.handle(running).await.unwrap().unwrap();
        let queued = second.handle(queued).await.unwrap().unwrap();
        moment().await;
        // One of each key; which of the two older ones was claimed first does not matter.
        assert_eq!(hold.running.now(), 2, "{:?}", hold.log.lines());
        assert!(!hold.log.lines().contains(&"3".to_owned()), "it is the newest");
        for older in [running, queued] {
            older.cancel();
            assert_eq!(status(&older).await, ExecutionStatus::Cancelled);
            moment().await;
            assert_eq!(hold.running.now(), 2, "{:?}", hold.log.lines());
        }
        assert_eq!(hold.log.lines().last().map(String::as_str), Some("3"));
        newer.cancel();
        other.cancel();
        assert_eq!(status(&newer).await, ExecutionStatus::Cancelled);
        assert_eq!(status(&other).await, ExecutionStatus::Cancelled);
    });
}
