//! A clock that moves on when nothing else is under way.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flowcore::{Clock, Timestamp};
use tokio::sync::Notify;

/// Virtual time: a clock that stands still while something is under way, and otherwise jumps to the
/// next moment for which somebody waits. Cheap to clone; clones are the same clock.
///
/// Under way is a driver that has something to do, or whose events are not safe yet, and an attempt
/// from its start to its end, except while it waits for this clock. So a node that really calls a
/// server or a program takes no virtual time, however long that is, and its `timeout_ms` does not come
/// meanwhile. Those who wait are woken one at a time, by the moment and then in the order in which
/// they came.
///
/// Time does not stand still for an execution that waits for a turn or a permit which another one of
/// the same runtime has, nor for the code around: see [`VirtualClock::hold`].
#[derive(Clone)]
pub struct VirtualClock(Arc<Shared>);

struct Shared {
    time: Mutex<Time>,
    stalled: Notify,
}

struct Time {
    now: Timestamp,
    /// How many keep the clock from moving on.
    holds: usize,
    /// Those who wait, by when and in the order in which they came.
    sleepers: BTreeMap<(Timestamp, u64), Option<Waker>>,
    next_number: u64,
}

/// Keeps a [`VirtualClock`] where it is, until it is dropped.
#[must_use = "time moves on as soon as it is dropped"]
pub struct Hold(VirtualClock);

impl VirtualClock {
    /// A clock that shows this moment.
    pub fn starting_at(now: Timestamp) -> Self {
        let time = Time { now, holds: 0, sleepers: BTreeMap::new(), next_number: 0 };
        Self(Arc::new(Shared { time: Mutex::new(time), stalled: Notify::new() }))
    }

    /// Keeps the clock where it is: for what is to happen before time moves on, such as a signal
    /// right after the start.
    pub fn hold(&self) -> Hold {
        self.lock().holds += 1;
        Hold(self.clone())
    }

    /// Waits until the clock shows this moment, and holds it there; at once when it is past. Cancel
    /// safe. Among those who wait for the same moment, who called first is woken first.
    pub fn reach(&self, moment: Timestamp) -> impl Future<Output = Hold> + Send + use<> {
        self.sleep_until(moment)
    }

    /// Moves the clock to this moment, unless it is past: for whoever holds it, and knows how long
    /// something took. Those who wait for a moment before it are woken when nothing holds it any more,
    /// in their order.
    pub fn advance_to(&self, moment: Timestamp) {
        let mut time = self.lock();
        time.now = time.now.max(moment);
    }

    /// Waits until nothing is under way and nobody waits for this clock: what runs then waits for
    /// something from outside, or has ended. Cancel safe.
    pub async fn stalled(&self) {
        loop {
            let stalled = self.0.stalled.notified();
            tokio::pin!(stalled);
            stalled.as_mut().enable();
            let is_stalled = {
                let time = self.lock();
                time.holds == 0 && time.sleepers.is_empty()
            };
            if is_stalled {
                return;
            }
            stalled.await;
        }
    }

    /// As [`VirtualClock::reach`]; its place is taken now, not when it is first polled.
    pub(crate) fn sleep_until(&self, moment: Timestamp) -> Sleep {
        let mut time = self.lock();
        let key = (moment, time.next_number);
        time.next_number += 1;
        time.sleepers.insert(key, None);
        drop(time);
        self.move_on();
        Sleep { clock: self.clone(), key, is_over: false }
    }

    fn lock(&self) -> MutexGuard<'_, Time> {
        self.0.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for the next moment, if nothing holds the clock. Who is woken holds it.
    fn move_on(&self) {
        let mut time = self.lock();
        if time.holds > 0 {
            return;
        }
        let Some(((moment, _), waker)) = time.sleepers.pop_first() else {
            drop(time);
            return self.0.stalled.notify_waiters();
        };
        time.now = time.now.max(moment);
        time.holds = 1;
        drop(time);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().holds -= 1;
        self.0.move_on();
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let sleep = self.sleep_until(self.now().after(duration));
        Box::pin(async { drop(sleep.await) })
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(&self.0).finish()
    }
}

/// Waits for a moment. It gives a hold, so that nothing moves on before whoever waited has gone on.
pub(crate) struct Sleep {
    clock: VirtualClock,
    key: (Timestamp, u64),
    is_over: bool,
}

impl Future for Sleep {
    type Output = Hold;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Hold> {
        if let Some(waker) = self.clock.lock().sleepers.get_mut(&self.key) {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.is_over = true;
        Poll::Ready(Hold(self.clock.clone()))
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let was_waiting = self.clock.lock().sleepers.remove(&self.key).is_some();
        if was_waiting {
            // Perhaps it was the last for whom time would have moved on.
            self.clock.move_on();
        } else {
            drop(Hold(self.clock.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn it_jumps_from_one_to_the_next_and_waits_for_each() {
        let clock = VirtualClock::starting_at(at(0));
        let hold = clock.hold();
        let (late, early, same) = (clock.reach(at(20)), clock.reach(at(10)), clock.reach(at(10)));
        tokio::pin!(late, early, same);
        assert_eq!(clock.now(), at(0));
        drop(hold);
        assert_eq!(clock.now(), at(10));
        assert!(same.as_mut().now_or_never().is_none());
        let first = early.now_or_never().unwrap();
        assert!(same.as_mut().now_or_never().is_none());
        drop(first);
        let second = same.now_or_never().unwrap();
        assert_eq!(clock.now(), at(10));
        assert!(clock.stalled().now_or_never().is_none());
        drop(second);
        assert_eq!(clock.now(), at(20));
        drop(late.now_or_never().unwrap());
        assert!(clock.stalled().now_or_never().is_some());
    }

    #[test]
    fn who_holds_it_may_move_it() {
        let clock = VirtualClock::starting_at(at(0));
        let hold = clock.hold();
        let woken = clock.reach(at(10));
        clock.advance_to(at(15));
        clock.advance_to(at(12));
        assert_eq!(clock.now(), at(15));
        drop(hold);
        drop(woken.now_or_never().unwrap());
        assert_eq!(clock.now(), at(15));
    }

    #[test]
    fn who_gives_up_waiting_holds_nothing() {
        let clock = VirtualClock::starting_at(at(0));
        let hold = clock.hold();
        drop(clock.reach(at(5)));
        let woken = clock.reach(at(10));
        drop(hold);
        assert_eq!(clock.now(), at(10));
        drop(woken);
        drop(clock.reach(at(7)).now_or_never().unwrap());
        assert_eq!(clock.now(), at(10));
        assert!(clock.stalled().now_or_never().is_some());
    }
}
