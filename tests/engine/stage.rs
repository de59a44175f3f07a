//! Node types that stay where a test wants them.

use std::time::Duration;

use flowcore::{Execution, Limits, NodeError, NodeOutput, NodeRegistry, Workflow};
use flowruntime::{FlowRuntime, FlowRuntimeBuilder};
use serde_json::json;

use crate::support::{Gate, Log, Running, Signal, kind, workflow};

/// Node types that stay where a test wants them, and what they note.
pub(crate) struct Stage {
    pub(crate) registry: NodeRegistry,
    /// Given by each attempt when it runs.
    pub(crate) started: Signal,
    /// The attempts that exist.
    pub(crate) running: Running,
    pub(crate) log: Log,
    /// What `busy` waits for.
    pub(crate) gate: Gate,
}

impl Stage {
    /// - `quick.*`: ends at once, in each place where an attempt can run;
    /// - `deaf.async`, `deaf.task`: never end and never ask for their cancellation;
    /// - `polite.async`, `polite.task`: wait for their cancellation, then linger for 3 s;
    /// - `stubborn.async`, `stubborn.task`: wait for their cancellation, and then for ever;
    /// - `busy`: a thread that hears nothing until the gate opens;
    /// - `flaky`: fails, and asks for another attempt.
    pub(crate) fn new() -> Self {
        let mut stage = Self {
            registry: NodeRegistry::new(),
            started: Signal::new(),
            running: Running::default(),
            log: Log::default(),
            gate: Gate::new(),
        };
        stage.quick();
        for (node_type, execution) in
            [("deaf.async", Execution::Async), ("deaf.task", Execution::Task)]
        {
            stage.waiting(node_type, execution, |_| async { std::future::pending().await });
        }
        for (node_type, execution) in
            [("polite.async", Execution::Async), ("polite.task", Execution::Task)]
        {
            stage.waiting(node_type, execution, |cancelled| async {
                cancelled.await;
                tokio::time::sleep(Duration::from_secs(3)).await;
                Err(NodeError::new("test.told", "it was told to stop"))
            });
        }
        for (node_type, execution) in
            [("stubborn.async", Execution::Async), ("stubborn.task", Execution::Task)]
        {
            stage.waiting(node_type, execution, |cancelled| async {
                cancelled.await;
                std::future::pending().await
            });
        }
        stage.busy();
        stage.registry.register_async(kind("flaky", Execution::Async), |_| async {
            Err(NodeError::retryable("test.flaky", "it failed"))
        });
        stage
    }

    fn quick(&mut self) {
        let log = self.log.clone();
        let quick = move |ctx: &flowcore::NodeContext| {
            log.note(ctx.node_id().as_str());
            Ok(NodeOutput::of("out", 1))
        };
        for (node_type, execution) in
            [("quick.inline", Execution::Inline), ("quick.blocking", Execution::Blocking)]
        {
            self.registry.register_function(kind(node_type, execution), quick.clone());
        }
        for (node_type, execution) in
            [("quick.async", Execution::Async), ("quick.task", Execution::Task)]
        {
            let quick = quick.clone();
            self.registry.register_async(kind(node_type, execution), move |ctx| {
                std::future::ready(quick(&ctx))
            });
        }
    }

    fn waiting<F, R>(&mut self, node_type: &'static str, execution: Execution, wait: F)
    where
        F: Fn(flowcore::Cancelled) -> R + Send + Sync + Clone + 'static,
        R: Future<Output = Result<NodeOutput, NodeError>> + Send,
    {
        let (started, running, log) =
            (self.started.clone(), self.running.clone(), self.log.clone());
        let listens = !node_type.starts_with("deaf");
        self.registry.register_async(kind(node_type, execution), move |ctx| {
            let (started, log, guard, wait) =
                (started.clone(), log.clone(), running.enter(), wait.clone());
            async move {
                log.note(ctx.node_id().as_str());
                started.give();
                let cancelled = match listens {
                    true => ctx.cancellation().cancelled(),
                    false => flowcore::Cancellation::new().cancelled(),
                };
                let result = wait(cancelled).await;
                drop(guard);
                result
            }
        });
    }

    fn busy(&mut self) {
        let (started, running, log) =
            (self.started.clone(), self.running.clone(), self.log.clone());
        let keeper = self.gate.keeper();
        self.registry.register_function(kind("busy", Execution::Blocking), move |ctx| {
            let _guard = running.enter();
            log.note(ctx.node_id().as_str());
            started.give();
            keeper.pass();
            log.note(format!("{} is through", ctx.node_id()));
            Ok(NodeOutput::of("out", 1))
        });
    }

    /// A builder with these node types, for workflows of any size.
    pub(crate) fn builder(&self) -> FlowRuntimeBuilder {
        FlowRuntime::builder().registry(self.registry.clone()).limits(Limits::none())
    }

    /// A runtime with these node types.
    pub(crate) fn runtime(&self) -> FlowRuntime {
        self.builder().build().unwrap()
    }
}

/// A workflow of one node, `a`.
pub(crate) fn one(node_type: &str) -> Workflow {
    workflow(json!({"nodes": [{"id": "a", "node_type": node_type}]}))
}
