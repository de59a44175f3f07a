//! How busy a runtime is, while it is.

use flowcore::Limits;
use serde_json::json;

use crate::site::Site;
use crate::stage::{Stage, one};
use crate::support::{paused, settle, workflow};

#[test]
fn an_idle_runtime_has_nothing_to_show() {
    let runtime = Stage::new().builder().max_running_nodes(7).build().unwrap();
    let metrics = runtime.metrics();
    assert_eq!(metrics.max_running_attempts, 7);
    let busy = [
        metrics.queued_executions,
        metrics.running_executions,
        metrics.waiting_executions,
        metrics.running_attempts,
        metrics.bus.subscribers,
        metrics.bus.lag,
    ];
    assert_eq!((busy, metrics.store), ([0; 6], None));
}

#[test]
fn executions_attempts_and_events_are_counted_and_the_count_goes_back() {
    let stage = Stage::new();
    paused(async {
        let builder = stage.builder().max_executions(3).max_running_nodes(2);
        let runtime = builder.build().unwrap();
        let waits = workflow(json!({"nodes": [{"id": "a", "node_type": "wait.signal"}]}));
        let mut events = runtime.subscribe();
        let waiting = runtime.start(&waits, ()).await.unwrap();
        let mut others = Vec::new();
        for _ in 0..5 {
            others.push(runtime.start(&one("deaf.task"), ()).await.unwrap());
        }
        settle().await;
        let busy = runtime.metrics();
        let executions = (busy.queued_executions, busy.running_executions, busy.waiting_executions);
        assert_eq!(executions, (3, 2, 1));
        assert_eq!((busy.running_attempts, busy.max_running_attempts), (2, 2));
        // Three have started, and their nodes; nobody took it yet.
        assert_eq!((busy.bus.subscribers, busy.bus.lag), (1, 6));
        while events.try_next().is_some() {}
        assert_eq!(runtime.metrics().bus.lag, 0);

        waiting.signal("a", 1).await.unwrap();
        assert!(waiting.wait().await.unwrap().is_success());
        assert_eq!(runtime.metrics().waiting_executions, 0);
        others.iter().for_each(flowruntime::ExecutionHandle::cancel);
        for other in &others {
            other.wait().await.unwrap();
        }
        drop(events);
        settle().await;
        let idle = runtime.metrics();
        let executions = (idle.queued_executions, idle.running_executions, idle.waiting_executions);
        assert_eq!((executions, idle.running_attempts), ((0, 0, 0), 0));
        assert_eq!((idle.bus.subscribers, idle.bus.lag), (0, 0));
    });
}

#[test]
fn a_store_shows_how_busy_it_is_and_what_it_keeps_alone_is_not_counted() {
    let site = Site::new();
    paused(async {
        let runtime = site.builder().limits(Limits::none()).build().unwrap();
        let waits = workflow(json!({"nodes": [{"id": "a", "node_type": "wait.signal"}]}));
        let handle = runtime.start(&waits, ()).await.unwrap();
        settle().await;
        let metrics = runtime.metrics();
        assert_eq!(metrics.waiting_executions + metrics.running_executions, 0);
        let store = metrics.store.unwrap();
        assert!(store.appends >= 1 && store.connections == 1, "{store:?}");
        handle.signal("a", 1).await.unwrap();
        handle.wait().await.unwrap();
        assert!(runtime.metrics().store.unwrap().appends > store.appends);
    });
}
