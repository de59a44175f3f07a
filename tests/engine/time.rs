//! Time-outs, deadlines and waits between attempts, under paused time.

use std::time::Duration;

use flowcore::{
    Effect, Event, Execution, ExecutionEvent, ExecutionStatus, NodeError, NodeOutput, Timestamp,
};
use serde_json::json;
use tokio::time::Instant;

use crate::stage::{Stage, one};
use crate::support::{advance, kind, paused, run, transcript, watch, workflow};

/// A node of this type with a time-out of 2 s: when it fails, in seconds.
#[track_caller]
fn check_timeout(node_type: &str, seconds: u64) {
    paused(async {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let workflow =
            workflow(json!({"nodes": [{"id": "a", "node_type": node_type, "timeout_ms": 2_000}]}));
        let begun = Instant::now();
        let ran = run(&runtime, &workflow, ()).await;
        assert_eq!(
            ran.transcript(),
            "started\na started #1\na failed #1 TimedOut node.timed_out -> Stop\n\
             ended Failed node.timed_out",
            "{node_type}"
        );
        assert_eq!(begun.elapsed().as_secs(), seconds, "{node_type}");
        assert_eq!((stage.running.now(), runtime.running_attempts()), (0, 0), "{node_type}");
    });
}

#[test]
fn an_attempt_times_out() {
    check_timeout("deaf.async", 2);
    check_timeout("deaf.task", 2);
    check_timeout("polite.async", 2 + 3);
    check_timeout("polite.task", 2 + 3);
    check_timeout("stubborn.async", 2 + 10);
    check_timeout("stubborn.task", 2 + 10);
}

#[test]
fn a_thread_that_times_out_is_left_behind() {
    paused(async {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let workflow =
            workflow(json!({"nodes": [{"id": "a", "node_type": "busy", "timeout_ms": 2_000}]}));
        let (handle, journal) = watch(&runtime, &workflow, ()).await;
        stage.started.wait().await;
        advance(Duration::from_millis(2_010)).await;
        advance(Duration::from_millis(9_900)).await;
        assert!(!handle.is_ended());
        advance(Duration::from_millis(200)).await;
        assert_eq!(handle.wait().await.unwrap().status, ExecutionStatus::Failed);
        assert!(transcript(&journal.events()).contains("a failed #1 TimedOut"));
        assert_eq!((stage.running.now(), runtime.running_attempts()), (1, 1));
    });
}

#[test]
fn what_is_done_after_its_time_out_does_not_count() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_async(kind("late", Execution::Task), |ctx| async move {
            ctx.cancellation().cancelled().await;
            Ok(NodeOutput::of("out", 1))
        });
        let workflow =
            workflow(json!({"nodes": [{"id": "a", "node_type": "late", "timeout_ms": 2_000}]}));
        let ran = run(&stage.runtime(), &workflow, ()).await;
        assert_eq!(ran.result.error.unwrap().code, "node.timed_out");
    });
}

/// The number of attempts of a node that always times out.
#[track_caller]
fn check_attempts(fields: serde_json::Value, attempts: u32) {
    paused(async {
        let mut node = json!({"id": "a", "node_type": "deaf.task", "timeout_ms": 100});
        node.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let stage = Stage::new();
        let ran = run(&stage.runtime(), &workflow(json!({"nodes": [node]})), ()).await;
        assert_eq!(ran.result.node("a").unwrap().attempts, attempts, "{}", ran.transcript());
        assert_eq!(stage.log.len(), attempts as usize);
    });
}

#[test]
fn an_attempt_that_timed_out_is_retried_unless_it_may_not() {
    check_attempts(json!({}), 1);
    check_attempts(json!({"retry_policy": {"max_attempts": 3}}), 3);
    check_attempts(json!({"retry_policy": {"max_attempts": 3, "retry_on_timeout": false}}), 1);
    check_attempts(json!({"retry_policy": {"max_attempts": 3}, "effect": "once"}), 1);
    check_attempts(json!({"retry_policy": {"max_attempts": 3}, "effect": "read"}), 3);
}

