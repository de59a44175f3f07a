//! What holds for every case.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::play::play;
use crate::reference::interpret;
use crate::runner::run_part;
use crate::script::Case;

/// Cases in all.
const CASES: u32 = 2_000;

/// What happens in every part: else the cases are not worth much.
const OF_NOTE: [&str; 44] = [
    "CancelRequested ExecutionTimeout",
    "CancelRequested LostRace",
    "CancelRequested Requested",
    "NodeCancelled ExecutionTimeout",
    "NodeCancelled LostRace",
    "NodeCancelled Requested",
    "NodeCancelled SiblingFailed",
    "NodeCompleted",
    "NodeFailed Failed Continue",
    "NodeFailed Failed Ending",
    "NodeFailed Failed ErrorPort",
    "NodeFailed Failed NewRound",
    "NodeFailed Failed Retry",
    "NodeFailed Failed Stop",
    "NodeFailed Panicked Continue",
    "NodeFailed Panicked Ending",
    "NodeFailed Panicked ErrorPort",
    "NodeFailed Panicked NewRound",
    "NodeFailed Panicked Stop",
    "NodeFailed TimedOut Continue",
    "NodeFailed TimedOut Ending",
    "NodeFailed TimedOut ErrorPort",
    "NodeFailed TimedOut NewRound",
    "NodeFailed TimedOut Retry",
    "NodeFailed TimedOut Stop",
    "NodeSkipped Connections",
    "NodeSkipped When",
    "NodeStarted",
    "Paused Requested",
    "Resumed",
    "RoundStarted",
    "WaitEnded",
    "WorkflowCompleted Cancelled",
    "WorkflowCompleted Failed",
    "WorkflowCompleted Succeeded",
    "WorkflowCompleted TimedOut",
    "WorkflowStarted",
    "stale AttemptEnded",
    "stale Cancel",
    "stale Deadline",
    "stale Pause",
    "stale PermitGranted",
    "stale Resume",
    "stale Retry",
];

/// What happens after a crash in every part.
const OF_CRASHES: [&str; 8] = [
    "NodeFailed Interrupted Continue",
    "NodeFailed Interrupted ErrorPort",
    "NodeFailed Interrupted NewRound",
    "NodeFailed Interrupted Stop",
    "NodeInterrupted",
    "Paused CrashLoop",
    "Recovered",
    "Resumed",
];

/// Gives everything of note that happened.
fn check(case: &Case) -> BTreeSet<String> {
    let (end, log) = interpret(case);
    let played = play(case);
    assert_eq!(played.log, log, "what attempts were given: machine, reference");
    assert_eq!(played.end, end, "the end: machine, reference");
    played.check_every_stop(case);
    played.check_rerun(case);
    let crashed = [played.check_every_crash(case), played.check_many_crashes(case)];
    // What is only seen after a crash is no proof that it happens without one.
    let is_of_crashes = |what: &String| OF_CRASHES.contains(&&**what);
    let crashed = crashed.into_iter().flatten().filter(is_of_crashes);
    played.seen.into_iter().chain(crashed).collect()
}

fn check_part(part: u32) {
    let seen = RefCell::new(BTreeSet::new());
    let cases_in_all = run_part(part, CASES, |case| seen.borrow_mut().append(&mut check(case)));
    if cases_in_all >= CASES {
        let seen = seen.into_inner();
        let missing: Vec<_> =
            OF_NOTE.iter().chain(&OF_CRASHES).filter(|what| !seen.contains(**what)).collect();
        assert!(missing.is_empty(), "no case shows {missing:?} but {seen:?}");
    }
}

#[test]
fn every_case_ends_as_the_reference_says_part_0() {
    check_part(0);
}

#[test]
fn every_case_ends_as_the_reference_says_part_1() {
    check_part(1);
}

#[test]
fn every_case_ends_as_the_reference_says_part_2() {
    check_part(2);
}

#[test]
fn every_case_ends_as_the_reference_says_part_3() {
    check_part(3);
}
