//! The way in: start executions of workflows.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use flowcore::expression::ExpressionError;
use flowcore::{
    Clock, Diagnostics, ExecutionId, ExecutionResult, ExecutionScope, ExecutionTrace, Limits,
    NodeError, NodeFactory, NodeRegistry, Object, Origin, Policy, Secrets, SharedPlan,
    TraceContext, ValueError, Workflow, WorkflowId, WorkflowSource,
};
use indexmap::IndexMap;
use tokio::sync::Semaphore;

use crate::admission::Admission;
use crate::builder::FlowRuntimeBuilder;
use crate::cache::ResultCache;
use crate::clock::Time;
use crate::concurrency::Lanes;
use crate::control::Control;
use crate::durable::{Durable, LoadError};
use crate::event_bus::{EventBus, Subscription};
use crate::executor::Executor;
use crate::handle::{ExecutionHandle, WaitError};
use crate::inputs::Inputs;
use crate::journal::Journal;
use crate::metrics::Gauges;
use crate::observer::Observer;
use crate::plans::{Planned, Plans};
use crate::prepared::PreparedExecution;
use crate::rates::Rates;
use crate::secret_source::SecretSource;
use crate::store::StoreError;
use crate::testing::StandIns;
use crate::workflows::{KnownWorkflows, RegisterError};

/// Why an execution could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The workflow has errors.
    #[error("the workflow is invalid:\n{0}")]
    Workflow(Diagnostics),
    /// The inputs are not what the workflow declares.
    #[error("the inputs are invalid:\n{0}")]
    Inputs(Diagnostics),
    /// A value is nested too deep.
    #[error("an input is not a value")]
    Value(#[from] ValueError),
    /// The `when` of the workflow gave no answer.
    #[error("`when` of the workflow failed")]
    When(#[source] NodeError),
    /// There is no workflow of this id.
    #[error("there is no workflow `{0}`")]
    NoSuchWorkflow(WorkflowId),
    /// The key of `concurrency` cannot be evaluated for these inputs.
    #[error("the key of `concurrency` has no value: {0}")]
    ConcurrencyKey(ExpressionError),
    /// As many executions of the workflow run as its setting `concurrency` allows, which says that
    /// one more is skipped: it was not started, and has no events.
    #[error("workflow `{workflow}` is not started: {limit} of it with the same key run already")]
    Skipped {
        /// The workflow.
        workflow: WorkflowId,
        /// How many may run.
        limit: u32,
    },
    /// No more executions are started for now, as [`Admission`](crate::Admission) says: it was not
    /// started, and has no events.
    #[error("{reason}")]
    Refused {
        /// The stable code.
        code: &'static str,
        /// Why.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The calling thread is not inside a tokio runtime.
    #[error("executions start inside a tokio runtime")]
    NoTokio,
    /// The tokio runtime was built without timers.
    #[error("the tokio runtime has no timers")]
    NoTimers,
    /// The execution was lost.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The store did not accept the execution.
    #[error("the execution is not accepted")]
    Store(#[from] StoreError),
    /// The start key stands for an execution that cannot be read here.
    #[error("the execution that the start key stands for cannot be read")]
    Load(#[from] LoadError),
}

impl StartError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Workflow(_) => "workflow.invalid",
            Self::Inputs(_) => "inputs.invalid",
            Self::Value(error) => error.code(),
            Self::When(_) => "when.failed",
            Self::NoSuchWorkflow(_) => "workflow.not_found",
            Self::ConcurrencyKey(error) => error.code,
            Self::Skipped { .. } => "execution.skipped",
            Self::Refused { code, .. } => code,
            Self::NoTokio => "runtime.no_tokio",
            Self::NoTimers => "runtime.no_timers",
            Self::Wait(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Load(error) => error.code(),
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoTokio => Some("call it from async code, or use `BlockingRuntime`"),
            Self::NoTimers => Some("build the tokio runtime with `enable_time` or `enable_all`"),
            Self::Skipped { .. } => {
                Some("start it later, or let it wait: `\"on_limit\": \"queue\"`")
            }
            Self::Refused { hint, .. } => Some(hint),
            Self::Store(error) => error.hint(),
            Self::Workflow(_)
            | Self::Inputs(_)
            | Self::ConcurrencyKey(_)
            | Self::Value(_)
            | Self::When(_)
            | Self::NoSuchWorkflow(_)
            | Self::Load(_)
            | Self::Wait(_) => None,
        }
    }
}

/// What an execution was accepted with, as far as its attempts share it.
#[derive(Default)]
pub(crate) struct StartedWith<'a> {
    /// Where it belongs, and what led to it.
    pub(crate) origin: Origin,
    pub(crate) secrets: Secrets,
    /// Where relative paths start, if it is not as in this runtime.
    pub(crate) directory: Option<&'a str>,
    /// The version of the saved workflow.
    pub(crate) version: Option<u64>,
    /// The span that it was started in.
    pub(crate) caller: Option<TraceContext>,
}

/// What all executions of a runtime share.
pub(crate) struct Shared {
    pub(crate) registry: RwLock<NodeRegistry>,
    pub(crate) plans: Plans,
    /// In the order in which they were registered first. A message keeps those of its beginning.
    pub(crate) workflows: RwLock<Arc<IndexMap<WorkflowId, Workflow>>>,
    /// Where else workflows that are called come from.
    pub(crate) workflow_source: Option<Arc<dyn WorkflowSource + Send + Sync>>,
    pub(crate) bus: EventBus,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) bus_capacity: usize,
    /// One permit for each running attempt.
    pub(crate) permits: Arc<Semaphore>,
    /// One permit for each execution; `None` is no limit.
    pub(crate) executions: Option<Arc<Semaphore>>,
    /// The executions whose workflows limit how many of them run.
    pub(crate) lanes: Lanes,
    /// How often attempts have started.
    pub(crate) rates: Rates,
    pub(crate) limits: Limits,
    pub(crate) policy: Arc<Policy>,
    pub(crate) secrets: Arc<dyn SecretSource>,
    pub(crate) clock: Time,
    pub(crate) shared_clock: Arc<dyn Clock>,
    pub(crate) grace: Duration,
    pub(crate) executor: Arc<dyn Executor>,
    /// What some attempts give instead of being made; only tests have it.
    pub(crate) stand_ins: Option<Arc<dyn StandIns>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Whether one more execution may be started.
    pub(crate) admission: Option<Arc<dyn Admission>>,
    pub(crate) journal: Arc<dyn Journal>,
    /// What it has with a store.
    pub(crate) durable: Option<Arc<Durable>>,
    pub(crate) result_cache: Arc<dyn ResultCache>,
    /// The tokio runtime that is known to have timers.
    pub(crate) timers_checked: Mutex<Option<tokio::runtime::Id>>,
    pub(crate) max_running_nodes: usize,
}

