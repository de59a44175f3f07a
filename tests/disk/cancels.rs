//! F35: a cancel against whatever happens at the same moment. There is one end, nothing starts after
//! the cancel is kept, and the row says what the events do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use flowcore::{
    Event, Execution, ExecutionId, ExecutionStatus, NodeError, NodeOutput, NodeRegistry,
    SignalError, Workflow,
};
use flowruntime::store::{MemoryStore, Store};
use flowruntime::{ExecutionHandle, FlowRuntime, TellError};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::dice::Dice;
use crate::flavours::{on_current_thread, on_multi_thread};
use crate::places::{Place, kind, process, workflow};

/// How many races there are on each kind of store.
const SEEDS: u64 = 500;

/// An hour: only a cancel or a signal ends a wait.
const LONG_MS: u64 = 3_600_000;

/// What the cancel races with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    End,
    Retry,
    DeadOwner,
    WaitingRow,
    CalledWorkflow,
}

const ALL: [Against; 5] = [
    Against::End,
    Against::Retry,
    Against::DeadOwner,
    Against::WaitingRow,
    Against::CalledWorkflow,
];

/// The attempts that really ran, each with its address and number; and how many began.
#[derive(Clone)]
struct Deeds {
    seen: Arc<Mutex<Vec<(String, u32)>>>,
    begun: Arc<Semaphore>,
}

impl Deeds {
    fn new() -> Self {
        Self { seen: Arc::default(), begun: Arc::new(Semaphore::new(0)) }
    }

    /// `step` takes some turns of the scheduler, and `flaky` fails twice.
    fn registry(&self, seed: u64) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        for (name, failures) in [("step", 0), ("flaky", 2)] {
            let deeds = self.clone();
            registry.register_async(kind(name, Execution::Task), move |ctx| {
                let deed = (ctx.address().to_string(), ctx.attempt());
                let mut dice = Dice::new(seed ^ deed.0.len() as u64 ^ u64::from(deed.1) << 8);
                deeds.seen.lock().unwrap().push(deed);
                deeds.begun.add_permits(1);
                async move {
                    turns(dice.below(30)).await;
                    match ctx.attempt() <= failures {
                        true => Err(NodeError::retryable("test.flaky", "it works later")),
                        false => Ok(NodeOutput::of("out", 1)),
                    }
                }
            });
        }
        registry
    }
}

async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

fn steps(count: u64) -> serde_json::Value {
    let ids: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
    let nodes: Vec<_> = ids.iter().map(|id| json!({"id": id, "node_type": "step"})).collect();
    let edges: Vec<_> =
        ids.windows(2).map(|pair| json!({"from_node": pair[0], "to_node": pair[1]})).collect();
    json!({"id": "steps", "nodes": nodes, "connections": edges})
}

fn raced(against: Against, dice: &mut Dice) -> Workflow {
    let middle = match against {
        Against::End => return workflow(steps(1 + dice.below(4))),
        Against::DeadOwner => return workflow(steps(4)),
        Against::Retry => json!({"id": "m", "node_type": "flaky",
            "retry_policy": {"max_attempts": 3, "delay_ms": dice.below(3), "jitter": false}}),
        Against::WaitingRow if dice.below(2) == 0 => {
            json!({"id": "m", "node_type": "time.delay", "config": {"delay_ms": LONG_MS}})
        }
        Against::WaitingRow => json!({"id": "m", "node_type": "wait.signal"}),
        Against::CalledWorkflow => {
            json!({"id": "m", "node_type": "workflow.call", "config": {"workflow": "steps"}})
        }
    };
    workflow(json!({
        "id": "raced",
        "nodes": [{"id": "a", "node_type": "step"}, middle, {"id": "b", "node_type": "step"}],
        "connections": [{"from_node": "a", "to_node": "m"}, {"from_node": "m", "to_node": "b"}],
    }))
}

fn runtime(store: &Arc<dyn Store>, deeds: &Deeds, seed: u64) -> FlowRuntime {
    let flow = process(store.clone(), deeds.registry(seed)).build().unwrap();
    flow.register(workflow(steps(2))).unwrap();
    flow
}

/// Starts it in a process that dies after so many attempts have begun.
fn start_and_die(store: Arc<dyn Store>, deeds: &Deeds, seed: u64) -> ExecutionId {
    let mut dice = Dice::new(seed);
    on_current_thread(async {
        let flow = runtime(&store, deeds, seed);
        drop(store);
        let raced = raced(Against::DeadOwner, &mut dice);
        let handle = flow.start(&raced, ()).await.unwrap();
        let begun = 1 + u32::try_from(dice.below(4)).unwrap();
        deeds.begun.acquire_many(begun).await.unwrap().forget();
        turns(dice.below(10)).await;
        handle.id()
    })
}

