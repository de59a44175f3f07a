//! What is due, and when.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::Timestamp;
use flowcore::machine::Timer;

/// A timer of the machine or of the driver itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DriverTimer {
    /// The machine asked for it.
    Machine(Timer),
    /// An attempt has taken as long as it may.
    Timeout(usize),
    /// A cancelled attempt has had its grace period.
    Grace(usize),
}

/// The timers of one execution.
#[derive(Default)]
pub(super) struct Timers {
    due: BTreeSet<(Timestamp, DriverTimer)>,
    /// When those of the machine are due, which clears them without saying so: thousands at once
    /// when an execution ends.
    machine: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: DriverTimer, at: Timestamp) {
        if let DriverTimer::Machine(timer) = timer {
            self.machine.insert(timer, at);
        }
        self.due.insert((at, timer));
    }

    pub(super) fn remove(&mut self, timer: DriverTimer, at: Timestamp) {
        self.due.remove(&(at, timer));
    }

    /// Forgets a timer of the machine, whenever it is due.
    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.machine.remove(&timer) {
            self.due.remove(&(at, DriverTimer::Machine(timer)));
        }
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes a timer that is due.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<DriverTimer> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, timer) = self.due.pop_first()?;
        if let DriverTimer::Machine(timer) = timer {
            self.machine.remove(&timer);
        }
        Some(timer)
    }
}
