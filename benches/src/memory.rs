//! Memory: how many bytes a plan and an execution take, and how often nodes allocate.
//!
//! Only with the feature `memory`: its counting allocator would slow down whatever is timed.

/// Whether this build counts allocations.
pub const IS_COUNTED: bool = cfg!(feature = "memory");

#[cfg(feature = "memory")]
pub use counted::{allocations, run};

/// How often memory was allocated; here it is not counted.
#[cfg(not(feature = "memory"))]
pub fn allocations() -> usize {
    0
}

/// Counts what Flow allocates; here it is not counted.
#[cfg(not(feature = "memory"))]
pub fn run(_options: &crate::options::Options, _report: &mut crate::report::Report) {}

#[cfg(feature = "memory")]
mod counted {
    use std::alloc::System;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flowcore::{
        Effect, Execution, Limits, NodeDescriptor, NodeOutput, NodeRegistry, Object, Port, Value,
        Workflow,
    };
    use flowruntime::FlowRuntime;
    use serde_json::json;
    use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

    use crate::engine::Threads;
    use crate::flow;
    use crate::graph::PORTS;
    use crate::options::Options;
    use crate::report::Report;
    use crate::rows;
    use crate::targets::memory::{
        EXECUTION_BYTES_PER_NODE, PLAN_BYTES_PER_CONNECTION, PLAN_BYTES_PER_NODE,
    };
    use crate::workload::{Work, Workload, add, all};

    #[global_allocator]
    static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

    /// Bytes in use.
    fn live() -> usize {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    }

    /// How often memory was allocated, growing included.
    pub fn allocations() -> usize {
        let stats = ALLOCATOR.stats();
        stats.allocations + stats.reallocations
    }

    /// Counts what Flow allocates.
    pub fn run(options: &Options, report: &mut Report) {
        for workload in all(options.quick) {
            if workload.name == "million" {
                sizes(&workload, report);
            }
        }
        report.table(
            "memory: allocations per node, from `start` to the end of `wait`",
            &["workload", "engine", "allocations/node"],
        );
        for workload in all(options.quick) {
            if !matches!(workload.work, Work::Burn(_)) {
                per_node(&Arc::new(workload), report);
            }
        }
    }

    fn per_node(workload: &Arc<Workload>, report: &mut Report) {
        for row in rows::of(workload) {
            if row.threads != Threads::One || row.name.contains("events") {
                continue;
            }
            let tokio = row.threads.runtime();
            let _inside = tokio.enter();
            let Ok(engine) = row.load(workload) else { continue };
            let sample = |seed| tokio.block_on(engine.clone().run(seed)).allocations;
            sample(1);
            let per_node = sample(2) as f64 / workload.nodes() as f64;
            let cells = [workload.name.to_owned(), row.name.to_owned(), format!("{per_node:.2}")];
            let json = json!({
                "workload": workload.name, "engine": row.name, "allocations_per_node": per_node,
            });
            report.line(&cells, json);
        }
    }

    /// The most bytes in use while nodes ran.
    static MOST: AtomicUsize = AtomicUsize::new(0);
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    /// The node types of the benchmark, with a look at the bytes in use now and then.
    fn watching_registry() -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        for (node_type, ports) in [(flow::ONE, &PORTS[..1]), (flow::FEW, &PORTS[..])] {
            let descriptor = NodeDescriptor::new(node_type)
                .output(Port::new("out"))
                .effect(Effect::Pure)
                .execution(Execution::Inline);
            let descriptor = ports
                .iter()
                .fold(descriptor, |descriptor, port| descriptor.input(Port::new(*port)));
            registry.register_function(descriptor, |ctx| {
                if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(1_000) {
                    MOST.fetch_max(live(), Ordering::Relaxed);
                }
                let sum = add(ctx.inputs().filter_map(|(_, value)| value.as_u64()));
                Ok(NodeOutput::of("out", Value::from(sum)))
            });
        }
        registry
    }

    fn sizes(workload: &Workload, report: &mut Report) {
        let text = flow::workflow_text(workload.graph());
        let tokio = Threads::One.runtime();
        let builder = FlowRuntime::builder().registry(watching_registry()).limits(Limits::none());
        let runtime = builder.build().expect("the settings are good");
        let (nodes, edges) = (workload.graph().len(), workload.graph().edge_count());

        let before = live();
        let workflow = Workflow::from_json(&text).expect("the file is good");
        let workflow_bytes = live() - before;

        let before = live();
        let plan = runtime.plan(&workflow).expect("the workflow is good");
        let plan_bytes = live() - before;

        let before = live();
        MOST.store(before, Ordering::Relaxed);
        let inputs = Object::from_entries([(PORTS[0], Value::from(7_u64))]).expect("it is flat");
        let result = tokio.block_on(async { runtime.execute(&workflow, inputs).await });
        let result = result.expect("it starts");
        assert_eq!(result.completed_nodes, nodes);
        let execution_bytes = MOST.load(Ordering::Relaxed).max(live()) - before;
        let result_bytes = live() - before;
        drop((result, plan));

        report.table(
            &format!("memory: bytes of {nodes} nodes and {edges} connections"),
            &["what", "bytes per node", "target", ""],
        );
        let each = |bytes: usize| bytes as f64 / nodes as f64;
        let allowed = PLAN_BYTES_PER_NODE + PLAN_BYTES_PER_CONNECTION * edges as f64 / nodes as f64;
        let lines = [
            ("workflow, as read", workflow_bytes, None),
            ("plan, beyond its workflow", plan_bytes, Some(allowed)),
            (
                "execution, beyond its plan, at its peak",
                execution_bytes,
                Some(EXECUTION_BYTES_PER_NODE),
            ),
            ("result, beyond its plan", result_bytes, None),
        ];
        for (what, bytes, target) in lines {
            let verdict = target.map(|target| {
                let line = format!("memory: {what}: {:.0} bytes per node", each(bytes));
                report.target(line, each(bytes) <= target)
            });
            let cells = [
                what.to_owned(),
                format!("{:.0}", each(bytes)),
                target.map_or_else(String::new, |target| format!("{target:.0}")),
                verdict.unwrap_or_default(),
            ];
            let json = json!({ "workload": "memory", "what": what, "bytes_per_node": each(bytes) });
            report.line(&cells, json);
        }
    }
}