/// Cancels it, from another process that only tells, while it runs here. Gives how it ended.
async fn race(
    store: Arc<dyn Store>,
    deeds: Deeds,
    seed: u64,
    dead: Option<ExecutionId>,
) -> ExecutionStatus {
    let mut dice = Dice::new(seed ^ 0xace);
    let against = ALL[usize::try_from(seed).unwrap() % ALL.len()];
    let flow = runtime(&store, &deeds, seed);
    let other = process(store.clone(), NodeRegistry::new()).own_executions_only().build().unwrap();
    let handle = match dead {
        Some(id) => {
            // Sometimes it is told before anybody goes on with it.
            if dice.below(2) == 0 {
                flow.open().await.unwrap();
            }
            flow.handle(id).await.unwrap().unwrap()
        }
        None => flow.start(&raced(against, &mut dice), ()).await.unwrap(),
    };
    let id = handle.id();
    let signaller = match against {
        Against::WaitingRow => Some(tokio::spawn(signal(flow.clone(), id, dice.below(60)))),
        _ => None,
    };
    let begun = u32::try_from(dice.below(6)).unwrap();
    tokio::select! {
        _ = deeds.begun.acquire_many(begun) => {}
        _ = handle.wait() => {}
        // It may wait until it is told.
        () = turns(2000) => {}
    }
    turns(dice.below(60)).await;
    let cancelled = match dice.below(2) {
        0 => flow.cancel(id, Some("ada")).await,
        _ => other.cancel(id, Some("ada")).await,
    };
    let result = handle.wait().await.unwrap();
    match cancelled {
        Ok(()) => {}
        Err(TellError::Signal(SignalError::Finished)) => {
            assert_eq!(result.status, ExecutionStatus::Succeeded, "it had ended before");
        }
        Err(error) => panic!("seed {seed}: {error}"),
    }
    if let Some(signaller) = signaller {
        signaller.await.unwrap();
    }
    check(&flow, &handle, &deeds).await;
    flow.close().await;
    other.close().await;
    result.status
}

/// Somebody else sends what it may wait for, at about the same moment.
async fn signal(flow: FlowRuntime, id: ExecutionId, after: u64) {
    turns(after).await;
    match flow.signal(id, "m", None, 1).await {
        Ok(()) | Err(TellError::Signal(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// One end, nothing begun after the cancel, nothing done that was not begun, and a row that fits.
async fn check(flow: &FlowRuntime, handle: &ExecutionHandle, deeds: &Deeds) {
    let history = flow.history(handle.id()).await.unwrap().unwrap();
    let (row, events) = (&history.row, &history.events);
    let seen = handle.wait().await.unwrap();
    assert_eq!(events.iter().filter(|event| event.is_last()).count(), 1);
    assert!(events.last().unwrap().is_last());
    assert!(events.iter().zip(1..).all(|(event, number)| event.seq() == Some(number)));
    assert_eq!((row.status, row.status), (seen.status, history.result.status));
    assert_eq!((row.owner, row.last_seq), (None, events.len() as u64));
    assert!(row.ended_at.is_some());
    assert!(matches!(row.status, ExecutionStatus::Cancelled | ExecutionStatus::Succeeded));

    let mut begun = BTreeSet::new();
    let mut is_cancelled = false;
    for event in events {
        match event.event() {
            Some(Event::CancelRequested { instance: None, .. }) => is_cancelled = true,
            Some(Event::NodeStarted { attempt, .. }) => {
                assert!(!is_cancelled, "it starts after the cancel: {event:?}");
                begun.insert((event.node_id().unwrap_or_default().to_owned(), *attempt));
            }
            _ => {}
        }
    }
    let deeds = deeds.seen.lock().unwrap().clone();
    let different: BTreeSet<_> = deeds.iter().cloned().collect();
    assert_eq!(different.len(), deeds.len(), "an attempt was made twice: {deeds:?}");
    assert!(different.is_subset(&begun), "{different:?} {begun:?}");
}

fn is_dead_owner(seed: u64) -> bool {
    ALL[usize::try_from(seed).unwrap() % ALL.len()] == Against::DeadOwner
}

/// Both ends came about.
fn check_all(ends: &[ExecutionStatus]) {
    for status in [ExecutionStatus::Cancelled, ExecutionStatus::Succeeded] {
        let count = ends.iter().filter(|end| **end == status).count();
        assert!(count > ends.len() / 20, "only {count} {status}");
    }
}

#[test]
fn a_cancel_against_anything_has_one_end_in_memory() {
    let race = |seed| {
        let (memory, deeds) = (Arc::new(MemoryStore::new()), Deeds::new());
        let dead = is_dead_owner(seed).then(|| {
            let id = start_and_die(memory.clone(), &deeds, seed);
            memory.kill_owners();
            id
        });
        on_current_thread(race(memory, deeds, seed, dead))
    };
    check_all(&(0..SEEDS).map(race).collect::<Vec<_>>());
}

#[test]
fn a_cancel_against_anything_has_one_end_in_a_file() {
    let race = |seed| {
        let (place, deeds) = (Place::sqlite(), Deeds::new());
        let open = || on_current_thread(place.open());
        let dead = is_dead_owner(seed).then(|| start_and_die(open(), &deeds, seed));
        let store = open();
        match seed % 2 {
            0 => on_current_thread(race(store, deeds, seed, dead)),
            _ => on_multi_thread(race(store, deeds, seed, dead)),
        }
    };
    check_all(&(0..SEEDS).map(race).collect::<Vec<_>>());
}
