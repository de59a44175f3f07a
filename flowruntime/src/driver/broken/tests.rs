//! What becomes of an execution whose machine cannot go on.

use std::sync::Arc;

use flowcore::machine::{Machine, MachineOptions};
use flowcore::{
    Event, Execution, ExecutionId, ExecutionStatus, Limits, NodeDescriptor, NodeOutput,
    NodeRegistry, Object, PauseReason, Secrets, Value, Workflow,
};

use super::MAX_DUMP;
use crate::control::Control;
use crate::driver::ledger::Ledger;
use crate::driver::{Begin, Driver};
use crate::durable::{StoreJournal, Written};
use crate::runtime::StartedWith;
use crate::store::{MemoryStore, Store};
use crate::{ExecutionHandle, FlowRuntime, WaitError};

/// `waits` waits the first time until it is told to stop; later it ends.
fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    let kind =
        |name: &'static str| NodeDescriptor::untyped(name).execution(Execution::Task).stateless();
    registry.register_async(kind("waits"), |ctx| async move {
        if ctx.attempt() == 1 {
            ctx.cancellation().cancelled().await;
        }
        Ok(NodeOutput::of("out", 1))
    });
    registry
}

fn workflow() -> Workflow {
    let text = r#"{
        "inputs": { "token": {} },
        "nodes": [{ "id": "a", "node_type": "waits" }]
    }"#;
    Workflow::from_json(text).unwrap()
}

fn inputs() -> Object {
    Object::from_entries([("token", Value::from("s3cret").tainted())]).unwrap()
}

fn runtime(store: &Arc<MemoryStore>) -> FlowRuntime {
    let builder = FlowRuntime::builder().registry(registry()).limits(Limits::none());
    builder.store(store.clone()).build().unwrap()
}

fn paused<F: Future>(test: F) -> F::Output {
    let mut tokio = tokio::runtime::Builder::new_current_thread();
    tokio.enable_all().start_paused(true).build().unwrap().block_on(test)
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A driver that is handed a machine which has started, and starts it: the machine cannot.
async fn break_driver(runtime: &FlowRuntime, id: ExecutionId) -> Arc<Control> {
    let durable = runtime.shared.durable.clone().unwrap();
    let owner = durable.owner(&runtime.shared).await.unwrap();
    let claim = durable.store.claim_one(owner, id).await.unwrap().unwrap();
    let kept = durable.store.load(id).await.unwrap().unwrap();
    let plan = runtime.plan_of(&durable, kept.row.definition).await.unwrap();
    let secrets = Secrets::default();
    let loaded = durable.fold(kept, plan.clone(), secrets.clone(), false).await.unwrap();
    let written = Written { last_seq: loaded.machine.seq(), ..Written::default() };
    let journal = StoreJournal::new(&durable, id, claim.fence, written);
    let control = durable.loaded(runtime.new_control(id, plan));
    let scope = runtime.scope(&control, StartedWith { secrets, ..StartedWith::default() });
    let ledger = Ledger::Store(Box::new(journal));
    let shared = runtime.shared.clone();
    let driver = Driver::new(shared, loaded.machine, scope, control.clone(), ledger, None, None);
    driver.run(Begin::Start(inputs(), None)).await;
    control
}

#[test]
fn an_impossible_fact_pauses_the_execution_with_a_dump_and_nothing_is_lost() {
    let store = Arc::new(MemoryStore::new());
    paused(async {
        let first = runtime(&store);
        let id = first.start(&workflow(), inputs()).await.unwrap().id();
        settle().await;
        store.kill_owners();
        // A process of its own, whose keeper leaves the execution alone.
        let builder = FlowRuntime::builder().registry(registry()).store(store.clone());
        let second = builder.own_executions_only().build().unwrap();
        let before = store.execution(id).await.unwrap().unwrap().last_seq;
        let control = break_driver(&second, id).await;
        assert!(!control.is_ended(), "it may still end");

        let row = store.execution(id).await.unwrap().unwrap();
        assert_eq!((row.status, row.owner), (ExecutionStatus::Paused, None));
        assert_eq!((row.last_seq, row.wake_at), (before + 1, None));
        let history = second.history(id).await.unwrap().unwrap();
        let Some(Event::Paused { reason, dump: Some(dump), .. }) =
            history.events.last().unwrap().event()
        else {
            panic!("{:?}", history.events.last())
        };
        assert_eq!(*reason, PauseReason::ImpossibleFact);
        assert_eq!(reason.code(), Some("runtime.impossible_fact"));
        assert!(dump.starts_with("fact: Start\nerror: event 3 comes before the start"), "{dump}");
        assert!(dump.contains("event: {\"seq\":3,"), "{dump}");
        assert!(dump.contains("0 a: Running attempt 1"), "{dump}");
        assert!(dump.contains("•••") && !dump.contains("s3cret"), "{dump}");

        // Whoever resumes it goes on from there.
        let third = runtime(&store);
        third.resume(id, Some("ada")).await.unwrap();
        let (handle, _) = third.take_up(id, None).await.unwrap().unwrap();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Succeeded);
        assert_eq!(result.node("a").unwrap().attempts, 2, "cut off, and started again");
    });
}

#[test]
fn without_a_store_it_fails_and_says_so() {
    paused(async {
        let runtime = FlowRuntime::builder().registry(registry()).build().unwrap();
        let plan = runtime.plan(&workflow()).unwrap();
        let execution_id = ExecutionId::from_uuid(uuid::Uuid::now_v7());
        let options = MachineOptions {
            execution_id,
            secrets: Secrets::default(),
            keep_outputs: false,
            history: flowcore::machine::HistoryLimits::default(),
        };
        let mut machine = Machine::new(plan.clone(), options);
        let start = flowcore::machine::Fact::Start { inputs: inputs(), kept: None };
        let mut turn = flowcore::machine::Turn::default();
        machine.handle(flowcore::Timestamp::default(), start, &mut turn).unwrap();
        let control = runtime.new_control(execution_id, plan);
        let scope = runtime.scope(&control, StartedWith::default());
        let shared = runtime.shared.clone();
        let ledger = Ledger::Nowhere;
        let driver = Driver::new(shared, machine, scope, control.clone(), ledger, None, None);
        tokio::spawn(driver.run(Begin::Start(inputs(), None)));
        let handle = ExecutionHandle { control, durable: None };
        let error = handle.wait().await.unwrap_err();
        assert!(matches!(error, WaitError::Bug { .. }));
        assert_eq!(error.code(), "runtime.impossible_fact");
        let text = error.to_string();
        assert!(text.contains("cannot go on from the fact Start: event 2 comes before"), "{text}");
    });
}

#[test]
fn a_dump_is_bounded() {
    let mut dump = "é".repeat(MAX_DUMP);
    super::shorten(&mut dump);
    assert!(dump.len() <= MAX_DUMP + '…'.len_utf8() && dump.ends_with("é…"));
}
