//! Flow: a workflow file, parsed, run by a `FlowRuntime` with nodes as any user writes them.

use std::sync::Arc;

use async_trait::async_trait;
use flowcore::{
    Effect, Execution, InlineNode, Limits, Node, NodeConfig, NodeContext, NodeDescriptor,
    NodeError, NodeFactory, NodeInstance, NodeOutput, NodeRegistry, Object, Port, Value, Workflow,
};
use flowruntime::{ExecutionHandle, FlowRuntime, Received};
use futures_util::future::BoxFuture;

use crate::engine::{Absent, Engine, Meter, Sample, check};
use crate::graph::{Graph, MANY_PORT, PORTS};
use crate::workload::{Work, Workload, add, burn};

/// A node type of the benchmark.
#[derive(Clone, Copy)]
struct BenchNode {
    node_type: &'static str,
    ports: &'static [&'static str],
    /// Whether its port takes many connections.
    many: bool,
    work: Work,
    execution: Execution,
}

/// The node type for up to one connection.
pub const ONE: &str = "bench.one";
/// The node type for up to four connections.
pub const FEW: &str = "bench.few";
/// The node type for any number of connections.
const MANY: &str = "bench.many";

impl BenchNode {
    fn of(work: Work, execution: Execution) -> [Self; 3] {
        [
            Self { node_type: ONE, ports: &PORTS[..1], many: false, work, execution },
            Self { node_type: FEW, ports: &PORTS, many: false, work, execution },
            Self { node_type: MANY, ports: &[MANY_PORT], many: true, work, execution },
        ]
    }

    fn compute(&self, ctx: &NodeContext) -> NodeOutput {
        let value = match self.work {
            Work::Pass => {
                let value = ctx.input(self.ports[0]).cloned().unwrap_or_default();
                return NodeOutput::of("out", value);
            }
            Work::Add | Work::Sleep(_) | Work::Burn(_) if self.many => {
                let values = ctx.input(self.ports[0]).and_then(Value::as_array);
                add(values.into_iter().flatten().filter_map(Value::as_u64))
            }
            Work::Add | Work::Sleep(_) | Work::Burn(_) => {
                add(ctx.inputs().filter_map(|(_, value)| value.as_u64()))
            }
        };
        let value = match self.work {
            Work::Burn(rounds) => burn(value, rounds),
            Work::Add | Work::Sleep(_) | Work::Pass => value,
        };
        NodeOutput::of("out", value)
    }
}

impl InlineNode for BenchNode {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        Ok(self.compute(ctx))
    }
}

#[async_trait]
impl Node for BenchNode {
    fn node_type(&self) -> &str {
        self.node_type
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        if let Work::Sleep(time) = self.work {
            tokio::time::sleep(time).await;
        }
        Ok(self.compute(&ctx))
    }
}

impl NodeFactory for BenchNode {
    fn node_type(&self) -> &str {
        self.node_type
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(match self.execution {
            Execution::Inline | Execution::Blocking => NodeInstance::Inline(Box::new(*self)),
            Execution::Async | Execution::Task | Execution::Control => {
                NodeInstance::Node(Box::new(*self))
            }
        })
    }

    fn descriptor(&self) -> NodeDescriptor {
        let descriptor = NodeDescriptor::new(self.node_type)
            .summary("Adds one to the sum of its inputs")
            .output(Port::new("out"))
            .effect(Effect::Pure)
            .execution(self.execution)
            .stateless();
        let port = |name: &&'static str| {
            let port = Port::new(*name);
            if self.many { port.multiple() } else { port }
        };
        self.ports.iter().map(port).fold(descriptor, NodeDescriptor::input)
    }
}

/// The node types of the benchmark.
pub fn registry(work: Work, execution: Execution) -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    for node in BenchNode::of(work, execution) {
        registry.register(node);
    }
    registry
}

/// The workflow file of a graph.
pub fn workflow_text(graph: &Graph) -> String {
    graph.to_json([ONE, FEW, MANY])
}

/// A workflow that is loaded into a runtime.
struct Flow {
    runtime: FlowRuntime,
    workflow: Workflow,
    workload: Arc<Workload>,
    /// What each execution is given.
    inputs: Option<Object>,
    output: Output,
    subscribed: bool,
}

/// Where nodes give their number.
#[derive(Clone, Copy)]
pub struct Output {
    /// The port.
    pub port: &'static str,
    /// Reads it.
    pub number: fn(&Value) -> Option<u64>,
}

