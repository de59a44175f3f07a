//! An execution that never waits leaves room for others, and for its own deadline.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowcore::{Execution, ExecutionStatus, NodeOutput, Value};
use flowruntime::FlowRuntime;
use serde_json::json;

use crate::cancel::chain;
use crate::stage::Stage;
use crate::support::{kind, on_current_thread, paused};

const NODES: usize = 5_000;

#[test]
fn a_storm_of_nodes_that_never_wait_lets_others_run() {
    for node_type in ["quick.inline", "quick.async"] {
        on_current_thread(async {
            let stage = Stage::new();
            let handle = stage.runtime().start(&chain(node_type, NODES), ()).await.unwrap();
            let mut turns = 0;
            while !handle.is_ended() {
                tokio::task::yield_now().await;
                turns += 1;
            }
            assert_eq!(handle.wait().await.unwrap().completed_nodes, NODES);
            assert!((10..1_000).contains(&turns), "{node_type}: {turns} turns");
        });
    }
}

#[test]
fn a_storm_of_nodes_that_never_wait_hears_a_cancel() {
    for node_type in ["quick.inline", "quick.async"] {
        on_current_thread(async {
            let stage = Stage::new();
            let handle = stage.runtime().start(&chain(node_type, NODES), ()).await.unwrap();
            tokio::task::yield_now().await;
            handle.cancel();
            let result = handle.wait().await.unwrap();
            assert_eq!(result.status, ExecutionStatus::Cancelled, "{node_type}");
            assert!(result.completed_nodes < NODES / 2, "{node_type}");
        });
    }
}

#[test]
fn many_nodes_that_start_together_let_others_run() {
    on_current_thread(async {
        let stage = Stage::new();
        let nodes: Vec<_> = (0..NODES)
            .map(|node| json!({"id": format!("n{node}"), "node_type": "quick.async"}))
            .collect();
        let workflow = crate::support::workflow(json!({"nodes": nodes}));
        let runtime = stage.builder().max_running_nodes(NODES).build().unwrap();
        let handle = runtime.start(&workflow, ()).await.unwrap();
        let mut turns = 0;
        while !handle.is_ended() {
            tokio::task::yield_now().await;
            turns += 1;
        }
        assert!((10..1_000).contains(&turns), "{turns} turns");
    });
}

/// Time has moved on when the driver takes its first breath.
#[test]
fn a_storm_of_nodes_that_never_wait_meets_its_deadline() {
    for node_type in ["quick.inline", "quick.async"] {
        paused(async {
            let stage = Stage::new();
            let mut workflow = chain(node_type, NODES);
            workflow.settings.max_execution_time_ms = Some(100);
            let handle = stage.runtime().start(&workflow, ()).await.unwrap();
            tokio::spawn(tokio::time::advance(Duration::from_millis(100)));
            let result = handle.wait().await.unwrap();
            assert_eq!(result.status, ExecutionStatus::TimedOut, "{node_type}");
            assert!(result.completed_nodes < NODES / 2, "{node_type}");
        });
    }
}

/// Attempts that ended together leave their permits to the driver, but not while it runs a node.
#[test]
fn permits_that_came_back_are_free_while_an_inline_node_runs() {
    on_current_thread(async {
        let mut stage = Stage::new();
        let runtime = Arc::new(OnceLock::<FlowRuntime>::new());
        stage.registry.register_function(kind("counts.inline", Execution::Inline), {
            let runtime = runtime.clone();
            move |_| {
                let running = runtime.get().unwrap().running_attempts();
                Ok(NodeOutput::of("out", Value::from(running as u64)))
            }
        });
        let mut nodes = vec![json!({"id": "count", "node_type": "counts.inline"})];
        let mut connections = Vec::new();
        for node in (0..3).map(|node| format!("n{node}")) {
            nodes.push(json!({"id": node, "node_type": "quick.task"}));
            connections.push(json!({"from_node": node, "to_node": "count"}));
        }
        let workflow = json!({"nodes": nodes, "connections": connections});
        let runtime = runtime.get_or_init(|| stage.runtime());
        let result = runtime.execute(&crate::support::workflow(workflow), ()).await.unwrap();
        assert_eq!(result.outputs.pointer("/count/out"), Some(&Value::from(0)), "{result:?}");
    });
}
