//! Cancellation, in each phase of an execution.

use std::time::Duration;

use flowcore::{CancelReason, Execution, ExecutionStatus, NodeStatus};
use serde_json::json;
use tokio::time::Instant;

use crate::stage::{Stage, one};
use crate::support::{
    advance, kind, on_multi_thread, paused, paused_with_one_thread, transcript, watch, workflow,
};

const CANCELLED: &str = "started\nto stop requested\nended Cancelled execution.cancelled";

/// How an attempt takes its cancellation.
struct Manners {
    node_type: &'static str,
    /// The seconds from the cancel to the end of the execution.
    takes: u64,
    /// What the journal says of the node after its start.
    ends: &'static str,
}

#[test]
fn before_the_start_nothing_runs() {
    for node_type in ["quick.inline", "quick.async", "quick.task", "quick.blocking"] {
        paused(async {
            let stage = Stage::new();
            let (handle, journal) = watch(&stage.runtime(), &one(node_type), ()).await;
            // The driver had no turn yet: a spawned task waits for its spawner.
            handle.cancel();
            assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Cancelled);
            assert_eq!(transcript(&journal.events()), CANCELLED, "{node_type}");
            assert_eq!(stage.log.joined(), "", "{node_type}");
        });
    }
}

both_flavours! {
    async fn queued_behind_others_ends_at_once_and_takes_no_turn() {
        let stage = Stage::new();
        let runtime = stage.builder().max_executions(1).build().unwrap();
        let (first, _) = watch(&runtime, &one("deaf.async"), ()).await;
        stage.started.wait().await;
        let (second, journal) = watch(&runtime, &one("deaf.async"), ()).await;
        tokio::task::yield_now().await;
        second.cancel();
        assert_eq!(second.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        assert_eq!(transcript(&journal.events()), CANCELLED);
        assert!(!first.is_ended());
        let (third, _) = watch(&runtime, &one("quick.task"), ()).await;
        first.cancel();
        first.wait().await.unwrap();
        assert!(third.wait().await.unwrap().is_success());
        assert_eq!(stage.log.joined(), "a, a");
    }

    async fn waiting_for_a_permit_starts_nothing() {
        let stage = Stage::new();
        let runtime = stage.builder().max_running_nodes(1).build().unwrap();
        let (first, _) = watch(&runtime, &one("deaf.task"), ()).await;
        stage.started.wait().await;
        let (second, journal) = watch(&runtime, &one("deaf.task"), ()).await;
        let mut events = second.events();
        tokio::task::yield_now().await;
        second.cancel();
        assert_eq!(second.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        while events.next().await.is_some() {}
        assert_eq!(transcript(&journal.events()), CANCELLED);
        assert_eq!(runtime.running_attempts(), 1);
        first.cancel();
        first.wait().await.unwrap();
        assert_eq!(runtime.running_attempts(), 0);
        assert!(runtime.execute(&one("quick.task"), ()).await.unwrap().is_success());
    }
}

#[test]
fn a_running_attempt_ends_as_it_can() {
    let all = [
        // Nobody listens: nobody needs time.
        Manners { node_type: "deaf.async", takes: 0, ends: "a cancelled requested" },
        Manners { node_type: "deaf.task", takes: 0, ends: "a cancelled requested" },
        Manners { node_type: "polite.async", takes: 3, ends: "a cancelled requested" },
        Manners { node_type: "polite.task", takes: 3, ends: "a cancelled requested" },
        // After the grace period they are dropped or aborted at their await.
        Manners { node_type: "stubborn.async", takes: 10, ends: "a cancelled requested" },
        Manners { node_type: "stubborn.task", takes: 10, ends: "a cancelled requested" },
    ];
    for Manners { node_type, takes, ends } in all {
        paused(async {
            let stage = Stage::new();
            let runtime = stage.runtime();
            let (handle, journal) = watch(&runtime, &one(node_type), ()).await;
            stage.started.wait().await;
            let cancelled_at = Instant::now();
            handle.cancel();
            assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Cancelled);
            assert_eq!(cancelled_at.elapsed().as_secs(), takes, "{node_type}");
            // Its future is gone before the execution ends.
            assert_eq!(stage.running.now(), 0, "{node_type}");
            assert_eq!(runtime.running_attempts(), 0, "{node_type}");
            let expected = format!(
                "started\na started #1\nto stop requested\n{ends}\nended Cancelled execution.cancelled"
            );
            assert_eq!(transcript(&journal.events()), expected, "{node_type}");
        });
    }
}

#[test]
fn a_thread_that_never_listens_is_left_behind_after_the_grace_period() {
    paused(async {
        let stage = Stage::new();
        let runtime = stage.builder().grace_period(Duration::from_secs(4)).build().unwrap();
        let (handle, journal) = watch(&runtime, &one("busy"), ()).await;
        stage.started.wait().await;
        handle.cancel();
        // Time stands still while a thread works, so the test moves it on.
        advance(Duration::from_millis(3_900)).await;
        assert!(!handle.is_ended());
        advance(Duration::from_millis(200)).await;
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Cancelled);
        assert_eq!(result.node("a").unwrap().status, NodeStatus::Cancelled);
        // It still runs, and holds its permit until it has really ended.
        assert_eq!((stage.running.now(), runtime.running_attempts()), (1, 1));
        let before = transcript(&journal.events());
        stage.gate.open();
        while runtime.running_attempts() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.log.joined(), "a, a is through");
        assert_eq!(transcript(&journal.events()), before);
        assert!(before.ends_with("a cancelled requested\nended Cancelled execution.cancelled"));
    });
}

