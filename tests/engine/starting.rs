//! From a workflow to a started execution.

use std::sync::Arc;

use flowcore::{Execution, NodeOutput, NodeRegistry, Value, Workflow, WorkflowId};
use flowruntime::{FlowRuntime, StartError};
use futures_util::FutureExt;
use serde_json::json;
use tokio::runtime::Builder;

use crate::cancel::chain;
use crate::stage::{Stage, one};
use crate::support::{kind, on_current_thread, paused, run, workflow};

#[test]
fn a_chain_of_100_000_nodes_has_a_plan_on_a_small_stack() {
    paused(async {
        let plan = Stage::new().runtime().plan(&chain("quick.inline", 100_000)).unwrap();
        assert_eq!(plan.graph().len(), 100_000);
    });
}

#[test]
fn outside_of_a_tokio_runtime_there_is_a_typed_error() {
    let runtime = Stage::new().runtime();
    let workflow = one("quick.task");
    let started = runtime.start(&workflow, ()).now_or_never().unwrap();
    let executed = runtime.execute(&workflow, ()).now_or_never().unwrap();
    let prepared = runtime.prepare(&workflow, ()).unwrap().start().now_or_never().unwrap();
    for error in [started.unwrap_err(), executed.unwrap_err(), prepared.unwrap_err()] {
        assert!(matches!(error, StartError::NoTokio));
        assert_eq!(error.code(), "runtime.no_tokio");
        assert!(error.hint().is_some());
    }
}

/// tokio itself prints the panic that the answer is made of.
#[test]
fn in_a_tokio_runtime_without_timers_there_is_a_typed_error() {
    let runtime = Stage::new().runtime();
    let workflow = one("quick.task");
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let bad = builder.worker_threads(1).build().unwrap();
        let error = bad.block_on(runtime.execute(&workflow, ())).unwrap_err();
        assert!(matches!(error, StartError::NoTimers));
        assert_eq!(error.code(), "runtime.no_timers");
        // What is known of one tokio runtime is not believed of another.
        let good = builder.enable_time().build().unwrap();
        assert!(good.block_on(runtime.execute(&workflow, ())).unwrap().is_success());
        assert!(bad.block_on(runtime.execute(&workflow, ())).is_err());
    }
}

fn codes(error: StartError) -> String {
    let diagnostics = match error {
        StartError::Workflow(diagnostics) | StartError::Inputs(diagnostics) => diagnostics,
        other => panic!("{other}"),
    };
    let codes: Vec<_> = diagnostics.iter().map(|problem| problem.code.to_string()).collect();
    codes.join(" ")
}

#[test]
fn an_invalid_workflow_is_refused_with_every_problem() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "no.such"},
                {"id": "b", "node_type": "quick.task", "when": "inputs."},
                {"id": "c", "node_type": "quick.task"},
            ],
            "connections": [
                {"from_node": "b", "to_node": "c"},
                {"from_node": "c", "to_node": "b"},
                {"from_node": "c", "to_node": "nowhere"},
            ]
        }));
        let runtime = Stage::new().runtime();
        let error = runtime.execute(&workflow, ()).await.unwrap_err();
        assert_eq!(error.code(), "workflow.invalid");
        let codes = codes(error);
        for code in
            ["node.unknown_type", "connection.unknown_node", "expression.syntax", "workflow.cycle"]
        {
            assert!(codes.contains(code), "{code} is not in {codes}");
        }
        assert!(runtime.register(workflow).is_err());
    });
}

#[test]
fn inputs_that_are_missing_or_not_declared_are_refused() {
    paused(async {
        let workflow = workflow(json!({
            "inputs": {"url": {"type": "string"}, "limit": {"type": "integer", "default": 3}},
            "nodes": [{"id": "a", "node_type": "quick.task"}]
        }));
        let runtime = Stage::new().runtime();
        let error = runtime.execute(&workflow, [("ulr", Value::from("x"))]).await.unwrap_err();
        assert_eq!(error.code(), "inputs.invalid");
        assert_eq!(codes(error), "input.undeclared input.not_given");
        let inputs = [("url", Value::from("x"))];
        assert!(runtime.execute(&workflow, inputs).await.unwrap().is_success());
    });
}

#[test]
fn an_input_that_is_too_deep_is_refused() {
    paused(async {
        let mut deep = Value::Null;
        for _ in 0..100 {
            deep = Value::try_from(vec![deep]).unwrap();
        }
        let runtime = Stage::new().runtime();
        let error = runtime.execute(&one("quick.task"), [("x", deep)]).await.unwrap_err();
        assert_eq!(error.code(), "value.too_deep");
    });
}

both_flavours! {
    async fn workflows_are_kept_by_id() {
        let runtime = Stage::new().runtime();
        let id = WorkflowId::new("kept").unwrap();
        let error = runtime.execute_by_id(&id, ()).await.unwrap_err();
        assert!(matches!(&error, StartError::NoSuchWorkflow(missing) if *missing == id));
        assert_eq!(error.code(), "workflow.not_found");
        for nodes in 1..=2 {
            let mut workflow = chain("quick.task", nodes);
            workflow.id = Some(id.clone());
            assert_eq!(runtime.register(workflow).unwrap(), id);
            let result = runtime.execute_by_id(&id, ()).await.unwrap();
            assert_eq!(result.completed_nodes, nodes);
        }
    }
}

