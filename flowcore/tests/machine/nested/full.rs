//! Histories that become as long as they may.

use std::collections::BTreeSet;
use std::sync::Mutex;

use flowcore::ExecutionStatus;

use super::play::play_full;
use super::properties::run;
use super::tree::Case;

/// Cases in all.
const CASES: u32 = 60;

/// What happens in some case: else the cases are not worth much.
const OF_NOTE: [&str; 4] = ["ended full", "full while it ended", "undone when full", "not undone"];

/// Gives everything of note that happened.
fn check(case: &Case) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let (events, unlimited) = play_full(case, None);
    // With fewer, not even the beginning and its end fit.
    for max in [events / 4, events / 2, events * 3 / 4, events].map(|max| max.max(20)) {
        let (seq, result) = play_full(case, Some(max));
        let code = result.error.as_ref().map(|error| error.code.as_str());
        if code == Some("history.too_many_events") {
            assert_eq!(result.status, ExecutionStatus::Failed);
            seen.insert("ended full");
            let aborted = |left: &flowcore::NotUndone| left.code == "undo.aborted";
            let is_aborted = result.not_undone.iter().any(aborted);
            seen.insert(if is_aborted { "not undone" } else { "undone when full" });
        } else if result.status != unlimited.status {
            panic!("{result:?} instead of {unlimited:?}");
        } else if seq < events {
            seen.insert("full while it ended");
        }
    }
    let (seq, result) = play_full(case, Some(events * 20 + 100));
    assert_eq!((seq, result.status), (events, unlimited.status), "no limit was reached");
    seen
}

#[test]
fn every_end_fits_into_its_history() {
    let seen = Mutex::new(BTreeSet::new());
    let count = run(CASES, |case| {
        let mut found = check(&case);
        seen.lock().unwrap().append(&mut found);
    });
    let seen = seen.into_inner().unwrap();
    let missing: Vec<_> = OF_NOTE.iter().filter(|what| !seen.contains(**what)).collect();
    assert!(count < CASES || missing.is_empty(), "no case shows {missing:?}");
}
