//! Whether the driver did exactly what the reference says.

use std::collections::BTreeMap;

use flowcore::ExecutionResult;

use crate::cast::{FOR_EVER, Pace, Seen};
use crate::reference::interpret;
use crate::script::{Case, End, Key, id, without_messages};
use crate::story::was_stillborn;
use crate::theatre::{House, Played};

/// Where chance decides nothing.
pub(crate) fn house() -> House {
    House { pace: Pace::Clock, max_running_nodes: 1_000, grace: FOR_EVER, rates: Vec::new() }
}

/// Every attempt was given the same, and the end is the same at the same moment.
#[track_caller]
pub(crate) fn check_agreement(case: &Case, played: &Played) {
    let (end, log) = interpret(case);
    let given = log.iter().filter_map(|(key, given)| Some((*key, given.as_ref().ok()?.into())));
    let mut expected: BTreeMap<Key, Seen> = given.collect();
    let seen = played.cast.log.lock().unwrap().clone();
    // The driver need not have begun what was told to stop at once.
    expected.retain(|key, _| seen.contains_key(key) || !was_stillborn(&played.events, *key));
    assert_eq!(seen, expected, "what attempts were given: driver, reference");
    assert_eq!(end_of(&played.result), end, "the end: driver, reference");
}

fn end_of(result: &ExecutionResult) -> End {
    let error = result.error.as_ref();
    let position = |node: &String| (0..).find(|index| id(*index) == *node);
    let took = result.ended_at.as_micros() - result.started_at.as_micros();
    End {
        status: result.status,
        error: error.map(|error| (error.code.clone(), error.node.as_ref().and_then(position))),
        outputs: without_messages(&result.outputs),
        warnings: result.warnings.len(),
        rounds: result.rounds,
        at: took,
        nodes: result.nodes().map(|node| (node.status, node.attempts)).collect(),
    }
}
