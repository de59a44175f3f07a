//! Executions that are cut off, and go on in a new store and a new runtime on the same file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowcore::{Effect, Execution, ExecutionStatus, NodeRegistry};
use flowruntime::FlowRuntime;
use flowruntime::store::{Query, Store};
use tokio::sync::watch;

use super::home::Home;
use super::steps::{compute, descriptor, inputs, workflow};
use crate::engine::Threads;

/// One node ends before the crash, the second is cut off, and one is left.
const STEPS: u32 = 3;
/// The one that is cut off.
const CUT_OFF: &str = "n1";

/// From when the store is opened.
#[derive(Clone, Copy)]
pub struct Recovered {
    /// To when the store is open.
    pub opened: Duration,
    /// To when the first node runs again.
    pub first: Duration,
    /// To when the last one does; none has ended.
    pub all: Duration,
    /// To when all executions have ended.
    pub ended: Duration,
}

/// How many executions are in their second node, and whether it ends.
struct Node {
    running: watch::Sender<usize>,
    may_end: watch::Sender<bool>,
}

impl Node {
    fn new() -> Arc<Self> {
        Arc::new(Self { running: watch::Sender::new(0), may_end: watch::Sender::new(false) })
    }

    fn registry(self: &Arc<Self>) -> NodeRegistry {
        let node = self.clone();
        let mut registry = NodeRegistry::new();
        let step = descriptor(Effect::Idempotent, Execution::Async);
        registry.register_async(step, move |ctx| {
            let node = node.clone();
            async move {
                if ctx.node_id().as_str() == CUT_OFF {
                    node.running.send_modify(|running| *running += 1);
                    let mut may_end = node.may_end.subscribe();
                    // The sender lives as long as the node type.
                    let _ = may_end.wait_for(|may_end| *may_end).await;
                }
                Ok(compute(&ctx))
            }
        });
        registry
    }

    async fn are_running(&self, count: usize) {
        let mut running = self.running.subscribe();
        running.wait_for(|running| *running >= count).await.expect("the sender lives");
    }
}

/// Cuts so many executions off, and goes on with them.
///
/// # Panics
/// When one does not end as it must.
pub fn run(home: &Home, count: usize) -> Recovered {
    cut_off(home, count);
    let node = Node::new();
    Threads::Two.runtime().block_on(async {
        let began = Instant::now();
        let store = home.open().await;
        let opened = began.elapsed();
        let runtime = runtime(&node, &store);
        runtime.open().await.expect("the store can be entered");
        node.are_running(1).await;
        let first = began.elapsed();
        node.are_running(count).await;
        let all = began.elapsed();
        node.may_end.send_replace(true);
        while !unfinished(&*store).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ended = began.elapsed();
        assert_eq!(*node.running.borrow(), count, "each once");
        check(&runtime, &*store, count).await;
        runtime.close().await;
        Recovered { opened, first, all, ended }
    })
}

/// Starts executions that end only when their tokio runtime does.
fn cut_off(home: &Home, count: usize) {
    let tokio = Threads::Two.runtime();
    tokio.block_on(async {
        let node = Node::new();
        let store = home.open().await;
        let runtime = runtime(&node, &store);
        let workflow = workflow(STEPS);
        let starts: Vec<_> = (0..count as u64)
            .map(|seed| {
                let (runtime, workflow) = (runtime.clone(), workflow.clone());
                tokio::spawn(async move { runtime.start(&workflow, inputs(seed)).await.map(drop) })
            })
            .collect();
        for start in starts {
            start.await.expect("no task panics").expect("it is accepted");
        }
        node.are_running(count).await;
    });
    // The drivers go with it, in the middle of what they do, and then the store.
    drop(tokio);
}

fn runtime(node: &Arc<Node>, store: &Arc<dyn Store>) -> FlowRuntime {
    FlowRuntime::builder()
        .registry(node.registry())
        .store(store.clone())
        .max_running_nodes(1_000_000)
        .build()
        .expect("the settings are good")
}

/// An execution that has not ended, if there is one.
async fn unfinished(store: &dyn Store) -> Vec<flowruntime::store::ExecutionRow> {
    use ExecutionStatus::{Paused, Queued, Running, Waiting};
    let statuses = vec![Queued, Running, Waiting, Paused];
    let query = Query { statuses, limit: 1, ..Query::default() };
    store.executions(&query).await.expect("they can be read")
}

/// Checks that all have succeeded, and what some of them gave.
async fn check(runtime: &FlowRuntime, store: &dyn Store, count: usize) {
    let query = Query { limit: count + 1, ..Query::default() };
    let rows = store.executions(&query).await.expect("they can be read");
    assert_eq!(rows.len(), count);
    for row in &rows {
        assert_eq!(row.status, ExecutionStatus::Succeeded);
        assert_eq!(row.fence, 2, "it was claimed once");
    }
    for row in rows.iter().step_by(100) {
        let history = runtime.history(row.id).await.expect("it can be read").expect("it is kept");
        let seed = history.inputs.get(crate::graph::PORTS[0]).and_then(flowcore::Value::as_u64);
        super::steps::check(&history.result, STEPS, seed.expect("it was given"));
    }
}