#[test]
fn an_execution_that_takes_too_long_times_out_wherever_it_is() {
    let all = [
        ("deaf.async", 5),
        ("deaf.task", 5),
        ("polite.task", 5 + 3),
        ("stubborn.async", 5 + 10),
        // In the middle of a wait of 60 s.
        ("flaky", 5),
    ];
    for (node_type, seconds) in all {
        paused(async {
            let stage = Stage::new();
            let workflow = workflow(json!({
                "nodes": [{
                    "id": "a", "node_type": node_type,
                    "retry_policy": {"max_attempts": 9, "delay_ms": 60_000, "jitter": false},
                }],
                "settings": {"max_execution_time_ms": 5_000}
            }));
            let begun = Instant::now();
            let ran = run(&stage.runtime(), &workflow, ()).await;
            assert_eq!(begun.elapsed().as_secs(), seconds, "{node_type}");
            assert_eq!(ran.result.status, ExecutionStatus::TimedOut, "{node_type}");
            assert_eq!(ran.result.error.as_ref().unwrap().code, "execution.timed_out");
            assert!(ran.transcript().contains("a cancelled execution_timeout"), "{node_type}");
        });
    }
}

/// The time of an execution counts from its start, not while it is queued behind others.
#[test]
fn an_execution_may_wait_for_its_turn_as_long_as_it_must() {
    paused(async {
        let stage = Stage::new();
        let runtime = stage.builder().max_executions(1).build().unwrap();
        let (first, _) = watch(&runtime, &one("deaf.task"), ()).await;
        let mut workflow = one("quick.task");
        workflow.settings.max_execution_time_ms = Some(100);
        let (second, _) = watch(&runtime, &workflow, ()).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        first.cancel();
        let result = second.wait().await.unwrap();
        assert!(result.is_success());
        assert!(result.started_at.since(first.wait().await.unwrap().started_at).as_secs() >= 60);
    });
}

#[test]
fn an_execution_that_waits_for_a_permit_times_out() {
    paused(async {
        let stage = Stage::new();
        let runtime = stage.builder().max_running_nodes(1).build().unwrap();
        let (first, _) = watch(&runtime, &one("deaf.task"), ()).await;
        stage.started.wait().await;
        let mut workflow = one("quick.task");
        workflow.settings.max_execution_time_ms = Some(100);
        let ran = run(&runtime, &workflow, ()).await;
        assert_eq!(ran.result.status, ExecutionStatus::TimedOut);
        assert_eq!(ran.result.node("a").unwrap().attempts, 0);
        first.cancel();
        first.wait().await.unwrap();
        assert_eq!(runtime.running_attempts(), 0);
    });
}

/// When each failed attempt started, in order.
fn starts(events: &[ExecutionEvent]) -> Vec<Timestamp> {
    let starts = events.iter().filter_map(|event| match event.event() {
        Some(Event::NodeFailed { started_at, .. }) => Some(*started_at),
        _ => None,
    });
    starts.collect()
}

/// The waits between attempts of a node that always fails, in milliseconds.
async fn waits(node_type: &str, policy: serde_json::Value) -> Vec<u64> {
    let mut stage = Stage::new();
    stage.registry.register_async(kind("busy.server", Execution::Task), |_| async {
        let error = NodeError::retryable("test.busy", "come back later");
        Err(error.with_retry_after(Duration::from_millis(700)))
    });
    stage.registry.register_function(kind("flaky.inline", Execution::Inline), |_| {
        Err(NodeError::retryable("test.flaky", "it failed"))
    });
    let node = json!({"id": "a", "node_type": node_type, "retry_policy": policy});
    let ran = run(&stage.runtime(), &workflow(json!({"nodes": [node]})), ()).await;
    assert_eq!(ran.result.status, ExecutionStatus::Failed);
    let starts = starts(&ran.events);
    assert_eq!(starts.len(), ran.result.node("a").unwrap().attempts as usize);
    let waits = starts.windows(2).map(|pair| pair[1].since(pair[0]));
    waits.map(|wait| u64::try_from(wait.as_millis()).unwrap()).collect()
}

