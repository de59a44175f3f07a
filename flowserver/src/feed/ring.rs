//! The last events of a project, for all who listen: so many and so large, however slow they are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Told;

/// How much is held for those who are slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// How many events.
    pub(crate) events: usize,
    /// How many bytes they have together; one that has more is held alone.
    pub(crate) bytes: usize,
}

impl Capacity {
    /// What the server holds for each project that somebody listens to.
    pub(crate) const USUAL: Self = Self { events: 8192, bytes: 8 << 20 };
}

/// The last events.
pub(super) struct Ring {
    capacity: Capacity,
    held: Mutex<Held>,
    /// Changes with each event, and at the end.
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Held {
    /// How many are held no more.
    gone: u64,
    bytes: usize,
    told: VecDeque<Arc<Told>>,
    is_over: bool,
}

/// Somebody who is behind by more than is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow;

impl Ring {
    pub(super) fn new(capacity: Capacity) -> Arc<Self> {
        let changes = watch::Sender::new(());
        Arc::new(Self { capacity, held: Mutex::default(), changes })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens from here on.
    pub(super) fn listen(self: &Arc<Self>) -> Listener {
        let changes = self.changes.subscribe();
        let held = self.held();
        let at = held.gone + held.told.len() as u64;
        drop(held);
        Listener { ring: self.clone(), at, changes }
    }

    /// Whether somebody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.changes.receiver_count() > 0
    }

    /// Tells one more. Waits for nobody.
    pub(super) fn tell(&self, told: Told) {
        let mut held = self.held();
        held.bytes += told.text.len();
        held.told.push_back(Arc::new(told));
        while held.told.len() > self.capacity.events
            || (held.bytes > self.capacity.bytes && held.told.len() > 1)
        {
            let Some(gone) = held.told.pop_front() else { break };
            held.bytes -= gone.text.len();
            held.gone += 1;
        }
        drop(held);
        self.changes.send_replace(());
    }

    /// Nothing more is told.
    pub(super) fn end(&self) {
        self.held().is_over = true;
        self.changes.send_replace(());
    }
}

/// Somebody who listens.
pub(super) struct Listener {
    ring: Arc<Ring>,
    at: u64,
    changes: watch::Receiver<()>,
}

impl Listener {
    /// The next event; `None` when there will be no more. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Arc<Told>>, TooSlow> {
        loop {
            // Before it is looked for: what comes from here on is noticed.
            self.changes.borrow_and_update();
            let is_over = {
                let held = self.ring.held();
                let place = self.at.checked_sub(held.gone).ok_or(TooSlow)?;
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                if let Some(told) = held.told.get(place) {
                    self.at += 1;
                    return Ok(Some(told.clone()));
                }
                held.is_over
            };
            if is_over || self.changes.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Whether something is gone that was not heard.
    pub(super) fn is_too_slow(&self) -> bool {
        self.at < self.ring.held().gone
    }
}

#[cfg(test)]
mod tests {
    use flowcore::{ExecutionId, Timestamp, WorkflowId};

    use super::super::Cursor;
    use super::*;

    fn told(seq: u64, bytes: usize) -> Told {
        Told {
            execution: ExecutionId::from_uuid(uuid::Uuid::nil()),
            seq,
            workflow: WorkflowId::new("w").unwrap(),
            name: "Paused",
            cursor: Cursor::at(Timestamp::from_millis(0)),
            text: "x".repeat(bytes),
        }
    }

    #[tokio::test]
    async fn f25_what_is_held_is_bounded_in_number_and_in_bytes() {
        let ring = Ring::new(Capacity { events: 4, bytes: 100 });
        let (mut quick, mut slow) = (ring.listen(), ring.listen());
        for seq in 1..=4 {
            ring.tell(told(seq, 10));
            assert_eq!(quick.next().await.unwrap().unwrap().seq, seq);
        }
        assert_eq!(slow.next().await.unwrap().unwrap().seq, 1);
        ring.tell(told(5, 10));
        assert_eq!(slow.next().await.unwrap().unwrap().seq, 2);
        // One that is large is held alone.
        ring.tell(told(6, 1000));
        assert!(slow.is_too_slow() && quick.is_too_slow());
        assert_eq!(slow.next().await.unwrap_err(), TooSlow);
        assert_eq!(ring.held().bytes, 1000);
        let mut late = ring.listen();
        ring.tell(told(7, 60));
        ring.tell(told(8, 60));
        assert!(late.is_too_slow());
        late = ring.listen();
        ring.end();
        assert!(late.next().await.unwrap().is_none());
        drop((quick, slow, late));
        assert!(!ring.is_heard());
    }
}