both_flavours! {
    /// The task is aborted at its await, so it need not be left behind.
    async fn a_task_that_overstays_its_grace_is_gone_before_the_end() {
        let stage = Stage::new();
        let runtime = stage.builder().grace_period(Duration::ZERO).build().unwrap();
        for _ in 0..50 {
            let handle = runtime.start(&one("stubborn.task"), ()).await.unwrap();
            stage.started.wait().await;
            handle.cancel();
            handle.wait().await.unwrap();
            assert_eq!((stage.running.now(), runtime.running_attempts()), (0, 0));
        }
    }
}

/// Its thread is stuck inside of a poll: no abort reaches it.
#[test]
fn a_task_that_never_yields_is_left_behind() {
    on_multi_thread(async {
        let mut stage = Stage::new();
        let (started, running) = (stage.started.clone(), stage.running.clone());
        let keeper = stage.gate.keeper();
        stage.registry.register_async(kind("stuck", Execution::Task), move |_| {
            let (started, guard, keeper) = (started.clone(), running.enter(), keeper.clone());
            async move {
                let _guard = guard;
                started.give();
                keeper.pass();
                std::future::pending().await
            }
        });
        let runtime = stage.builder().grace_period(Duration::ZERO).build().unwrap();
        let (handle, journal) = watch(&runtime, &one("stuck"), ()).await;
        stage.started.wait().await;
        handle.cancel();
        assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        assert_eq!((stage.running.now(), runtime.running_attempts()), (1, 1));
        assert!(transcript(&journal.events()).contains("a cancelled requested"));
        stage.gate.open();
        while stage.running.now() + runtime.running_attempts() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// The blocking pool has one thread, and `a` has it.
#[test]
fn a_function_that_waits_for_a_thread_never_runs() {
    paused_with_one_thread(async {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "busy"}, {"id": "b", "node_type": "quick.blocking"},
        ]}));
        let (handle, journal) = watch(&runtime, &workflow, ()).await;
        stage.started.wait().await;
        handle.cancel();
        tokio::task::yield_now().await;
        // Only the one that runs needs its grace, and its permit.
        assert_eq!(runtime.running_attempts(), 1);
        assert!(
            transcript(&journal.events()).ends_with("to stop requested\nb cancelled requested")
        );
        advance(Duration::from_secs(11)).await;
        assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        stage.gate.open();
        while runtime.running_attempts() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.log.joined(), "a, a is through");
    });
}

#[test]
fn work_that_is_done_in_spite_of_a_cancel_counts_as_done() {
    paused(async {
        let mut stage = Stage::new();
        let started = stage.started.clone();
        stage.registry.register_async(
            crate::support::kind("thorough", flowcore::Execution::Task),
            move |ctx| {
                let (started, cancellation) = (started.clone(), ctx.cancellation());
                async move {
                    started.give();
                    assert_eq!(cancellation.cancelled().await, CancelReason::Requested);
                    tokio::time::sleep(Duration::from_secs(9)).await;
                    Ok(flowcore::NodeOutput::of("out", 1))
                }
            },
        );
        let (handle, journal) = watch(&stage.runtime(), &one("thorough"), ()).await;
        stage.started.wait().await;
        handle.cancel();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Cancelled);
        assert_eq!(result.completed_nodes, 1);
        assert!(transcript(&journal.events()).contains("a completed #1"));
    });
}

