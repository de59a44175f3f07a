//! A node that is really run twice with one key.

use std::sync::Arc;

use serde::Serialize;

use super::cast::Script;
use super::crash::{Case, Undisturbed};
use super::ledger::Ledger;
use super::outcome::{differences, result_differences};
use super::{Finding, Recording, Site, codes};
use crate::error::CliError;
use crate::testing::difference::Difference;
use flowcore::machine::Outcome;
use flowruntime::testing::covers;

const HINT: &str = "after a crash it may run again: what it calls has to know the idempotency key, or \
                    the node has the effect `once`";

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Twice {
    pub(crate) node: String,
    /// How many attempts were made a second time.
    pub(crate) attempts: usize,
    /// How what it gave differs from the first time.
    pub(crate) differences: Vec<Difference>,
    #[serde(skip)]
    pub(crate) finding: Option<Finding>,
}

/// Goes through the recorded run again, and really makes the attempts of one node: with the same
/// execution, round and address, and so with the same idempotency key. What follows goes on with what
/// it gives, and must be given the same.
pub(crate) fn run_twice(
    site: &Site,
    recording: &Arc<Recording>,
    ledger: &Ledger,
    node: &str,
) -> Result<Twice, CliError> {
    if !recording.attempts().any(|(key, _)| covers(node, Recording::address(key))) {
        return Err(CliError::DidNotRun(node.to_owned()));
    }
    let script = Script::Recorded { recording: recording.clone(), again: Some(node.to_owned()) };
    let failed = |message: &str, differences: Vec<Difference>| {
        let finding = Finding::new(codes::NOT_IDEMPOTENT, message, HINT).node(node);
        Some(finding.differences(differences))
    };
    let mut twice =
        Twice { node: node.to_owned(), attempts: 0, differences: Vec::new(), finding: None };
    let Undisturbed { history, starts, .. } = match Case::undisturbed(site, recording, &script)? {
        Ok(done) => done,
        Err(_) => {
            twice.finding =
                failed("run a second time with the same key, it does not end", Vec::new());
            return Ok(twice);
        }
    };
    let run = Recording::new(history);
    let mut has_failed = false;
    for (key, again) in run.attempts().filter(|(key, _)| covers(node, Recording::address(key))) {
        twice.attempts += 1;
        let first = recording.find(key, again.attempt).and_then(|first| first.outcome.as_ref());
        let (Some(first), Some(second)) = (first, &again.outcome) else { continue };
        let is_success = |outcome: &Outcome| matches!(outcome, Outcome::Succeeded { .. });
        has_failed |= is_success(first) && !is_success(second);
        twice.differences.extend(differences(first, second));
    }
    if has_failed {
        let message = "run a second time with the same key, it failed";
        twice.finding = failed(message, twice.differences.clone());
        return Ok(twice);
    }
    let results = result_differences(&recording.history.result, &run.history.result);
    let (was_given, is_given) =
        (super::judge::given(&ledger.starts()), super::judge::given(&starts));
    let others = is_given.iter().filter(|(attempt, given)| was_given.get(*attempt) != Some(*given));
    if !results.is_empty() || others.count() > 0 {
        let message = "run a second time with the same key, it gave something else, and what \
                       follows went on with that";
        let differences = twice.differences.iter().cloned().chain(results).collect();
        twice.finding = failed(message, differences);
    }
    Ok(twice)
}
