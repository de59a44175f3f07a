//! What holds for every case.

use std::collections::BTreeSet;
use std::sync::Mutex;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::generate::cases;
use super::play::play;
use super::reference::{failure, interpret};
use super::tree::Case;
use super::undoing::undo;

/// Cases in all. `FLOW_PROPERTY_CASES` asks for more, `FLOW_PROPERTY_SEED` for others.
const CASES: u32 = 250;

/// What happens in some case: else the cases are not worth much.
const OF_NOTE: [&str; 19] = [
    "CancelRequested",
    "CleanupStarted",
    "NodeCancelled",
    "NodeCompleted",
    "NodeFailed",
    "NodeInterrupted",
    "NodeWaiting",
    "Paused",
    "Recovered",
    "Resumed",
    "ScopeClosed",
    "ScopeOpened",
    "UndoStarted",
    "WorkflowCompleted",
    "nobody knows",
    "not undone",
    "undone in a call",
    "undoing stopped",
    "undone in reverse",
];

fn check(mut case: Case) -> BTreeSet<String> {
    // A cancel that comes while a failure is cleaned up ends that, too: the tables show it.
    case.cancel = case.cancel.filter(|cancel| *cancel < failure(&case));
    let (at, how) = interpret(&case);
    let stops = [case.cancel, case.again.map(|again| at + again)];
    let mut played = play(&case, stops.into_iter().flatten().collect());
    let undone = undo(&case, at, &how, &played.ledger);
    assert_eq!(played.end, (undone.at, how, undone.left), "the end: machine, reference");
    assert_eq!(played.undone, undone.begun, "what is undone, in this order");
    played.seen.extend(undone.seen.into_iter().map(str::to_owned));
    if undone.begun.iter().any(|address| case.is_called(address)) {
        played.seen.insert("undone in a call".to_owned());
    }
    played.seen
}

#[test]
fn every_nested_case_ends_as_the_reference_says() {
    let seen = Mutex::new(BTreeSet::new());
    let count = run(CASES, |case| {
        let mut found = check(case);
        seen.lock().unwrap().append(&mut found);
    });
    let seen = seen.into_inner().unwrap();
    let missing: Vec<_> = OF_NOTE.iter().filter(|what| !seen.contains(**what)).collect();
    assert!(count < CASES || missing.is_empty(), "no case shows {missing:?}");
}

/// Runs a check with so many cases, or as many as somebody asks for; gives how many.
pub(super) fn run(cases_in_all: u32, check: impl Fn(Case)) -> u32 {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let seed: u32 = number("FLOW_PROPERTY_SEED").unwrap_or(0);
    let count = number("FLOW_PROPERTY_CASES").unwrap_or(cases_in_all);
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: count,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let result = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
        check(case);
        Ok(())
    });
    if let Err(failed) = result {
        panic!("FLOW_PROPERTY_SEED={seed} FLOW_PROPERTY_CASES={count}: {failed}");
    }
    count
}
