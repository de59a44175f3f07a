//! Somebody who listens.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use flowcore::{ExecutionId, ProjectId, WorkflowId};
use flowruntime::LoadError;
use flowruntime::store::{Cursor as Place, ExecutionRow, Query, StoreError};

use super::hub::OPEN;
use super::ring::TooSlow;
use super::{Cursor, Listener, Shared, Told, note_unreadable};

/// How many rows are read at once.
const ROWS_AT_ONCE: usize = 100;

/// What a reader wants to hear.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Only of this workflow.
    pub(crate) workflow: Option<WorkflowId>,
    /// Only events of these types; empty is all.
    pub(crate) types: Vec<String>,
}

impl Wanted {
    fn has(&self, told: &Told) -> bool {
        self.workflow.as_ref().is_none_or(|id| *id == told.workflow)
            && (self.types.is_empty() || self.types.iter().any(|name| name == told.name))
    }
}

/// What a reader hears.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// It has heard of everything that it missed; what comes from here on happens now.
    Listening(Cursor),
    Event(Arc<Told>),
    /// It was too slow, and something is missing from here on: it hears no more, and comes again after
    /// this, if it has it.
    Gap(Option<Cursor>),
}

/// Listens to a project: first to what it missed, then to what happens.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    project: ProjectId,
    wanted: Wanted,
    listener: Listener,
    /// The last that was heard, or that it came with.
    cursor: Option<Cursor>,
    missed: Option<Missed>,
    /// Up to which events it has heard of those that it missed something of.
    heard: HashMap<ExecutionId, u64>,
    is_over: bool,
}

/// What a reader reads from the store.
struct Missed {
    after: Cursor,
    /// When it began: what happens later is heard from the hub.
    began: Cursor,
    /// The lists that are still to be read: those that are open, those that have ended since.
    lists: VecDeque<Query>,
    rows: VecDeque<ExecutionRow>,
    ready: VecDeque<Arc<Told>>,
}

impl Missed {
    fn new(project: &ProjectId, wanted: &Wanted, after: Cursor, began: Cursor) -> Self {
        let all = || Query {
            project: project.clone(),
            workflow_id: wanted.workflow.clone(),
            limit: ROWS_AT_ONCE,
            ..Query::default()
        };
        // In this order: one that ends meanwhile is in the second.
        let open = Query { statuses: OPEN.to_vec(), ..all() };
        let ended = Query { ended_from: Some(after.since()), ..all() };
        let (rows, ready) = (VecDeque::new(), VecDeque::new());
        Self { after, began, lists: [open, ended].into(), rows, ready }
    }

    fn nothing(began: Cursor) -> Self {
        let (lists, rows, ready) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { after: began, began, lists, rows, ready }
    }
}

impl Reader {
    pub(super) fn new(
        shared: Arc<Shared>,
        project: ProjectId,
        wanted: Wanted,
        listener: Listener,
        after: Option<Cursor>,
        began: Cursor,
    ) -> Self {
        let missed = after.map(|after| Missed::new(&project, &wanted, after, began));
        let missed = Some(missed.unwrap_or_else(|| Missed::nothing(began)));
        let (heard, is_over) = (HashMap::new(), false);
        Self { shared, project, wanted, listener, cursor: after, missed, heard, is_over }
    }

    /// What is heard next; `None` when there will be nothing more. Not cancel safe.
    ///
    /// # Errors
    /// When what was missed cannot be read; nothing more is heard.
    pub(crate) async fn next(&mut self) -> Result<Option<Heard>, StoreError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            if self.missed.is_some() {
                // An error is the last that is heard.
                self.is_over = true;
                let heard = match self.read().await? {
                    Some(told) => Some(Heard::Event(told)),
                    None => self.has_read().await?,
                };
                self.is_over = false;
                match heard {
                    Some(heard) => return Ok(Some(heard)),
                    None => continue,
                }
            }
            match self.listener.next().await {
                Ok(Some(told)) => {
                    if let Some(told) = self.take(told) {
                        return Ok(Some(Heard::Event(told)));
                    }
                }
                Err(TooSlow) => {
                    self.is_over = true;
                    return Ok(Some(Heard::Gap(self.cursor)));
                }
                Ok(None) => return Ok(None),
            }
        }
    }

    /// Takes what the hub says, if it is wanted and new.
    fn take(&mut self, told: Arc<Told>) -> Option<Arc<Told>> {
        self.cursor = self.cursor.max(Some(told.cursor));
        if let Some(last) = self.heard.get(&told.execution) {
            if told.seq <= *last {
                return None;
            }
            // From here on the hub tells each once.
            self.heard.remove(&told.execution);
        }
        self.wanted.has(&told).then_some(told)
    }

    /// The next event of those that were missed; `None` after the last one.
    async fn read(&mut self) -> Result<Option<Arc<Told>>, StoreError> {
        loop {
            let Some(missed) = &mut self.missed else { return Ok(None) };
            if let Some(told) = missed.ready.pop_front() {
                return Ok(Some(told));
            }
            if let Some(row) = missed.rows.pop_front() {
                self.read_execution(&row).await?;
                continue;
            }
            let Some(query) = missed.lists.front_mut() else { return Ok(None) };
            let rows = self.shared.store.executions(query).await?;
            match rows.last() {
                Some(last) => {
                    query.after = Some(Place { created_at: last.created_at, id: last.id });
                    missed.rows = rows.into();
                }
                None => drop(missed.lists.pop_front()),
            }
        }
    }

    async fn read_execution(&mut self, row: &ExecutionRow) -> Result<(), StoreError> {
        let Some(missed) = &mut self.missed else { return Ok(()) };
        let events = match self.shared.runtime.events_since(row, missed.after.since()).await {
            Ok(events) => events,
            Err(LoadError::Store(error)) => return Err(error),
            Err(error) => {
                note_unreadable(&error, row.id);
                return Ok(());
            }
        };
        let Some(last) = events.last().and_then(|event| event.seq()) else { return Ok(()) };
        let before = self.heard.insert(row.id, last).unwrap_or(0);
        // Until all of it is read, whoever comes again begins where it began this time.
        let told = events.iter().filter_map(|event| {
            Told::new(event, &row.workflow_id, missed.after).filter(|told| told.seq > before)
        });
        missed.ready.extend(told.filter(|told| self.wanted.has(told)).map(Arc::new));
        Ok(())
    }

    /// Everything that was missed is read. If it took so long that the hub did not wait, what happened
    /// since it began is read in the same way, which takes less long.
    async fn has_read(&mut self) -> Result<Option<Heard>, StoreError> {
        let Some(missed) = self.missed.take() else { return Ok(None) };
        // Whatever happened before was read.
        self.cursor = Some(missed.began);
        if !self.listener.is_too_slow() {
            return Ok(Some(Heard::Listening(missed.began)));
        }
        let began = Cursor::at((self.shared.now)());
        self.listener = self.shared.subscribe(&self.project).await?;
        self.missed = Some(Missed::new(&self.project, &self.wanted, missed.began, began));
        Ok(None)
    }
}
