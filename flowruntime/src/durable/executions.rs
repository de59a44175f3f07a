//! Executions that are kept, from outside: by their ids, whoever executes them.

use std::sync::Arc;

use flowcore::machine::RerunError;
use flowcore::{ExecutionEvent, ExecutionId, ExecutionResult, Origin, Record, SharedPlan};

use super::{LoadError, Replay, StoredStart, keeper};
use crate::handle::ExecutionHandle;
use crate::journal::Journal;
use crate::plans::Planned;
use crate::prepared::{PreparedExecution, Rerun};
use crate::runtime::{FlowRuntime, StartError};
use crate::store::{ExecutionRow, Kept, Store, StoreError};

/// Why an execution is not run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RerunFailure {
    /// There is no such execution.
    #[error("there is no execution `{0}`")]
    NotFound(ExecutionId),
    /// It goes on still.
    #[error("execution `{0}` has not ended")]
    NotEnded(ExecutionId),
    /// It cannot be run again from there.
    #[error(transparent)]
    From(#[from] RerunError),
    /// What is kept of it cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It could not start today.
    #[error(transparent)]
    Start(StartError),
}

impl RerunFailure {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "execution.not_found",
            Self::NotEnded(_) => "execution.not_ended",
            Self::From(error) => error.code(),
            Self::Load(error) => error.code(),
            Self::Start(error) => error.code(),
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotEnded(_) => Some("cancel it first, or wait for its end".to_owned()),
            Self::From(error) => error.hint(),
            Self::Start(error) => error.hint().map(str::to_owned),
            Self::NotFound(_) | Self::Load(_) => None,
        }
    }
}

/// All that is known of an execution, as of one moment.
#[derive(Debug, Clone)]
pub struct History {
    /// How it stands.
    pub row: ExecutionRow,
    /// The plan of what it runs.
    pub plan: SharedPlan,
    /// What it was given.
    pub inputs: flowcore::Object,
    /// Its events, in order.
    pub events: Vec<ExecutionEvent>,
    /// What came of it so far, with the outputs of all nodes.
    pub result: ExecutionResult,
}

