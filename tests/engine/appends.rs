//! How often an execution writes to its store: each append may cost a flush.

use std::sync::Arc;

use flowcore::{Effect, Execution, NodeOutput, NodeRegistry, Workflow};
use flowruntime::store::{MemoryStore, Store};
use flowruntime::{FlowRuntime, FlowRuntimeBuilder};
use serde_json::{Value as Json, json};

use crate::support::{EXECUTIONS, kind, paused, workflow};

/// How many steps the workflows have.
const STEPS: usize = 10;

/// A runtime with a new store, and a node type `step` that ends at once.
fn site(effect: Effect, execution: Execution) -> (Arc<MemoryStore>, FlowRuntimeBuilder) {
    let mut registry = NodeRegistry::new();
    let step = kind("step", execution).effect(effect);
    if matches!(execution, Execution::Inline | Execution::Blocking) {
        registry.register_function(step, |_| Ok(NodeOutput::of("out", 1)));
    } else {
        registry.register_async(step, |_| async { Ok(NodeOutput::of("out", 1)) });
    }
    let store = Arc::new(MemoryStore::new());
    (store.clone(), FlowRuntime::builder().registry(registry).store(store))
}

/// Steps one after the other.
fn chain() -> Workflow {
    let nodes = (0..STEPS).map(|step| json!({"id": format!("n{step}"), "node_type": "step"}));
    let connections = (1..STEPS)
        .map(|step| json!({"from_node": format!("n{}", step - 1), "to_node": format!("n{step}")}));
    of(nodes.collect(), connections.collect())
}

/// One step, then all but two of the others side by side, then the last.
fn fan() -> Workflow {
    let nodes = (0..STEPS).map(|step| json!({"id": format!("n{step}"), "node_type": "step"}));
    let last = format!("n{}", STEPS - 1);
    let connections = (1..STEPS - 1).flat_map(|step| {
        let step = format!("n{step}");
        [json!({"from_node": "n0", "to_node": step}), json!({"from_node": step, "to_node": last})]
    });
    of(nodes.collect(), connections.collect())
}

fn of(nodes: Vec<Json>, connections: Vec<Json>) -> Workflow {
    workflow(json!({"id": "steps", "nodes": nodes, "connections": connections}))
}

/// How many appends an execution takes, with so many permits for attempts.
fn appends(effect: Effect, execution: Execution, permits: usize, workflow: &Workflow) -> u64 {
    let (store, builder) = site(effect, execution);
    let runtime = builder.max_running_nodes(permits).build().unwrap();
    let result = paused(async { runtime.execute(workflow, ()).await.unwrap() });
    assert!(result.is_success());
    assert_eq!(result.completed_nodes, STEPS);
    store.metrics().appends
}

/// What led to an attempt is in one append with its start: one for each step, and one for the end.
#[test]
fn a_step_costs_one_append() {
    for effect in [Effect::Read, Effect::Idempotent, Effect::Once] {
        for execution in EXECUTIONS {
            // An inline node that changes nothing has no start.
            let is_at_once = (effect, execution) == (Effect::Read, Execution::Inline);
            let expected = if is_at_once { 1 } else { STEPS as u64 + 1 };
            for permits in [1, 1024] {
                let found = appends(effect, execution, permits, &chain());
                assert_eq!(found, expected, "{effect:?} {execution:?}, {permits} permits");
            }
        }
    }
}

/// What starts together is in one append, and so is what ends together.
#[test]
fn a_fan_costs_one_append() {
    for effect in [Effect::Read, Effect::Idempotent, Effect::Once] {
        let found = appends(effect, Execution::Async, 1024, &fan());
        // The first step starts, all of the fan, the last step, and that is the end.
        assert_eq!(found, 4, "{effect:?}");
        for execution in [Execution::Task, Execution::Blocking] {
            // They may end one after the other.
            let found = appends(effect, execution, 1024, &fan());
            assert!((4..=STEPS as u64 + 1).contains(&found), "{effect:?} {execution:?}: {found}");
        }
        // One at a time: each start goes with the end before it.
        for execution in [Execution::Async, Execution::Task, Execution::Blocking] {
            let found = appends(effect, execution, 1, &fan());
            assert_eq!(found, STEPS as u64 + 1, "{effect:?} {execution:?}");
        }
    }
    // Inline nodes that may change something are called one by one.
    let found = appends(Effect::Idempotent, Execution::Inline, 1024, &fan());
    assert_eq!(found, STEPS as u64 + 1);
}
