//! Processes that live and die on one store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{Event, ExecutionId, ExecutionStatus, Limits, Workflow};
use flowruntime::store::{MemoryStore, Query, Store};
use flowruntime::testing::crash::{Crash, Fault, Faulty, Finding, Splitting, Twisted, check};
use flowruntime::{FlowRuntime, History, StartError};
use tokio::runtime::{Builder, Runtime};

use crate::witness::Witness;
use crate::workloads::Workload;

/// Longer than any workload takes, in time that does not pass.
const HANG: Duration = Duration::from_secs(10 * 86_400);

/// Whatever a workload does is over by then.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

/// What stands between processes and the store in memory.
pub(crate) type Wrap = dyn Fn(Arc<MemoryStore>) -> Arc<dyn Store>;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// As the driver hands them over.
    Together,
    /// Each by itself, so that a crash leaves any prefix.
    Split,
}

/// One run of a workload, with what happened to it.
pub(crate) struct Site<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) store: Arc<MemoryStore>,
    /// What processes see of it.
    seen: Arc<dyn Store>,
    pub(crate) witness: Witness,
    is_broken: bool,
}

impl<'a> Site<'a> {
    pub(crate) fn new(workload: &'a Workload, wrap: &Wrap) -> Self {
        let store = Arc::new(MemoryStore::new());
        let seen = wrap(store.clone());
        Self { workload, store, seen, witness: Witness::default(), is_broken: false }
    }

    /// One on whose store an execution may be lost while its process lives.
    pub(crate) fn broken(mut self) -> Self {
        self.is_broken = true;
        self
    }

    fn process(&self, number: usize, store: Arc<dyn Store>) -> FlowRuntime {
        let registry = self.witness.registry(number);
        let builder = FlowRuntime::builder().registry(registry).limits(Limits::none());
        builder.store(store).build().unwrap()
    }

    /// Runs the workload in a process whose store fails at this write. Gives how many writes there
    /// were, and the executions that were accepted as far as the process was told.
    pub(crate) fn run(
        &self,
        writes: Writes,
        fault: Fault,
        at: usize,
    ) -> (usize, Option<ExecutionId>) {
        let faulty = Arc::new(Twisted::new(self.seen.clone(), Faulty::new(fault, at)));
        let store: Arc<dyn Store> = match writes {
            Writes::Together => faulty.clone(),
            Writes::Split => Arc::new(Twisted::new(faulty.clone(), Splitting::default())),
        };
        let process = self.process(0, store);
        let mut accepted = None;
        within(async {
            tokio::select! {
                () = self.start_and_wait(&process, &mut accepted) => {}
                () = faulty.twist().died() => {}
                () = tokio::time::sleep(HANG) => {}
            }
        });
        self.store.kill_owners();
        (faulty.twist().writes(), accepted)
    }

    async fn start_and_wait(&self, process: &FlowRuntime, accepted: &mut Option<ExecutionId>) {
        let workflow: &Workflow = &self.workload.workflow;
        let handle = match process.start(workflow, ()).await {
            Ok(handle) => handle,
            // One that was not accepted may be started again; this one gives up.
            Err(StartError::Store(_)) => return,
            Err(error) => panic!("{}: {error}", self.workload.name),
        };
        *accepted = Some(handle.id());
        for name in &self.workload.signals {
            handle.signal(name, 1).await.unwrap();
        }
        // It may go on elsewhere, and end there.
        let ended = handle.wait().await;
        assert!(ended.is_ok() || self.is_broken, "{}: {ended:?}", self.workload.name);
    }

    /// What is known of all executions.
    pub(crate) fn histories(&self) -> Result<Vec<History>, Finding> {
        let process = self.process(usize::MAX, self.seen.clone());
        within(self.histories_seen_by(&process))
    }

    async fn histories_seen_by(&self, process: &FlowRuntime) -> Result<Vec<History>, Finding> {
        let mut histories = Vec::new();
        for row in self.seen.executions(&Query::default()).await.unwrap() {
            let history = process.history(row.id).await;
            let history = history.map_err(|error| Finding::Unreadable(error.to_string()))?;
            histories.push(history.ok_or(Finding::Lost)?);
        }
        Ok(histories)
    }

    /// Lets another process go on with everything to its end.
    pub(crate) fn recover(&self) -> Result<(), Finding> {
        let process = self.process(2, self.seen.clone());
        within(async {
            let executions = self.seen.executions(&Query::default()).await.unwrap();
            for row in &executions {
                self.signal_again(&process, row.id).await;
            }
            process.open().await.unwrap();
            for row in executions {
                let handle = process.handle(row.id).await;
                let handle = handle.map_err(|error| Finding::Unreadable(error.to_string()))?;
                let handle = handle.ok_or(Finding::Lost)?;
                let ended = tokio::time::timeout(HANG, handle.wait()).await;
                let Ok(ended) = ended else { return Err(Finding::Stuck) };
                let ended = ended.map_err(|error| Finding::Unreadable(error.to_string()))?;
                if ended.status == ExecutionStatus::Paused {
                    return Err(Finding::Stuck);
                }
            }
            Ok(())
        })
    }

