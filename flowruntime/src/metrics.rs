//! How busy a runtime is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::histogram::Durations;
use crate::runtime::FlowRuntime;
use crate::store::StoreMetrics;

/// How busy a runtime is, as of about one moment: the numbers are read one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeMetrics {
    /// Executions that have not had their turn, under `max_executions` or `concurrency`.
    pub queued_executions: usize,
    /// Executions in which something happens.
    pub running_executions: usize,
    /// Executions in this process that only wait for a time or a signal. With a store, those that wait
    /// longer are in it alone, and not counted.
    pub waiting_executions: usize,
    /// Attempts that hold a permit; see [`FlowRuntime::running_attempts`].
    pub running_attempts: usize,
    /// How many permits there are: `max_running_nodes`.
    pub max_running_attempts: usize,
    /// The bus of [`FlowRuntime::subscribe`].
    pub bus: BusMetrics,
    /// The store, if there is one.
    pub store: Option<StoreMetrics>,
}

/// How busy an event bus is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusMetrics {
    /// How many subscriptions there are.
    pub subscribers: usize,
    /// How many events the slowest of them has not taken. At most `event_capacity`, rounded up: then
    /// it loses the oldest.
    pub lag: usize,
}

impl FlowRuntime {
    /// How long it took until what was appended to the journals of executions was durable, from when it
    /// was handed to the store; `None` without a store.
    pub fn append_durations(&self) -> Option<Durations> {
        self.shared.durable.as_ref().map(|durable| durable.append_durations.durations())
    }

    /// How busy the runtime is. Cheap: it reads some counters, and asks nobody.
    pub fn metrics(&self) -> RuntimeMetrics {
        let Gauges { queued, running, waiting } = &*self.shared.gauges;
        let read = |gauge: &AtomicUsize| gauge.load(Ordering::Relaxed);
        RuntimeMetrics {
            queued_executions: read(queued),
            running_executions: read(running),
            waiting_executions: read(waiting),
            running_attempts: self.running_attempts(),
            max_running_attempts: self.shared.max_running_nodes,
            bus: self.shared.bus.metrics(),
            store: self.store().map(|store| store.metrics()),
        }
    }
}

/// Counts the executions that have a driver.
#[derive(Default)]
pub(crate) struct Gauges {
    queued: AtomicUsize,
    running: AtomicUsize,
    waiting: AtomicUsize,
}

/// What a driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It waits for its turn.
    Queued,
    /// Something happens, or may.
    Running,
    /// It waits for a time or a signal.
    Waiting,
}

/// A driver, where it is counted.
pub(crate) struct Presence {
    gauges: Arc<Gauges>,
    doing: Option<Doing>,
}

impl Presence {
    pub(crate) fn new(gauges: Arc<Gauges>) -> Self {
        gauges.of(Doing::Queued).fetch_add(1, Ordering::Relaxed);
        Self { gauges, doing: Some(Doing::Queued) }
    }

    /// It does something else from now on.
    #[inline]
    pub(crate) fn set(&mut self, doing: Doing) {
        if self.doing != Some(doing) {
            self.change(Some(doing));
        }
    }

    /// It is not counted any more.
    pub(crate) fn leave(&mut self) {
        self.change(None);
    }

    fn change(&mut self, doing: Option<Doing>) {
        if let Some(doing) = doing {
            self.gauges.of(doing).fetch_add(1, Ordering::Relaxed);
        }
        if let Some(before) = std::mem::replace(&mut self.doing, doing) {
            self.gauges.of(before).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Gauges {
    fn of(&self, doing: Doing) -> &AtomicUsize {
        match doing {
            Doing::Queued => &self.queued,
            Doing::Running => &self.running,
            Doing::Waiting => &self.waiting,
        }
    }
}
