//! `async_dag`: a graph of typed closures, polled by one task.

use std::sync::Arc;

use async_dag::{Graph as Dag, NodeIndex};
use flowcore::Value;
use futures_util::future::BoxFuture;
use tokio::task::LocalSet;

use super::Step;
use super::narrow::Narrow;
use crate::engine::{Absent, Engine, Meter, Sample, Threads};
use crate::workload::{Work, Workload};

/// A graph runs once. Nodes with more inputs read through a tree of further ones.
pub const NOTE: &str = "built anew, untimed; at most 12 inputs";

/// The most parameters of its closures.
const MOST: usize = 12;

struct AsyncDag {
    narrow: Narrow,
    large: Option<Value>,
}

pub fn load(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    let large = (workload.work == Work::Pass).then(|| workload.large_value());
    Ok(Arc::new(AsyncDag { narrow: Narrow::new(workload, MOST), large }))
}

impl Engine for AsyncDag {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            // Its graphs cannot move between threads, so the run has a thread of its own, with a
            // tokio runtime of its own.
            let run = tokio::task::spawn_blocking(move || {
                LocalSet::new().block_on(&Threads::One.runtime(), self.run_here(seed))
            });
            run.await.expect("the run does not panic")
        })
    }
}

impl AsyncDag {
    async fn run_here(self: Arc<Self>, seed: u64) -> Sample {
        let executions = self.narrow.executions();
        let mut dags: Vec<_> = (0..executions).map(|_| self.build(seed)).collect();
        let meter = Meter::start();
        if let [(dag, _)] = dags.as_mut_slice() {
            dag.run().await;
        } else {
            let tasks: Vec<_> = dags
                .drain(..)
                .map(|(mut dag, nodes)| {
                    tokio::task::spawn_local(async move {
                        dag.run().await;
                        (dag, nodes)
                    })
                })
                .collect();
            for task in tasks {
                dags.push(task.await.expect("no task panics"));
            }
        }
        let sample = meter.stop();
        for (dag, nodes) in &dags {
            match &self.large {
                Some(large) => {
                    let last = *nodes.last().expect("there are nodes");
                    let value: Option<Value> = dag.get_value(last);
                    assert_eq!(value.as_ref(), Some(large), "the value came through");
                }
                None => self.narrow.check(seed, |node| dag.get_value(nodes[node as usize])),
            }
        }
        sample
    }

    fn build(&self, seed: u64) -> (Dag<'static>, Vec<NodeIndex>) {
        let graph = self.narrow.graph();
        let mut dag = Dag::new();
        let mut nodes = Vec::with_capacity(graph.len());
        for node in graph.nodes() {
            let sources = graph.sources(node);
            let index = match &self.large {
                Some(large) => pass(&mut dag, large, sources.is_empty()),
                None => add(&mut dag, self.narrow.step(node), seed, sources.len()),
            };
            for (position, &from) in (0..).zip(sources) {
                dag.update_dependency(nodes[from as usize], index, position)
                    .expect("the graph is good");
            }
            nodes.push(index);
        }
        (dag, nodes)
    }
}

fn pass(dag: &mut Dag<'static>, large: &Value, is_first: bool) -> NodeIndex {
    if is_first {
        let large = large.clone();
        dag.add_task(move || async move { large })
    } else {
        dag.add_task(|value: Value| async move { value })
    }
}

macro_rules! arities {
    ($($count:literal: $($value:ident)+;)+) => {
        fn add(dag: &mut Dag<'static>, step: Step, seed: u64, sources: usize) -> NodeIndex {
            match sources {
                0 => dag.add_task(move || step.run([seed])),
                $($count => dag.add_task(move |$($value: u64),+| step.run([$($value),+])),)+
                _ => unreachable!("the graph is narrow"),
            }
        }
    };
}

arities! {
    1: a;
    2: a b;
    3: a b c;
    4: a b c d;
    5: a b c d e;
    6: a b c d e f;
    7: a b c d e f g;
    8: a b c d e f g h;
    9: a b c d e f g h i;
    10: a b c d e f g h i j;
    11: a b c d e f g h i j k;
    12: a b c d e f g h i j k l;
}
