//! One crash, and what comes of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowcore::ExecutionId;
use flowruntime::History;
use flowruntime::store::MemoryStore;
use flowruntime::testing::crash::{
    Crash, Fault, Faulty, Finding as Found, Splitting, Twisted, check,
};

use super::cast::Script;
use super::finding::{Place, Way};
use super::judge::{self, Given};
use super::ledger::{By, Ledger, Start};
use super::site::{Left, Order};
use super::{Finding, Recording, Site};
use crate::error::CliError;

/// What a crash is judged by.
pub(super) struct Case<'a> {
    pub(super) site: &'a Site,
    pub(super) recording: &'a Arc<Recording>,
    pub(super) script: &'a Script,
    pub(super) given: &'a Given,
    /// The recorded run, gone through again without a crash.
    pub(super) expected: &'a History,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    /// The nodes that were cut off and may not be started again.
    pub(super) unknown: BTreeSet<String>,
    /// How many attempts answered from the recording.
    pub(super) answered: usize,
    /// How many attempts of `pure` nodes ran.
    pub(super) ran: usize,
}

/// The recorded run, gone through again without a crash.
pub(super) struct Undisturbed {
    pub(super) history: History,
    pub(super) starts: Vec<Start>,
    /// How many writes there were.
    pub(super) writes: usize,
}

impl Case<'_> {
    pub(super) fn order(recording: &Recording) -> Order<'_> {
        Order {
            id: recording.id(),
            inputs: &recording.history.inputs,
            at: recording.started_at(),
            signals: &recording.signals,
        }
    }

    /// Crashes at this write, counted from 1, and goes on.
    pub(super) fn crash(&self, at: usize, way: Way) -> Result<Judged, CliError> {
        let (store, ledger) = (Arc::new(MemoryStore::new()), Ledger::default());
        let faulty =
            Arc::new(Twisted::new((self.site.seen)(store.clone()), Faulty::new(way.fault(), at)));
        let split = Arc::new(Twisted::new(faulty.clone(), Splitting::default()));
        let (order, cast) = (Self::order(self.recording), (self.script, &ledger));
        let (left, is_accepted) = self.site.first(split, &store, faulty.twist(), cast, &order)?;
        store.kill_owners();
        let second = self.site.second(&store, cast, &order);
        let starts = ledger.starts();
        let mut judged = Judged::of(&starts);
        match second {
            Ok(Some((before, after, then))) => {
                let place = Place::new(Some(&before), way);
                let accepted = is_accepted.then_some(order.id);
                self.judge(&mut judged, accepted, (left, then), (before, after), &starts);
                judged.place(&place);
            }
            Ok(None) => {
                if is_accepted {
                    judged.findings.push(judge::explain(Found::Lost, None, self.expected));
                }
                judged.place(&Place::new(None, way));
            }
            Err(CliError::Load(error)) => {
                let found = Found::Unreadable(error.to_string());
                judged.findings.push(judge::explain(found, None, self.expected));
                judged.place(&Place::new(None, way));
            }
            Err(error) => return Err(error),
        }
        Ok(judged)
    }

    fn judge(
        &self,
        judged: &mut Judged,
        accepted: Option<ExecutionId>,
        (first, second): (Left, Left),
        (before, after): (History, History),
        starts: &[Start],
    ) {
        let run = Recording::new(after.clone());
        judged.findings = judge::liars(self.recording, self.given, &run, starts);
        judged.unknown = judge::unknown(&after);
        let is_pure = judged.findings.is_empty();
        let deeds = starts.iter().map(|start| start.deed.clone()).collect();
        let stuck = |left: &Left| match left {
            Left::Ended | Left::Died => None,
            Left::Stuck | Left::TookTooLong => Some(Found::Stuck),
            Left::GivenUp(error) => Some(Found::Unreadable(error.clone())),
        };
        let crash = Crash {
            accepted,
            before: vec![before],
            after: vec![after.clone()],
            deeds,
            expected: self.expected,
        };
        let found = match stuck(&first).or_else(|| stuck(&second)) {
            Some(found) => Some(found),
            None => check(&crash).err(),
        };
        match found {
            // What follows from another value is not wrong by itself.
            Some(Found::Other(_)) if !is_pure => {}
            Some(found) => {
                judged.findings.push(judge::explain(found, Some(&after), self.expected));
            }
            None if is_pure => judged.findings.extend(judge::detour(starts, &after)),
            None => {}
        }
    }

    /// Goes through the recorded run without a crash; gives how it was left, if it did not end.
    pub(super) fn undisturbed(
        site: &Site,
        recording: &Recording,
        script: &Script,
    ) -> Result<Result<Undisturbed, Left>, CliError> {
        let (store, ledger) = (Arc::new(MemoryStore::new()), Ledger::default());
        let never = Faulty::new(Fault::DieBefore, usize::MAX);
        let faulty = Arc::new(Twisted::new(store.clone(), never));
        let split = Arc::new(Twisted::new(faulty.clone(), Splitting::default()));
        let order = Self::order(recording);
        let (left, _) = site.first(split, &store, faulty.twist(), (script, &ledger), &order)?;
        let history = site.history(store, order.id)?;
        Ok(match (left, history) {
            (Left::Ended, Some(history)) => {
                let (starts, writes) = (ledger.starts(), faulty.twist().writes());
                Ok(Undisturbed { history, starts, writes })
            }
            (left, _) => Err(left),
        })
    }
}

impl Judged {
    fn of(starts: &[Start]) -> Self {
        let by = |by: By| starts.iter().filter(|start| start.by == by).count();
        Self { answered: by(By::StandIn), ran: by(By::Itself), ..Self::default() }
    }

    fn place(&mut self, place: &Place) {
        for finding in &mut self.findings {
            (finding.crash, finding.crashes) = (Some(place.clone()), 1);
        }
    }
}