/// With a store; without one, there are no executions here but those that one has a handle of.
impl FlowRuntime {
    /// The store.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.shared.durable.as_ref().map(|durable| &durable.store)
    }

    /// Enters the store as one that executes: from now on this runtime goes on with executions that
    /// nobody executes, until it is closed or dropped. The first start does the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(&self) -> Result<(), StoreError> {
        match &self.shared.durable {
            Some(durable) => durable.owner(&self.shared).await.map(drop),
            None => Ok(()),
        }
    }

    /// Leaves the store: claims nothing more, stops what runs here (attempts are told, and have the
    /// grace period), and hands every execution back, so that others go on with it at once.
    pub async fn close(&self) {
        if let Some(durable) = &self.shared.durable {
            durable.close().await;
        }
    }

    /// A handle of an execution that is kept, whoever executes it; `None` when there is none.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn handle(&self, id: ExecutionId) -> Result<Option<ExecutionHandle>, LoadError> {
        self.handle_with(id, None).await
    }

    async fn handle_with(
        &self,
        id: ExecutionId,
        journal: Option<Arc<dyn Journal>>,
    ) -> Result<Option<ExecutionHandle>, LoadError> {
        let Some(durable) = &self.shared.durable else { return Ok(None) };
        if let Some(control) = durable.control(id) {
            journal.into_iter().for_each(|journal| control.follow(journal));
            return Ok(Some(ExecutionHandle { control, durable: Some(durable.clone()) }));
        }
        let Some(row) = durable.store.execution(id).await? else { return Ok(None) };
        let plan = self.plan_of(durable, row.definition).await?;
        let control = durable.watched(self.new_control(id, plan));
        journal.into_iter().for_each(|journal| control.follow(journal));
        durable.owner(&self.shared).await?;
        Ok(Some(ExecutionHandle { control, durable: Some(durable.clone()) }))
    }

    /// Goes on with an execution here, due or not, if nobody executes it; gives its handle, and whether
    /// it goes on here. `None` when there is none. What happens while it is executed here is handed to
    /// `journal`, too, unless another one follows it already.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn take_up(
        &self,
        id: ExecutionId,
        journal: Option<Arc<dyn Journal>>,
    ) -> Result<Option<(ExecutionHandle, bool)>, LoadError> {
        let Some(durable) = &self.shared.durable else { return Ok(None) };
        let owner = durable.owner(&self.shared).await?;
        let Some(handle) = self.handle_with(id, journal).await? else { return Ok(None) };
        let claim = durable.store.claim_one(owner, id).await?;
        let is_here = claim.is_some();
        if let Some(claim) = claim
            && let Err(error) = keeper::load_and_run(self, durable, &claim).await
        {
            keeper::put_off(self, durable, owner, &claim).await;
            return Err(error);
        }
        Ok(Some((handle, is_here)))
    }

    /// Prepares an execution that runs an ended one again, in the same project, with the same workflow
    /// and inputs. With
    /// `from`, a node of the workflow itself, everything that succeeded and does not follow from that
    /// node keeps its results, and does not run.
    ///
    /// # Errors
    /// [`RerunFailure`].
    pub async fn prepare_rerun(
        &self,
        id: ExecutionId,
        from: Option<&str>,
    ) -> Result<PreparedExecution, RerunFailure> {
        let Some(durable) = &self.shared.durable else { return Err(RerunFailure::NotFound(id)) };
        let kept = durable.store.load(id).await.map_err(LoadError::from)?;
        let kept = kept.ok_or(RerunFailure::NotFound(id))?;
        if !kept.row.status.is_terminal() {
            return Err(RerunFailure::NotEnded(id));
        }
        let (digest, version) = (kept.row.definition, kept.row.version);
        let project = kept.row.project.clone();
        let plan = self.plan_of(durable, digest).await?;
        let definition = durable.store.definition(digest).await.map_err(LoadError::from)?;
        let definition = definition.ok_or(RerunFailure::NotFound(id))?;
        let (start, results) = match from {
            Some(from) => {
                let secrets = self.shared.secrets.secrets_of(&project);
                let loaded = durable.fold(kept, plan.clone(), secrets, true).await?;
                (loaded.start, Some(Box::new(loaded.machine.kept_for_rerun(from)?)))
            }
            None => (durable.read(&kept.start).await?, None),
        };
        let StoredStart { inputs, directory, hops, .. } = start;
        let planned = Planned::Kept(plan, definition);
        let prepared = self.prepare_planned(planned, inputs).map_err(RerunFailure::Start)?;
        let origin = Origin { project, hops };
        let rerun = Rerun { of: id, kept: results, directory, origin, version };
        Ok(prepared.runs_again(rerun))
    }

    /// All that is known of an execution; `None` when there is none. Nothing waits for this, and
    /// nothing is run.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn history(&self, id: ExecutionId) -> Result<Option<History>, LoadError> {
        let Some((row, mut replay)) = self.replay(id).await? else { return Ok(None) };
        let mut events = Vec::new();
        while let Some(event) = replay.step()? {
            events.push(event);
        }
        let at = events.last().map_or(row.created_at, ExecutionEvent::at);
        let (plan, inputs) = (replay.machine().plan().clone(), replay.inputs().clone());
        Ok(Some(History { row, plan, inputs, events, result: replay.into_result(at) }))
    }

    /// What is kept of an execution, to be gone through event by event; `None` when there is none.
    /// Nothing waits for this, and nothing is run.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn replay(
        &self,
        id: ExecutionId,
    ) -> Result<Option<(ExecutionRow, Replay)>, LoadError> {
        let Some(durable) = &self.shared.durable else { return Ok(None) };
        let Some(kept) = durable.store.load(id).await? else { return Ok(None) };
        let records = durable.all_records(&kept).await?;
        let replay = self.replay_of(&kept, records, true).await?;
        Ok(Some((kept.row, replay)))
    }

    /// An execution that is kept, with events that are still to be gone through.
    pub(super) async fn replay_of(
        &self,
        kept: &Kept,
        records: Vec<Record>,
        keep_outputs: bool,
    ) -> Result<Replay, LoadError> {
        let durable = self.shared.durable.as_ref().ok_or(StoreError::Closed)?;
        let plan = self.plan_of(durable, kept.row.definition).await?;
        let start: StoredStart = durable.read(&kept.start).await?;
        let secrets = self.shared.secrets.secrets_of(&kept.row.project);
        Ok(Replay::new(kept.row.id, plan, start, records, secrets, keep_outputs))
    }
}
