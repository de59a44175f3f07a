//! The thread that everything of a store runs on.

use std::future::Future;
use std::io;

use flowruntime::store::StoreError;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};

use super::failure::unanswered;

/// A thread with a runtime of its own. So connections outlive the runtime of whoever asked first, a
/// dropped future cuts no transaction, and callers that are busy, or whose time stands still, delay
/// neither commits nor heartbeats.
///
/// Once this is dropped, the thread finishes what was asked, and ends. Everything that it does has a
/// time limit, so that it does end.
pub(super) struct Home {
    handle: Handle,
    /// Each task has a clone: when all are gone, nothing is left to do.
    alive: mpsc::Sender<()>,
}

impl Home {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        let run = move || {
            // Nobody sends: this ends with the last of the senders.
            runtime.block_on(all_gone.recv());
        };
        std::thread::Builder::new().name("flow-postgres".to_owned()).spawn(run)?;
        Ok(Self { handle, alive })
    }

    /// Lets a task run, to its end, whatever becomes of this.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive.clone();
        drop(self.handle.spawn(async move {
            task.await;
            drop(alive);
        }));
    }

    /// Lets a task run, and waits for its answer. It goes on when this is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.spawn(async move {
            let _ = answer.send(task.await);
        });
        answered.await.unwrap_or_else(|_| Err(unanswered()))
    }
}
