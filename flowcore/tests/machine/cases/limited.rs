//! Nodes that wait for their turn under a rate limit.

use std::collections::BTreeSet;

use flowcore::machine::{Action, Fact, Machine, Outcome, Timer, Turn, Wish};
use flowcore::{
    Effect, Instance, Join, NodeError, NodeOutput, NodeSpec, Object, RateLimitSpec, RetryPolicy,
    Timestamp, Workflow,
};
use proptest::prelude::*;

use crate::stage::{Stage, inline, machine, node, workflow};

fn limited(nodes: impl IntoIterator<Item = NodeSpec>, links: &[&str]) -> Workflow {
    let mut flow = workflow(nodes, links);
    let limit = |node_type| RateLimitSpec::of_node_type(node_type, 1, 1_000);
    flow.settings.rate_limits = vec![limit("waiting"), limit("inline")];
    flow
}

fn must_wait(stage: &mut Stage, id: &str, until: i64) {
    let instance = stage.instance(id);
    let until = Timestamp::from_millis(until);
    stage.play("+0");
    stage.tell(Fact::RateLimited { instance, until, name: "waiting".into() });
}

fn is_due(stage: &mut Stage, id: &str, attempt: u32) {
    let instance = stage.instance(id);
    stage.tell(Fact::TimerFired(Timer::Retry { instance, attempt }));
}

#[test]
fn one_that_waits_lets_the_others_go_on_and_has_no_attempt_yet() {
    let mut flow = limited([node("a"), node("b")], &[]);
    flow.settings.max_parallel_nodes = Some(1);
    let mut stage = Stage::without_permits(&flow);
    must_wait(&mut stage, "a", 500);
    assert_eq!(stage.wishes(), "set retry of a 0 at 500");
    assert_eq!(stage.open(), "a Waiting");
    stage.play("permit");
    assert_eq!(stage.open(), "a Waiting, b Running");
    stage.now = 500;
    is_due(&mut stage, "a", 0);
    stage.play("b ok, permit");
    assert_eq!(stage.wishes(), "start a 1", "the wait was no attempt");
    stage.play("a ok");
    let result = stage.result();
    assert_eq!(result.node("a").unwrap().attempts, 1);
    assert_eq!(result.node("a").unwrap().started_at, Some(Timestamp::from_millis(500)));
}

#[test]
fn it_is_cancelled_at_once() {
    let flow = limited([node("a")], &[]);
    let mut stage = Stage::without_permits(&flow);
    must_wait(&mut stage, "a", 500);
    stage.play("cancel");
    assert_eq!(stage.wishes(), "clear retry of a 0, finish");
    assert_eq!(stage.statuses(), "a Cancelled; Cancelled");
}

#[test]
fn it_may_lose_a_race() {
    let first = node("c").join(Join::First);
    let flow = limited([node("a"), node("b"), first], &["a > c", "b > c"]);
    let mut stage = Stage::without_permits(&flow);
    must_wait(&mut stage, "a", 500);
    stage.play("permit, b ok");
    assert_eq!(stage.statuses(), "a Cancelled, b Succeeded, c Pending; Running");
}

#[test]
fn an_attempt_after_a_failure_waits_as_well() {
    let policy =
        RetryPolicy { max_attempts: 2, delay_ms: 100, jitter: false, ..RetryPolicy::default() };
    let mut stage = Stage::without_permits(&limited([node("a").retry(policy)], &[]));
    stage.play("permit, a is busy");
    is_due(&mut stage, "a", 1);
    must_wait(&mut stage, "a", 900);
    assert_eq!(stage.wishes(), "set retry of a 1 at 900");
    is_due(&mut stage, "a", 1);
    stage.play("permit, a ok");
    assert_eq!(stage.result().node("a").unwrap().attempts, 2);
}

#[test]
fn only_the_node_that_would_start_next_can_be_told_to_wait() {
    let flow = limited([node("a"), node("b")], &[]);
    let mut stage = Stage::without_permits(&flow);
    must_wait(&mut stage, "b", 500);
    must_wait(&mut stage, "a", 500);
    must_wait(&mut stage, "a", 600);
    assert_eq!((stage.machine.stale_facts(), stage.open().as_str()), (2, "a Waiting"));
    let mut free = Stage::without_permits(&workflow([node("a")], &[]));
    must_wait(&mut free, "a", 500);
    assert_eq!(free.machine.stale_facts(), 1, "it has no limit");
}

