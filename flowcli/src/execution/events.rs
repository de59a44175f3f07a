//! Events as lines of JSON on standard output.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use flowcore::ExecutionEvent;
use tokio::sync::{Notify, mpsc};

use crate::error::CliError;
use crate::output::DataWriter;

/// How many batches of events may wait for a slow reader before the execution waits too. A batch is
/// what one turn of the engine gives, some hundred events at most.
const MOST_WAITING: usize = 16;

/// A thread that writes events: writing blocks when the reader is slow.
pub(super) struct EventLines {
    sender: mpsc::Sender<Vec<ExecutionEvent>>,
    thread: JoinHandle<Result<(), CliError>>,
    closed: Arc<Notify>,
}

impl EventLines {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self, CliError> {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let closed = Arc::new(Notify::new());
        let on_close = closed.clone();
        let work = move || {
            let written = write_all(receiver);
            if written.is_err() {
                on_close.notify_one();
            }
            written
        };
        let thread = thread::Builder::new().name("flow-events".to_owned()).spawn(work);
        Ok(Self { sender, thread: thread.map_err(CliError::Runtime)?, closed })
    }

    /// Where the events go; the execution waits when there are too many.
    pub(super) fn sender(&self) -> mpsc::Sender<Vec<ExecutionEvent>> {
        self.sender.clone()
    }

    /// Notified when nothing can be written any more.
    pub(super) fn closed(&self) -> Arc<Notify> {
        self.closed.clone()
    }

    /// Waits until everything is written.
    pub(super) fn join(self) -> Result<(), CliError> {
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Writes until the last event. A reader that keeps up sees every event at once.
fn write_all(mut batches: mpsc::Receiver<Vec<ExecutionEvent>>) -> Result<(), CliError> {
    let mut output = DataWriter::new();
    while let Some(batch) = batches.blocking_recv() {
        for event in &batch {
            let line = serde_json::to_string(event);
            let line = line.expect("events have string keys and finite numbers only");
            output.write(&line)?;
            output.write("\n")?;
        }
        if batches.is_empty() {
            output.flush()?;
        }
        if batch.last().is_some_and(ExecutionEvent::is_last) {
            break;
        }
    }
    output.flush()
}
