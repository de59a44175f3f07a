//! F8: a disk that is full, and then has room again. Nothing is accepted that is not kept, whoever
//! starts something hears why not, and what was accepted goes on by itself.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use flowcore::{Execution, ExecutionId, NodeOutput, NodeRegistry, Timestamp, Workflow};
use flowruntime::store::{Query, Retention};
use flowruntime::{ExecutionHandle, FlowRuntime, StartError};
use flowstore::{Access, SqliteStore};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::flavours::on_multi_thread;
use crate::places::{kind, process, workflow};

/// What each node gives, in bytes: more than a full disk has in its last pages.
const SIZE: usize = 100_000;

/// How often the disk becomes full.
const ROUNDS: usize = 5;

#[test]
fn executions_outlast_a_full_disk() {
    testkit::on_small_disk("8m", "full::on_a_small_disk");
}

/// What [`executions_outlast_a_full_disk`] runs where the disk is.
#[test]
fn on_a_small_disk() {
    let Some(folder) = testkit::small_disk() else { return };
    on_multi_thread(fill_and_empty(&folder));
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut balloon = File::create(path).unwrap();
    for size in [4096, 1] {
        while balloon.write_all(&vec![1; size]).is_ok() {}
    }
}

/// `held` waits until it may end, and then gives a lot.
fn held(may_end: &Arc<Semaphore>) -> NodeRegistry {
    let (mut registry, may_end) = (NodeRegistry::new(), may_end.clone());
    registry.register_async(kind("held", Execution::Task), move |_| {
        let may_end = may_end.clone();
        async move {
            may_end.acquire().await.unwrap().forget();
            Ok(NodeOutput::of("out", "x".repeat(SIZE)))
        }
    });
    registry
}

async fn start_some(
    flow: &FlowRuntime,
    workflow: &Workflow,
    count: usize,
) -> Vec<Result<ExecutionHandle, StartError>> {
    join_all((0..count).map(|_| flow.start(workflow, ()))).await
}

async fn fill_and_empty(folder: &Path) {
    let store = SqliteStore::open(folder.join("flow.db"), Access::Execute).await.unwrap();
    let (store, may_end) = (Arc::new(store), Arc::new(Semaphore::new(0)));
    let flow = process(store, held(&may_end)).build().unwrap();
    let held = workflow(json!({"id": "held", "nodes": [{"id": "a", "node_type": "held"}]}));
    let (balloon, mut accepted) = (folder.join("balloon"), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut handles: Vec<ExecutionHandle> = Vec::new();
        for started in start_some(&flow, &held, 5).await {
            handles.push(started.unwrap());
        }
        fill(&balloon);
        let mut refused = 0;
        // Some may find room in what the file has already.
        while refused < 20 {
            for started in start_some(&flow, &held, 10).await {
                match started {
                    Ok(handle) => handles.push(handle),
                    Err(error) => {
                        assert_eq!(error.code(), "store.full", "{error:?}");
                        assert!(error.hint().unwrap().contains("make room"), "{error:?}");
                        refused += 1;
                    }
                }
            }
        }
        check_opening(folder).await;
        // What they give has no room, so none has ended; and to look is possible.
        may_end.add_permits(handles.len());
        let ids: BTreeSet<ExecutionId> = handles.iter().map(ExecutionHandle::id).collect();
        let before = rows(&flow).await;
        assert!(start_some(&flow, &held, 5).await.iter().all(Result::is_err));
        let ended = handles.iter().filter(|handle| handle.wait().now_or_never().is_some());
        assert!(ended.count() < handles.len(), "round {round}");
        std::fs::remove_file(&balloon).unwrap();
        for handle in handles {
            let result = handle.wait().await.unwrap();
            assert!(result.is_success(), "{result:?}");
        }
        accepted.extend(ids);
        assert_eq!(before, accepted, "what was accepted, and nothing else");
        assert_eq!(rows(&flow).await, accepted);
        // Room for the next round.
        let nothing = Retention { max_age: None, max_count: Some(0) };
        while flow
            .store()
            .unwrap()
            .prune(&nothing, Timestamp::from_millis(0))
            .await
            .unwrap()
            .executions
            > 0
        {}
        accepted.clear();
    }
    flow.close().await;
}

/// A file that needs room to be opened says what is missing.
async fn check_opening(folder: &Path) {
    for access in [Access::Execute, Access::Visit] {
        let other = folder.join("other.db");
        let error = SqliteStore::open(&other, access).await.err().unwrap();
        assert_eq!(error.code(), "store.full", "{error:?}");
        for name in ["other.db", "other.db-wal", "other.db-shm", "other.db.lock"] {
            // Not all of them were made.
            let _ = std::fs::remove_file(folder.join(name));
        }
    }
}

async fn rows(flow: &FlowRuntime) -> BTreeSet<ExecutionId> {
    let query = Query { limit: usize::MAX, ..Query::default() };
    let rows = flow.store().unwrap().executions(&query).await.unwrap();
    rows.iter().map(|row| row.id).collect()
}
