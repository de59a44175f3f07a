//! Time, from a clock that never goes back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowcore::{Clock, Timestamp};
use tokio::time::Instant;

use crate::testing::{Hold, Sleep, VirtualClock};

/// The wall clock as it was when this was made, moved on by the monotonic clock: it never jumps.
/// Under tokio's paused time it stands still with it.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeClock {
    wall: Timestamp,
    origin: Instant,
}

impl RuntimeClock {
    /// A clock that shows the present time.
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        Self { wall: Timestamp::from_micros(micros), origin: Instant::now() }
    }

    /// The moment on tokio's clock.
    fn instant(&self, moment: Timestamp) -> Instant {
        let wait = moment.since(self.wall);
        self.origin.checked_add(wait).unwrap_or_else(|| {
            // Some centuries from now; tokio has no later moment either.
            self.origin + Duration::from_secs(86_400 * 365 * 30)
        })
    }
}

impl Default for RuntimeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.wall.after(self.origin.elapsed())
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Where a runtime takes its time from.
#[derive(Debug, Clone)]
pub(crate) enum Time {
    Real(RuntimeClock),
    Virtual(VirtualClock),
}

impl Time {
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::Real(clock) => clock.now(),
            Self::Virtual(clock) => clock.now(),
        }
    }

    /// The same clock for nodes.
    pub(crate) fn share(&self) -> Arc<dyn Clock> {
        match self {
            Self::Real(clock) => Arc::new(*clock),
            Self::Virtual(clock) => Arc::new(clock.clone()),
        }
    }

    /// The clock, if it is virtual.
    pub(crate) fn as_virtual(&self) -> Option<&VirtualClock> {
        match self {
            Self::Real(_) => None,
            Self::Virtual(clock) => Some(clock),
        }
    }

    /// Keeps virtual time where it is.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.as_virtual().map(VirtualClock::hold)
    }

    /// Sets an alarm. On a virtual clock it is set from now on, polled or not.
    pub(crate) fn alarm(&self, moment: Option<Timestamp>) -> Alarm {
        match (self, moment) {
            (_, None) => Alarm::Never,
            (Self::Real(clock), Some(moment)) => Alarm::At(clock.instant(moment)),
            (Self::Virtual(clock), Some(moment)) => Alarm::Virtual(clock.sleep_until(moment)),
        }
    }

    /// A random number from 0 to 1 for the wait before another attempt; in virtual time always 1,
    /// so that what a test sees is the same every time.
    pub(crate) fn jitter(&self) -> f64 {
        match self {
            Self::Real(_) => fastrand::f64(),
            Self::Virtual(_) => 1.0,
        }
    }
}

/// What wakes a driver.
pub(crate) enum Alarm {
    Never,
    At(Instant),
    Virtual(Sleep),
}

impl Alarm {
    /// Waits for it. Virtual time is held from then on.
    pub(crate) async fn ring(self) -> Option<Hold> {
        match self {
            Self::Never => std::future::pending().await,
            Self::At(instant) => {
                tokio::time::sleep_until(instant).await;
                None
            }
            Self::Virtual(sleep) => Some(sleep.await),
        }
    }
}
