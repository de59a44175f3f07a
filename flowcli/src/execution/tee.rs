//! Every event of an execution, for those who must not miss one.

use std::sync::Arc;

use flowcore::{ExecutionEvent, async_trait};
use flowruntime::{Journal, JournalError};
use tokio::sync::mpsc;

use crate::report::progress::Watch;

/// Shows every event to the watch, which never waits, and hands it to the writer of events, for
/// which the execution waits.
pub(super) struct Tee {
    watch: Arc<Watch>,
    writer: Option<mpsc::Sender<Vec<ExecutionEvent>>>,
}

impl Tee {
    pub(super) fn new(
        watch: Arc<Watch>,
        writer: Option<mpsc::Sender<Vec<ExecutionEvent>>>,
    ) -> Self {
        Self { watch, writer }
    }
}

#[async_trait]
impl Journal for Tee {
    async fn append(&self, events: &[ExecutionEvent]) -> Result<(), JournalError> {
        self.watch.note(events);
        if let Some(writer) = &self.writer {
            // A writer that has given up has said so, and the execution is being cancelled.
            let _ = writer.send(events.to_vec()).await;
        }
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        Ok(())
    }
}
