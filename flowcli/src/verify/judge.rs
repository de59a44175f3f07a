//! What is wrong with a run.

use std::collections::{BTreeSet, HashMap};

use flowcore::{Digest, Effect, Event, ExecutionEvent};
use flowruntime::History;
use flowruntime::testing::crash;

use super::ledger::{By, Start};
use super::outcome::{differences, result_differences};
use super::{Finding, Recording, codes};

const BUG: &str = "this is a bug in Flow, not in your workflow: please report it";
const PURE: &str = "give it another effect, such as `read`, or take out what changes: a clock, a \
                    random number, something that it reads";
const OTHER: &str = "after a crash something decides that the workflow does not say, such as the \
                     order in which nodes end";
const REPEATED: &str = "the result depends on what is not recorded, such as nodes and times that \
                        ended nearly together; run it again, or make their order explicit";

/// What attempts were given, by their keys.
pub(crate) type Given = HashMap<(String, u32), Digest>;

pub(crate) fn given(starts: &[Start]) -> Given {
    let given = |start: &Start| {
        let deed = &start.deed;
        ((deed.key.clone(), deed.attempt), start.given)
    };
    starts.iter().map(given).collect()
}

/// The nodes that say that they are `pure`, and gave something else for the same inputs.
pub(crate) fn liars(
    recording: &Recording,
    recorded: &Given,
    run: &Recording,
    starts: &[Start],
) -> Vec<Finding> {
    let given = given(starts);
    let mut found: Vec<Finding> = Vec::new();
    for (key, again) in run.attempts() {
        if run.effect(again.node) != Effect::Pure {
            continue;
        }
        let Some(first) = recording.find(key, again.attempt) else { continue };
        let was_given = recorded.get(&(key.to_owned(), first.attempt));
        let is_given = given.get(&(key.to_owned(), again.attempt));
        // One that was given something else may give something else.
        if was_given.is_none() || was_given != is_given {
            continue;
        }
        let (Some(expected), Some(actual)) = (&first.outcome, &again.outcome) else { continue };
        let differences = differences(expected, actual);
        if !differences.is_empty() {
            let message = "says that it is `pure`, and gave something else for the same inputs";
            let finding = Finding::new(codes::NOT_PURE, message, PURE);
            found.push(finding.node(Recording::address(key)).differences(differences));
        }
    }
    found
}

/// What is wrong with the recorded run, gone through again without a crash.
pub(crate) fn repeated(recording: &Recording, again: &History) -> Option<Finding> {
    let differences = result_differences(&recording.history.result, &again.result);
    let message = "the recorded run gives something else when it is gone through again";
    let finding = Finding::new(codes::NOT_REPEATABLE, message, REPEATED);
    (!differences.is_empty()).then(|| finding.differences(differences))
}

/// The nodes that were cut off and may not be started again: that is as it should be.
pub(crate) fn unknown(history: &History) -> BTreeSet<String> {
    let is_unknown = |event: &&ExecutionEvent| match event.event() {
        Some(Event::NodeFailed { error, .. }) => error.code() == "node.outcome_unknown",
        _ => false,
    };
    let cut_off = history.events.iter().filter(is_unknown);
    cut_off.filter_map(|event| event.node_id()).map(str::to_owned).collect()
}

/// What the checker found, in words.
pub(crate) fn explain(
    finding: crash::Finding,
    after: Option<&History>,
    expected: &History,
) -> Finding {
    use crash::Finding as Found;
    let broken = |message: &str| Finding::new(codes::BAD_HISTORY, message, BUG);
    let again = |deed: &crash::Deed, message: String| {
        Finding::new(codes::RAN_AGAIN, message, BUG).node(Recording::address(&deed.key))
    };
    match finding {
        Found::Lost => Finding::new(codes::LOST, "an execution that was accepted is gone", BUG),
        Found::Stuck => Finding::new(codes::STUCK, "the execution does not end", BUG),
        Found::Unreadable(problem) => broken(&format!("what is kept cannot be read: {problem}")),
        Found::Ends(count) => broken(&format!("it has {count} last events instead of one")),
        Found::Gap => broken("the numbers of its events have a gap"),
        Found::Row(_) => broken("what is kept of it does not follow its events"),
        Found::Rewritten => broken("an event that was kept is another one now"),
        Found::Signals => broken("a signal was taken up more often than it was sent"),
        Found::Again(deed) => again(&deed, "was finished, and was started again".to_owned()),
        Found::Twice(deed) => again(&deed, format!("attempt {} was made twice", deed.attempt)),
        Found::OnceAgain(deed) => {
            again(&deed, "has the effect `once`, and was started twice".to_owned())
        }
        Found::Unannounced(deed) => again(&deed, "was started before that was kept".to_owned()),
        Found::Other(_) => {
            let found = after.map(|after| result_differences(&expected.result, &after.result));
            let message = "something else came out";
            let finding = Finding::new(codes::OTHER_RESULT, message, OTHER);
            finding.differences(found.unwrap_or_default())
        }
        other => broken(&format!("{other:?}")),
    }
}

/// An attempt that the recorded run did not make, and that no node that was cut off explains.
pub(crate) fn detour(starts: &[Start], after: &History) -> Option<Finding> {
    let start = starts.iter().find(|start| start.by == By::Nobody)?;
    if !unknown(after).is_empty() {
        return None;
    }
    let message = "ran, and did not in the recorded run";
    let finding = Finding::new(codes::OTHER_RESULT, message, OTHER);
    Some(finding.node(Recording::address(&start.deed.key)))
}