/// Runs workflows. Cheap to clone; clones are the same runtime.
///
/// It makes no tokio runtime of its own: executions run on the one that [`FlowRuntime::start`] is
/// called in.
#[derive(Clone)]
pub struct FlowRuntime {
    pub(crate) shared: Arc<Shared>,
}

impl FlowRuntime {
    /// A runtime without node types and with everything else as default.
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are good")
    }

    /// Starts configuring a runtime.
    pub fn builder() -> FlowRuntimeBuilder {
        FlowRuntimeBuilder::default()
    }

    /// Adds a node type; one of the same name is replaced. Running executions keep theirs.
    pub fn register_node(&self, factory: impl NodeFactory + 'static) {
        let mut registry = self.shared.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.register(factory);
    }

    /// The node types, as they are now.
    pub fn registry(&self) -> NodeRegistry {
        self.shared.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How large a workflow may be.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// What is shared with the driver of an execution.
    pub(crate) fn new_control(&self, id: ExecutionId, plan: SharedPlan) -> Arc<Control> {
        let clock = self.shared.clock.as_virtual().cloned();
        Arc::new(Control::new(id, plan, self.shared.bus_capacity, clock))
    }

    /// What all attempts of an execution share.
    pub(crate) fn scope(&self, control: &Control, given: StartedWith<'_>) -> ExecutionScope {
        let shared = &self.shared;
        let StartedWith { origin, secrets, directory, version, caller } = given;
        let has_spans = shared.observer.as_ref().is_some_and(|observer| observer.makes_spans());
        let own = shared.policy.clone();
        let policy = match directory {
            Some(directory) => Arc::new(Policy::clone(&own).directory(directory)),
            None => own,
        };
        ExecutionScope {
            execution_id: control.execution_id,
            origin,
            plan: control.plan.clone(),
            version,
            trace: ExecutionTrace::new(control.execution_id, caller, has_spans),
            started_at: shared.clock.now(),
            clock: shared.shared_clock.clone(),
            policy,
            secrets,
        }
    }

    /// Prepares an execution: checked, not started. Its events can be subscribed to first.
    ///
    /// # Errors
    /// [`StartError`] when the workflow or the inputs are invalid.
    pub fn prepare(
        &self,
        workflow: &Workflow,
        inputs: impl Into<Inputs>,
    ) -> Result<PreparedExecution, StartError> {
        self.prepare_planned(self.planned(workflow, None)?, inputs.into().0?)
    }

    /// As [`FlowRuntime::prepare`], where workflows that this one calls and that are not registered
    /// come from `source` instead of the runtime's own. Such a plan is made once, too: when the source
    /// would answer otherwise than before, say [`FlowRuntime::workflows_changed`].
    ///
    /// # Errors
    /// [`StartError`] when the workflow or the inputs are invalid.
    pub fn prepare_with(
        &self,
        workflow: &Workflow,
        inputs: impl Into<Inputs>,
        source: &dyn WorkflowSource,
    ) -> Result<PreparedExecution, StartError> {
        self.prepare_planned(self.planned(workflow, Some(source))?, inputs.into().0?)
    }

    /// Prepares an execution of a plan that is at hand.
    pub(crate) fn prepare_planned(
        &self,
        planned: impl Into<Planned>,
        given: Object,
    ) -> Result<PreparedExecution, StartError> {
        let planned = planned.into();
        let plan = planned.plan();
        let inputs =
            flowcore::resolve_inputs(plan.workflow(), given).map_err(StartError::Inputs)?;
        let concurrency = plan.concurrency(&inputs).map_err(StartError::ConcurrencyKey)?;
        Ok(PreparedExecution::new(self.clone(), planned, inputs, concurrency))
    }

    /// Starts an execution. Returns once it is accepted; it goes on by itself, at once or, under a
    /// limit of executions, when its turn comes. With a store, accepted means durable.
    ///
    /// # Errors
    /// [`StartError`] when the workflow or the inputs are invalid, when the workflow's `concurrency`
    /// says that one more is skipped, when the store does not accept it, and outside of a tokio
    /// runtime.
    pub async fn start(
        &self,
        workflow: &Workflow,
        inputs: impl Into<Inputs>,
    ) -> Result<ExecutionHandle, StartError> {
        self.prepare(workflow, inputs)?.start().await
    }

    /// Starts an execution and waits for its end. Dropping the future leaves the execution running.
    ///
    /// # Errors
    /// As [`FlowRuntime::start`]. A failed execution is not an error here: see
    /// [`ExecutionResult::status`].
    pub async fn execute(
        &self,
        workflow: &Workflow,
        inputs: impl Into<Inputs>,
    ) -> Result<ExecutionResult, StartError> {
        let execution = self.prepare(workflow, inputs)?.start().await?;
        Ok(execution.wait().await?)
    }

    /// Keeps a workflow in this runtime, under its id; one of the same id is replaced, and the new
    /// one takes its turn in [`FlowRuntime::process`].
    ///
    /// # Errors
    /// [`StartError::Workflow`] with every problem.
    pub fn register(&self, workflow: Workflow) -> Result<WorkflowId, StartError> {
        let mut ids =
            self.register_all([workflow]).map_err(|error| StartError::Workflow(error.problems))?;
        Ok(ids.pop().expect("one for each workflow"))
    }

    /// Keeps several workflows in this runtime, as [`FlowRuntime::register`] does each, and gives
    /// their ids. They may call each other.
    ///
    /// # Errors
    /// [`RegisterError`] for the first that is invalid; then none of them is registered.
    pub fn register_all(
        &self,
        workflows: impl IntoIterator<Item = Workflow>,
    ) -> Result<Vec<WorkflowId>, RegisterError> {
        let together: Vec<Workflow> = workflows.into_iter().collect();
        let mut plans = Vec::with_capacity(together.len());
        let registry = self.shared.registry.read().unwrap_or_else(PoisonError::into_inner);
        for (position, workflow) in together.iter().enumerate() {
            let known = KnownWorkflows::new(&self.shared, &together, None);
            let made = self.compile(workflow, &registry, known).map_err(|problems| {
                RegisterError { position, id: workflow.id.clone(), problems }
            })?;
            plans.push(made);
        }
        drop(registry);
        let mut workflows = self.shared.workflows.write().unwrap_or_else(PoisonError::into_inner);
        let kept = Arc::make_mut(&mut workflows);
        let ids: Vec<_> = plans.iter().map(|made| made.plan().workflow_id().clone()).collect();
        kept.extend(ids.iter().cloned().zip(together));
        self.workflows_changed();
        drop(workflows);
        plans.into_iter().for_each(|made| self.shared.plans.keep(Arc::new(made)));
        Ok(ids)
    }

    /// Executes a workflow that is kept in this runtime.
    ///
    /// # Errors
    /// [`StartError::NoSuchWorkflow`], else as [`FlowRuntime::execute`].
    pub async fn execute_by_id(
        &self,
        id: &WorkflowId,
        inputs: impl Into<Inputs>,
    ) -> Result<ExecutionResult, StartError> {
        let workflow = {
            let workflows = self.shared.workflows.read().unwrap_or_else(PoisonError::into_inner);
            workflows.get(id).cloned().ok_or_else(|| StartError::NoSuchWorkflow(id.clone()))?
        };
        self.execute(&workflow, inputs).await
    }

    /// The live events of all executions of this runtime, from now on.
    pub fn subscribe(&self) -> Subscription {
        self.shared.bus.subscribe()
    }

    /// How many attempts hold a permit, those that were given up but have not really ended included.
    pub fn running_attempts(&self) -> usize {
        self.shared.max_running_nodes.saturating_sub(self.shared.permits.available_permits())
    }
}

impl Default for FlowRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FlowRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowRuntime").finish_non_exhaustive()
    }
}

impl Shared {
    /// Finds out, once for each tokio runtime, whether it has timers.
    pub(crate) fn check_timers(&self, tokio: &tokio::runtime::Handle) -> Result<(), StartError> {
        let mut checked = self.timers_checked.lock().unwrap_or_else(PoisonError::into_inner);
        if *checked == Some(tokio.id()) {
            return Ok(());
        }
        // Making a timer is the only way to ask, and the answer no is a panic.
        let made = std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO)));
        made.map_err(|_| StartError::NoTimers)?;
        *checked = Some(tokio.id());
        Ok(())
    }
}
