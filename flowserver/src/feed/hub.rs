//! Hears of the events of all executions of a project, and tells them in order.
//!
//! Those of this server come over the bus of its runtime. What it could not keep up with, and what
//! other servers execute, is found in the store: which executions have gone on is asked of those that
//! are open, and which are new of the list. Of each execution the number of the last event that was
//! told is known, so none is told twice and none is left out, however it was heard of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{ExecutionEvent, ExecutionId, ExecutionStatus, ProjectId, Timestamp, WorkflowId};
use flowruntime::store::{Cursor as Place, ExecutionRow, Query, StoreError};
use flowruntime::{LoadError, Received, Subscription};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::cursor::LATEST;
use super::{Cursor, Ring, Shared, State, Told, note_unreadable};

/// How often it is looked for what others execute, and whether somebody still listens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many rows are read at once.
const ROWS_AT_ONCE: usize = 500;

/// How long it is remembered that an execution has ended: as long as it may be in the list of new ones,
/// and longer.
const ENDED_LIFE: Duration = Duration::from_secs(60);

/// The statuses of executions that have not ended.
pub(super) const OPEN: [ExecutionStatus; 4] = [
    ExecutionStatus::Queued,
    ExecutionStatus::Running,
    ExecutionStatus::Waiting,
    ExecutionStatus::Paused,
];

/// What is known of an execution.
enum Known {
    /// Its events up to this one were told.
    Open { workflow: WorkflowId, told: u64 },
    /// All of them were, or were before the hub was there.
    Ended(Instant),
    /// It is none of the project, or cannot be told.
    Others,
}

/// The hub of a project.
pub(super) struct Hub {
    shared: Arc<Shared>,
    project: ProjectId,
    ring: Arc<Ring>,
    bus: Subscription,
    known: HashMap<ExecutionId, Known>,
    /// The greatest moment of an event that was told.
    cursor: Cursor,
    /// Those that are new since are looked for.
    looked_at: Timestamp,
    /// Something was missed, and the store is asked for it.
    is_behind: bool,
}

impl Hub {
    pub(super) fn new(shared: Arc<Shared>, project: ProjectId, ring: Arc<Ring>) -> Self {
        // Before anything is read: what happens from here on is heard.
        let (bus, now) = (shared.runtime.subscribe(), (shared.now)());
        let (known, cursor) = (HashMap::new(), Cursor::at(now));
        Self { shared, project, ring, bus, known, cursor, looked_at: now, is_behind: false }
    }

    /// Tells what happens until nobody listens.
    pub(super) async fn run(mut self, says: watch::Sender<State>) {
        if let Err(error) = self.open().await {
            self.shared.channels().remove(&self.project);
            says.send_replace(State::Failed(error));
            return;
        }
        says.send_replace(State::Hears);
        let mut ticks = interval(LOOK_EVERY);
        loop {
            let heard = tokio::select! {
                biased;
                received = self.bus.next() => match received {
                    Some(Received::Event(event)) => self.hear(&event).await,
                    Some(Received::Lagged(_)) => self.look().await,
                    None => break,
                },
                _ = ticks.tick() => {
                    if self.is_done() {
                        return;
                    }
                    self.tick().await
                }
            };
            if let Err(error) = heard {
                tracing::warn!(%error, "events cannot be read");
                self.is_behind = true;
            }
        }
        self.shared.channels().remove(&self.project);
        self.ring.end();
    }

    /// Whether nobody listens; then nobody will.
    fn is_done(&self) -> bool {
        let mut channels = self.shared.channels();
        let is_done = !self.ring.is_heard();
        if is_done {
            channels.remove(&self.project);
        }
        is_done
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        self.known.retain(|_, known| match known {
            Known::Ended(at) => at.elapsed() < ENDED_LIFE,
            Known::Open { .. } | Known::Others => true,
        });
        if self.shared.is_shared || self.is_behind {
            return self.look().await;
        }
        // The bus has nothing more, so everything up to here is known.
        self.looked_at = (self.shared.now)();
        Ok(())
    }

