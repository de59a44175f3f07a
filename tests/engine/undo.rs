//! `undo`: the driver runs what the machine wishes, with a key and retries of its own.

use flowcore::{Execution, ExecutionStatus, NodeError, NodeOutput};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{kind, run, workflow};

/// A stage with `fails`, and `undoes`, which notes its key and succeeds with its second attempt.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.registry.register_async(kind("fails", Execution::Async), |_| async {
        Err::<NodeOutput, _>(NodeError::new("test.failed", "it failed"))
    });
    let log = stage.log.clone();
    stage.registry.register_async(kind("undoes", Execution::Task), move |ctx| {
        let (execution, key) = (ctx.execution_id().to_string(), ctx.idempotency_key());
        log.note(key.strip_prefix(&execution).unwrap_or("another execution"));
        let is_first = ctx.attempt() == 1;
        async move {
            match is_first {
                true => Err(NodeError::retryable("test.flaky", "it failed")),
                false => Ok(NodeOutput::of("out", 1)),
            }
        }
    });
    stage
}

both_flavours! {
    async fn what_succeeded_is_undone_the_last_first() {
        let stage = stage();
        let retry = json!({"max_attempts": 2, "delay_ms": 0});
        let undo = json!({"node_type": "undoes", "retry_policy": retry});
        let gives_up = json!({"node_type": "fails"});
        let body = json!({"nodes": [
            {"id": "a", "node_type": "quick.task", "undo": undo},
            {"id": "b", "node_type": "quick.task", "undo": gives_up},
        ], "connections": [{"from_node": "a", "to_node": "b"}]});
        let workflow = workflow(json!({
            "nodes": [
                {"id": "t", "node_type": "control.try", "config": {"body": body}, "undo": undo},
                {"id": "c", "node_type": "fails"},
            ],
            "connections": [{"from_node": "t", "to_node": "c"}]
        }));
        let ran = run(&stage.runtime(), &workflow, ()).await;
        assert_eq!(ran.result.status, ExecutionStatus::Failed);
        // The first two are the nodes themselves.
        let keys = ["a", "b", "/1/t~undo", "/1/t~undo", "/1/t.body.a~undo", "/1/t.body.a~undo"];
        assert_eq!(stage.log.lines(), keys);
        let left: Vec<String> = ran.result.not_undone.iter().map(ToString::to_string).collect();
        assert_eq!(left, ["node `t.body.b` was not undone: it failed"]);
        let transcript = ran.transcript();
        let end = "t.body.a~undo completed #2\n\
                   ScopeClosed { scope: ScopeId(4), end: Succeeded(null) }\n\
                   ended Failed test.failed";
        assert!(transcript.ends_with(end), "{transcript}");
    }
}
