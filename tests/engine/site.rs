//! Processes on one store.

use std::sync::Arc;

use flowcore::ExecutionId;
use flowruntime::store::{ExecutionRow, MemoryStore, Store};
use flowruntime::{FlowRuntime, FlowRuntimeBuilder};

use crate::stage::Stage;
use crate::support::paused;

/// Processes that come and go, on one store.
pub(crate) struct Site {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) stage: Stage,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { store: Arc::new(MemoryStore::new()), stage: Stage::new() }
    }

    pub(crate) fn builder(&self) -> FlowRuntimeBuilder {
        self.stage.builder().store(self.store.clone())
    }

    pub(crate) fn process(&self) -> FlowRuntime {
        self.builder().build().unwrap()
    }

    /// Runs something in a process that dies when that is done.
    pub(crate) fn dies_after<F: Future>(&self, test: impl FnOnce(FlowRuntime) -> F) -> F::Output {
        let process = self.process();
        let done = paused(test(process));
        self.store.kill_owners();
        done
    }

    pub(crate) async fn row(&self, id: ExecutionId) -> ExecutionRow {
        self.store.execution(id).await.unwrap().unwrap()
    }
}
