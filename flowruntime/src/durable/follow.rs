//! The events of an execution that is kept: those that were, and then those that come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{EventBody, ExecutionEvent, ExecutionId, Record};
use tokio::time::{Instant, sleep_until};

use super::{Durable, LoadError, Replay};
use crate::event_bus::{Received, Subscription};
use crate::handle::ExecutionHandle;
use crate::runtime::FlowRuntime;

/// How often the store is asked for what is executed elsewhere.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many segments are read at once.
const SEGMENTS_AT_ONCE: usize = 16;

/// The events of an execution that is kept, from one of them on to the last, whoever executes it: each
/// once, in order, without a gap. What nodes say besides comes between them while it is executed here,
/// as far as the follower keeps up.
///
/// A slow follower holds nobody up: it reads from the store what it missed.
pub struct Follow {
    durable: Arc<Durable>,
    replay: Replay,
    /// The last event that was folded.
    last_seq: u64,
    /// Those up to this one are not asked for.
    after: u64,
    ready: VecDeque<ExecutionEvent>,
    /// The handle keeps alive what the events come through.
    live: Option<(ExecutionHandle, Subscription)>,
    /// The store may have more.
    is_behind: bool,
    is_over: bool,
    look_at: Instant,
}

impl FlowRuntime {
    /// The events of an execution after this number, from the store and then as they happen; `None`
    /// when there is no such execution.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn follow(&self, id: ExecutionId, after: u64) -> Result<Option<Follow>, LoadError> {
        // Before anything is read: what happens from here on is heard.
        let Some(handle) = self.handle(id).await? else { return Ok(None) };
        let Some(durable) = self.shared.durable.clone() else { return Ok(None) };
        let events = handle.events();
        let Some(mut kept) = durable.store.load(id).await? else { return Ok(None) };
        // They are read again, a few at a time: a follower that is slow does not hold them all.
        kept.segments = Vec::new();
        let replay = self.replay_of(&kept, Vec::new(), false).await?;
        Ok(Some(Follow {
            durable,
            replay,
            last_seq: 0,
            after,
            ready: VecDeque::new(),
            live: Some((handle, events)),
            is_behind: true,
            is_over: false,
            look_at: Instant::now() + LOOK_EVERY,
        }))
    }
}

impl Follow {
    /// The next event; `None` after the last one. Cancel safe.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn next(&mut self) -> Result<Option<ExecutionEvent>, LoadError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            if self.is_behind {
                self.read().await?;
                continue;
            }
            let Some((_, events)) = &mut self.live else {
                sleep_until(self.look_at).await;
                self.look();
                continue;
            };
            tokio::select! {
                biased;
                received = events.next() => match received {
                    Some(Received::Event(event)) => self.hear(event)?,
                    Some(Received::Lagged(_)) => self.is_behind = true,
                    None => {
                        self.live = None;
                        self.is_behind = true;
                    }
                },
                () = sleep_until(self.look_at) => self.look(),
            }
        }
    }

    fn look(&mut self) {
        self.is_behind = true;
        self.look_at = Instant::now() + LOOK_EVERY;
    }

    /// Reads what was kept since.
    async fn read(&mut self) -> Result<(), LoadError> {
        let (id, after) = (self.replay.id(), self.last_seq);
        let segments = self.durable.store.segments(id, after, SEGMENTS_AT_ONCE).await?;
        let mut records = Vec::new();
        for segment in &segments {
            records.extend(self.durable.records(segment).await?);
        }
        self.is_behind = segments.len() == SEGMENTS_AT_ONCE;
        self.replay.extend(records.into_iter().filter(|record| record.seq > after));
        self.fold()
    }

    /// Takes an event that was published, and that is kept therefore.
    fn hear(&mut self, event: ExecutionEvent) -> Result<(), LoadError> {
        self.look_at = Instant::now() + LOOK_EVERY;
        match &event.body {
            EventBody::Message(_) => self.ready.push_back(event),
            EventBody::Fact(record) if record.seq == self.last_seq + 1 => {
                self.replay.extend([Record::clone(record)]);
                self.fold()?;
            }
            EventBody::Fact(record) => self.is_behind = record.seq > self.last_seq,
        }
        Ok(())
    }

    /// Folds what is there, and gives out what is asked for of it.
    fn fold(&mut self) -> Result<(), LoadError> {
        while let Some(event) = self.replay.step()? {
            self.last_seq = event.seq().unwrap_or(self.last_seq);
            self.is_over = event.is_last();
            if self.last_seq > self.after {
                self.ready.push_back(event);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("execution_id", &self.replay.id())
            .field("last_seq", &self.last_seq)
            .finish_non_exhaustive()
    }
}