#[test]
fn a_plan_is_made_once_for_each_workflow_and_each_set_of_node_types() {
    let runtime = Stage::new().runtime();
    let mut workflow = one("quick.task");
    let first = runtime.plan(&workflow).unwrap();
    assert!(Arc::ptr_eq(&first, &runtime.plan(&workflow).unwrap()));
    assert!(Arc::ptr_eq(&first, &runtime.plan(&workflow.clone()).unwrap()));
    assert!(Arc::ptr_eq(&first, runtime.prepare(&workflow, ()).unwrap().plan()));
    // The same text, read again, is another workflow.
    assert!(!Arc::ptr_eq(&first, &runtime.plan(&one("quick.task")).unwrap()));
    let old = workflow.clone();
    workflow.settings.max_parallel_nodes = Some(1);
    let changed = runtime.plan(&workflow).unwrap();
    assert!(!Arc::ptr_eq(&first, &changed));
    assert_eq!(changed.workflow().settings.max_parallel_nodes, Some(1));
    assert!(Arc::ptr_eq(&first, &runtime.plan(&old).unwrap()));
    runtime.register_node(crate::architecture_example::MyNodeFactory);
    let newer = runtime.plan(&old).unwrap();
    assert!(!Arc::ptr_eq(&first, &newer));
    assert!(Arc::ptr_eq(&newer, &runtime.plan(&old).unwrap()));
}

/// The cache holds fewer plans than this, and a workflow's place in memory may be used again.
#[test]
fn thousands_of_workflows_that_come_and_go_get_their_own_plans() {
    let runtime = Stage::new().runtime();
    for number in 0..3_000_u32 {
        let mut workflow = one("quick.task");
        workflow.settings.max_parallel_nodes = Some(number + 1);
        let plan = runtime.plan(&workflow).unwrap();
        assert_eq!(plan.workflow().settings.max_parallel_nodes, Some(number + 1));
    }
}

both_flavours! {
    async fn a_node_type_that_is_replaced_serves_the_next_execution() {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let workflow = one("quick.task");
        assert!(runtime.execute(&workflow, ()).await.unwrap().is_success());
        let mut other = NodeRegistry::new();
        other.register_function(kind("quick.task", Execution::Inline), |_| {
            Ok(NodeOutput::of("out", 2))
        });
        let replacement = other.get("quick.task").unwrap().factory.clone();
        runtime.register_node(Shared(replacement));
        let result = runtime.execute(&workflow, ()).await.unwrap();
        assert_eq!(result.outputs.pointer("/a/out"), Some(&Value::from(2)));
        assert_eq!(stage.log.len(), 1);
    }

    async fn a_thousand_executions_at_the_same_time_all_end() {
        let stage = Stage::new();
        let runtime = stage.builder().max_running_nodes(7).max_executions(100).build().unwrap();
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "quick.task"},
            {"id": "b", "node_type": "quick.async", "when": "nodes.a.out == 1"},
            {"id": "c", "node_type": "quick.blocking"},
            {"id": "d", "node_type": "quick.inline", "when": "nodes.b.out == 1"},
        ]}));
        let mut handles = Vec::new();
        for _ in 0..1_000 {
            handles.push(runtime.start(&workflow, ()).await.unwrap());
        }
        let ids: std::collections::HashSet<_> = handles.iter().map(|handle| handle.id()).collect();
        assert_eq!(ids.len(), 1_000);
        for handle in handles {
            assert_eq!(handle.wait().await.unwrap().completed_nodes, 4);
        }
        assert_eq!((stage.log.len(), runtime.running_attempts()), (4_000, 0));
    }
}

#[test]
fn executions_take_their_turns_in_order() {
    on_current_thread(async {
        let stage = Stage::new();
        let runtime = stage.builder().max_executions(1).build().unwrap();
        let mut handles = Vec::new();
        for number in 0..20 {
            let mut workflow = Workflow::new("one");
            workflow.add_node(flowcore::NodeSpec::new(format!("n{number:02}"), "quick.task"));
            handles.push(runtime.start(&workflow, ()).await.unwrap());
        }
        for handle in &handles {
            handle.wait().await.unwrap();
        }
        assert!(stage.log.lines().is_sorted());
        assert_eq!(stage.log.len(), 20);
    });
}

/// Registers a factory that others hold as well.
struct Shared(Arc<dyn flowcore::NodeFactory>);

impl flowcore::NodeFactory for Shared {
    fn node_type(&self) -> &str {
        self.0.node_type()
    }
    fn descriptor(&self) -> flowcore::NodeDescriptor {
        self.0.descriptor()
    }
    fn instance(
        &self,
        config: &flowcore::NodeConfig,
    ) -> Result<flowcore::NodeInstance, flowcore::NodeError> {
        self.0.instance(config)
    }
}

#[test]
fn limits_that_let_nothing_run_are_refused() {
    let build = FlowRuntime::builder;
    for error in [
        build().max_running_nodes(0).build().unwrap_err(),
        build().max_running_nodes(usize::MAX).build().unwrap_err(),
        build().max_executions(0).build().unwrap_err(),
        build().max_executions(usize::MAX).build().unwrap_err(),
    ] {
        assert_eq!(error.code(), "runtime.bad_limit");
    }
    on_current_thread(async {
        let stage = Stage::new();
        let runtime = stage.builder().max_running_nodes(1).max_executions(1).build().unwrap();
        assert!(run(&runtime, &one("quick.task"), ()).await.result.is_success());
    });
}
