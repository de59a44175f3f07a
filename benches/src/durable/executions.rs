//! Executions that are started by clients, each of which waits for one before it starts the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowcore::{ExecutionId, ExecutionResult, ExecutionStatus, Workflow};
use flowruntime::FlowRuntime;
use flowruntime::store::Store;

use super::bare::Row;
use super::steps::{STEPS, Steps, check, inputs, workflow};
use crate::engine::Threads;
use crate::measure::cpu_time;

/// What one run gave.
pub struct Measured {
    /// From the first start to the last end.
    pub total: Duration,
    /// From the start of each execution to its end, sorted.
    pub latencies: Vec<Duration>,
    /// The time that all threads of the process had on a processor meanwhile.
    pub cpu: Duration,
    /// How many transactions were committed meanwhile, each with one flush.
    pub commits: u64,
    /// How many events an execution has.
    pub events: u64,
    /// The rows with the events, and with what each execution started with, about in the order in
    /// which they were written.
    pub rows: Vec<Row>,
}

/// An execution that has ended.
struct Ended {
    seed: u64,
    id: ExecutionId,
    result: ExecutionResult,
    latency: Duration,
}

/// Runs so many executions, that many at the same time, in a new store.
///
/// # Panics
/// When an output is wrong, or something was not kept.
pub async fn run(store: Arc<dyn Store>, steps: Steps, clients: u64, count: u64) -> Measured {
    let runtime = FlowRuntime::builder()
        .registry(steps.registry())
        .store(store.clone())
        .build()
        .expect("the settings are good");
    let workflow = workflow(STEPS);
    runtime.plan(&workflow).expect("the workflow is good");
    runtime.open().await.expect("the store can be entered");
    let next = Arc::new(AtomicU64::new(0));
    let before = store.metrics();
    let cpu = cpu_time();
    let began = Instant::now();
    let clients: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(client(runtime.clone(), workflow.clone(), next.clone(), count)))
        .collect();
    let mut ended = Vec::new();
    for client in clients {
        ended.extend(client.await.expect("no client panics"));
    }
    let total = began.elapsed();
    let cpu = cpu_time().saturating_sub(cpu);
    let after = store.metrics();
    assert_eq!(ended.len() as u64, count);
    ended.sort_unstable_by_key(|ended| ended.seed);
    ended.iter().for_each(|Ended { seed, result, .. }| check(result, STEPS, *seed));
    let (events, rows) = check_kept(&runtime, &*store, &ended).await;
    let appends = after.appends - before.appends;
    assert_eq!(appends + count, rows.len() as u64, "a row each, and what it started with");
    let mut latencies: Vec<Duration> = ended.iter().map(|ended| ended.latency).collect();
    latencies.sort_unstable();
    runtime.close().await;
    Measured { total, latencies, cpu, commits: after.commits - before.commits, events, rows }
}

async fn client(
    runtime: FlowRuntime,
    workflow: Workflow,
    next: Arc<AtomicU64>,
    count: u64,
) -> Vec<Ended> {
    let mut ended = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= count {
            return ended;
        }
        let began = Instant::now();
        let execution = runtime.start(&workflow, inputs(seed)).await.expect("it is accepted");
        let result = execution.wait().await.expect("it is not lost");
        ended.push(Ended { seed, id: execution.id(), result, latency: began.elapsed() });
    }
}

/// Checks what is kept of every execution, as other connections see it: they see only what is
/// committed. Gives how many events each has, and the rows.
async fn check_kept(runtime: &FlowRuntime, store: &dyn Store, ended: &[Ended]) -> (u64, Vec<Row>) {
    let first = runtime.history(ended[0].id).await.expect("it can be read").expect("it is kept");
    check(&first.result, STEPS, ended[0].seed);
    let events = first.events.len() as u64;
    let mut rows = Vec::new();
    for (execution, Ended { id, .. }) in (1..).zip(ended) {
        let kept = store.load(*id).await.expect("it can be read").expect("it is kept");
        assert_eq!(kept.row.status, ExecutionStatus::Succeeded);
        assert_eq!(kept.row.last_seq, events, "all have the same events");
        rows.push(Row { execution, first_seq: 0, last_seq: 0, bytes: kept.start });
        let mut last_seq = 0;
        for segment in kept.segments {
            assert_eq!(segment.first_seq, last_seq + 1, "no gap");
            last_seq = segment.last_seq;
            let (first_seq, bytes) = (segment.first_seq, segment.bytes);
            rows.push(Row { execution, first_seq, last_seq, bytes });
        }
        assert_eq!(last_seq, events);
    }
    (events, rows)
}

impl Measured {
    /// Executions per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.total.as_secs_f64()
    }

    /// What this part of the executions took at most.
    pub fn latency(&self, part: f64) -> Duration {
        let last = (self.latencies.len() - 1) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        self.latencies[(last * part) as usize]
    }

    /// How many rows with events or a start each commit had.
    pub fn rows_per_commit(&self) -> f64 {
        self.rows.len() as f64 / self.commits as f64
    }
}

/// Runs as [`run`] does, on a tokio runtime of its own; then nothing of it is left.
pub fn run_alone(
    threads: Threads,
    open: impl AsyncFnOnce() -> Arc<dyn Store>,
    steps: Steps,
    clients: u64,
    count: u64,
) -> Measured {
    threads.runtime().block_on(async { run(open().await, steps, clients, count).await })
}
