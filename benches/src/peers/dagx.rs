//! `dagx`: typed tasks, run layer by layer, each a tokio task.
#![expect(clippy::too_many_arguments, reason = "tasks have up to eight inputs")]

use std::sync::Arc;

use dagx::{DagRunner, Task, TaskHandle, task};
use flowcore::Value;
use futures_util::future::BoxFuture;

use super::Step;
use super::narrow::Narrow;
use crate::engine::{Absent, Engine, Meter, Sample, at_once};
use crate::graph::Index;
use crate::workload::{Work, Workload};

/// A graph runs once. Nodes with more inputs read through a tree of further ones.
pub const NOTE: &str = "built anew, untimed; at most 8 inputs";

/// The most inputs of its tasks.
const MOST: usize = 8;

struct Dagx {
    narrow: Narrow,
    large: Option<Value>,
}

pub fn load(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    let large = (workload.work == Work::Pass).then(|| workload.large_value());
    Ok(Arc::new(Dagx { narrow: Narrow::new(workload, MOST), large }))
}

impl Engine for Dagx {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            match &self.large {
                Some(large) => run_large(large, self.narrow.graph().len()).await,
                None => self.run_values(seed).await,
            }
        })
    }
}

impl Dagx {
    async fn run_values(&self, seed: u64) -> Sample {
        let dags: Vec<_> = (0..self.narrow.executions()).map(|_| self.build(seed)).collect();
        let meter = Meter::start();
        let ended = at_once(dags.into_iter().map(run)).await;
        let sample = meter.stop();
        for (dag, handles) in &ended {
            self.narrow.check(seed, |node| dag.get(handles[node as usize]).ok());
        }
        sample
    }

    fn build(&self, seed: u64) -> (DagRunner, Vec<TaskHandle<u64>>) {
        let graph = self.narrow.graph();
        let dag = DagRunner::new();
        let mut handles = Vec::with_capacity(graph.len());
        for node in graph.nodes() {
            let step = self.narrow.step(node);
            handles.push(add(&dag, step, seed, graph.sources(node), &handles));
        }
        (dag, handles)
    }
}

async fn run_large(large: &Value, nodes: usize) -> Sample {
    let dag = DagRunner::new();
    let mut handle: TaskHandle<Value> = dag.add_task(Given(large.clone())).into();
    for _ in 1..nodes {
        handle = dag.add_task(Pass).depends_on(handle);
    }
    let meter = Meter::start();
    let (dag, handle) = run((dag, handle)).await;
    let sample = meter.stop();
    assert_eq!(dag.get(handle).as_ref(), Ok(large), "the value came through");
    sample
}

async fn run<H>((dag, handles): (DagRunner, H)) -> (DagRunner, H) {
    dag.run(|task| {
        tokio::spawn(task);
    })
    .await
    .expect("no task panics");
    (dag, handles)
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
            dag: &DagRunner,
            step: Step,
            seed: u64,
            sources: &[Index],
            handles: &[TaskHandle<u64>],
        ) -> TaskHandle<u64> {
            match *sources {
                [] => dag.add_task(First(step, seed)).into(),
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
