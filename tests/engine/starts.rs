//! Each attempt starts once, and only while it is wanted.

use std::sync::Arc;
use std::task::Poll;

use flowcore::{Execution, NodeError, NodeOutput};
use flowruntime::{Attempt, Executor, LocalExecutor, Started};
use serde_json::json;

use crate::stage::{Stage, one};
use crate::support::{Log, kind, on_current_thread, paused, transcript, watch, workflow};

both_flavours! {
    async fn an_inline_node_is_called_once_although_another_attempt_ends_in_the_same_turn() {
        let stage = Stage::new();
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "quick.async"},
                {"id": "b", "node_type": "quick.async"},
                {"id": "c", "node_type": "quick.inline"},
            ],
            "connections": [{"from_node": "a", "to_node": "c"}]
        }));
        let result = stage.runtime().execute(&workflow, ()).await.unwrap();
        assert_eq!(result.completed_nodes, 3);
        assert_eq!(stage.log.joined(), "a, b, c");
    }
}

/// The first fact makes an inline node ready, the second one starts a new round.
#[test]
fn an_inline_node_of_the_last_round_is_not_called_in_the_next() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_async(kind("fails.once", Execution::Async), {
            let log = stage.log.clone();
            move |_| {
                log.note("try");
                let fails = log.count("try") == 1;
                async move {
                    match fails {
                        true => Err(NodeError::new("test.failed", "it failed")),
                        false => Ok(NodeOutput::new()),
                    }
                }
            }
        });
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "quick.async"},
                {"id": "b", "node_type": "fails.once", "on_error": {"RetryWorkflow": {"max_attempts": 2}}},
                {"id": "c", "node_type": "quick.inline"},
            ],
            "connections": [{"from_node": "a", "to_node": "c"}]
        }));
        let result = stage.runtime().execute(&workflow, ()).await.unwrap();
        assert_eq!((result.completed_nodes, result.rounds), (3, 2));
        assert_eq!(stage.log.joined(), "a, try, a, try, c");
    });
}

/// Notes which attempts it is asked to start.
struct Noting(Log);

impl Executor for Noting {
    fn start(&self, attempt: Attempt) -> Started {
        self.0.note(format!("start {}", attempt.context.node_id()));
        LocalExecutor.start(attempt)
    }
}

/// The permit for `x` comes in the same turn in which `a` fails, for one of these numbers of polls.
#[test]
fn an_attempt_that_a_failure_has_overtaken_is_not_started() {
    let mut overtaken = 0;
    for polls in 0..20 {
        on_current_thread(async {
            let mut stage = Stage::new();
            let fail = crate::support::Signal::new();
            stage.registry.register_async(kind("fails.late", Execution::Async), {
                let (log, fail) = (stage.log.clone(), fail.clone());
                move |_| {
                    let (log, fail) = (log.clone(), fail.clone());
                    async move {
                        fail.wait().await;
                        pending_for(polls).await;
                        log.note("a fails");
                        Err(NodeError::new("test.failed", "it failed"))
                    }
                }
            });
            let runtime = stage
                .builder()
                .max_running_nodes(2)
                .executor(Arc::new(Noting(stage.log.clone())))
                .build()
                .unwrap();
            let (other, _) = watch(&runtime, &one("deaf.async"), ()).await;
            stage.started.wait().await;
            let workflow = workflow(json!({"nodes": [
                {"id": "f", "node_type": "fails.late"}, {"id": "x", "node_type": "quick.async"},
            ]}));
            let (handle, journal) = watch(&runtime, &workflow, ()).await;
            while stage.log.count("start f") == 0 {
                tokio::task::yield_now().await;
            }
            other.cancel();
            fail.give();
            handle.wait().await.unwrap();
            let lines = stage.log.lines();
            let end = lines.iter().position(|line| line == "a fails").unwrap();
            let after = &lines[end..];
            assert!(!after.iter().any(|line| line == "start x"), "{polls} polls: {lines:?}");
            let transcript = transcript(&journal.events());
            let never_started = !lines.iter().any(|line| line == "start x");
            overtaken += usize::from(never_started && transcript.contains("x started #1"));
        });
    }
    assert!(overtaken > 0, "the case did not come up");
}

/// Is pending so often, and asks to be polled again at once.
async fn pending_for(mut polls: u32) {
    std::future::poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
