//! What holds for every case.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Once;

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::generate::cases;
use crate::play::play;
use crate::reference::interpret;
use crate::script::Case;

/// Cases in all. `FLOW_PROPERTY_CASES` asks for more, `FLOW_PROPERTY_SEED` for others.
const CASES: u32 = 2_000;
/// Each part has its own thread and its own seed.
const PARTS: u32 = 4;

/// What happens in every part: else the cases are not worth much.
const OF_NOTE: [&str; 40] = [
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
    "stale PermitGranted",
    "stale Retry",
];

/// Gives everything of note that happened.
fn check(case: &Case) -> BTreeSet<String> {
    let (end, log) = interpret(case);
    let played = play(case);
    assert_eq!(played.log, log, "what attempts were given: machine, reference");
    assert_eq!(played.end, end, "the end: machine, reference");
    played.check_every_stop(case);
    played.seen
}

#[expect(clippy::print_stderr, reason = "the case that failed is shown once")]
fn run_part(part: u32) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let seed: u32 = number("FLOW_PROPERTY_SEED").unwrap_or(0);
    let cases_in_all = number("FLOW_PROPERTY_CASES").unwrap_or(CASES);
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    bytes[4..8].copy_from_slice(&part.to_le_bytes());
    let config = Config {
        cases: cases_in_all.div_ceil(PARTS),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    be_quiet(true);
    let seen = RefCell::new(BTreeSet::new());
    let result = runner.run(&cases(), |case| {
        seen.borrow_mut().append(&mut check(&case));
        Ok(())
    });
    be_quiet(false);
    match result {
        Ok(()) if cases_in_all < CASES => {}
        Ok(()) => {
            let missing: Vec<_> =
                OF_NOTE.iter().filter(|what| !seen.borrow().contains(**what)).collect();
            assert!(missing.is_empty(), "no case shows {missing:?} but {:?}", seen.borrow());
        }
        Err(TestError::Fail(_, case)) => {
            eprintln!("FLOW_PROPERTY_SEED={seed} FLOW_PROPERTY_CASES={cases_in_all}, part {part}");
            eprintln!("{case:#?}");
            check(&case);
            panic!("the case failed only once");
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// While a failure is made smaller, its panics would fill the screen.
fn be_quiet(is_quiet: bool) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                hook(info);
            }
        }));
    });
    IS_QUIET.set(is_quiet);
}

#[test]
fn every_case_ends_as_the_reference_says_part_0() {
    run_part(0);
}

#[test]
fn every_case_ends_as_the_reference_says_part_1() {
    run_part(1);
}

#[test]
fn every_case_ends_as_the_reference_says_part_2() {
    run_part(2);
}

#[test]
fn every_case_ends_as_the_reference_says_part_3() {
    run_part(3);
}
