//! Whatever the disk does, it is not the threads of tokio that wait for it: on both flavours, and also
//! where there is only one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowruntime::store::Store;
use serde_json::json;

use crate::flavours::{on_current_thread, on_multi_thread};
use crate::places::{Counter, Place, process, workflow};

/// How often a task that ticks must be polled while the store is stuck.
const TICKS: usize = 10_000;

async fn a_task_ticks_while_the_store_is_stuck(place: &Place, store: Arc<dyn Store>) {
    let counter = Counter::default();
    let flow = process(store, counter.registry()).build().unwrap();
    flow.open().await.unwrap();
    let counting = workflow(json!({"nodes": [
        {"id": "a", "node_type": "count"}, {"id": "b", "node_type": "count"}]}));
    let before = flow.start(&counting, ()).await.unwrap();
    assert!(before.wait().await.unwrap().is_success());

    let other = rusqlite::Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let is_accepted = Arc::new(AtomicBool::new(false));
    let started = tokio::spawn({
        let (flow, is_accepted) = (flow.clone(), is_accepted.clone());
        async move {
            let handle = flow.start(&counting, ()).await.unwrap();
            is_accepted.store(true, Ordering::SeqCst);
            handle.wait().await.unwrap()
        }
    });
    let ticks = tokio::spawn(async {
        for _ in 0..TICKS {
            tokio::task::yield_now().await;
        }
    });
    ticks.await.unwrap();
    // To look is possible all the time, too.
    assert!(flow.history(before.id()).await.unwrap().unwrap().result.is_success());
    assert!(!is_accepted.load(Ordering::SeqCst), "nothing is accepted that cannot be written");
    assert_eq!(counter.count(), 2);
    other.execute_batch("COMMIT").unwrap();
    assert!(started.await.unwrap().is_success());
    assert_eq!(counter.count(), 4);
    flow.close().await;
}

#[test]
fn one_thread_goes_on_while_the_store_is_stuck() {
    let place = Place::sqlite();
    on_current_thread(async {
        a_task_ticks_while_the_store_is_stuck(&place, place.open().await).await;
    });
}

#[test]
fn two_threads_go_on_while_the_store_is_stuck() {
    let place = Place::sqlite();
    on_multi_thread(async {
        a_task_ticks_while_the_store_is_stuck(&place, place.open().await).await;
    });
}
