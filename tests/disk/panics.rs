//! F29: a panic wherever a node can have one. Its node fails, all others go on, and what is kept says
//! so; a thousand times on one store.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use flowcore::{
    Execution, ExecutionStatus, NodeContext, NodeEvent, NodeOutput, NodeRegistry, NodeStatus,
    Workflow,
};
use flowruntime::FlowRuntime;
use flowruntime::store::{MemoryStore, Query, Store};
use futures_util::future::join_all;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::json;

use crate::flavours::{on_current_thread, on_multi_thread};
use crate::places::{Place, kind, process, workflow};

/// Executions, each with a panic.
const PANICS: usize = 1000;

/// How many run at the same time.
const AT_ONCE: usize = 50;

/// A panic of which nothing is printed a thousand times.
fn go_off() -> ! {
    resume_unwind(Box::new("it went off"))
}

/// Goes off when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        go_off()
    }
}

/// Goes off when it is written.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        go_off()
    }
}

/// Goes off when it is read.
#[derive(Debug)]
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        go_off()
    }
}

/// What nodes of different executions share.
type Shared = Arc<Mutex<u64>>;

/// Where a plain function goes off.
const PLACES: [fn(&NodeContext, &Shared); 6] = [
    |_, _| go_off(),
    |_, _| drop(Bomb),
    |_, shared| {
        let _guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
        go_off()
    },
    |_, _| drop(serde_json::to_value(Unwritable)),
    |ctx, _| drop(ctx.config::<Unreadable>()),
    |ctx, _| ctx.emit(|| -> NodeEvent { go_off() }),
];

/// The names of all node types that go off, in each place where an attempt can run.
fn register(registry: &mut NodeRegistry, shared: &Shared) -> Vec<String> {
    let mut names = Vec::new();
    for (number, place) in PLACES.into_iter().enumerate() {
        for execution in [Execution::Inline, Execution::Blocking] {
            let name = leak(format!("{execution:?}{number}"));
            let shared = shared.clone();
            registry.register_function(kind(name, execution), move |ctx| {
                place(ctx, &shared);
                Ok(NodeOutput::new())
            });
            names.push(name.to_owned());
        }
        for execution in [Execution::Async, Execution::Task] {
            let name = leak(format!("{execution:?}{number}"));
            let shared = shared.clone();
            registry.register_async(kind(name, execution), move |ctx| {
                let shared = shared.clone();
                async move {
                    tokio::task::yield_now().await;
                    place(&ctx, &shared);
                    Ok(NodeOutput::new())
                }
            });
            names.push(name.to_owned());
        }
    }
    for execution in [Execution::Async, Execution::Task] {
        // In a task that the node waits for.
        let name = leak(format!("{execution:?}Spawned"));
        registry.register_async(kind(name, execution), |_| async {
            let inner = tokio::spawn(async {
                tokio::task::yield_now().await;
                go_off()
            });
            match inner.await {
                Ok(()) => Ok(NodeOutput::new()),
                Err(error) => resume_unwind(error.into_panic()),
            }
        });
        // When the future is dropped at its end, with the answer on its way.
        let late = leak(format!("{execution:?}Late"));
        registry.register_async(kind(late, execution), |_| async {
            let _bomb = Bomb;
            tokio::task::yield_now().await;
            Ok(NodeOutput::new())
        });
        names.extend([name.to_owned(), late.to_owned()]);
    }
    names
}

/// Names of node types live as long as the program.
fn leak(name: String) -> &'static str {
    name.leak()
}

/// `bad` goes off; `good` and `other` stand beside it, and `after` follows it.
fn with_panic(node_type: &str) -> Workflow {
    workflow(json!({
        "id": "panics",
        "nodes": [
            {"id": "bad", "node_type": node_type, "retry_policy": {"max_attempts": 3}},
            {"id": "good", "node_type": "good"},
            {"id": "other", "node_type": "good"},
            {"id": "after", "node_type": "good"},
        ],
        "connections": [
            {"from_node": "good", "to_node": "other"},
            {"from_node": "bad", "to_node": "after"},
        ],
        "settings": {"on_error": "ContinueOnError"},
        "outputs": {"other": "{{ nodes.other.out }}"},
    }))
}

async fn a_thousand(store: Arc<dyn Store>) {
    let (shared, mut registry) = (Shared::default(), NodeRegistry::new());
    let names = register(&mut registry, &shared);
    registry.register_async(kind("good", Execution::Task), move |_| {
        let shared = shared.clone();
        async move {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            Ok(NodeOutput::of("out", 1))
        }
    });
    let flow = process(store.clone(), registry).build().unwrap();
    for first in (0..PANICS).step_by(AT_ONCE) {
        let some = first..first + AT_ONCE;
        join_all(some.map(|number| one(&flow, &names[number % names.len()]))).await;
    }
    assert_eq!(flow.running_attempts(), 0);
    let query = Query { limit: usize::MAX, ..Query::default() };
    let rows = store.executions(&query).await.unwrap();
    assert_eq!(rows.len(), PANICS);
    assert!(rows.iter().all(|row| row.status == ExecutionStatus::Succeeded && row.owner.is_none()));
    flow.close().await;
}

/// One execution with a panic, and what is kept of it.
async fn one(flow: &FlowRuntime, node_type: &str) {
    let handle = flow.start(&with_panic(node_type), ()).await.unwrap();
    let result = handle.wait().await.unwrap();
    let history = flow.history(handle.id()).await.unwrap().unwrap();
    for result in [&result, &history.result] {
        assert_eq!(result.outputs.to_json(), json!({"other": 1}), "{node_type}");
        let bad = result.node("bad").unwrap();
        let error = bad.error.unwrap();
        assert_eq!((error.code(), bad.attempts), ("node.panicked", 1), "{node_type}");
        assert!(error.to_string().contains("it went off"), "{node_type}: {error}");
        assert_eq!(result.node("after").unwrap().status, NodeStatus::Skipped, "{node_type}");
    }
    assert_eq!(history.row.last_seq, history.events.len() as u64);
}

#[test]
fn a_thousand_panics_fail_their_nodes_and_nothing_else_in_memory() {
    on_current_thread(a_thousand(Arc::new(MemoryStore::new())));
    on_multi_thread(a_thousand(Arc::new(MemoryStore::new())));
}

#[test]
fn a_thousand_panics_fail_their_nodes_and_nothing_else_in_a_file() {
    let (one, other) = (Place::sqlite(), Place::sqlite());
    on_current_thread(async { a_thousand(one.open().await).await });
    on_multi_thread(async { a_thousand(other.open().await).await });
}
