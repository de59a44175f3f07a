//! What must hold after a crash, whatever it was.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::{Effect, Event, ExecutionEvent, ExecutionId};
use flowruntime::History;

use crate::witness::Deed;

/// A run that crashed, and was finished by another process.
pub(crate) struct Crash<'a> {
    /// The execution that the first process was told is accepted.
    pub(crate) accepted: Option<ExecutionId>,
    /// What was kept when the first process died.
    pub(crate) before: Vec<History>,
    /// What is kept at the end.
    pub(crate) after: Vec<History>,
    /// What nodes really did.
    pub(crate) deeds: Vec<Deed>,
    /// The same workload without a crash.
    pub(crate) expected: &'a History,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// An execution that was accepted is gone.
    Lost,
    /// What is kept cannot be read, or does not fold.
    Unreadable(String),
    /// It does not end.
    Stuck,
    /// There is not exactly one last event, at the end.
    Ends(usize),
    /// The numbers of the events have a gap.
    Gap,
    /// The row says something else than the events.
    Row(String),
    /// What was kept is not what was kept before.
    Rewritten,
    /// A node that was finished was run again.
    Again(Deed),
    /// An attempt with an effect was made twice under one number.
    Twice(Deed),
    /// An attempt with an effect was made, and nothing says so.
    Unannounced(Deed),
    /// A signal was taken up more often than it was sent.
    Signals,
    /// Something else came out.
    Other(String),
}

pub(crate) fn check(crash: &Crash<'_>) -> Result<(), Finding> {
    let is_there = |id| crash.after.iter().any(|history| history.row.id == id);
    if crash.accepted.is_some_and(|id| !is_there(id)) {
        return Err(Finding::Lost);
    }
    for history in &crash.after {
        check_events(history)?;
        check_outcome(history, crash.expected)?;
    }
    for before in &crash.before {
        let after = crash.after.iter().find(|after| after.row.id == before.row.id);
        check_kept(before, after.ok_or(Finding::Lost)?)?;
        check_deeds(before, &crash.deeds)?;
    }
    check_attempts(crash)
}

fn check_events(history: &History) -> Result<(), Finding> {
    let events = &history.events;
    let ends = events.iter().filter(|event| event.is_last()).count();
    if ends != 1 || !events.last().is_some_and(ExecutionEvent::is_last) {
        return Err(Finding::Ends(ends));
    }
    if !events.iter().zip(1..).all(|(event, number)| event.seq() == Some(number)) {
        return Err(Finding::Gap);
    }
    let row = &history.row;
    if row.status != history.result.status {
        return Err(Finding::Row(format!("{} and {}", row.status, history.result.status)));
    }
    if row.last_seq != events.len() as u64 || row.owner.is_some() || row.ended_at.is_none() {
        return Err(Finding::Row(format!("{row:?}")));
    }
    Ok(())
}

/// The same as without a crash, unless a node that may not be run twice was cut off.
fn check_outcome(history: &History, expected: &History) -> Result<(), Finding> {
    let is_unknown = |event: &Event| match event {
        Event::NodeFailed { error, .. } => error.code() == "node.outcome_unknown",
        _ => false,
    };
    if history.events.iter().filter_map(ExecutionEvent::event).any(is_unknown) {
        return Ok(());
    }
    let (result, wanted) = (&history.result, &expected.result);
    let code = |history: &History| history.result.error.as_ref().map(|error| error.code.clone());
    if result.status != wanted.status
        || result.outputs != wanted.outputs
        || code(history) != code(expected)
        || result.warnings != wanted.warnings
    {
        let found = format!("{:?}", result);
        return Err(Finding::Other(format!("{found}\ninstead of {wanted:?}")));
    }
    check_signals(history)
}

/// Each signal is sent once: it is kept at most once, and wakes at most once.
fn check_signals(history: &History) -> Result<(), Finding> {
    let mut seen = BTreeSet::new();
    for event in history.events.iter().filter_map(ExecutionEvent::event) {
        if let Event::SignalReceived { instance, name, .. } = event
            && !seen.insert((name.clone(), instance.is_some()))
        {
            return Err(Finding::Signals);
        }
    }
    Ok(())
}

/// What was kept stays.
fn check_kept(before: &History, after: &History) -> Result<(), Finding> {
    let same = |(a, b): (&ExecutionEvent, &ExecutionEvent)| a.body == b.body;
    let (kept, now) = (&before.events, &after.events);
    if now.len() < kept.len() || !kept.iter().zip(now).all(same) {
        return Err(Finding::Rewritten);
    }
    Ok(())
}

/// What is kept of an attempt, as far as deeds go.
#[derive(Default)]
struct Known {
    /// The keys of nodes that came to an end.
    finished: BTreeSet<String>,
    /// The attempts that have begun.
    begun: BTreeSet<(String, u32)>,
}

fn known(history: &History) -> Known {
    let (mut known, mut round) = (Known::default(), 1);
    for event in &history.events {
        let address = event.node_id().unwrap_or_default();
        let key = format!("{}/{round}/{address}", history.row.id);
        match event.event() {
            Some(Event::RoundStarted { round: next, .. }) => round = *next,
            Some(Event::NodeStarted { attempt, .. }) => {
                known.begun.insert((key, *attempt));
            }
            Some(
                Event::NodeCompleted { .. }
                | Event::NodeSkipped { .. }
                | Event::NodeCancelled { .. },
            ) => {
                known.finished.insert(key);
            }
            _ => {}
        }
    }
    known
}

/// Nothing that was finished when the first process died is done by the second, and nothing was done
/// by the first that is not announced.
fn check_deeds(before: &History, deeds: &[Deed]) -> Result<(), Finding> {
    let known = known(before);
    let own = format!("{}/", before.row.id);
    for deed in deeds.iter().filter(|deed| deed.key.starts_with(&own)) {
        if deed.process > 0 && known.finished.contains(&deed.key) {
            return Err(Finding::Again(deed.clone()));
        }
        let begun = (deed.key.clone(), deed.attempt);
        if deed.process == 0 && has_effect(before, &deed.key) && !known.begun.contains(&begun) {
            return Err(Finding::Unannounced(deed.clone()));
        }
    }
    Ok(())
}

/// Whether the node of a key is one of those that say what they do before they do it.
fn has_effect(history: &History, key: &str) -> bool {
    let id = key.rsplit(['/', '.']).next().unwrap_or_default();
    let graph = history.plan.graph();
    let node = graph.nodes().iter().find(|node| *node.id() == *id);
    node.is_some_and(|node| matches!(node.effect(), Effect::Idempotent | Effect::Once))
}

fn check_attempts(crash: &Crash<'_>) -> Result<(), Finding> {
    let mut seen = BTreeMap::new();
    for deed in &crash.deeds {
        let history = &crash.expected;
        if !has_effect(history, &deed.key) {
            continue;
        }
        let count = seen.entry((deed.key.clone(), deed.attempt)).or_insert(0);
        *count += 1;
        if *count > 1 {
            return Err(Finding::Twice(deed.clone()));
        }
    }
    Ok(())
}
