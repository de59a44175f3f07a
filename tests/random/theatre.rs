//! Plays a case with the real driver.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowcore::{ExecutionEvent, ExecutionResult, Limits, RateLimitSpec};
use flowruntime::{ExecutionHandle, FlowRuntime, MemoryJournal};
use tokio::runtime::Handle;

use crate::cast::{Cast, Pace};
use crate::fit::duration;
use crate::rates::check_starts;
use crate::script::Case;
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
    let tasks = Handle::current().metrics().num_alive_tasks();
    let cast = Cast::new(case, house.pace);
    let runtime = FlowRuntime::builder()
        .registry(cast.registry())
        .limits(Limits::none())
        .max_running_nodes(house.max_running_nodes)
        .grace_period(house.grace)
        .build()
        .unwrap();
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