#[test]
fn between_two_attempts_it_ends_at_once() {
    paused(async {
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "flaky", "retry_policy": {"max_attempts": 9, "delay_ms": 60_000, "jitter": false}}
        ]}));
        let stage = Stage::new();
        let (handle, journal) = watch(&stage.runtime(), &workflow, ()).await;
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(90)).await;
        handle.cancel();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Cancelled);
        assert_eq!(begun.elapsed().as_secs(), 90);
        assert_eq!(result.node("a").unwrap().attempts, 2);
        let transcript = transcript(&journal.events());
        assert!(transcript.ends_with(
            "a failed #2 Failed test.flaky -> Retry\nto stop requested\n\
             a cancelled requested\nended Cancelled execution.cancelled"
        ));
    });
}

both_flavours! {
    async fn a_storm_of_inline_nodes_hears_it_between_two_breaths() {
        const NODES: usize = 100_000;
        let stage = Stage::new();
        let runtime = stage.runtime();
        let workflow = chain("quick.inline", NODES);
        runtime.plan(&workflow).unwrap();
        let handle = runtime.start(&workflow, ()).await.unwrap();
        while stage.log.len() == 0 {
            tokio::task::yield_now().await;
        }
        handle.cancel();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Cancelled);
        assert!(result.completed_nodes < NODES);
        assert_eq!(stage.log.len(), result.completed_nodes);
    }

    async fn after_the_end_it_changes_nothing() {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let (handle, journal) = watch(&runtime, &one("quick.task"), ()).await;
        assert!(handle.wait().await.unwrap().is_success());
        handle.cancel();
        tokio::task::yield_now().await;
        assert!(handle.wait().await.unwrap().is_success());
        assert!(transcript(&journal.events()).ends_with("ended Succeeded"));
    }

    async fn a_second_cancel_is_ignored() {
        let stage = Stage::new();
        let (handle, journal) = watch(&stage.runtime(), &one("deaf.task"), ()).await;
        stage.started.wait().await;
        handle.cancel();
        handle.cancel_because(CancelReason::ExecutionTimeout, Some("somebody else"));
        handle.clone().cancel();
        assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Cancelled);
        assert_eq!(
            transcript(&journal.events()),
            "started\na started #1\nto stop requested\na cancelled requested\n\
             ended Cancelled execution.cancelled"
        );
    }
}

#[test]
fn a_failure_under_stop_workflow_cancels_and_awaits_the_siblings() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_async(
            crate::support::kind("late.failure", flowcore::Execution::Async),
            |_| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err(flowcore::NodeError::new("test.failed", "it failed"))
            },
        );
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "deaf.task"},
            {"id": "b", "node_type": "polite.async"},
            {"id": "c", "node_type": "late.failure"},
            {"id": "d", "node_type": "flaky", "retry_policy": {"max_attempts": 2, "delay_ms": 60_000, "jitter": false}},
        ]}));
        let begun = Instant::now();
        let (handle, journal) = watch(&stage.runtime(), &workflow, ()).await;
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Failed);
        assert_eq!(begun.elapsed().as_secs(), 4);
        assert_eq!(stage.running.now(), 0);
        let transcript = transcript(&journal.events());
        let end = transcript.split_once("c failed").unwrap().1;
        assert_eq!(
            end,
            " #1 Failed test.failed -> Stop\nd cancelled sibling_failed\n\
             a cancelled sibling_failed\nb cancelled sibling_failed\nended Failed test.failed"
        );
    });
}

#[test]
fn a_loser_that_lingers_beyond_its_time_out_has_only_lost_the_race() {
    for node_type in ["polite.async", "polite.task"] {
        paused(async {
            let stage = Stage::new();
            let workflow = workflow(json!({
                "nodes": [
                    {"id": "slow", "node_type": node_type, "timeout_ms": 1000},
                    {"id": "fast", "node_type": "quick.task"},
                    {"id": "end", "node_type": "quick.inline", "join": "first"},
                ],
                "connections": [
                    {"from_node": "slow", "to_node": "end"},
                    {"from_node": "fast", "to_node": "end"},
                ]
            }));
            let (handle, journal) = watch(&stage.runtime(), &workflow, ()).await;
            let result = handle.wait().await.unwrap();
            assert_eq!(result.status, ExecutionStatus::Succeeded);
            assert_eq!(result.duration().as_secs(), 3);
            assert!(transcript(&journal.events()).contains("slow cancelled lost_race"));
        });
    }
}

/// Nodes one after another.
pub(crate) fn chain(node_type: &str, nodes: usize) -> flowcore::Workflow {
    let mut workflow = flowcore::Workflow::new("chain");
    for node in 0..nodes {
        workflow.add_node(flowcore::NodeSpec::new(format!("n{node}"), node_type));
    }
    for node in 1..nodes {
        workflow.connect_after(&format!("n{}", node - 1), &format!("n{node}"));
    }
    workflow
}
