//! What holds for every case.

use std::collections::BTreeSet;
use std::sync::Mutex;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::generate::cases;
use super::play::play;
use super::reference::{failure, interpret};
use super::tree::Case;

/// Cases in all. `FLOW_PROPERTY_CASES` asks for more, `FLOW_PROPERTY_SEED` for others.
const CASES: u32 = 250;

/// What happens in some case: else the cases are not worth much.
const OF_NOTE: [&str; 9] = [
    "CancelRequested",
    "CleanupStarted",
    "NodeCancelled",
    "NodeCompleted",
    "NodeFailed",
    "NodeWaiting",
    "ScopeClosed",
    "ScopeOpened",
    "WorkflowCompleted",
];

fn check(mut case: Case) -> BTreeSet<String> {
    // A cancel that comes while a failure is cleaned up ends that, too: the tables show it.
    case.cancel = case.cancel.filter(|cancel| *cancel < failure(&case));
    let expected = interpret(&case);
    let (at, how, seen) = play(&case);
    assert_eq!((at, how), expected, "the end: machine, reference");
    seen
}

#[test]
fn every_nested_case_ends_as_the_reference_says() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let seed: u32 = number("FLOW_PROPERTY_SEED").unwrap_or(0);
    let count = number("FLOW_PROPERTY_CASES").unwrap_or(CASES);
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: count,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let seen = Mutex::new(BTreeSet::new());
    let result = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
        let mut found = check(case);
        seen.lock().unwrap().append(&mut found);
        Ok(())
    });
    if let Err(failed) = result {
        panic!("FLOW_PROPERTY_SEED={seed} FLOW_PROPERTY_CASES={count}: {failed}");
    }
    let seen = seen.into_inner().unwrap();
    let missing: Vec<_> = OF_NOTE.iter().filter(|what| !seen.contains(**what)).collect();
    assert!(count < CASES || missing.is_empty(), "no case shows {missing:?}");
}