/// tokio's timers count in milliseconds and never fire too early.
fn about(expected: &[u64], waits: &[u64]) -> bool {
    expected.len() == waits.len()
        && expected
            .iter()
            .zip(waits)
            .all(|(expected, wait)| (*expected..=expected + 2).contains(wait))
}

#[test]
fn the_waits_between_attempts_are_those_of_the_policy() {
    paused(async {
        let policy = json!({
            "max_attempts": 6, "delay_ms": 100, "backoff_multiplier": 3.0, "max_delay_ms": 1_000,
            "jitter": false,
        });
        for node_type in ["flaky", "flaky.inline"] {
            let waits = waits(node_type, policy.clone()).await;
            assert!(about(&[100, 300, 900, 1_000, 1_000], &waits), "{node_type}: {waits:?}");
        }
        // A server that names a longer wait gets it.
        let waits = waits("busy.server", policy).await;
        assert!(about(&[700, 700, 900, 1_000, 1_000], &waits), "{waits:?}");
    });
}

#[test]
fn jitter_only_shortens_the_wait() {
    paused(async {
        let policy = json!({"max_attempts": 200, "delay_ms": 1_000, "backoff_multiplier": 1.0});
        let waits = waits("flaky", policy).await;
        assert!(waits.iter().all(|wait| *wait <= 1_002));
        let short = waits.iter().filter(|wait| **wait < 500).count();
        assert!((50..150).contains(&short), "{short}");
    });
}

#[test]
fn many_attempts_without_any_wait_come_to_their_end() {
    paused(async {
        let policy = json!({"max_attempts": 1_100, "delay_ms": 0});
        for node_type in ["flaky", "flaky.inline"] {
            assert_eq!(waits(node_type, policy.clone()).await.len(), 1_099);
        }
    });
}

#[test]
fn no_attempt_starts_after_max_elapsed() {
    paused(async {
        let policy = json!({
            "max_attempts": 100, "delay_ms": 100, "backoff_multiplier": 1.0, "jitter": false,
            "max_elapsed_ms": 450,
        });
        assert_eq!(waits("flaky", policy).await.len(), 4);
        // One that is under way is cut off.
        let stage = Stage::new();
        let node = json!({"id": "a", "node_type": "deaf.task", "retry_policy": {
            "max_attempts": 2, "max_elapsed_ms": 800
        }});
        let begun = Instant::now();
        let ran = run(&stage.runtime(), &workflow(json!({"nodes": [node]})), ()).await;
        assert_eq!(ran.result.error.unwrap().code, "node.timed_out");
        assert!((800..=802).contains(&begun.elapsed().as_millis()));
    });
}

/// Two nodes share one permit: while one waits for its next attempt, the other runs.
#[test]
fn a_node_that_waits_holds_no_permit() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_async(
            kind("slow", Execution::Task).effect(Effect::Read),
            |_| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(NodeOutput::new())
            },
        );
        let runtime = stage.builder().max_running_nodes(1).build().unwrap();
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "flaky", "on_error": "ContinueOnError",
                 "retry_policy": {"max_attempts": 2, "delay_ms": 100, "jitter": false}},
                {"id": "b", "node_type": "slow"},
            ],
            "settings": {"max_parallel_nodes": 1}
        }));
        let ran = run(&runtime, &workflow, ()).await;
        assert_eq!(
            ran.transcript(),
            "started\na started #1\na failed #1 Failed test.flaky -> Retry\nb started #1\n\
             b completed #1\na waited\na started #2\na failed #2 Failed test.flaky -> Continue\n\
             ended Succeeded"
        );
    });
}
