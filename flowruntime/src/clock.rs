//! Time, from a clock that never goes back.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowcore::{Clock, Timestamp};
use tokio::time::Instant;

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
    pub(crate) fn instant(&self, moment: Timestamp) -> Instant {
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
