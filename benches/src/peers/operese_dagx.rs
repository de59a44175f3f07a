//! `operese-dagx`: typed tasks, run layer by layer.
#![expect(clippy::too_many_arguments, reason = "tasks have up to eight inputs")]

use std::sync::Arc;

use flowcore::Value;
use futures_util::future::BoxFuture;
use operese_dagx::{DagOutput, DagRunner, TaskHandle, task};

use super::Step;
use super::narrow::Narrow;
use crate::engine::{Absent, Engine, Meter, Sample, at_once};
use crate::graph::Index;
use crate::workload::{Work, Workload};

/// A graph runs once. Nodes with more inputs read through a tree of further ones.
pub const NOTE: &str = "built anew, untimed; at most 8 inputs";

/// The most inputs of its tasks.
const MOST: usize = 8;

struct OpereseDagx {
    narrow: Narrow,
    large: Option<Value>,
    spawns: bool,
}

/// Its tasks are polled by whoever runs the graph, which its documentation offers for one thread.
pub fn polled(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    load(workload, false)
}

/// Its tasks are tokio tasks.
pub fn spawned(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    load(workload, true)
}

fn load(workload: &Arc<Workload>, spawns: bool) -> Result<Arc<dyn Engine>, Absent> {
    let large = (workload.work == Work::Pass).then(|| workload.large_value());
    Ok(Arc::new(OpereseDagx { narrow: Narrow::new(workload, MOST), large, spawns }))
}

impl Engine for OpereseDagx {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            match &self.large {
                Some(large) => self.run_large(large).await,
                None => self.run_values(seed).await,
            }
        })
    }
}

impl OpereseDagx {
    async fn run_values(&self, seed: u64) -> Sample {
        let executions = self.narrow.executions();
        let (dags, handles): (Vec<_>, Vec<_>) = (0..executions).map(|_| self.build(seed)).unzip();
        let spawns = self.spawns;
        let meter = Meter::start();
        let ended = at_once(dags.into_iter().map(|dag| run(dag, spawns))).await;
        let sample = meter.stop();
        for (mut outputs, handles) in ended.into_iter().zip(handles) {
            let mut handles: Vec<_> = handles.into_iter().map(Some).collect();
            self.narrow.check(seed, |node| {
                handles[node as usize].take().map(|handle| outputs.get(handle))
            });
        }
        sample
    }

    fn build(&self, seed: u64) -> (DagRunner, Vec<TaskHandle<u64>>) {
        let graph = self.narrow.graph();
        let mut dag = DagRunner::new();
        let mut handles = Vec::with_capacity(graph.len());
        for node in graph.nodes() {
            let step = self.narrow.step(node);
            handles.push(add(&mut dag, step, seed, graph.sources(node), &handles));
        }
        (dag, handles)
    }

    async fn run_large(&self, large: &Value) -> Sample {
        let mut dag = DagRunner::new();
        let mut handle = dag.add_task(Given(large.clone()));
        for _ in 1..self.narrow.graph().len() {
            handle = dag.add_task(Pass).depends_on(&handle);
        }
        let meter = Meter::start();
        let mut outputs = run(dag, self.spawns).await;
        let sample = meter.stop();
        assert_eq!(outputs.get(handle), *large, "the value came through");
        sample
    }
}

async fn run(dag: DagRunner, spawns: bool) -> DagOutput {
    let outputs = if spawns {
        dag.run(|task| async { tokio::spawn(task).await.expect("no task panics") }).await
    } else {
        dag.run(|task| task).await
    };
    outputs.expect("no task panics")
}

struct Given(Value);

#[task]
impl Given {
    async fn run(&self) -> Value {
        self.0.clone()
    }
}

struct Pass;

#[task]
impl Pass {
    async fn run(value: &Value) -> Value {
        value.clone()
    }
}

struct First(Step, u64);

#[task]
impl First {
    async fn run(&self) -> u64 {
        self.0.run([self.1]).await
    }
}

macro_rules! arities {
    ($($name:ident: $($value:ident)+;)+) => {
        $(
            struct $name(Step);

            #[task]
            impl $name {
                async fn run(&self, $($value: &u64),+) -> u64 {
                    self.0.run([$(*$value),+]).await
                }
            }
        )+

        fn add(
            dag: &mut DagRunner,
            step: Step,
            seed: u64,
            sources: &[Index],
            handles: &[TaskHandle<u64>],
        ) -> TaskHandle<u64> {
            match *sources {
                [] => dag.add_task(First(step, seed)),
                $([$($value),+] => {
                    dag.add_task($name(step)).depends_on(($(&handles[$value as usize],)+))
                })+
                _ => unreachable!("the graph is narrow"),
            }
        }
    };
}

arities! {
    One: a;
    Two: a b;
    Three: a b c;
    Four: a b c d;
    Five: a b c d e;
    Six: a b c d e f;
    Seven: a b c d e f g;
    Eight: a b c d e f g h;
}
