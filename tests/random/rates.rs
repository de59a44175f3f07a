//! Random workflows under rate limits: whoever waits for a turn does what it would have done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::{Event, EventBody, ExecutionEvent, Join, OnError, RateLimitSpec, Wait};

use crate::CASES;
use crate::cast::{FOR_EVER, Pace};
use crate::fit::{duration, for_agreement, for_storm};
use crate::flavours::{on_multi_thread, paused};
use crate::runner::run_part;
use crate::script::{Case, Ends, id, without_messages};
use crate::theatre::{House, play};

/// How often attempts had to wait for their turn, over all cases of this program.
static WAITS: AtomicUsize = AtomicUsize::new(0);

/// One or two limits for resources that about half of the nodes use.
fn limits(case: &Case) -> Vec<RateLimitSpec> {
    let spec = |number: u32| {
        let bits = case.seed.rotate_right(number * 23);
        let using = (0..case.nodes.len()).filter(|node| bits >> (node % 40) & 1 == 1);
        RateLimitSpec {
            node_type: None,
            resource: Some(format!("r{number}").into()),
            nodes: using.map(|node| Arc::from(id(node))).collect(),
            limit: 1 + u32::try_from(bits >> 41 & 1).unwrap(),
            per_ms: 1 + (bits >> 43) % 9,
        }
    };
    let specs = (0..1 + u32::try_from(case.seed >> 60 & 1).unwrap()).map(spec);
    specs.filter(|spec| !spec.nodes.is_empty()).collect()
}

fn note_waits(events: &[ExecutionEvent]) {
    let waits = events.iter().filter(|event| match &event.body {
        EventBody::Fact(record) => {
            matches!(&record.event, Event::NodeWaiting { wait: Wait::RateLimit { .. }, .. })
        }
        _ => false,
    });
    WAITS.fetch_add(waits.count(), Ordering::Relaxed);
}

fn house(case: &Case, pace: Pace) -> House {
    House {
        pace,
        max_running_nodes: 1 + (case.seed % 4) as usize,
        grace: duration(i64::try_from(case.seed % 3).unwrap() * 2000),
        rates: limits(case),
    }
}

/// Everything at once, as in the storm.
fn check_with_paused_time(case: &Case) {
    let case = for_storm(case);
    let played = paused(play(&case, &house(&case, Pace::Clock)));
    note_waits(&played.events);
}

fn check_on_two_threads(case: &Case) {
    let case = for_storm(case);
    on_multi_thread(play(&case, &house(&case, Pace::Turns)));
}

/// Where it makes no difference when something happens, a limit makes none at all.
fn check_the_same_comes_of_it(case: &Case) {
    let case = timeless(&for_agreement(case));
    let house =
        |rates| House { pace: Pace::Clock, max_running_nodes: 1_000, grace: FOR_EVER, rates };
    let limits = limits(&case);
    let outcome = |rates: Vec<RateLimitSpec>| {
        let played = paused(play(&case, &house(rates)));
        note_waits(&played.events);
        let result = played.result;
        let nodes: BTreeMap<_, _> = result
            .nodes()
            .map(|node| (node.id.to_string(), (node.status, node.attempts)))
            .collect();
        (result.status, without_messages(&result.outputs), nodes)
    };
    assert_eq!(outcome(limits), outcome(Vec::new()), "with limits, without");
}

/// The same without what depends on time: nothing takes too long, wins a race, or ends the rest.
fn timeless(case: &Case) -> Case {
    let mut case = case.clone();
    case.deadline = None;
    case.cancels.clear();
    case.on_error = OnError::ContinueOnError;
    for node in &mut case.nodes {
        node.timeout_ms = None;
        node.on_error = None;
        if node.join == Join::First {
            node.join = Join::Any;
        }
        if let Some(retry) = &mut node.retry {
            retry.max_elapsed_ms = None;
        }
        for plan in &mut node.plans {
            plan.writes = false;
            if plan.ends == Ends::TooLate {
                plan.ends = Ends::Badly;
            }
        }
    }
    case
}

#[test]
fn with_paused_time() {
    run_part(0, CASES, check_with_paused_time);
    assert!(WAITS.load(Ordering::Relaxed) > 0, "no case shows a wait");
}

#[test]
fn on_two_threads() {
    run_part(1, CASES, check_on_two_threads);
}

#[test]
fn the_same_comes_of_it_part_2() {
    run_part(2, CASES, check_the_same_comes_of_it);
}

#[test]
fn the_same_comes_of_it_part_3() {
    run_part(3, CASES, check_the_same_comes_of_it);
}