/// Nodes as functions on the driver; workloads that wait are polled by the driver.
pub fn inline(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    load(workload, inline_execution(workload), false)
}

/// As [`inline`], with a subscriber that counts every event.
pub fn inline_events(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    load(workload, inline_execution(workload), true)
}

/// Nodes as tokio tasks.
pub fn task(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    load(workload, Execution::Task, false)
}

/// As [`task`], with a subscriber that counts every event.
pub fn task_events(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    load(workload, Execution::Task, true)
}

fn inline_execution(workload: &Workload) -> Execution {
    match workload.work {
        Work::Sleep(_) => Execution::Async,
        Work::Add | Work::Burn(_) | Work::Pass => Execution::Inline,
    }
}

fn load(
    workload: &Arc<Workload>,
    execution: Execution,
    subscribed: bool,
) -> Result<Arc<dyn Engine>, Absent> {
    let registry = registry(workload.work, execution);
    let output = Output { port: "out", number: Value::as_u64 };
    Ok(load_file(workload, registry, &workflow_text(workload.graph()), output, subscribed))
}

/// Loads a workflow file that has the graph of a workload.
pub fn load_file(
    workload: &Arc<Workload>,
    registry: NodeRegistry,
    text: &str,
    output: Output,
    subscribed: bool,
) -> Arc<dyn Engine> {
    // Two events for each node and two for each execution: the subscriber may not lose one.
    let events = 2 * workload.nodes() + 2 * workload.executions;
    let runtime = FlowRuntime::builder()
        .registry(registry)
        .limits(Limits::none())
        .max_running_nodes(1_000_000)
        .event_capacity(if subscribed { events } else { 1 })
        .build()
        .expect("the settings are good");
    let workflow = Workflow::from_json(text).expect("the file is good");
    runtime.plan(&workflow).expect("the workflow is good");
    let inputs = (workload.work == Work::Pass)
        .then(|| Object::from_entries([(PORTS[0], workload.large_value())]).expect("it is flat"));
    let workload = workload.clone();
    Arc::new(Flow { runtime, workflow, workload, inputs, output, subscribed })
}

impl Engine for Flow {
    fn run(self: Arc<Self>, seed: u64) -> BoxFuture<'static, Sample> {
        Box::pin(async move {
            let inputs = self.inputs.clone().unwrap_or_else(|| {
                Object::from_entries([(PORTS[0], Value::from(seed))]).expect("it is flat")
            });
            let counter = self.subscribed.then(|| self.count_events());
            let meter = Meter::start();
            let mut executions = Vec::with_capacity(self.workload.executions);
            for _ in 0..self.workload.executions {
                executions.push(self.start(&inputs).await);
            }
            let mut results = Vec::with_capacity(executions.len());
            for execution in executions {
                results.push(execution.wait().await.expect("it is not lost"));
            }
            // Counting is part of what a subscriber costs.
            if let Some(counter) = counter {
                counter.await.expect("the counter does not panic");
            }
            let sample = meter.stop();
            for result in &results {
                self.check(seed, &inputs, result);
            }
            sample
        })
    }
}

impl Flow {
    async fn start(&self, inputs: &Object) -> ExecutionHandle {
        self.runtime.start(&self.workflow, inputs.clone()).await.expect("it starts")
    }

    /// Counts events until every execution has ended.
    fn count_events(&self) -> tokio::task::JoinHandle<()> {
        let mut events = self.runtime.subscribe();
        let workload = self.workload.clone();
        tokio::spawn(async move {
            let (mut count, mut ended) = (0, 0);
            while ended < workload.executions {
                match events.next().await.expect("the runtime lives") {
                    Received::Event(event) => {
                        count += 1;
                        ended += usize::from(event.is_last());
                    }
                    Received::Lagged(lost) => panic!("{lost} events were lost"),
                }
            }
            let least = workload.nodes() + 2 * workload.executions;
            assert!(count >= least, "{count} events of at least {least}");
        })
    }

    fn check(&self, seed: u64, inputs: &Object, result: &flowcore::ExecutionResult) {
        assert!(result.is_success(), "{result:?}");
        assert_eq!(result.completed_nodes, self.workload.graph().len());
        let output = |node: u32| result.outputs.get(&format!("n{node}"))?.get(self.output.port);
        if self.workload.work == Work::Pass {
            let last = self.workload.graph().sinks().next().expect("there is a last node");
            assert_eq!(output(last), inputs.get(PORTS[0]), "the value came through");
        } else {
            check(self.workload.graph(), seed, |node| (self.output.number)(output(node)?));
        }
    }
}
