//! Values on their way through an execution: not copied, not kept longer than needed.

use std::sync::{Arc, Mutex, Weak};

use flowcore::{Access, Execution, NodeContext, NodeError, NodeOutput, Policy, Value, Workflow};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{EXECUTIONS, kind, paused, workflow};

/// The bytes that `source` has made, as long as somebody holds them.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Option<Weak<[u8]>>>>);

impl Made {
    fn is_alive(&self) -> bool {
        self.0.lock().unwrap().as_ref().is_some_and(|bytes| bytes.upgrade().is_some())
    }

    fn address(&self) -> *const u8 {
        self.0.lock().unwrap().as_ref().unwrap().upgrade().unwrap().as_ptr()
    }
}

/// A stage with `source`, which makes 1 MiB; `pass`, which passes on its input; `reads`, which reads
/// it and gives nothing of it; and `looks`, which notes whether the bytes are still held.
fn stage(execution: Execution, made: &Made) -> Stage {
    let mut stage = Stage::new();
    let register = |stage: &mut Stage,
                    name,
                    call: fn(&NodeContext) -> Result<NodeOutput, NodeError>| {
        match execution {
            Execution::Inline | Execution::Blocking => {
                stage.registry.register_function(kind(name, execution), call)
            }
            Execution::Async | Execution::Task | Execution::Control => stage
                .registry
                .register_async(kind(name, execution), move |ctx| std::future::ready(call(&ctx))),
        };
    };
    register(&mut stage, "pass", |ctx| {
        Ok(NodeOutput::of("out", ctx.required_input("in")?.clone()))
    });
    register(&mut stage, "reads", |ctx| {
        let bytes = ctx.required_input("in")?.as_bytes().unwrap();
        Ok(NodeOutput::of("out", bytes.len()))
    });
    let made = made.clone();
    stage.registry.register_function(kind("source", Execution::Inline), {
        let made = made.clone();
        move |_| {
            let bytes: Arc<[u8]> = vec![7; 1 << 20].into();
            *made.0.lock().unwrap() = Some(Arc::downgrade(&bytes));
            Ok(NodeOutput::of("out", Value::Bytes(bytes)))
        }
    });
    let log = stage.log.clone();
    stage.registry.register_function(kind("looks", Execution::Inline), move |_| {
        log.note(if made.is_alive() { "held" } else { "dropped" });
        Ok(NodeOutput::new())
    });
    stage
}

fn edge(from: &str, to: &str) -> serde_json::Value {
    json!({"from_node": from, "from_port": "out", "to_node": to, "to_port": "in"})
}

fn order(from: &str, to: &str) -> serde_json::Value {
    json!({"from_node": from, "to_node": to})
}

/// source → first → second reader, and a look after each of them.
fn two_readers() -> Workflow {
    workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "source"},
            {"id": "b", "node_type": "reads"}, {"id": "after_b", "node_type": "looks"},
            {"id": "c", "node_type": "reads"}, {"id": "after_c", "node_type": "looks"},
        ],
        "connections": [
            edge("a", "b"), order("b", "after_b"), order("after_b", "c"), edge("a", "c"),
            order("c", "after_c"),
        ]
    }))
}

#[test]
fn a_value_is_dropped_after_its_last_reader() {
    for execution in EXECUTIONS {
        paused(async {
            let made = Made::default();
            let stage = stage(execution, &made);
            let runtime = stage.runtime();
            let result = runtime.execute(&two_readers(), ()).await.unwrap();
            assert_eq!(stage.log.joined(), "held, dropped", "{execution:?}");
            assert!(result.node("a").unwrap().outputs.is_none());
            // Unless all outputs are to be kept.
            let prepared = runtime.prepare(&two_readers(), ()).unwrap().keep_outputs();
            let result = prepared.start().await.unwrap().wait().await.unwrap();
            assert_eq!(stage.log.joined(), "held, dropped, held, held", "{execution:?}");
            let outputs = result.node("a").unwrap().outputs.unwrap();
            assert_eq!(outputs.get("out").unwrap().as_bytes().unwrap().len(), 1 << 20);
            drop(result);
            assert!(!made.is_alive());
        });
    }
}

#[test]
fn a_value_that_nobody_reads_is_dropped_at_once() {
    paused(async {
        let made = Made::default();
        let stage = stage(Execution::Inline, &made);
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "source"}, {"id": "b", "node_type": "looks"}],
            "connections": [order("a", "b")]
        }));
        stage.runtime().execute(&workflow, ()).await.unwrap();
        assert_eq!(stage.log.joined(), "dropped");
    });
}

#[test]
fn a_reader_that_is_retried_finds_its_value_again() {
    paused(async {
        let made = Made::default();
        let mut stage = stage(Execution::Inline, &made);
        stage.registry.register_async(kind("third.time", Execution::Task), |ctx| async move {
            let bytes = ctx.required_input("in")?.as_bytes().unwrap().len();
            match ctx.attempt() {
                3 => Ok(NodeOutput::of("out", bytes)),
                _ => Err(NodeError::retryable("test.flaky", "it failed")),
            }
        });
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "source"},
                {"id": "b", "node_type": "third.time", "retry_policy": {"max_attempts": 3}},
                {"id": "c", "node_type": "looks"},
            ],
            "connections": [edge("a", "b"), order("b", "c")],
            "outputs": {"bytes": "{{ nodes.b.out }}"}
        }));
        let result = stage.runtime().execute(&workflow, ()).await.unwrap();
        assert_eq!(result.outputs.to_string(), r#"{"bytes":1048576}"#);
        assert_eq!(stage.log.joined(), "dropped");
    });
}