    /// Notes how far everything is.
    async fn open(&mut self) -> Result<(), StoreError> {
        let since = self.new_since();
        let mut open = self.query(Query { statuses: OPEN.to_vec(), ..Query::default() });
        while let Some(rows) = self.page(&mut open).await? {
            for row in rows {
                let known = Known::Open { workflow: row.workflow_id, told: row.last_seq };
                self.known.insert(row.id, known);
            }
        }
        let mut new = self.query(Query { created_from: Some(since), ..Query::default() });
        while let Some(rows) = self.page(&mut new).await? {
            for row in rows.into_iter().filter(|row| row.status.is_terminal()) {
                // One that has ended between the two lists is still to be told.
                self.known.entry(row.id).or_insert_with(|| Known::Ended(Instant::now()));
            }
        }
        Ok(())
    }

    fn query(&self, query: Query) -> Query {
        Query { project: self.project.clone(), limit: ROWS_AT_ONCE, ..query }
    }

    /// The next rows of a list; `None` at its end.
    async fn page(&self, query: &mut Query) -> Result<Option<Vec<ExecutionRow>>, StoreError> {
        let rows = self.shared.store.executions(query).await?;
        let last = rows.last();
        query.after = last.map(|row| Place { created_at: row.created_at, id: row.id });
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    /// Since when those are new that it may not have heard of.
    fn new_since(&self) -> Timestamp {
        Cursor::at(self.looked_at).since()
    }

    /// Asks the store for everything that may have been missed.
    async fn look(&mut self) -> Result<(), StoreError> {
        let now = (self.shared.now)();
        let open: Vec<(ExecutionId, u64)> = self
            .known
            .iter()
            .filter_map(|(id, known)| match known {
                Known::Open { told, .. } => Some((*id, *told)),
                Known::Ended(_) | Known::Others => None,
            })
            .collect();
        for some in open.chunks(ROWS_AT_ONCE) {
            for row in self.shared.store.gone_on(some).await? {
                self.read_on(row.id).await?;
            }
        }
        let since = self.new_since();
        let mut new = self.query(Query { created_from: Some(since), ..Query::default() });
        while let Some(rows) = self.page(&mut new).await? {
            for row in rows.into_iter().filter(|row| row.last_seq > 0) {
                if !self.known.contains_key(&row.id) {
                    self.meet(&row);
                    self.read_on(row.id).await?;
                }
            }
        }
        (self.looked_at, self.is_behind) = (now, false);
        Ok(())
    }

    fn meet(&mut self, row: &ExecutionRow) {
        let known = if row.project == self.project {
            Known::Open { workflow: row.workflow_id.clone(), told: 0 }
        } else {
            Known::Others
        };
        self.known.insert(row.id, known);
    }

    /// An event of an execution of this server.
    async fn hear(&mut self, event: &ExecutionEvent) -> Result<(), StoreError> {
        let (id, Some(seq)) = (event.execution_id, event.seq()) else { return Ok(()) };
        if !self.known.contains_key(&id) {
            match self.shared.store.execution(id).await? {
                Some(row) => self.meet(&row),
                // What is in memory only belongs to no project.
                None => drop(self.known.insert(id, Known::Others)),
            }
        }
        match self.known.get(&id) {
            Some(Known::Open { told, .. }) if seq == told + 1 => self.tell(event),
            Some(Known::Open { told, .. }) if seq > *told => return self.read_on(id).await,
            Some(Known::Others) if event.is_last() => drop(self.known.remove(&id)),
            Some(Known::Open { .. } | Known::Ended(_) | Known::Others) | None => {}
        }
        Ok(())
    }

    /// Tells what is kept of an execution and was not told.
    async fn read_on(&mut self, id: ExecutionId) -> Result<(), StoreError> {
        let Some(Known::Open { told, .. }) = self.known.get(&id) else { return Ok(()) };
        match self.shared.runtime.events_after(id, *told).await {
            Ok(events) => events.iter().for_each(|event| self.tell(event)),
            Err(LoadError::Store(error)) => return Err(error),
            Err(error) => {
                note_unreadable(&error, id);
                self.known.insert(id, Known::Others);
            }
        }
        Ok(())
    }

    /// Tells the event that follows.
    fn tell(&mut self, event: &ExecutionEvent) {
        let Some(known) = self.known.get_mut(&event.execution_id) else { return };
        let Known::Open { workflow, told } = known else { return };
        self.cursor = self.cursor.max(Cursor::at(event.at()));
        let Some(next) = Told::new(event, workflow, self.cursor) else { return };
        *told = next.seq;
        if event.is_last() {
            *known = Known::Ended(Instant::now());
        }
        self.ring.tell(next);
    }
}

const _: () = assert!(ENDED_LIFE.as_secs() > LATEST.as_secs());
