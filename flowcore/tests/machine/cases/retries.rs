//! When a failed attempt is followed by another.

use flowcore::machine::{Fact, Outcome};
use flowcore::{Effect, NodeError, RetryPolicy, Timestamp};
use std::time::Duration;

use crate::stage::{Stage, check, check_wishes, node, workflow};

fn policy(max_attempts: u32) -> RetryPolicy {
    RetryPolicy { max_attempts, delay_ms: 1_000, jitter: false, ..RetryPolicy::default() }
}

#[test]
fn waits_grow_and_jitter_scales_them() {
    let limited = RetryPolicy { max_delay_ms: 1_500, ..policy(9) };
    let random = RetryPolicy { jitter: true, ..policy(9) };
    let cases = [
        (policy(9), 0.5, [1_000, 2_000, 4_000]),
        (limited, 0.0, [1_000, 1_500, 1_500]),
        (random.clone(), 0.0, [0, 0, 0]),
        (random.clone(), 0.5, [500, 1_000, 2_000]),
        (random, 1.0, [1_000, 2_000, 4_000]),
    ];
    for (policy, jitter, waits) in cases {
        let mut stage = Stage::new(&workflow([node("a").retry(policy)], &[]));
        stage.jitter = jitter;
        stage.now = 50;
        for (attempt, wait) in (1..).zip(waits) {
            stage.play("a is busy");
            let due = stage.now + wait;
            assert_eq!(stage.wishes(), format!("set retry of a {attempt} at {due}"), "{jitter}");
            stage.play(&format!("+{wait}, a is due"));
            assert_eq!(stage.wishes(), format!("start a {}", attempt + 1), "{jitter}");
        }
    }
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let once = |node: flowcore::NodeSpec| node.effect(Effect::Once);
    let patient = node("a").retry(policy(3));
    let impatient = node("a").retry(RetryPolicy { retry_on_timeout: false, ..policy(3) });
    let (waits, failed) = ("a Waiting; Waiting", "a Failed; Failed");
    let cases = [
        (patient.clone(), "a is busy", waits),
        (patient.clone(), "a fails", failed),
        (patient.clone(), "a panics", failed),
        (patient.clone(), "a is late", waits),
        (impatient, "a is late", failed),
        // What became of an attempt that was cut off is unknown; one that says so itself may go on.
        (once(patient.clone()), "a is late", failed),
        (once(patient.clone()), "a is busy", waits),
        (node("a"), "a is busy", failed),
        (node("a").retry(policy(1)), "a is busy", failed),
        (patient.clone(), "a is busy, a is due, a is busy, a is due", "a Running 3; Running"),
        (patient, "a is busy, a is due, a is busy, a is due, a is busy", "a Failed 3; Failed"),
    ];
    for (node, steps, statuses) in cases {
        check(&workflow([node], &[]), steps, statuses);
    }
}

#[test]
fn max_elapsed_bounds_the_node_with_its_retries() {
    let bounded = |ms| RetryPolicy { max_elapsed_ms: Some(ms), ..policy(9) };
    let flow = |ms| workflow([node("a").retry(bounded(ms)).timeout_ms(700)], &[]);
    check(&flow(1_001), "a is busy", "a Waiting; Waiting");
    check(&flow(1_000), "a is busy", "a Failed; Failed");
    check(&flow(1_500), "+400, a is busy", "a Waiting; Waiting");
    check(&flow(1_500), "+600, a is busy", "a Failed; Failed");
    // The second attempt gets what is left of it.
    let mut stage = Stage::new(&flow(1_500));
    let timeout = |stage: &Stage| {
        let prepared = stage.machine.prepare(stage.instance("a"), stage.moment());
        prepared.unwrap_or_else(|error| panic!("{error:?}")).timeout
    };
    assert_eq!(timeout(&stage), Some(Duration::from_millis(700)));
    stage.play("+300, a is busy, +1000, a is due");
    assert_eq!(timeout(&stage), Some(Duration::from_millis(200)));
    stage.play("+300");
    assert_eq!(timeout(&stage), Some(Duration::ZERO));
}

#[test]
fn an_error_may_ask_for_a_longer_wait() {
    let wishes = |wait: Duration| {
        let mut stage = Stage::new(&workflow([node("a").retry(policy(2))], &[]));
        let error = NodeError::retryable("http.status", "429").with_retry_after(wait);
        stage.tell(Fact::AttemptEnded {
            instance: stage.instance("a"),
            attempt: 1,
            started_at: Timestamp::default(),
            outcome: Outcome::Failed(error),
            jitter: 1.0,
        });
        stage.wishes()
    };
    let last = |wishes: String| wishes.rsplit(", ").next().unwrap().to_owned();
    assert_eq!(last(wishes(Duration::from_secs(5))), "set retry of a 1 at 5000");
    assert_eq!(last(wishes(Duration::from_millis(5))), "set retry of a 1 at 1000");
    assert_eq!(last(wishes(Duration::MAX)), "set retry of a 1 at 253402207200000");
}

#[test]
fn a_node_that_is_due_waits_its_turn() {
    let mut flow = workflow([node("a").retry(policy(2)), node("b"), node("c")], &[]);
    flow.settings.max_parallel_nodes = Some(1);
    check(&flow, "a is busy", "a Waiting, b Running, c Pending; Running");
    check(&flow, "a is busy, a is due", "a Pending, b Running, c Pending; Running");
    check(&flow, "a is busy, a is due, b ok", "a Pending, b Succeeded, c Running; Running");
    check_wishes(&flow, "a is busy, a is due, b ok, c ok", "start a 2");
}