#[test]
fn a_mebibyte_passes_through_a_hundred_nodes_without_a_copy() {
    for execution in EXECUTIONS {
        paused(async {
            let made = Made::default();
            let stage = stage(execution, &made);
            let mut nodes = vec![json!({"id": "n0", "node_type": "source"})];
            let mut connections = Vec::new();
            for node in 1..=100 {
                let (before, id) = (format!("n{}", node - 1), format!("n{node}"));
                if node % 2 == 0 {
                    nodes.push(json!({"id": id, "node_type": "pass"}));
                    connections.push(edge(&before, &id));
                } else {
                    // By a reference in the config instead of a connection.
                    let reference = format!("{{{{ nodes.{before}.out }}}}");
                    nodes.push(json!({"id": id, "node_type": "pass", "config": {"in": reference}}));
                }
            }
            let workflow = workflow(json!({
                "nodes": nodes, "connections": connections,
                "outputs": {"last": "{{ nodes.n100.out }}"}
            }));
            let result = stage.runtime().execute(&workflow, ()).await.unwrap();
            let last = result.outputs.pointer("/last").unwrap().as_bytes().unwrap();
            assert_eq!(last.as_ptr(), made.address(), "{execution:?}");
        });
    }
}

#[test]
fn a_node_is_told_who_and_when_it_is() {
    paused(async {
        let mut stage = Stage::new();
        let log = stage.log.clone();
        stage.registry.register_async(kind("tells", Execution::Task), move |ctx| {
            let log = log.clone();
            async move {
                let said = ctx.config_object().get("execution").unwrap().to_string();
                let known = json!([
                    ctx.execution_id().to_string(),
                    ctx.started_at().to_string(),
                    ctx.attempt()
                ]);
                log.note(format!("{} {} {}", ctx.workflow_id(), ctx.node_id(), ctx.address()));
                let known = known.to_string();
                log.note(if said == known { "the same" } else { "not the same" });
                assert!(ctx.clock().now() >= ctx.started_at());
                match ctx.attempt() {
                    1 => Err(NodeError::retryable("test.flaky", "it failed")),
                    _ => Ok(NodeOutput::of("key", ctx.idempotency_key())),
                }
            }
        });
        let mut workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "tells", "retry_policy": {"max_attempts": 2},
             "config": {"execution": ["{{ execution.id }}", "{{ execution.started_at }}", "{{ execution.attempt }}"]}}
        ]}));
        workflow.id = Some(flowcore::WorkflowId::new("w").unwrap());
        let runtime = stage.builder().max_executions(1).build().unwrap();
        // Both are prepared now; the second starts when the first has ended, a second later.
        let first = runtime.start(&workflow, ()).await.unwrap();
        let second = runtime.start(&workflow, ()).await.unwrap();
        for handle in [first, second] {
            let result = handle.wait().await.unwrap();
            let key = result.outputs.pointer("/a/key").and_then(Value::as_str).unwrap().to_owned();
            assert_eq!(key, format!("{}/1/a", handle.id()));
        }
        assert_eq!(stage.log.joined(), ["w a a, the same"; 4].join(", "));
    });
}

#[test]
fn a_node_is_given_the_policy_of_the_runtime() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_function(kind("reaches", Execution::Inline), |ctx| {
            ctx.policy().check_host("a.example.org", None)?;
            ctx.policy().check_program("sh")?;
            Ok(NodeOutput::new())
        });
        let only = Policy::deny_all().hosts(Access::Only(vec!["*.example.org".to_owned()]));
        for (policy, code) in [
            (Policy::deny_all(), Some("policy.host_denied")),
            (only, Some("policy.program_denied")),
            (Policy::allow_all("."), None),
        ] {
            let runtime = stage.builder().policy(policy).build().unwrap();
            let result = runtime.execute(&crate::stage::one("reaches"), ()).await.unwrap();
            assert_eq!(result.error.map(|error| error.code), code.map(str::to_owned));
        }
    });
}

#[test]
fn a_node_with_open_ports_sees_the_inputs_of_the_execution() {
    paused(async {
        let mut registry = flowcore::NodeRegistry::new();
        let descriptor = flowcore::NodeDescriptor::untyped("names");
        registry.register_function(descriptor, |ctx| {
            let names: Vec<Value> = ctx.inputs().map(|(name, _)| Value::from(name)).collect();
            Ok(NodeOutput::of("names", Value::try_from(names)?))
        });
        let runtime = flowruntime::FlowRuntime::builder().registry(registry).build().unwrap();
        let flow = workflow(json!({ "nodes": [{ "id": "a", "node_type": "names" }] }));
        let inputs = [("x", Value::from(1)), ("y", Value::from(2))];
        let result = runtime.execute(&flow, inputs).await.unwrap();
        let names = result.outputs.pointer("/a/names").unwrap().to_json();
        assert_eq!(names, json!(["x", "y"]));
    });
}
