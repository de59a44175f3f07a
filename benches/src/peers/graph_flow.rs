//! `graph-flow`: tasks that share a context of JSON values; one after the other, except within a
//! fan-out.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use graph_flow::{
    Context, ExecutionStatus, FanOutTask, Graph as Dag, GraphBuilder, NextAction, Session, Task,
    TaskResult,
};
use serde_json::Value as Json;

use super::Step;
use crate::engine::{Absent, Engine, Meter, Sample, at_once, check};
use crate::graph::{Graph, Index};
use crate::workload::{Work, Workload};

/// A node of the graph goes on to one other; only the fan-out runs several at once.
pub const NOTE: &str = "a fan-out per level; values are JSON";

/// Where the context keeps what the execution is given.
const SEED: &str = "seed";

struct GraphFlow {
    workload: Arc<Workload>,
    dag: Arc<Dag>,
    first: String,
    large: Option<Json>,
}

pub fn load(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    let large = (workload.work == Work::Pass).then(|| workload.large_value().to_json());
    let tasks = tasks(workload);
    let first = tasks[0].id().to_owned();
    let mut builder = GraphBuilder::new("bench");
    for pair in tasks.windows(2) {
        builder = builder.add_edge(pair[0].id(), pair[1].id());
    }
    let builder = tasks.into_iter().fold(builder, GraphBuilder::add_task);
    let dag = Arc::new(builder.build().expect("the graph is good"));
    Ok(Arc::new(GraphFlow { workload: workload.clone(), dag, first, large }))
}

/// A task for each level: the node itself if there is only one, else a fan-out.
fn tasks(workload: &Workload) -> Vec<Arc<dyn Task>> {
    let graph = workload.graph();
    let levels = levels(graph);
    let last = levels.len() - 1;
    let task = |(level, nodes): (usize, Vec<Index>)| -> Arc<dyn Task> {
        let next = if level == last { NextAction::End } else { NextAction::ContinueAndExecute };
        let node = |&node: &Index| -> Arc<dyn Task> {
            let (id, next) = (name(node), next.clone());
            let reads: Vec<_> = graph.sources(node).iter().map(|&from| name(from)).collect();
            match workload.work {
                Work::Pass => Arc::new(Pass { id, reads, next }),
                work => Arc::new(Add { id, reads, next, step: Step::node(work) }),
            }
        };
        match nodes.as_slice() {
            [one] => node(one),
            many => FanOutTask::new(format!("level{level}"), many.iter().map(node).collect())
                .with_next_action(next.clone()),
        }
    };
    levels.into_iter().enumerate().map(task).collect()
}

/// The nodes by their distance from the start.
fn levels(graph: &Graph) -> Vec<Vec<Index>> {
    let mut depth = vec![0; graph.len()];
    let mut levels: Vec<Vec<Index>> = Vec::new();
    for node in graph.nodes() {
        let above = graph.sources(node).iter().map(|&from| depth[from as usize] + 1).max();
        let level = above.unwrap_or(0);
        depth[node as usize] = level;
        levels.resize_with(levels.len().max(level + 1), Vec::new);
        levels[level].push(node);
    }
    levels
}

fn name(node: Index) -> String {
    format!("n{node}")
}

impl Engine for GraphFlow {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            let sessions: Vec<_> =
                (0..self.workload.executions).map(|number| self.session(number, seed)).collect();
            let meter = Meter::start();
            let ended = at_once(sessions.into_iter().map(|mut session| {
                let dag = self.dag.clone();
                async move {
                    let result = dag.execute_session(&mut session).await.expect("no task fails");
                    assert!(matches!(result.status, ExecutionStatus::Completed));
                    session.context
                }
            }))
            .await;
            let sample = meter.stop();
            for context in &ended {
                self.check(seed, context);
            }
            sample
        })
    }
}

impl GraphFlow {
    fn session(&self, number: usize, seed: u64) -> Session {
        let session = Session::new_from_task(number.to_string(), &self.first);
        match &self.large {
            Some(large) => session.context.set(SEED, large),
            None => session.context.set(SEED, seed),
        }
        .expect("it is JSON");
        session
    }

    fn check(&self, seed: u64, context: &Context) {
        let graph = self.workload.graph();
        match &self.large {
            Some(large) => {
                let last = name(graph.sinks().next().expect("there is a last node"));
                assert_eq!(context.get::<Json>(&last).as_ref(), Some(large), "it came through");
            }
            None => check(graph, seed, |node| context.get(&name(node))),
        }
    }
}

struct Add {
    id: String,
    reads: Vec<String>,
    next: NextAction,
    step: Step,
}

#[async_trait]
impl Task for Add {
    fn id(&self) -> &str {
        &self.id
    }

    async fn run(&self, context: Context) -> graph_flow::Result<TaskResult> {
        let read = |name: &str| context.get::<u64>(name).expect("it has ended");
        let value = if self.reads.is_empty() {
            self.step.run([read(SEED)]).await
        } else {
            self.step.run(self.reads.iter().map(|name| read(name))).await
        };
        context.set(self.id.as_str(), value)?;
        Ok(TaskResult::new(None, self.next.clone()))
    }
}

struct Pass {
    id: String,
    reads: Vec<String>,
    next: NextAction,
}

#[async_trait]
impl Task for Pass {
    fn id(&self) -> &str {
        &self.id
    }

    async fn run(&self, context: Context) -> graph_flow::Result<TaskResult> {
        let name = self.reads.first().map_or(SEED, String::as_str);
        // `get` would copy the value twice, and nothing else reads it.
        let value = context.remove(name).expect("it has ended");
        context.set(self.id.as_str(), value)?;
        Ok(TaskResult::new(None, self.next.clone()))
    }
}
