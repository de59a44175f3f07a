//! `RetryWorkflow`: the workflow starts again, with fresh state and keys.

use std::time::Duration;

use flowcore::{Execution, ExecutionStatus, NodeError, NodeOutput};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{kind, paused, run, settle, transcript, watch, workflow};

/// A stage with `fails`, which fails in the first rounds, and `keys`, which notes its key.
fn stage(failures: usize) -> Stage {
    let mut stage = Stage::new();
    let log = stage.log.clone();
    stage.registry.register_async(kind("fails", Execution::Async), move |_| {
        log.note("try");
        let fails = log.count("try") <= failures;
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match fails {
                true => Err(NodeError::new("test.failed", "it failed")),
                false => Ok(NodeOutput::of("out", 1)),
            }
        }
    });
    let log = stage.log.clone();
    stage.registry.register_async(kind("keys", Execution::Task), move |ctx| {
        let (execution, key) = (ctx.execution_id().to_string(), ctx.idempotency_key());
        log.note(key.strip_prefix(&execution).unwrap_or("another execution"));
        let retry = ctx.attempt() < 3;
        async move {
            match retry {
                true => Err(NodeError::retryable("test.flaky", "it failed")),
                false => Ok(NodeOutput::of("out", 1)),
            }
        }
    });
    stage
}

const FOREVER: &str = r#"{"RetryWorkflow": {"max_attempts": 3}}"#;

fn rounds() -> serde_json::Value {
    serde_json::from_str(FOREVER).unwrap()
}

#[test]
fn a_round_follows_a_failure_until_one_succeeds() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "fails"}, {"id": "b", "node_type": "quick.task"}],
            "connections": [{"from_node": "a", "to_node": "b"}],
            "settings": {"on_error": rounds()}
        }));
        let ran = run(&stage(2).runtime(), &workflow, ()).await;
        assert_eq!(
            ran.transcript(),
            "started\na started #1\na failed #1 Failed test.failed -> NewRound\n\
             round 2\na started #1\na failed #1 Failed test.failed -> NewRound\n\
             round 3\na started #1\na completed #1\nb started #1\nb completed #1\nended Succeeded"
        );
        assert_eq!((ran.result.rounds, ran.result.completed_nodes), (3, 2));
    });
}

#[test]
fn after_the_last_round_the_execution_fails() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "fails", "on_error": rounds()}]
        }));
        let ran = run(&stage(99).runtime(), &workflow, ()).await;
        assert_eq!((ran.result.status, ran.result.rounds), (ExecutionStatus::Failed, 3));
        assert!(
            ran.transcript()
                .ends_with("a failed #1 Failed test.failed -> Stop\nended Failed test.failed")
        );
    });
}

#[test]
fn what_runs_is_stopped_and_awaited_before_the_next_round() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "fails"},
                {"id": "b", "node_type": "polite.task"},
                {"id": "c", "node_type": "deaf.async"},
            ],
            "settings": {"on_error": rounds()}
        }));
        let stage = stage(1);
        let (handle, journal) = watch(&stage.runtime(), &workflow, ()).await;
        tokio::time::sleep(Duration::from_millis(3_900)).await;
        assert_eq!(stage.running.now(), 1);
        let before = transcript(&journal.events());
        assert!(before.ends_with("-> NewRound\nc cancelled sibling_failed"), "{before}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(transcript(&journal.events()).contains("b cancelled sibling_failed\nround 2"));
        assert_eq!(stage.running.now(), 2);
        handle.cancel();
        handle.wait().await.unwrap();
        assert_eq!(stage.running.now(), 0);
    });
}

#[test]
fn the_key_is_the_same_for_every_attempt_and_another_in_each_round() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "keys", "retry_policy": {"max_attempts": 3}},
                {"id": "b", "node_type": "fails"},
            ],
            "connections": [{"from_node": "a", "to_node": "b"}],
            "settings": {"on_error": rounds()}
        }));
        let stage = stage(1);
        run(&stage.runtime(), &workflow, ()).await;
        let keys = "/1/a, /1/a, /1/a, try, /2/a, /2/a, /2/a, try";
        assert_eq!(stage.log.joined(), keys);
    });
}

#[test]
fn a_cancel_while_a_round_ends_wins_over_the_next_one() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "fails"}, {"id": "b", "node_type": "polite.async"}],
            "settings": {"on_error": rounds()}
        }));
        let (handle, journal) = watch(&stage(99).runtime(), &workflow, ()).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        handle.cancel();
        settle().await;
        assert!(!handle.is_ended());
        let result = handle.wait().await.unwrap();
        assert_eq!((result.status, result.rounds), (ExecutionStatus::Cancelled, 1));
        assert!(transcript(&journal.events()).ends_with(
            "to stop requested\nb cancelled requested\nended Cancelled execution.cancelled"
        ));
    });
}

#[test]
fn the_deadline_counts_over_all_rounds() {
    paused(async {
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "fails"}],
            "settings": {"on_error": {"RetryWorkflow": {"max_attempts": 99}}, "max_execution_time_ms": 3_500}
        }));
        let ran = run(&stage(99).runtime(), &workflow, ()).await;
        assert_eq!((ran.result.status, ran.result.rounds), (ExecutionStatus::TimedOut, 4));
    });
}
