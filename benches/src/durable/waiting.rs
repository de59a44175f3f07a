//! What executions take that only wait: each is a row in the store, and nothing else.

use std::time::Duration;

use flowcore::{ExecutionStatus, NodeRegistry, Workflow};
use flowruntime::FlowRuntime;
use flowruntime::store::{Query, Store};
use serde_json::{Value as Json, json};

use super::home::Home;
use crate::engine::Threads;
use crate::measure::status_field;

/// What runs before it is measured, so that threads, caches and tables are there.
const FIRST: usize = 100;

/// Starts executions that wait for a signal; gives what was resident before and after.
///
/// # Panics
/// When one does not wait.
pub fn run(home: &Home, count: usize) -> Json {
    Threads::Two.runtime().block_on(async {
        let store = home.open().await;
        let runtime = FlowRuntime::builder()
            .registry(NodeRegistry::new())
            .store(store.clone())
            .build()
            .expect("the settings are good");
        let text = json!({ "nodes": [
            { "id": "paid", "node_type": "wait.signal", "config": { "name": "paid" } },
        ] });
        let workflow = Workflow::from_json(&text.to_string()).expect("the file is good");
        start(&runtime, &*store, &workflow, FIRST).await;
        let before = status_field("VmRSS");
        start(&runtime, &*store, &workflow, FIRST + count).await;
        let after = status_field("VmRSS");
        runtime.close().await;
        json!({ "before_bytes": before, "after_bytes": after })
    })
}

/// Starts executions until there are so many, and waits until nobody executes any.
async fn start(runtime: &FlowRuntime, store: &dyn Store, workflow: &Workflow, until: usize) {
    let there = waiting(store, until).await;
    // A few at a time, as they come in a program that has so many.
    for _ in (there..until).step_by(FIRST) {
        let starts: Vec<_> = (0..FIRST)
            .map(|_| {
                let (runtime, workflow) = (runtime.clone(), workflow.clone());
                tokio::spawn(async move { runtime.start(&workflow, ()).await.map(drop) })
            })
            .collect();
        for start in starts {
            start.await.expect("no task panics").expect("it is accepted");
        }
    }
    while waiting(store, until).await < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many wait and are executed by nobody.
async fn waiting(store: &dyn Store, limit: usize) -> usize {
    let mut query = Query { statuses: vec![ExecutionStatus::Waiting], ..Query::default() };
    let mut waiting = 0;
    // A page at a time: a long list would be memory of its own.
    while waiting < limit {
        let rows = store.executions(&query).await.expect("they can be read");
        waiting += rows.iter().filter(|row| row.owner.is_none()).count();
        let Some(last) = rows.last() else { break };
        query.after = Some(flowruntime::store::Cursor { created_at: last.created_at, id: last.id });
    }
    waiting
}
