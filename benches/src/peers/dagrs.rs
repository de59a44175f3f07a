//! `dagrs`: nodes that talk through channels, each a tokio task.

use std::sync::Arc;

use async_trait::async_trait;
use dagrs::{
    Action, CompletionStatus, Content, DefaultNode, EnvVar, Graph as Dag, InChannels, Node, NodeId,
    NodeTable, OutChannels, Output,
};
use flowcore::Value;
use futures_util::future::BoxFuture;

use super::Step;
use crate::engine::{Absent, Engine, Meter, Sample, at_once, check};
use crate::workload::{Work, Workload};

/// A graph runs once, unless it is reset, which makes all channels anew.
pub const NOTE: &str = "built anew, untimed";

struct Dagrs {
    workload: Arc<Workload>,
    large: Option<Value>,
}

pub fn load(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    let large = (workload.work == Work::Pass).then(|| workload.large_value());
    Ok(Arc::new(Dagrs { workload: workload.clone(), large }))
}

impl Engine for Dagrs {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            let dags: Vec<_> = (0..self.workload.executions).map(|_| self.build(seed)).collect();
            let meter = Meter::start();
            let ended = at_once(dags.into_iter().map(run)).await;
            let sample = meter.stop();
            for (dag, nodes) in &ended {
                self.check(seed, dag, nodes);
            }
            sample
        })
    }
}

impl Dagrs {
    fn build(&self, seed: u64) -> (Dag, Vec<NodeId>) {
        let graph = self.workload.graph();
        let mut names = NodeTable::new();
        let mut dag = Dag::new();
        let mut nodes = Vec::with_capacity(graph.len());
        for node in graph.nodes() {
            let name = format!("n{node}");
            let node = match &self.large {
                Some(large) => DefaultNode::with_action(name, Pass(large.clone()), &mut names),
                None => {
                    let add = Add { step: Step::node(self.workload.work), seed };
                    DefaultNode::with_action(name, add, &mut names)
                }
            };
            nodes.push(node.id());
            dag.add_node(node).expect("the graph is good");
        }
        for node in graph.nodes() {
            let targets = graph.targets(node).iter().map(|&to| nodes[to as usize]);
            dag.add_edge(nodes[node as usize], targets).expect("the graph is good");
        }
        (dag, nodes)
    }

    fn check(&self, seed: u64, dag: &Dag, nodes: &[NodeId]) {
        let graph = self.workload.graph();
        let outputs = dag.get_outputs();
        let output = |node: u32| outputs.get(&nodes[node as usize])?.get_out();
        match &self.large {
            Some(large) => {
                let last = graph.sinks().next().and_then(output).expect("it has an output");
                assert_eq!(last.get(), Some(large), "the value came through");
            }
            None => check(graph, seed, |node| output(node)?.get().copied()),
        }
    }
}

async fn run((mut dag, nodes): (Dag, Vec<NodeId>)) -> (Dag, Vec<NodeId>) {
    let report = dag.async_start().await.expect("no node fails");
    assert_eq!(report.status, CompletionStatus::Succeeded);
    assert_eq!(report.node_succeeded, nodes.len());
    (dag, nodes)
}

struct Add {
    step: Step,
    seed: u64,
}

#[async_trait]
impl Action for Add {
    async fn run(
        &self,
        inputs: &mut InChannels,
        outputs: &mut OutChannels,
        _env: Arc<EnvVar>,
    ) -> Output {
        let value = |content: Content| *content.get().expect("nodes give numbers");
        let values = inputs.map(|content| value(content.expect("the channel is open"))).await;
        let value = if values.is_empty() {
            self.step.run([self.seed]).await
        } else {
            self.step.run(values).await
        };
        give(outputs, Content::new(value)).await
    }
}

struct Pass(Value);

#[async_trait]
impl Action for Pass {
    async fn run(
        &self,
        inputs: &mut InChannels,
        outputs: &mut OutChannels,
        _env: Arc<EnvVar>,
    ) -> Output {
        let mut values = inputs.map(|content| content.expect("the channel is open")).await;
        let value = values.pop().unwrap_or_else(|| Content::new(self.0.clone()));
        give(outputs, value).await
    }
}

async fn give(outputs: &OutChannels, value: Content) -> Output {
    for sent in outputs.broadcast(value.clone()).await {
        sent.expect("the channel is open");
    }
    Output::Out(Some(value))
}
