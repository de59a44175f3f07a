//! F40: many start the same thing, and some ask again because nobody answered. It is one execution,
//! and all get its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowcore::{ExecutionId, Value, Workflow, async_trait};
use flowruntime::store::{Created, NewExecution, Query, Store, StoreError};
use flowruntime::{FlowRuntime, PreparedExecution};
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Notify;

use crate::flavours::{on_current_thread, on_multi_thread};
use crate::places::{Counter, Place, process, workflow};
use flowruntime::testing::crash::{Twist, Twisted};

/// How many start it at once.
const STARTS: usize = 100;

fn order() -> Workflow {
    workflow(json!({
        "id": "order",
        "inputs": {"number": {"type": "integer"}},
        "nodes": [{"id": "send", "node_type": "count"}],
        "outputs": {"order": "{{ inputs.number }}", "sent": "{{ nodes.send.out }}"},
    }))
}

fn start(flow: &FlowRuntime, number: i64) -> PreparedExecution {
    flow.prepare(&order(), [("number", Value::from(number))]).unwrap().key("order-42")
}

/// Starts the order through all of the runtimes at once.
async fn start_at_once(flows: &[FlowRuntime], counter: &Counter, store: &dyn Store) {
    let one = |number: usize| {
        let prepared = start(&flows[number % flows.len()], 42);
        tokio::spawn(async move {
            let handle = prepared.start().await.unwrap();
            let result = handle.wait().await.unwrap();
            (handle.id(), result.execution_id, result.outputs.to_json().to_string())
        })
    };
    let answers: Vec<_> = join_all((0..STARTS).map(one)).await;
    let answers: BTreeSet<_> = answers.into_iter().map(Result::unwrap).collect();
    let [(id, told, outputs)] = answers.iter().collect::<Vec<_>>()[..] else {
        panic!("{answers:?}");
    };
    assert_eq!((id, outputs.as_str()), (told, r#"{"order":42,"sent":1}"#));
    assert_eq!(counter.count(), 1, "it was sent once");
    let rows = store.executions(&Query::default()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [*id]);
    let other = start(&flows[0], 43).start().await.unwrap_err();
    assert_eq!(other.code(), "execution.key_conflict");
}

async fn a_hundred_at_once_in_one_process() {
    let place = Place::sqlite();
    let (store, counter) = (place.open().await, Counter::default());
    let flow = process(store.clone(), counter.registry()).build().unwrap();
    start_at_once(std::slice::from_ref(&flow), &counter, &*store).await;
    flow.close().await;
}

#[test]
fn a_hundred_starts_at_once_with_one_key_are_one_execution_on_one_thread() {
    on_current_thread(a_hundred_at_once_in_one_process());
}

#[test]
fn a_hundred_starts_at_once_with_one_key_are_one_execution_on_two_threads() {
    on_multi_thread(a_hundred_at_once_in_one_process());
}

#[cfg(feature = "postgres")]
#[test]
fn a_hundred_starts_at_once_in_two_processes_are_one_execution_in_postgres() {
    let Some(place) = Place::postgres() else { return };
    on_multi_thread(async {
        let (one, other, counter) = (place.open().await, place.open().await, Counter::default());
        let flows = [one.clone(), other].map(|store| process(store, counter.registry()).build());
        let flows = flows.map(Result::unwrap);
        start_at_once(&flows, &counter, &*one).await;
        for flow in flows {
            flow.close().await;
        }
    });
}

/// Accepts an execution, and the process dies before it hears of it.
#[derive(Default)]
struct DeafToCreate {
    accepted: Arc<Notify>,
}

#[async_trait]
impl Twist for DeafToCreate {
    async fn create(
        &self,
        inner: &Arc<dyn Store>,
        execution: NewExecution,
    ) -> Result<Created, StoreError> {
        assert_eq!(inner.create(execution).await, Ok(Created::New));
        self.accepted.notify_one();
        std::future::pending().await
    }
}

/// Starts the order in a process that dies between the commit and the answer.
async fn start_and_die(place: &Place, counter: &Counter) {
    let deaf = DeafToCreate::default();
    let accepted = deaf.accepted.clone();
    let store = Arc::new(Twisted::new(place.open().await, deaf));
    let flow = process(store, counter.registry()).build().unwrap();
    tokio::select! {
        started = start(&flow, 42).start() => panic!("it was answered: {started:?}"),
        () = accepted.notified() => {}
    }
}

/// Asks again in another process, often; the answer is always the same.
async fn start_again(place: &Place, counter: &Counter) {
    let store = place.open().await;
    let rows = store.executions(&Query::default()).await.unwrap();
    let accepted: Vec<ExecutionId> = rows.iter().map(|row| row.id).collect();
    let flow = process(store.clone(), counter.registry()).build().unwrap();
    for _ in 0..3 {
        let handle = start(&flow, 42).start().await.unwrap();
        assert_eq!(accepted, [handle.id()], "what was accepted, and nothing else");
        let outputs = handle.wait().await.unwrap().outputs.to_json();
        assert_eq!(outputs, json!({"order": 42, "sent": 1}));
    }
    assert_eq!(store.executions(&Query::default()).await.unwrap().len(), 1);
    assert_eq!(counter.count(), 1);
    flow.close().await;
}

#[test]
fn a_start_that_was_not_answered_is_asked_again_and_made_once() {
    for _ in 0..10 {
        let (place, counter) = (Place::sqlite(), Counter::default());
        // The process takes its runtime with it, and the file is free again.
        on_current_thread(start_and_die(&place, &counter));
        on_current_thread(start_again(&place, &counter));
    }
}

#[cfg(feature = "postgres")]
#[test]
fn a_start_that_was_not_answered_is_asked_again_and_made_once_in_postgres() {
    let Some(place) = Place::postgres() else { return };
    let counter = Counter::default();
    on_multi_thread(start_and_die(&place, &counter));
    on_multi_thread(start_again(&place, &counter));
}

/// Accepts an execution, and says the first time that nobody knows whether it did.
#[derive(Default)]
struct LosesTheFirstAnswer(AtomicBool);

#[async_trait]
impl Twist for LosesTheFirstAnswer {
    async fn create(
        &self,
        inner: &Arc<dyn Store>,
        execution: NewExecution,
    ) -> Result<Created, StoreError> {
        let created = inner.create(execution).await;
        match self.0.swap(true, Ordering::SeqCst) {
            true => created,
            false => Err(StoreError::Unavailable { message: "the answer was lost".to_owned() }),
        }
    }
}

async fn the_process_that_lost_an_answer_asks_again(store: Arc<dyn Store>) {
    let counter = Counter::default();
    let twisted = Arc::new(Twisted::new(store.clone(), LosesTheFirstAnswer::default()));
    let flow = process(twisted, counter.registry()).build().unwrap();
    let lost = start(&flow, 42).start().await.unwrap_err();
    assert_eq!(lost.code(), "store.unavailable");
    let handles: Vec<_> = join_all((0..10).map(|_| start(&flow, 42).start())).await;
    for handle in handles {
        let outputs = handle.unwrap().wait().await.unwrap().outputs.to_json();
        assert_eq!(outputs, json!({"order": 42, "sent": 1}));
    }
    assert_eq!(store.executions(&Query::default()).await.unwrap().len(), 1);
    flow.close().await;
}

#[test]
fn a_start_whose_answer_was_lost_goes_on_in_the_process_that_asks_again() {
    let place = Place::sqlite();
    on_multi_thread(async {
        the_process_that_lost_an_answer_asks_again(place.open().await).await;
    });
}

/// Nobody asks again: what was accepted all the same does not wait for the end of its process.
#[test]
fn what_was_accepted_without_an_answer_ends_all_the_same() {
    let (place, counter) = (Place::sqlite(), Counter::default());
    on_multi_thread(async {
        let store = place.open().await;
        let twisted = Arc::new(Twisted::new(store.clone(), LosesTheFirstAnswer::default()));
        let flow = process(twisted, counter.registry()).build().unwrap();
        start(&flow, 42).start().await.unwrap_err();
        let rows = store.executions(&Query::default()).await.unwrap();
        let handle = flow.handle(rows[0].id).await.unwrap().unwrap();
        let outputs = handle.wait().await.unwrap().outputs.to_json();
        assert_eq!(outputs, json!({"order": 42, "sent": 1}));
        flow.close().await;
    });
}
