//! Nodes with `execution: task` share a few tokio tasks, and behave as if each had its own.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use flowcore::{Execution, NodeOutput};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{Signal, kind, on_multi_thread, workflow};

both_flavours! {
    /// More of them than there are workers.
    async fn tasks_that_wait_for_each_other_all_end() {
        let mut stage = Stage::new();
        let all = Arc::new(tokio::sync::Barrier::new(10));
        stage.registry.register_async(kind("all.together", Execution::Task), move |_| {
            let all = all.clone();
            async move {
                all.wait().await;
                Ok(NodeOutput::new())
            }
        });
        let nodes: Vec<_> = (0..10)
            .map(|node| json!({"id": format!("n{node}"), "node_type": "all.together"}))
            .collect();
        let result = stage.runtime().execute(&workflow(json!({"nodes": nodes})), ()).await;
        assert_eq!(result.unwrap().completed_nodes, 10);
    }

    async fn a_task_that_is_cancelled_before_its_turn_does_not_begin() {
        let mut stage = Stage::new();
        let begun = stage.log.clone();
        stage.registry.register_async(kind("notes.task", Execution::Task), move |_| {
            let begun = begun.clone();
            async move {
                begun.note("begun");
                std::future::pending().await
            }
        });
        stage.registry.register_function(
            crate::support::kind("fails.inline", Execution::Inline),
            |_| Err(flowcore::NodeError::new("test.failed", "it failed")),
        );
        // In one turn of the driver, the task is started and the execution fails.
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "notes.task"}, {"id": "b", "node_type": "fails.inline"},
        ]}));
        let runtime = stage.runtime();
        for _ in 0..50 {
            let result = runtime.execute(&workflow, ()).await.unwrap();
            assert!(!result.is_success());
            assert_eq!(runtime.running_attempts(), 0);
        }
    }
}

/// Each poll can have a worker of its own, also when others are stuck in theirs.
#[test]
fn a_task_that_computes_leaves_the_other_worker_to_others() {
    on_multi_thread(async {
        let mut stage = Stage::new();
        let (send, receive) = sync_channel::<()>(1);
        let receive = std::sync::Mutex::new(receive);
        let begun = Signal::new();
        stage.registry.register_async(kind("computes.task", Execution::Task), {
            let receive = Arc::new(receive);
            let begun = begun.clone();
            move |_| {
                let (receive, begun) = (receive.clone(), begun.clone());
                async move {
                    begun.give();
                    receive.lock().unwrap().recv().unwrap();
                    Ok(NodeOutput::new())
                }
            }
        });
        stage.registry.register_async(kind("frees.task", Execution::Task), move |_| {
            let send = send.clone();
            async move {
                send.send(()).unwrap();
                Ok(NodeOutput::new())
            }
        });
        let later = Signal::new();
        stage.registry.register_async(kind("later.async", Execution::Async), {
            let later = later.clone();
            move |_| {
                let later = later.clone();
                async move {
                    later.wait().await;
                    Ok(NodeOutput::new())
                }
            }
        });
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "computes.task"},
                {"id": "b", "node_type": "later.async"},
                {"id": "c", "node_type": "frees.task"},
            ],
            "connections": [{"from_node": "b", "to_node": "c"}]
        }));
        let handle = stage.runtime().start(&workflow, ()).await.unwrap();
        begun.wait().await;
        later.give();
        assert_eq!(handle.wait().await.unwrap().completed_nodes, 3);
    });
}
