//! Looking at an execution after every event.

use std::collections::BTreeSet;

use flowcore::machine::{Action, Change, Fact, Machine, Outcome, Status, Timer, Turn};
use flowcore::{
    AfterFailure, CancelReason, Effect, Event, Instance, Join, NodeError, NodeOutput, Object,
    PauseReason, Record,
};

use super::{Play, SPREAD, Snapshot, moment};
use crate::script::id;

impl Play<'_> {
    /// Folds an event that has been through JSON, and keeps the state for a stop after it.
    pub(super) fn check_event(&mut self, record: &Record) {
        let json = serde_json::to_string(record).unwrap();
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(read, *record, "{json}");
        let before = self.statuses(&self.folded);
        self.folded.apply(read).unwrap();
        if !matches!(record.event, Event::WorkflowStarted { .. } | Event::RoundStarted { .. }) {
            for (before, after) in before.into_iter().zip(self.statuses(&self.folded)) {
                let is_step = CHANGES.iter().any(|change| before.next(*change) == Some(after));
                assert!(before == after || is_step, "from {before:?} to {after:?}: {json}");
            }
        }
        if let Event::NodeCompleted { instance, kept: true, outputs, attempt, .. } = &record.event {
            assert_eq!(self.kept.get(&(instance.node as usize)), Some(outputs), "{json}");
            assert_eq!((*attempt, self.folded.round()), (0, 1), "{json}");
        }
        self.journal.take(record);
        self.seen.insert(summary(&record.event));
        self.snapshots.push(Snapshot {
            folded: self.folded.clone(),
            journal: self.journal.clone(),
            world: self.world.clone(),
        });
    }

    fn statuses(&self, machine: &Machine) -> Vec<Status> {
        (0..).take(self.case.nodes.len()).map(|node| machine.node_status(node)).collect()
    }

    /// What is under way is what the state says.
    pub(super) fn check_outstanding(&self, folded: &Machine) {
        let mut wishes = Vec::new();
        folded.outstanding(&mut wishes);
        let outstanding: BTreeSet<String> =
            wishes.iter().map(|wish| format!("{:?}", wish.action)).collect();
        assert_eq!(outstanding.len(), wishes.len(), "a wish twice: {wishes:?}");
        let world = &self.world;
        let starts = world.running.keys();
        let starts = starts.map(|&(instance, attempt)| Action::Start { instance, attempt });
        let cancels = world.told.iter().map(|(&(instance, attempt), &reason)| Action::Cancel {
            instance,
            attempt,
            reason,
        });
        let timers = world.timers.iter();
        let timers = timers.map(|(&timer, &at)| Action::SetTimer { timer, at: moment(at) });
        let finish = world.is_finished.then_some(Action::Finish);
        let actions = starts.chain(cancels).chain(timers).chain(finish);
        let under_way: BTreeSet<String> = actions.map(|action| format!("{action:?}")).collect();
        assert_eq!(outstanding, under_way, "outstanding, and under way");
    }

    /// An attempt starts only when the connections of its node say so, and never after its end.
    pub(super) fn check_start(&self, instance: Instance, attempt: u32, after: u64) {
        let node = instance.node as usize;
        assert!(!self.journal.ended.contains_key(&instance), "{} has ended", id(node));
        let live: Vec<Option<bool>> = self
            .links
            .iter()
            .filter(|link| link.to == node)
            .map(|link| self.journal.is_live(instance, link))
            .collect();
        let all = live.iter().all(Option::is_some);
        let may_run = match self.case.nodes[node].join {
            _ if live.is_empty() => true,
            Join::All => live.iter().all(|live| *live == Some(true)),
            Join::Any => all && live.contains(&Some(true)),
            Join::First => live.contains(&Some(true)),
        };
        assert!(may_run, "{} starts with {live:?}", id(node));
        let again = self.journal.interrupted.get(&instance).copied().unwrap_or(0);
        let most = self.case.nodes[node].retry.as_ref().map_or(1, |policy| policy.max_attempts);
        assert!(attempt <= most + again, "{} has attempt {attempt}", id(node));
        if self.case.nodes[node].effect == Effect::Once && attempt > 1 {
            let has_said = self.journal.failed.contains_key(&(instance, attempt - 1));
            assert!(has_said, "{} starts twice", id(node));
        }
        let durable = match self.case.nodes[node].effect {
            Effect::Pure | Effect::Read => after == 0,
            Effect::Idempotent | Effect::Once => {
                after >= self.journal.started[&(instance, attempt)]
            }
        };
        assert!(durable && after <= self.journal.last, "{} may start after {after}", id(node));
    }

    /// Remembers a fact that was taken, to tell it again later.
    pub(super) fn note(&mut self, fact: Fact, turn: &Turn) {
        if !self.is_watched {
            return;
        }
        match fact {
            Fact::AttemptEnded { .. } | Fact::TimerFired(_) => self.journal.past.push(fact),
            Fact::Start { .. }
            | Fact::PermitGranted
            | Fact::RateLimited { .. }
            | Fact::InstancesReleased
            | Fact::Signal { .. }
            | Fact::Pause { .. }
            | Fact::Resume { .. }
            | Fact::Recover { .. }
            | Fact::HistoryGrew { .. }
            | Fact::Cancel { .. } => {}
        }
        for wish in &turn.wishes {
            if let Action::ClearTimer { timer } = wish.action {
                self.journal.past.push(Fact::TimerFired(timer));
            }
        }
    }

    /// Facts that are no longer current are counted and change nothing.
    pub(super) fn inject_stale_facts(&mut self) {
        if !self.is_watched || self.world.inline.is_some() {
            return;
        }
        let mut random = self.case.seed.wrapping_add(self.machine.seq()).wrapping_mul(SPREAD) >> 32;
        let mut stale = Vec::new();
        if !self.journal.past.is_empty() && random.is_multiple_of(2) {
            let past = self.journal.past.len() as u64;
            let index = usize::try_from(random / 2 % past).unwrap();
            stale.push(changed(self.journal.past[index].clone(), random));
        }
        random /= 16;
        if random.is_multiple_of(4) && !self.machine.wants_permit() {
            stale.push(Fact::PermitGranted);
        }
        let is_paused = self.machine.paused().is_some();
        if random.is_multiple_of(3) && self.journal.is_stopping && !is_paused {
            stale.push(Fact::Cancel { reason: CancelReason::Requested, by: None });
        }
        if random.is_multiple_of(5) {
            stale.push(match is_paused || self.journal.is_complete {
                true => Fact::Pause { reason: PauseReason::Requested, by: None },
                false => Fact::Resume { by: None },
            });
        }
        for fact in stale {
            let (before, count) = (self.machine.clone(), self.machine.stale_facts());
            let mut turn = Turn::recording();
            self.machine.handle(moment(self.world.now), fact.clone(), &mut turn).unwrap();
            assert_eq!(self.machine.stale_facts(), count + 1, "not counted: {fact:?}");
            assert!(turn.events.is_empty() && turn.wishes.is_empty(), "{fact:?}: {turn:?}");
            assert_eq!(self.machine, before, "{fact:?}");
            self.seen.insert(format!("stale {}", name_of(&fact)));
        }
    }
}