/// What may happen next, as facts.
fn possible(machine: &Machine, now: i64, late: i64) -> Vec<Fact> {
    let mut wishes: Vec<Wish> = Vec::new();
    machine.outstanding(&mut wishes);
    let wait = |instance| Fact::RateLimited {
        instance,
        until: Timestamp::from_millis(now + late),
        name: "waiting".into(),
    };
    let mut facts = Vec::new();
    if let Some(instance) = machine.wants_permit_for() {
        facts.extend([Fact::PermitGranted, wait(instance)]);
    }
    for wish in wishes {
        match wish.action {
            Action::Start { instance, attempt } => {
                // It has not started: it was only offered.
                let is_offered = machine.plan().graph().node(instance.node).has_one_event();
                facts.extend(is_offered.then(|| wait(instance)));
                facts.extend(ends(instance, attempt, now));
            }
            Action::SetTimer { timer, .. } => facts.push(Fact::TimerFired(timer)),
            Action::Cancel { .. }
            | Action::ClearTimer { .. }
            | Action::ReleaseInstances
            | Action::ReleaseScope { .. }
            | Action::Finish => {}
        }
    }
    facts
}

fn ends(instance: Instance, attempt: u32, now: i64) -> [Fact; 2] {
    let state_writes = Object::new();
    let outputs = NodeOutput::of("x", 1);
    let outcomes = [
        Outcome::Succeeded { outputs, state_writes, cache: None },
        Outcome::Failed(NodeError::retryable("test.busy", "not now")),
    ];
    let started_at = Timestamp::from_millis(now);
    outcomes.map(|outcome| Fact::AttemptEnded {
        instance,
        attempt,
        started_at,
        outcome,
        jitter: 1.0,
    })
}

fn outstanding(machine: &Machine) -> BTreeSet<String> {
    let mut wishes = Vec::new();
    machine.outstanding(&mut wishes);
    wishes.iter().map(|wish| format!("{wish:?}")).collect()
}

proptest! {
    /// Whatever waits, and whenever: the fold of the serialised events is the live state, what is
    /// outstanding follows from it alone, and there is an end.
    #[test]
    fn a_fold_waits_for_the_same(
        kinds in proptest::collection::vec(any::<(bool, bool, bool)>(), 1..6),
        links in proptest::collection::vec((0_usize..6, 0_usize..6), 0..6),
        choices in proptest::collection::vec(any::<usize>(), 60),
        cancels_at in proptest::option::of(0_usize..30),
    ) {
        let policy = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
        let names = ["a", "b", "c", "d", "e", "f"];
        let nodes = names.iter().zip(&kinds).map(|(name, (is_inline, is_pure, is_retried))| {
            let node = if *is_inline { inline(name) } else { node(name) };
            let node = if *is_pure { node.effect(Effect::Pure) } else { node };
            if *is_retried { node.retry(policy.clone()) } else { node }
        });
        let links = links.iter().filter(|(from, to)| from < to && *to < kinds.len());
        let links: Vec<String> =
            links.map(|(from, to)| format!("{} > {}", names[*from], names[*to])).collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        let mut flow = limited(nodes, &links);
        flow.settings.max_parallel_nodes = Some(2);
        let (mut live, mut folded) = (machine(&flow), machine(&flow));
        let mut now = 0;
        let mut facts = vec![Fact::Start { inputs: Object::new(), kept: None }];
        let mut choices = choices.into_iter();
        for step in 0.. {
            if cancels_at == Some(step) && step > 0 {
                let reason = flowcore::CancelReason::Requested;
                facts = vec![Fact::Cancel { reason, by: None }];
            }
            if facts.is_empty() {
                break;
            }
            // In the end nothing waits or fails any more, so that there is an end.
            let choice = choices.next().unwrap_or(0) % facts.len();
            let fact = facts.swap_remove(choice);
            now += 10;
            let mut turn = Turn::recording();
            live.handle(Timestamp::from_millis(now), fact, &mut turn).unwrap();
            for recorded in turn.events {
                let json = serde_json::to_string(&recorded.record).unwrap();
                folded.apply(serde_json::from_str(&json).unwrap()).unwrap();
            }
            prop_assert_eq!(&folded, &live);
            prop_assert_eq!(outstanding(&folded), outstanding(&live));
            facts = possible(&live, now, 1 + (choice as i64) * 100);
            prop_assert!(step < 500, "there is no end");
        }
        prop_assert!(live.status().is_terminal(), "{:?}", live);
    }
}
