//! Plays a case with the real driver.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowcore::{ExecutionEvent, ExecutionResult, Limits, RateLimitSpec, Timestamp};
use flowruntime::store::Store;
use flowruntime::{ExecutionHandle, FlowRuntime, MemoryJournal};
use tokio::runtime::Handle;

use crate::cast::{Cast, Pace};
use crate::fit::duration;
use crate::script::{Case, id};
use crate::story;

/// What is not part of a case.
pub(crate) struct House {
    pub(crate) pace: Pace,
    pub(crate) max_running_nodes: usize,
    pub(crate) grace: Duration,
    /// How often nodes start.
    pub(crate) rates: Vec<RateLimitSpec>,
}

/// An execution that has ended.
pub(crate) struct Played {
    pub(crate) result: ExecutionResult,
    pub(crate) events: Vec<ExecutionEvent>,
    pub(crate) cast: Arc<Cast>,
}

/// How many turns the last tasks have to end, on a busy computer, too. They need a few.
const MOST_TURNS: u32 = 1_000_000;

/// Plays a case from start to end, and checks what holds for every one.
pub(crate) async fn play(case: &Case, house: &House) -> Played {
    play_on(case, house, None).await
}

/// The same, of an execution that a store keeps, if there is one: what it has at the end is what
/// happened.
pub(crate) async fn play_on(case: &Case, house: &House, store: Option<Arc<dyn Store>>) -> Played {
    let tasks = Handle::current().metrics().num_alive_tasks();
    let cast = Cast::new(case, house.pace);
    let mut builder = FlowRuntime::builder()
        .registry(cast.registry())
        .limits(Limits::none())
        .max_running_nodes(house.max_running_nodes)
        .grace_period(house.grace);
    if let Some(store) = store.clone() {
        builder = builder.store(store).own_executions_only();
    }
    let runtime = builder.build().unwrap();
    let journal = Arc::new(MemoryJournal::new());
    let mut workflow = cast.workflow();
    workflow.settings.rate_limits.clone_from(&house.rates);
    let prepared = runtime.prepare(&workflow, case.inputs()).unwrap();
    let handle = prepared.journal(journal.clone()).start().await.unwrap();
    let canceller = tokio::spawn(cancel(handle.clone(), case.clone(), house.pace));
    let result = handle.wait().await.unwrap();
    canceller.abort();
    let _ = canceller.await;
    let events = journal.events();
    story::check(case, &events, &result);
    if store.is_some() {
        check_kept(case, &runtime, &events, &result).await;
        runtime.close().await;
    }
    // By the turns of the scheduler, an attempt begins somewhat later than it may.
    if let Pace::Clock = house.pace {
        check_starts(&house.rates, &cast.starts.lock().unwrap());
    }
    let most =
        house.max_running_nodes.min(case.max_parallel.map_or(usize::MAX, |most| most as usize));
    assert!(cast.most_running.load(Ordering::SeqCst) <= most, "too many run at the same time");
    assert_eq!(cast.running(), 0, "an attempt goes on after the end");
    assert_eq!(cast.instances.load(Ordering::SeqCst), 0, "an instance is not shut down");
    // The driver's task ends after it has told so.
    let is_alone = || Handle::current().metrics().num_alive_tasks() == tasks;
    let mut turns = 0;
    while !is_alone() {
        assert!(turns < MOST_TURNS, "a task goes on after the end");
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert_eq!(runtime.running_attempts(), 0, "a permit is not given back");
    Played { result, events, cast }
}

/// What is kept folds to what came of it, and its row says the same.
async fn check_kept(
    case: &Case,
    runtime: &FlowRuntime,
    events: &[ExecutionEvent],
    result: &ExecutionResult,
) {
    let history = runtime.history(result.execution_id).await.unwrap().unwrap();
    story::check(case, &history.events, &history.result);
    let facts = |events: &[ExecutionEvent]| {
        events.iter().map(|event| format!("{:?}", event.body)).collect::<Vec<_>>()
    };
    assert_eq!(facts(&history.events), facts(events), "what is kept, what was told");
    assert_eq!(format!("{:?}", history.result), format!("{result:?}"));
    let row = &history.row;
    assert_eq!((row.status, row.last_seq), (result.status, events.len() as u64));
    // The row is as of the moment in which the end was written.
    assert!(row.owner.is_none() && row.ended_at >= Some(result.ended_at), "{row:?}");
    let code = |error: &flowcore::ExecutionError| error.code.clone();
    assert_eq!(row.error.as_ref().map(code), result.error.as_ref().map(code));
}

/// Within no stretch of time do more attempts start than a limit says.
#[track_caller]
fn check_starts(limits: &[RateLimitSpec], starts: &[(usize, Timestamp)]) {
    for spec in limits {
        let is_meant = |node: usize| spec.nodes.iter().any(|named| **named == *id(node));
        let meant = starts.iter().filter(|(node, _)| is_meant(*node));
        let mut moments: Vec<i64> = meant.map(|(_, at)| at.as_micros()).collect();
        moments.sort_unstable();
        let per = i64::try_from(spec.per_ms).unwrap() * 1000;
        for window in moments.windows(spec.limit as usize + 1) {
            let took = window[window.len() - 1] - window[0];
            assert!(took >= per, "too many within {took} µs: {spec:?}");
        }
    }
}

/// Somebody who wants the execution to stop, as often as the script says.
async fn cancel(handle: ExecutionHandle, case: Case, pace: Pace) {
    let mut now = 0;
    for at in case.cancels {
        match pace {
            Pace::Clock => tokio::time::sleep(duration(at - now)).await,
            Pace::Turns => {
                for _ in 0..duration(at - now).as_millis() {
                    tokio::task::yield_now().await;
                }
            }
        }
        now = at;
        handle.cancel();
    }
}
