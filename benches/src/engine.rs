//! What the harness measures: something that runs a workload again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowcore::Value;
use futures_util::future::BoxFuture;

use crate::graph::{Graph, Index};
use crate::limits::{self, NodeFn};
use crate::memory;
use crate::workload::{Work, Workload, add, burn};

/// What one run took, from start to end, without preparing and without checking.
pub struct Sample {
    /// The time.
    pub time: Duration,
    /// How often memory was allocated; 0 unless that is counted.
    #[cfg_attr(not(feature = "memory"), expect(dead_code, reason = "it is not counted"))]
    pub allocations: usize,
}

/// Measures one run.
pub struct Meter {
    began: Instant,
    allocations: usize,
}

impl Meter {
    /// The run starts.
    pub fn start() -> Self {
        Self { allocations: memory::allocations(), began: Instant::now() }
    }

    /// The run has ended.
    pub fn stop(self) -> Sample {
        let time = self.began.elapsed();
        Sample { time, allocations: memory::allocations() - self.allocations }
    }
}

/// An engine that has loaded a workload.
pub trait Engine: Send + Sync {
    /// Prepares one run, times it, and checks what it gave.
    ///
    /// # Panics
    /// When the outputs are not those that plain computation gives.
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample>;
}

/// Why an engine has no row for a workload.
pub type Absent = &'static str;

/// Loads a workload into an engine. Called inside the tokio runtime that the engine will run on.
pub type Load = fn(&Arc<Workload>) -> Result<Arc<dyn Engine>, Absent>;

/// Which tokio runtime a row uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// `current_thread`.
    One,
    /// `multi_thread` with two workers.
    Two,
}

impl Threads {
    /// The tokio runtime.
    pub fn runtime(self) -> tokio::runtime::Runtime {
        let mut builder = match self {
            Self::One => tokio::runtime::Builder::new_current_thread(),
            Self::Two => tokio::runtime::Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_all().build().expect("a tokio runtime can be made")
    }
}

/// Checks the values of the nodes that nothing reads against plain computation.
///
/// # Panics
/// When one differs.
pub fn check(graph: &Graph, seed: u64, mut value: impl FnMut(Index) -> Option<u64>) {
    let expected = graph.expected(seed);
    for node in graph.sinks() {
        assert_eq!(value(node), Some(expected[node as usize]), "value of node {node}");
    }
}

/// Runs all executions at the same time; each is a task, unless there is only one.
pub async fn at_once<F>(mut executions: impl ExactSizeIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut ended = Vec::with_capacity(executions.len());
    if executions.len() == 1 {
        let execution = executions.next().expect("there is one");
        drop(executions);
        ended.push(execution.await);
    } else {
        let tasks: Vec<_> = executions.map(tokio::spawn).collect();
        for task in tasks {
            ended.push(task.await.expect("no task panics"));
        }
    }
    ended
}

/// One of the limits.
struct Limit {
    workload: Arc<Workload>,
    kind: Kind,
    large: Option<Value>,
}

#[derive(Clone, Copy)]
enum Kind {
    Inline,
    Unordered,
    Spawned,
}

/// Limit A.
pub fn limit_a(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    limit(workload, Kind::Inline)
}

/// Limit B.
pub fn limit_b(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    limit(workload, Kind::Unordered)
}

/// Limit C.
pub fn limit_c(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    limit(workload, Kind::Spawned)
}

fn limit(workload: &Arc<Workload>, kind: Kind) -> Result<Arc<dyn Engine>, Absent> {
    let large = (workload.work == Work::Pass).then(|| workload.large_value());
    // Made now, not within the first run.
    workload.graph();
    Ok(Arc::new(Limit { workload: workload.clone(), kind, large }))
}

impl Engine for Limit {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            match self.workload.work {
                Work::Pass => self.run_large().await,
                Work::Add | Work::Sleep(_) | Work::Burn(_) => self.run_values(seed).await,
            }
        })
    }
}

/// What a node of the limits does.
fn node(work: Work, seed: u64) -> NodeFn<u64> {
    let value = move |inputs: &[u64]| match inputs {
        [] => add([seed]),
        inputs => add(inputs.iter().copied()),
    };
    match work {
        Work::Add | Work::Pass => Arc::new(move |inputs| {
            let value = value(inputs);
            Box::pin(async move { value })
        }),
        Work::Sleep(time) => Arc::new(move |inputs| {
            let value = value(inputs);
            Box::pin(async move {
                tokio::time::sleep(time).await;
                value
            })
        }),
        Work::Burn(rounds) => Arc::new(move |inputs| {
            let value = value(inputs);
            Box::pin(async move { burn(value, rounds) })
        }),
    }
}

impl Limit {
    async fn run_values(&self, seed: u64) -> Sample {
        let (sample, ended) = self.measure(node(self.workload.work, seed)).await;
        let graph = self.workload.graph();
        ended.iter().for_each(|values| check(graph, seed, |node| Some(values[node as usize])));
        sample
    }

    async fn run_large(&self) -> Sample {
        let large = self.large.clone().expect("it was made with the engine");
        let given = large.clone();
        let run = Arc::new(move |inputs: &[Value]| {
            let value = inputs.first().unwrap_or(&given).clone();
            Box::pin(async move { value }) as BoxFuture<'static, Value>
        });
        let (sample, ended) = self.measure(run).await;
        for values in ended {
            assert!(values.last().is_some_and(|value| *value == large), "the value came through");
        }
        sample
    }

    async fn measure<V>(&self, run: NodeFn<V>) -> (Sample, Vec<Vec<V>>)
    where
        V: Clone + Send + Sync + 'static,
    {
        let meter = Meter::start();
        let ended = at_once(
            (0..self.workload.executions)
                .map(|_| execute(self.kind, self.workload.graph().clone(), run.clone())),
        )
        .await;
        (meter.stop(), ended)
    }
}

async fn execute<V>(kind: Kind, graph: Arc<Graph>, run: NodeFn<V>) -> Vec<V>
where
    V: Clone + Send + Sync + 'static,
{
    match kind {
        Kind::Inline => limits::inline(&graph, &run).await,
        Kind::Unordered => limits::unordered(&graph, &run).await,
        Kind::Spawned => limits::spawned(graph, run).await,
    }
}
