//! What is executed: steps one after the other, which change nothing or something.

use flowcore::{
    Effect, Execution, ExecutionResult, NodeContext, NodeDescriptor, NodeOutput, NodeRegistry,
    Object, Port, Value, Workflow,
};

use crate::flow::{self, ONE};
use crate::graph::{Graph, PORTS};
use crate::workload::add;

/// How many steps an execution has.
pub const STEPS: u32 = 10;

/// What the steps are to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// They change nothing: they run on while what led to them is written.
    Pure,
    /// They may change something: what led to each is flushed before it starts.
    Idempotent,
}

impl Steps {
    /// What the table calls them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Idempotent => "idempotent",
        }
    }

    /// The node type. Pure steps are functions on the driver; others are polled by it, as any node
    /// that talks to somebody.
    pub fn registry(self) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        match self {
            Self::Pure => {
                let step = descriptor(Effect::Pure, Execution::Inline);
                registry.register_function(step, |ctx| Ok(compute(ctx)));
            }
            Self::Idempotent => {
                let step = descriptor(Effect::Idempotent, Execution::Async);
                registry.register_async(step, async |ctx| Ok(compute(&ctx)));
            }
        }
        registry
    }
}

/// The node type of a step.
pub fn descriptor(effect: Effect, execution: Execution) -> NodeDescriptor {
    NodeDescriptor::new(ONE)
        .summary("Adds one to its input")
        .input(Port::new(PORTS[0]))
        .output(Port::new("out"))
        .effect(effect)
        .execution(execution)
}

/// What a step does.
pub fn compute(ctx: &NodeContext) -> NodeOutput {
    NodeOutput::of("out", add(ctx.inputs().filter_map(|(_, value)| value.as_u64())))
}

/// The workflow of so many steps.
pub fn workflow(steps: u32) -> Workflow {
    Workflow::from_json(&flow::workflow_text(&Graph::chain(steps))).expect("the file is good")
}

/// What an execution starts with.
pub fn inputs(seed: u64) -> Object {
    Object::from_entries([(PORTS[0], Value::from(seed))]).expect("it is flat")
}

/// Checks what came of an execution.
///
/// # Panics
/// When it is not what plain computation gives.
pub fn check(result: &ExecutionResult, steps: u32, seed: u64) {
    assert!(result.is_success(), "{result:?}");
    assert_eq!(result.completed_nodes, steps as usize);
    crate::engine::check(&Graph::chain(steps), seed, |node| {
        result.outputs.get(&format!("n{node}"))?.get("out")?.as_u64()
    });
}
