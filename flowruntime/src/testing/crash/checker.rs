//! What must hold after a crash, whatever it was.

use std::collections::BTreeSet;

use flowcore::{AfterFailure, Effect, Event, ExecutionEvent, ExecutionId};

use super::{Keys, sent};
use crate::History;

/// The start of an attempt, as somebody outside of Flow saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// The process, from 0, which is the one that crashed.
    pub process: usize,
    /// The idempotency key: execution, round and address.
    pub key: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The effect of the node.
    pub effect: Effect,
}

impl Deed {
    /// Whether the node is one of those that say what they do before they do it.
    fn has_effect(&self) -> bool {
        matches!(self.effect, Effect::Idempotent | Effect::Once)
    }
}

/// A run that crashed, and was finished by another process.
pub struct Crash<'a> {
    /// The execution that the first process was told is accepted.
    pub accepted: Option<ExecutionId>,
    /// What was kept when the first process died.
    pub before: Vec<History>,
    /// What is kept at the end.
    pub after: Vec<History>,
    /// What nodes really did.
    pub deeds: Vec<Deed>,
    /// The same workload without a crash.
    pub expected: &'a History,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
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
    /// A node that may never be started twice because of a crash was.
    OnceAgain(Deed),
    /// An attempt with an effect was made, and nothing says so.
    Unannounced(Deed),
    /// A signal was taken up more often than it was sent.
    Signals,
    /// Something else came out.
    Other(String),
}

/// Checks what must hold after a crash; gives the first thing that is wrong.
///
/// # Errors
/// [`Finding`].
pub fn check(crash: &Crash<'_>) -> Result<(), Finding> {
    let is_there = |id| crash.after.iter().any(|history| history.row.id == id);
    if crash.accepted.is_some_and(|id| !is_there(id)) {
        return Err(Finding::Lost);
    }
    for history in &crash.after {
        check_events(history)?;
        check_outcome(history, crash.expected)?;
        check_once(history, &crash.deeds)?;
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
    check_signals(history, expected)
}

/// A signal is taken up once for each time that it is sent.
fn check_signals(history: &History, expected: &History) -> Result<(), Finding> {
    let mut left = sent(&expected.events);
    for signal in sent(&history.events) {
        let position = left.iter().position(|other| other.is_same(&signal));
        left.swap_remove(position.ok_or(Finding::Signals)?);
    }
    Ok(())
}

/// What may never be started twice is started again only if it said itself that it failed.
fn check_once(history: &History, deeds: &[Deed]) -> Result<(), Finding> {
    if deeds.iter().all(|deed| deed.effect != Effect::Once) {
        return Ok(());
    }
    let (mut keys, mut retried) = (Keys::default(), BTreeSet::new());
    for event in &history.events {
        let key = keys.follow(event);
        if let Some(Event::NodeFailed { attempt, then: AfterFailure::Retry(_), .. }) = event.event()
        {
            retried.extend(key.map(|key| (key, *attempt)));
        }
    }
    let own = format!("{}/", history.row.id);
    for deed in deeds.iter().filter(|deed| deed.key.starts_with(&own)) {
        let is_first = deed.attempt == 1;
        let may_start = is_first || retried.contains(&(deed.key.clone(), deed.attempt - 1));
        if deed.effect == Effect::Once && !may_start {
            return Err(Finding::OnceAgain(deed.clone()));
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
    let (mut known, mut keys) = (Known::default(), Keys::default());
    for event in &history.events {
        let Some(key) = keys.follow(event) else { continue };
        match event.event() {
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
        if deed.process == 0 && deed.has_effect() && !known.begun.contains(&begun) {
            return Err(Finding::Unannounced(deed.clone()));
        }
    }
    Ok(())
}

fn check_attempts(crash: &Crash<'_>) -> Result<(), Finding> {
    let mut seen = BTreeSet::new();
    for deed in crash.deeds.iter().filter(|deed| deed.has_effect()) {
        if !seen.insert((&deed.key, deed.attempt)) {
            return Err(Finding::Twice(deed.clone()));
        }
    }
    Ok(())
}