    /// Whoever sends signals does so until they are taken.
    async fn signal_again(&self, process: &FlowRuntime, id: ExecutionId) {
        let history = process.history(id).await.ok().flatten();
        let events = history.iter().flat_map(|history| &history.events);
        let received: BTreeSet<&str> = events
            .filter_map(|event| match event.event() {
                Some(Event::SignalReceived { name, .. }) => Some(&**name),
                _ => None,
            })
            .collect();
        let received = received.len();
        let waiting = self.seen.messages(id).await.unwrap().len();
        for name in self.workload.signals.iter().skip(received + waiting) {
            // It may have ended meanwhile.
            let _ = process.signal(id, name, None, 1).await;
        }
    }

    /// Two processes at once: the first one is taken for dead after this write, and goes on.
    pub(crate) fn zombie(&self, at: usize, expected: &History) -> Result<(), Finding> {
        let faulty =
            Arc::new(Twisted::new(self.seen.clone(), Faulty::new(Fault::TakenForDead, at)));
        let first = self.process(0, Arc::new(Twisted::new(faulty.clone(), Splitting::default())));
        let second = self.process(1, self.seen.clone());
        let mut accepted = None;
        let (before, after) = within(async {
            let before = {
                let mut run = std::pin::pin!(self.start_and_wait(&first, &mut accepted));
                let is_over = tokio::select! {
                    () = &mut run => true,
                    () = faulty.twist().died() => false,
                };
                let before = self.histories_seen_by(&second).await?;
                self.store.kill_owners();
                second.open().await.unwrap();
                if !is_over {
                    let ended = tokio::time::timeout(HANG, run).await;
                    ended.map_err(|_| Finding::Stuck)?;
                }
                before
            };
            for row in self.seen.executions(&Query::default()).await.unwrap() {
                let handle = second.handle(row.id).await;
                let handle = handle.map_err(|error| Finding::Unreadable(error.to_string()))?;
                let ended = tokio::time::timeout(HANG, handle.ok_or(Finding::Lost)?.wait()).await;
                ended.map_err(|_| Finding::Stuck)?.map_err(|_| Finding::Stuck)?;
            }
            Ok((before, self.histories_seen_by(&second).await?))
        })?;
        let deeds = self.witness.deeds();
        check(&Crash { accepted, before, after, deeds, expected })
    }

    /// Another process goes on, and dies at once: at its second write.
    fn recover_in_vain(&self) {
        let faulty = Arc::new(Twisted::new(self.seen.clone(), Faulty::new(Fault::DieAfter, 2)));
        let process = self.process(1, Arc::new(Twisted::new(faulty.clone(), Splitting::default())));
        within(async {
            process.open().await.unwrap();
            tokio::select! {
                () = faulty.twist().died() => {}
                // There may be nothing left to write.
                () = tokio::time::sleep(LONG_ENOUGH) => {}
            }
        });
        self.store.kill_owners();
    }

    /// Everything from the crash to the end, and what is wrong with it.
    pub(crate) fn crash(
        &self,
        writes: Writes,
        fault: Fault,
        at: usize,
        expected: &History,
    ) -> Result<(), Finding> {
        let (_, accepted) = self.run(writes, fault, at);
        let before = self.histories()?;
        self.recover()?;
        self.check(accepted, before, expected)
    }

    /// As [`Site::crash`], with a second crash soon after the first.
    pub(crate) fn crash_twice(
        &self,
        fault: Fault,
        at: usize,
        expected: &History,
    ) -> Result<(), Finding> {
        let (_, accepted) = self.run(Writes::Split, fault, at);
        let before = self.histories()?;
        self.recover_in_vain();
        self.recover()?;
        self.check(accepted, before, expected)
    }

    fn check(
        &self,
        accepted: Option<ExecutionId>,
        before: Vec<History>,
        expected: &History,
    ) -> Result<(), Finding> {
        let (after, deeds) = (self.histories()?, self.witness.deeds());
        check(&Crash { accepted, before, after, deeds, expected })
    }
}

/// Runs something in a process of its own, under time that does not pass.
fn within<F: Future>(process: F) -> F::Output {
    let runtime: Runtime =
        Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let done = runtime.block_on(process);
    runtime.shutdown_background();
    done
}
