//! Virtual time as an attempt sees it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowcore::{Clock, Timestamp};

use super::{Hold, VirtualClock};

/// Whether an attempt holds the clock: it does, except while it waits for it.
pub(crate) struct AttemptTime {
    clock: VirtualClock,
    state: Mutex<State>,
}

struct State {
    hold: Option<Hold>,
    /// How many waits of the attempt are under way; it may have several at the same time.
    waits: usize,
    has_ended: bool,
}

impl AttemptTime {
    /// For an attempt that starts.
    pub(crate) fn new(clock: &VirtualClock) -> Arc<Self> {
        let state = State { hold: Some(clock.hold()), waits: 0, has_ended: false };
        Arc::new(Self { clock: clock.clone(), state: Mutex::new(state) })
    }

    /// The attempt has ended, and the driver has heard of it.
    pub(crate) fn end(&self) {
        drop(self.change(|state| {
            state.has_ended = true;
            state.hold.take()
        }));
    }

    /// Holds must be dropped outside of the lock, as time then moves on and wakes others.
    fn change(&self, change: impl FnOnce(&mut State) -> Option<Hold>) -> Option<Hold> {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin_wait(&self) {
        drop(self.change(|state| {
            state.waits += 1;
            state.hold.take()
        }));
    }

    /// The attempt goes on with this hold, unless it still waits elsewhere.
    fn end_wait(&self, hold: Hold) {
        drop(self.change(|state| {
            state.waits -= 1;
            if state.waits > 0 || state.has_ended {
                return Some(hold);
            }
            state.hold.replace(hold)
        }));
    }
}

/// The clock of one attempt.
pub(crate) struct AttemptClock(pub(crate) Arc<AttemptTime>);

impl Clock for AttemptClock {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.sleep_until(self.now().after(duration))
    }

    /// Of several moments that are past, the earliest comes first.
    fn sleep_until(&self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let time = self.0.clone();
        // Only once it is polled: before that the attempt does other things.
        Box::pin(async move {
            let sleep = time.clock.sleep_until(moment);
            let wait = Wait::begin(time.clone());
            let hold = sleep.await;
            wait.end(hold);
        })
    }
}

/// A wait that may be given up.
struct Wait(Option<Arc<AttemptTime>>);

impl Wait {
    fn begin(time: Arc<AttemptTime>) -> Self {
        time.begin_wait();
        Self(Some(time))
    }

    fn end(mut self, hold: Hold) {
        if let Some(time) = self.0.take() {
            time.end_wait(hold);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(time) = self.0.take() {
            let hold = time.clock.hold();
            time.end_wait(hold);
        }
    }
}
