//! Following executions that are kept: every event once, in order, from wherever.

use std::sync::Arc;

use flowcore::{ExecutionEvent, ExecutionId, Workflow};
use flowruntime::store::MemoryStore;
use flowruntime::{FlowRuntime, FlowRuntimeBuilder, Follow};
use serde_json::{Value as Json, json};

use crate::stage::Stage;
use crate::support::{paused, settle, transcript, workflow};

fn builder(stage: &Stage, store: &Arc<MemoryStore>) -> FlowRuntimeBuilder {
    stage.builder().store(store.clone())
}

/// A day between a first node and this many others.
fn a_day_and_then(others: usize) -> Workflow {
    let other = |number| json!({"id": format!("n{number}"), "node_type": "quick.task"});
    let after = |number| json!({"from_node": "day", "to_node": format!("n{number}")});
    let mut nodes = vec![
        json!({"id": "first", "node_type": "quick.task"}),
        json!({"id": "day", "node_type": "time.delay", "config": {"delay_ms": 86_400_000}}),
    ];
    nodes.extend((0..others).map(other));
    let mut connections: Vec<Json> = vec![json!({"from_node": "first", "to_node": "day"})];
    connections.extend((0..others).map(after));
    workflow(json!({"nodes": nodes, "connections": connections}))
}

async fn facts(mut follow: Follow) -> Vec<ExecutionEvent> {
    let mut events = Vec::new();
    while let Some(event) = follow.next().await.unwrap() {
        if event.seq().is_some() {
            events.push(event);
        }
    }
    events
}

async fn all(runtime: &FlowRuntime, id: ExecutionId) -> Vec<ExecutionEvent> {
    runtime.history(id).await.unwrap().unwrap().events
}

#[test]
fn every_event_comes_once_from_wherever_one_begins() {
    let (stage, store) = (Stage::new(), Arc::new(MemoryStore::new()));
    paused(async {
        let runtime = builder(&stage, &store).build().unwrap();
        let handle = runtime.start(&a_day_and_then(3), ()).await.unwrap();
        settle().await;
        let follow = |after| runtime.follow(handle.id(), after);
        let (from_start, from_third) = (follow(0).await.unwrap(), follow(3).await.unwrap());
        let from_start = tokio::spawn(facts(from_start.unwrap()));
        let from_third = tokio::spawn(facts(from_third.unwrap()));
        handle.wait().await.unwrap();
        let expected = all(&runtime, handle.id()).await;
        let seen = from_start.await.unwrap();
        assert_eq!(transcript(&seen), transcript(&expected));
        let rest: Vec<_> = from_third.await.unwrap().iter().map(|event| event.seq()).collect();
        let numbers: Vec<_> = (4..=expected.len() as u64).map(Some).collect();
        assert_eq!(rest, numbers);
        // After the end, the same.
        let late = facts(follow(0).await.unwrap().unwrap()).await;
        assert_eq!(transcript(&late), transcript(&expected));
        assert!(follow(1_000).await.unwrap().unwrap().next().await.unwrap().is_none());
        let unknown = ExecutionId::from_uuid(uuid::Uuid::now_v7());
        assert!(runtime.follow(unknown, 0).await.unwrap().is_none());
    });
}

#[test]
fn a_slow_follower_reads_what_it_missed() {
    let (stage, store) = (Stage::new(), Arc::new(MemoryStore::new()));
    paused(async {
        let runtime = builder(&stage, &store).event_capacity(2).build().unwrap();
        let handle = runtime.start(&a_day_and_then(50), ()).await.unwrap();
        settle().await;
        let follow = runtime.follow(handle.id(), 0).await.unwrap().unwrap();
        handle.wait().await.unwrap();
        let expected = all(&runtime, handle.id()).await;
        assert!(expected.len() > 100, "{}", expected.len());
        assert_eq!(transcript(&facts(follow).await), transcript(&expected));
    });
}

#[test]
fn what_another_process_executes_is_followed() {
    let (stage, store) = (Stage::new(), Arc::new(MemoryStore::new()));
    paused(async {
        let executes = builder(&stage, &store).build().unwrap();
        let handle = executes.start(&a_day_and_then(2), ()).await.unwrap();
        let watches = builder(&stage, &store).own_executions_only().build().unwrap();
        let follow = watches.follow(handle.id(), 0).await.unwrap().unwrap();
        let seen = tokio::spawn(facts(follow));
        handle.wait().await.unwrap();
        let expected = all(&executes, handle.id()).await;
        assert_eq!(transcript(&seen.await.unwrap()), transcript(&expected));
    });
}