const CHANGES: [Change; 10] = [
    Change::Unblock,
    Change::Start,
    Change::Wait,
    Change::Succeed,
    Change::Retry,
    Change::Due,
    Change::Interrupt,
    Change::Fail,
    Change::Skip,
    Change::Cancel,
];

/// A late result may be another one than the first.
fn changed(fact: Fact, random: u64) -> Fact {
    match fact {
        Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter } => {
            let outcome = match random / 2 % 4 {
                0 => Outcome::Cancelled,
                1 => Outcome::Failed(NodeError::retryable("script.late", "too late")),
                2 => Outcome::Succeeded {
                    outputs: NodeOutput::of("x", "late"),
                    state_writes: Object::new(),
                    cache: None,
                },
                _ => outcome,
            };
            Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter }
        }
        other => other,
    }
}

/// An event as the tests of coverage see it.
pub(super) fn summary(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::NodeFailed { outcome, then: AfterFailure::Retry(_), .. } => {
            format!("{name} {outcome:?} Retry")
        }
        Event::NodeFailed { outcome, then, .. } => format!("{name} {outcome:?} {then:?}"),
        Event::NodeSkipped { reason, .. } => format!("{name} {reason:?}"),
        Event::NodeCancelled { reason, .. } => format!("{name} {reason:?}"),
        Event::CancelRequested { reason, .. } => format!("{name} {reason:?}"),
        Event::Paused { reason, .. } => format!("{name} {reason:?}"),
        Event::WorkflowCompleted { status, .. } => format!("{name} {status:?}"),
        _ => name.to_owned(),
    }
}

fn name_of(fact: &Fact) -> &'static str {
    match fact {
        Fact::Start { .. } => "Start",
        Fact::PermitGranted => "PermitGranted",
        Fact::RateLimited { .. } => "RateLimited",
        Fact::InstancesReleased => "InstancesReleased",
        Fact::AttemptEnded { .. } => "AttemptEnded",
        Fact::TimerFired(Timer::Deadline) => "Deadline",
        Fact::TimerFired(Timer::Retry { .. }) => "Retry",
        Fact::TimerFired(Timer::Cleanup) => "Cleanup",
        Fact::TimerFired(Timer::Limit { .. }) => "Limit",
        Fact::TimerFired(Timer::Wait { .. }) => "Wait",
        Fact::Signal { .. } => "Signal",
        Fact::Pause { .. } => "Pause",
        Fact::Resume { .. } => "Resume",
        Fact::Recover { .. } => "Recover",
        Fact::Cancel { .. } => "Cancel",
        Fact::HistoryGrew { .. } => "HistoryGrew",
    }
}
