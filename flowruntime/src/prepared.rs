//! Executions that are checked, on their way to be accepted and driven.

use std::fmt;
use std::sync::Arc;

use flowcore::machine::{Kept, Machine, MachineOptions};
use flowcore::{
    ConcurrencyLimit, Digest, Durability, EVENT_FORMAT, ExecutionId, Object, Origin, ProjectId,
    Secrets, SharedPlan, TraceContext,
};

use crate::concurrency::Place;
use crate::control::Control;
use crate::driver::ledger::Ledger;
use crate::driver::{Begin, Driver};
use crate::durable::{Durable, StoreJournal, StoredStart, Written, blobs_of};
use crate::event_bus::Subscription;
use crate::handle::{ExecutionHandle, WaitError};
use crate::history::Watch;
use crate::journal::Journal;
use crate::plans::Planned;
use crate::runtime::{FlowRuntime, StartError, StartedWith};
use crate::store::{
    AuditEntry, Created, ExecutionRow, NewExecution, OwnerId, StartKey, StoreError,
};

/// An execution that is checked but not started.
pub struct PreparedExecution {
    runtime: FlowRuntime,
    planned: Planned,
    inputs: Object,
    concurrency: Option<ConcurrencyLimit>,
    control: Arc<Control>,
    journal: Arc<dyn Journal>,
    /// Those of the project, unless it was given others.
    secrets: Option<Secrets>,
    keep_outputs: bool,
    is_watched: bool,
    key: Option<Key>,
    origin: Origin,
    version: Option<u64>,
    audit: Option<AuditEntry>,
    caller: Option<TraceContext>,
    rerun: Option<Rerun>,
}

/// What makes a start repeatable.
enum Key {
    /// For the same workflow and inputs.
    Start(String),
    /// Whatever the workflow and the inputs.
    Cause(String),
}

/// What an execution has from the one that it runs again.
pub(crate) struct Rerun {
    pub(crate) of: ExecutionId,
    /// Results that nodes have instead of running.
    pub(crate) kept: Option<Box<Kept>>,
    pub(crate) directory: String,
    pub(crate) origin: Origin,
    pub(crate) version: Option<u64>,
}

impl PreparedExecution {
    /// With inputs that are checked, defaults included.
    pub(crate) fn new(
        runtime: FlowRuntime,
        planned: Planned,
        inputs: Object,
        concurrency: Option<ConcurrencyLimit>,
    ) -> Self {
        let id = ExecutionId::from_uuid(uuid::Uuid::now_v7());
        let control = runtime.new_control(id, planned.plan().clone());
        let journal = runtime.shared.journal.clone();
        Self {
            runtime,
            planned,
            inputs,
            concurrency,
            control,
            journal,
            secrets: None,
            keep_outputs: false,
            is_watched: false,
            key: None,
            origin: Origin::default(),
            version: None,
            audit: None,
            caller: None,
            rerun: None,
        }
    }

    pub(crate) fn runs_again(mut self, rerun: Rerun) -> Self {
        (self.origin, self.version) = (rerun.origin.clone(), rerun.version);
        self.rerun = Some(rerun);
        self
    }

    /// The execution's id.
    pub fn id(&self) -> ExecutionId {
        self.control.execution_id
    }

    /// The plan.
    pub fn plan(&self) -> &SharedPlan {
        self.planned.plan()
    }

    /// Gives the execution this id, for tests that run one again: in one store, two executions must not
    /// have one id. [`PreparedExecution::events`] comes after it.
    #[must_use]
    pub fn with_id(mut self, id: ExecutionId) -> Self {
        self.control = self.runtime.new_control(id, self.plan().clone());
        self
    }

    /// Whether the workflow is for these inputs, as [`FlowRuntime::process`] would ask. It starts in
    /// any case.
    ///
    /// # Errors
    /// [`StartError::When`].
    pub fn is_wanted(&self) -> Result<bool, StartError> {
        self.plan().wants(&self.inputs, &self.secrets_now()).map_err(StartError::When)
    }

    /// The events of this execution, from the first to the last.
    pub fn events(&self) -> Subscription {
        self.control.subscribe()
    }

