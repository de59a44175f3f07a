//! Where processes live and die: each is a tokio runtime of its own, on a store in memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    CalledWorkflow, ExecutionEvent, ExecutionId, NoWorkflow, NodeRegistry, Object, Policy, Secrets,
    Timestamp, Workflow, WorkflowSource,
};
use flowruntime::store::{MemoryStore, Store};
use flowruntime::testing::VirtualClock;
use flowruntime::testing::crash::{Faulty, Sent, sent};
use flowruntime::{ExecutionHandle, FlowRuntime, FlowRuntimeBuilder, History, StartError};

use super::cast::{Cast, Script};
use super::ledger::Ledger;
use super::messenger::Messenger;
use crate::error::CliError;
use crate::workflows::WorkflowFiles;

/// How long one process may really take: nothing waits, but a `pure` node may never end.
const LIMIT: Duration = Duration::from_secs(60);

/// What all processes have.
pub(crate) struct Site {
    pub(crate) registry: NodeRegistry,
    pub(crate) policy: Policy,
    pub(crate) secrets: Secrets,
    pub(crate) workflow: Workflow,
    pub(crate) files: SharedFiles,
    /// What stands between processes and the store in memory; tests break it.
    pub(crate) seen: Seen,
}

/// From a store in memory to what processes see of it.
pub(crate) type Seen = fn(Arc<MemoryStore>) -> Arc<dyn Store>;

/// The workflows that others call, read once for all processes.
#[derive(Clone)]
pub(crate) struct SharedFiles(Arc<WorkflowFiles>);

impl SharedFiles {
    pub(crate) fn new(files: WorkflowFiles) -> Self {
        Self(Arc::new(files))
    }
}

impl WorkflowSource for SharedFiles {
    fn find(&self, name: &str, from: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        self.0.find(name, from)
    }
}

/// What a first process starts.
pub(crate) struct Order<'a> {
    pub(crate) id: ExecutionId,
    pub(crate) inputs: &'a Object,
    pub(crate) at: Timestamp,
    pub(crate) signals: &'a [Sent],
}

/// How a process left its execution.
#[derive(Debug)]
pub(crate) enum Left {
    /// It has ended.
    Ended,
    /// The process died before, or was told that it is not accepted.
    Died,
    /// It waits for something that never comes.
    Stuck,
    /// It took longer than it may.
    TookTooLong,
    /// The engine gave it up.
    GivenUp(String),
}

impl Site {
    /// A runtime without time, stores and stand-ins.
    pub(crate) fn builder(&self) -> FlowRuntimeBuilder {
        FlowRuntime::builder()
            .registry(self.registry.clone())
            .policy(self.policy.clone())
            .secrets(self.secrets.clone())
            .workflows(self.files.clone())
            .own_executions_only()
    }

    fn flow(&self, store: Arc<dyn Store>, clock: &VirtualClock, cast: Cast) -> FlowRuntime {
        let builder = self.builder().store(store).virtual_time(clock).stand_ins(cast);
        builder.build().expect("no limit is set")
    }

    /// Runs the first process, until it has ended or died. Gives whether it was told that the
    /// execution is accepted.
    pub(crate) fn first(
        &self,
        store: Arc<dyn Store>,
        below: &MemoryStore,
        faulty: &Faulty,
        (script, ledger): (&Script, &Ledger),
        order: &Order<'_>,
    ) -> Result<(Left, bool), CliError> {
        let clock = VirtualClock::starting_at(order.at);
        let cast = Cast {
            script: script.clone(),
            ledger: ledger.clone(),
            process: 0,
            clock: Some(clock.clone()),
        };
        let flow = self.flow(store, &clock, cast);
        let mut is_accepted = false;
        let left = within(async {
            // Nothing moves before everything has its place.
            let hold = clock.hold();
            let mut messenger = Messenger::new(&clock, order.signals);
            let prepared = flow.prepare(&self.workflow, order.inputs.clone())?.with_id(order.id);
            let run = async {
                let execution = match prepared.start().await {
                    Ok(execution) => execution,
                    Err(StartError::Store(_)) => return Ok(Left::Died),
                    Err(error) => return Err(error.into()),
                };
                is_accepted = true;
                drop(hold);
                Ok(follow(&execution, &clock, messenger.deliver(&execution, below)).await)
            };
            tokio::select! {
                biased;
                () = faulty.died() => Ok(Left::Died),
                left = run => left,
            }
        })?;
        left.map(|left| (left, is_accepted))
    }

    /// Lets another process go on with what is kept, to its end. Gives what was kept before, what is
    /// after, and how it left it; nothing when there is no execution.
    pub(crate) fn second(
        &self,
        store: &Arc<MemoryStore>,
        (script, ledger): (&Script, &Ledger),
        order: &Order<'_>,
    ) -> Result<Option<(History, History, Left)>, CliError> {
        let clock = VirtualClock::starting_at(order.at);
        let cast = Cast {
            script: script.clone(),
            ledger: ledger.clone(),
            process: 1,
            clock: Some(clock.clone()),
        };
        let flow = self.flow((self.seen)(store.clone()), &clock, cast);
        within(async {
            let history = async || Ok::<_, CliError>(flow.history(order.id).await?);
            let Some(before) = history().await? else { return Ok(None) };
            if before.row.status.is_terminal() {
                return Ok(Some((before.clone(), before, Left::Ended)));
            }
            let hold = clock.hold();
            clock.advance_to(before.events.last().map_or(order.at, ExecutionEvent::at));
            // Whoever sends signals does so until they are taken.
            let known = sent(&before.events).len() + store.messages(order.id).await?.len();
            let signals = order.signals.get(known..).unwrap_or_default();
            let mut messenger = Messenger::new(&clock, signals);
            let Some((execution, _)) = flow.take_up(order.id, None).await? else {
                return Ok(None);
            };
            drop(hold);
            let left = follow(&execution, &clock, messenger.deliver(&execution, store)).await;
            let Some(after) = history().await? else { return Ok(None) };
            Ok(Some((before, after, left)))
        })?
    }

    /// What is kept of an execution.
    pub(crate) fn history(
        &self,
        store: Arc<MemoryStore>,
        id: ExecutionId,
    ) -> Result<Option<History>, CliError> {
        let flow = self.builder().store((self.seen)(store)).build().expect("no limit is set");
        Ok(within(flow.history(id))??)
    }
}

/// Waits for the end of an execution, while signals are delivered.
async fn follow(
    execution: &ExecutionHandle,
    clock: &VirtualClock,
    deliver: impl Future<Output = ()>,
) -> Left {
    let (mut end, mut deliver) = (pin!(execution.wait()), pin!(deliver));
    let mut limit = pin!(tokio::time::sleep(LIMIT));
    let mut is_delivered = false;
    loop {
        tokio::select! {
            biased;
            result = &mut end => return match result {
                Ok(_) => Left::Ended,
                Err(error) => Left::GivenUp(error.to_string()),
            },
            () = &mut deliver, if !is_delivered => is_delivered = true,
            () = clock.stalled() => return Left::Stuck,
            () = &mut limit => return Left::TookTooLong,
        }
    }
}

/// Runs something in a process of its own, on this thread, and whatever it leaves behind dies with it.
/// What the engine logs of a crash is expected, and not shown.
fn within<F: Future>(process: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    let silence = tracing::subscriber::NoSubscriber::new();
    let done = tracing::subscriber::with_default(silence, || runtime.block_on(process));
    runtime.shutdown_background();
    Ok(done)
}
