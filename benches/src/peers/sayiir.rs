//! `sayiir`, in process and without checkpoints: a chain of functions with forks that end in joins;
//! values pass through a codec.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sayiir_core::codec::{Decoder, Encoder, EnvelopeCodec, sealed};
use sayiir_core::context::WorkflowContext;
use sayiir_core::error::BoxError;
use sayiir_core::task::BranchOutputs;
use sayiir_core::workflow::{Workflow, WorkflowBuilder};
use sayiir_runtime::execute_continuation_async;
use sayiir_runtime::serialization::{JsonCodec, RkyvCodec};
use serde_json::Value as Json;

use super::Step;
use crate::engine::{Absent, Engine, Meter, Sample, at_once, check};
use crate::workload::Workload;

/// Numbers with rkyv, the faster codec; the value of 1 MiB as JSON, which rkyv cannot encode.
pub const NOTE: &str = "values are encoded";

pub fn load(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    let step = Step::node(workload.work);
    let nodes = workload.graph().len();
    let dag = match workload.name {
        "chain" => chain(nodes, step),
        "fan" | "cpu" => fan(nodes - 2, step),
        "diamonds" | "sleep" => diamond(step),
        "large" => {
            let value = workload.large_value().to_json();
            return Ok(Arc::new(Large { dag: Arc::new(pass(nodes)), value }));
        }
        _ => return Err("a fork ends in one join, so layers cannot be expressed"),
    };
    Ok(Arc::new(Sayiir { workload: workload.clone(), dag: Arc::new(dag) }))
}

struct Sayiir {
    workload: Arc<Workload>,
    dag: Arc<Workflow<RkyvCodec, u64, ()>>,
}

impl Engine for Sayiir {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            let executions = (0..self.workload.executions).map(|_| (self.dag.clone(), seed));
            let meter = Meter::start();
            let ended: Vec<u64> =
                at_once(executions.map(|(dag, seed)| execute(dag, RkyvCodec, seed))).await;
            let sample = meter.stop();
            for value in ended {
                check(self.workload.graph(), seed, |_| Some(value));
            }
            sample
        })
    }
}

struct Large {
    dag: Arc<Workflow<JsonCodec, Json, ()>>,
    value: Json,
}

impl Engine for Large {
    fn run(self: Arc<Self>, _seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            let value = self.value.clone();
            let meter = Meter::start();
            let ended: Json = execute(self.dag.clone(), JsonCodec, value).await;
            let sample = meter.stop();
            assert_eq!(ended, self.value, "the value came through");
            sample
        })
    }
}

/// What its `InProcessRunner` does, which gives only a status, not the output.
async fn execute<C, V>(dag: Arc<Workflow<C, V, ()>>, codec: C, input: V) -> V
where
    C: Encoder + Decoder + EnvelopeCodec + Clone + 'static,
    C: sealed::EncodeValue<V> + sealed::DecodeValue<V>,
{
    let input = codec.encode(&input).expect("it can be encoded");
    let output = execute_continuation_async(dag.continuation(), input, &codec).await;
    codec.decode(output.expect("no task fails")).expect("it can be decoded")
}

type Builder<Output> = WorkflowBuilder<RkyvCodec, u64, Output, ()>;
type Joined = BranchOutputs<RkyvCodec>;

fn builder() -> Builder<u64> {
    WorkflowBuilder::new(WorkflowContext::new("bench", Arc::new(RkyvCodec), Arc::new(())))
}

fn chain(nodes: usize, step: Step) -> Workflow<RkyvCodec, u64, ()> {
    let one = move |value| async move { Ok(step.run([value]).await) };
    let first = builder().then("n0", one);
    let all = (1..nodes).fold(first, |all, node| all.then(&format!("n{node}"), one));
    all.build().expect("the workflow is good")
}

fn pass(nodes: usize) -> Workflow<JsonCodec, Json, ()> {
    let one = |value: Json| async move { Ok(value) };
    let context = WorkflowContext::new("bench", Arc::new(JsonCodec), Arc::new(()));
    let first = WorkflowBuilder::new(context).then("n0", one);
    let all = (1..nodes).fold(first, |all, node| all.then(&format!("n{node}"), one));
    all.build().expect("the workflow is good")
}

/// The values of these branches.
fn values(joined: &Joined, ids: &[impl AsRef<str>]) -> Result<Vec<u64>, BoxError> {
    ids.iter().map(|id| joined.get_by_id(id.as_ref())).collect()
}

fn fan(width: usize, step: Step) -> Workflow<RkyvCodec, u64, ()> {
    let one = move |value| async move { Ok(step.run([value]).await) };
    let ids: Arc<Vec<String>> = Arc::new((1..=width).map(|node| format!("n{node}")).collect());
    let fork = builder().then("n0", one).fork();
    let fork = ids.iter().fold(fork, |fork, id| fork.branch(id, one));
    let join = move |joined: Joined| {
        let ids = ids.clone();
        async move { Ok(step.run(values(&joined, &ids)?).await) }
    };
    fork.join("last", join).build().expect("the workflow is good")
}

/// Nodes 4 and 5 of the diamond read two of three branches; a join in between collects all three.
fn diamond(step: Step) -> Workflow<RkyvCodec, u64, ()> {
    let one = move |value| async move { Ok(step.run([value]).await) };
    let two = move |first: usize| {
        move |all: Vec<u64>| async move { Ok(step.run([all[first], all[first + 1]]).await) }
    };
    let both = move |[a, b]: [&'static str; 2]| {
        move |joined: Joined| async move { Ok(step.run(values(&joined, &[a, b])?).await) }
    };
    builder()
        .then("n0", one)
        .fork()
        .branch("n1", one)
        .branch("n2", one)
        .branch("n3", one)
        .join("collect", |joined: Joined| async move { values(&joined, &["n1", "n2", "n3"]) })
        .fork()
        .branch("n4", two(0))
        .branch("n5", two(1))
        .join("n6", both(["n4", "n5"]))
        .fork()
        .branch("n7", one)
        .branch("n8", one)
        .join("n9", both(["n7", "n8"]))
        .build()
        .expect("the workflow is good")
}
