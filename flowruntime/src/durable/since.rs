//! What has happened in an execution since a moment.

use flowcore::{ExecutionEvent, ExecutionId, Timestamp};

use super::LoadError;
use crate::runtime::FlowRuntime;
use crate::store::ExecutionRow;

impl FlowRuntime {
    /// The events of an execution that is kept, from the first one at this time or later on, in order.
    /// When there is none, only its last events were read.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn events_since(
        &self,
        row: &ExecutionRow,
        since: Timestamp,
    ) -> Result<Vec<ExecutionEvent>, LoadError> {
        let Some(durable) = &self.shared.durable else { return Ok(Vec::new()) };
        let Some(before_last) = row.last_seq.checked_sub(1) else { return Ok(Vec::new()) };
        // Those that were written since the row was read come with it.
        let last = durable.store.segments(row.id, before_last, usize::MAX).await?;
        let mut is_later = false;
        for segment in &last {
            let records = durable.records(segment).await?;
            is_later |= records.last().is_some_and(|record| record.at >= since);
        }
        if !is_later {
            return Ok(Vec::new());
        }
        self.events_from(row.id, |event| event.at() >= since).await
    }

    /// The events of an execution that is kept, those after this number, in order.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn events_after(
        &self,
        id: ExecutionId,
        after: u64,
    ) -> Result<Vec<ExecutionEvent>, LoadError> {
        self.events_from(id, |event| event.seq().is_some_and(|seq| seq > after)).await
    }

    /// The events from the first one that is meant on.
    async fn events_from(
        &self,
        id: ExecutionId,
        is_meant: impl Fn(&ExecutionEvent) -> bool,
    ) -> Result<Vec<ExecutionEvent>, LoadError> {
        let mut events = Vec::new();
        if let Some((_, mut replay)) = self.replay(id).await? {
            while let Some(event) = replay.step()? {
                if !events.is_empty() || is_meant(&event) {
                    events.push(event);
                }
            }
        }
        Ok(events)
    }
}