    /// Keeps the events in this journal.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = journal;
        self
    }

    /// Gives the execution these secrets instead of those of its project.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    fn secrets_now(&self) -> Secrets {
        let own = self.secrets.clone();
        own.unwrap_or_else(|| self.runtime.shared.secrets.secrets_of(&self.origin.project))
    }

    /// Keeps every node's outputs for the result; otherwise a value is dropped after its last
    /// reader.
    #[must_use]
    pub fn keep_outputs(mut self) -> Self {
        self.keep_outputs = true;
        self
    }

    /// Follows the execution while it is executed here, so that [`ExecutionHandle::report`] need not read
    /// it back.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.is_watched = true;
        self
    }

    /// Puts the execution into this project, instead of the default one, or of that of the execution
    /// that it runs again. Nodes are told, and a store keeps it apart by that.
    #[must_use]
    pub fn project(mut self, project: ProjectId) -> Self {
        self.origin.project = project;
        self
    }

    /// Says how many events led to it, one from the other; nodes are told, so that a chain of events
    /// has an end. One that runs another again has as many as that one, unless said otherwise.
    #[must_use]
    pub fn hops(mut self, hops: u32) -> Self {
        self.origin.hops = hops;
        self
    }

    /// Says which version of a saved workflow is run; what it runs is the plan all the same. Without a
    /// store it changes nothing.
    #[must_use]
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Starts it in this span: its own is a child of it, whoever executes it.
    #[must_use]
    pub fn caller(mut self, caller: TraceContext) -> Self {
        self.caller = Some(caller);
        self
    }

    /// Writes down who started it, in the transaction in which it is accepted; a start that turns out
    /// to be a repeated one leaves no entry. Without a store that has an audit log it changes nothing.
    #[must_use]
    pub fn audit(mut self, entry: AuditEntry) -> Self {
        self.audit = Some(entry);
        self
    }

    /// Makes the start repeatable: with a store, another start in its project with the same key gives
    /// the execution of the first one, for a week. Without a store it changes nothing.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Key::Start(key.into()));
        self
    }

    /// As [`PreparedExecution::key`], where the key names what the start follows from, such as a
    /// message: another start with it gives the execution of the first one also when the workflow has
    /// changed since, or its inputs are others.
    #[must_use]
    pub fn only_once(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Key::Cause(key.into()));
        self
    }

    /// Starts the execution. Returns once it is accepted; it goes on by itself. With a store, accepted
    /// means durable. Dropping the future leaves open whether it was accepted.
    ///
    /// When the store was out of reach nobody knows whether it was accepted; if it was, this runtime
    /// goes on with it, and who starts it again with the same key hears of it.
    ///
    /// # Errors
    /// [`StartError::Skipped`], [`StartError::Refused`], [`StartError::Store`],
    /// [`StartError::NoTokio`] and [`StartError::NoTimers`].
    pub async fn start(self) -> Result<ExecutionHandle, StartError> {
        let tokio = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoTokio)?;
        self.runtime.shared.check_timers(&tokio)?;
        let admission = self.runtime.shared.admission.clone();
        let place = match &admission {
            Some(admission) => Some(admission.admit(&self.origin.project).await?),
            None => None,
        };
        match self.runtime.shared.durable.clone().filter(|_| self.is_durable()) {
            // In a task: an execution that is accepted is executed, also when nobody waits for it.
            Some(durable) => {
                let accepted = tokio.spawn(async move {
                    let accepted = self.accept_and_run(durable).await;
                    drop(place);
                    accepted
                });
                let accepted = accepted.await;
                accepted.map_err(|_| StartError::Wait(WaitError::Lost))?
            }
            None => self.run(),
        }
    }

    /// Whether a store will keep it: the runtime has one, and `settings.durability` is not `none`.
    pub fn is_kept(&self) -> bool {
        self.runtime.shared.durable.is_some() && self.is_durable()
    }

    /// Whether the store of the runtime, if it has one, keeps it.
    fn is_durable(&self) -> bool {
        self.plan().workflow().settings.durability != Some(Durability::None)
    }

    async fn accept_and_run(self, durable: Arc<Durable>) -> Result<ExecutionHandle, StartError> {
        let owner = durable.owner(&self.runtime.shared).await?;
        // Before it is accepted: one that is skipped is none.
        let place = self.arrive()?;
        let new = self.to_new(&durable, owner)?;
        if self.is_watched {
            self.control.watch(Watch::new(ExecutionRow::accepted(&new), self.inputs.clone()));
        }
        // Before it is accepted: whoever repeats this start at the same moment finds it here.
        durable.loaded(self.control.clone());
        match durable.store.create(new).await {
            Ok(Created::New) => Ok(self.spawn_stored(&durable, place)),
            Ok(Created::Existing(id)) => {
                durable.not_accepted(&self.control);
                let handle = self.runtime.handle(id).await?;
                handle.ok_or(StartError::Wait(WaitError::Lost))
            }
            Err(error) => {
                match error {
                    StoreError::Unavailable { .. } => durable.doubted(&self.control),
                    _ => durable.not_accepted(&self.control),
                }
                Err(error.into())
            }
        }
    }

    /// The execution as a store accepts it.
    fn to_new(&self, durable: &Durable, owner: OwnerId) -> Result<NewExecution, StartError> {
        let rerun = self.rerun.as_ref();
        let definition = self.planned.definition().clone();
        let start = StoredStart {
            inputs: self.inputs.clone(),
            keep_outputs: self.keep_outputs,
            hops: self.origin.hops,
            directory: rerun.map_or_else(|| self.directory(), |rerun| rerun.directory.clone()),
            kept: rerun.and_then(|rerun| rerun.kept.clone()),
            trace: self.caller.clone(),
        };
        let stored = durable.codec.write(&start).map_err(|_| StoreError::NoSealingKey)?;
        let key = self.key.as_ref().map(|key| match key {
            Key::Start(key) => {
                let inputs = Digest::of(&self.inputs.clone().into());
                let parts = [definition.digest, inputs];
                let bytes: Vec<u8> = parts.iter().flat_map(|part| *part.as_bytes()).collect();
                StartKey { key: key.clone(), fingerprint: Digest::of_bytes("flow.start", &bytes) }
            }
            Key::Cause(key) => {
                let fingerprint = Digest::of_bytes("flow.cause", key.as_bytes());
                StartKey { key: key.clone(), fingerprint }
            }
        });
        Ok(NewExecution {
            id: self.control.execution_id,
            project: self.origin.project.clone(),
            workflow_id: self.plan().workflow_id().clone(),
            version: self.version,
            definition,
            start: stored.text,
            blobs: blobs_of(stored.apart),
            key,
            owner: Some(owner),
            rerun_of: rerun.map(|rerun| rerun.of),
            created_at: self.runtime.shared.clock.now(),
            format: EVENT_FORMAT,
            audit: self.audit.clone(),
        })
    }

    /// How it stands before it starts, in memory only.
    fn row(&self) -> ExecutionRow {
        let (project, workflow) = (self.origin.project.clone(), self.plan().workflow_id().clone());
        let (digest, now) = (self.planned.definition().digest, self.runtime.shared.clock.now());
        ExecutionRow {
            version: self.version,
            rerun_of: self.rerun.as_ref().map(|rerun| rerun.of),
            ..ExecutionRow::new(self.control.execution_id, project, workflow, digest, now)
        }
    }

    /// Where relative paths start, whatever the current directory of a later process is.
    fn directory(&self) -> String {
        let directory = self.runtime.shared.policy.base_directory();
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        directory.to_string_lossy().into_owned()
    }

    fn spawn_stored(self, durable: &Arc<Durable>, place: Option<Place>) -> ExecutionHandle {
        let journal = StoreJournal::new(durable, self.control.execution_id, 1, Written::default());
        let follower = Some(self.journal.clone()).filter(|journal| journal.is_enabled());
        if let Some(follower) = &follower {
            // Also after it was let go because it had only to wait.
            self.control.follow(follower.clone());
        }
        self.spawn(Ledger::Store(Box::new(journal)), follower, place)
    }

    /// Runs it in memory only.
    pub(crate) fn run(self) -> Result<ExecutionHandle, StartError> {
        let place = self.arrive()?;
        if self.is_watched {
            self.control.watch(Watch::new(self.row(), self.inputs.clone()));
        }
        let ledger = Ledger::of(self.journal.clone());
        Ok(self.spawn(ledger, None, place))
    }

    /// Takes its place among the executions of its workflow, if that limits how many run.
    fn arrive(&self) -> Result<Option<Place>, StartError> {
        let Some(limit) = &self.concurrency else { return Ok(None) };
        match self.runtime.shared.lanes.arrive(
            &self.origin.project,
            self.plan(),
            limit,
            &self.control,
        ) {
            Some(place) => Ok(Some(place)),
            None => {
                let (workflow, limit) = (self.plan().workflow_id().clone(), limit.limit);
                Err(StartError::Skipped { workflow, limit })
            }
        }
    }

    fn spawn(
        self,
        ledger: Ledger,
        follower: Option<Arc<dyn Journal>>,
        place: Option<Place>,
    ) -> ExecutionHandle {
        let secrets = self.secrets_now();
        let Self { runtime, planned, inputs, control, keep_outputs, origin, rerun, .. } = self;
        let (version, caller) = (self.version, self.caller);
        let execution_id = control.execution_id;
        let directory = rerun.as_ref().map(|rerun| &*rerun.directory);
        let durable = match &ledger {
            Ledger::Store(_) => runtime.shared.durable.clone(),
            Ledger::Nowhere | Ledger::Journal(_) => None,
        };
        // What is kept in memory only is limited by that.
        let history = durable.as_ref().map(|durable| durable.history).unwrap_or_default();
        let of_machine = secrets.clone();
        let options = MachineOptions { execution_id, secrets: of_machine, keep_outputs, history };
        let machine = Machine::new(planned.plan().clone(), options);
        let given = StartedWith { origin, secrets, directory, version, caller };
        let scope = runtime.scope(&control, given);
        let shared = runtime.shared;
        let driver = Driver::new(shared, machine, scope, control.clone(), ledger, follower, place);
        tokio::spawn(driver.run(Begin::Start(inputs, rerun.and_then(|rerun| rerun.kept))));
        ExecutionHandle { control, durable }
    }
}

impl fmt::Debug for PreparedExecution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PreparedExecution").field(&self.id()).finish()
    }
}
