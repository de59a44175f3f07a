//! Configuring a runtime.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use flowcore::value::{Codec, Seal};
use flowcore::{Limits, NodeRegistry, Policy, Secrets, WorkflowSource};
use tokio::sync::Semaphore;

use crate::admission::Admission;
use crate::cache::{MemoryCache, ResultCache};
use crate::clock::{RuntimeClock, Time};
use crate::concurrency::Lanes;
use crate::durable::Durable;
use crate::event_bus::EventBus;
use crate::executor::{Executor, LocalExecutor};
use crate::journal::{Journal, NullJournal};
use crate::observer::Observer;
use crate::plans::Plans;
use crate::rates::Rates;
use crate::runtime::{FlowRuntime, Shared};
use crate::secret_source::SecretSource;
use crate::store::{Retention, Store};
use crate::testing::{StandIns, VirtualClock};

/// Why a runtime could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit that lets nothing run, or more than can be counted.
    #[error("`{setting}` must be from 1 to {most}")]
    Limit {
        /// The setting.
        setting: &'static str,
        /// The most that it may be.
        most: usize,
    },
}

impl BuildError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "runtime.bad_limit",
        }
    }
}

/// Configures a [`FlowRuntime`].
#[derive(Default)]
pub struct FlowRuntimeBuilder {
    registry: NodeRegistry,
    limits: Limits,
    policy: Option<Policy>,
    secrets: Option<Arc<dyn SecretSource>>,
    max_running_nodes: Option<usize>,
    max_executions: Option<usize>,
    grace: Option<Duration>,
    event_capacity: Option<usize>,
    executor: Option<Arc<dyn Executor>>,
    journal: Option<Arc<dyn Journal>>,
    observer: Option<Arc<dyn Observer>>,
    store: Option<Arc<dyn Store>>,
    seal: Option<Arc<dyn Seal>>,
    own_only: bool,
    retention: Retention,
    workflows: Option<Arc<dyn WorkflowSource + Send + Sync>>,
    result_cache: Option<Arc<dyn ResultCache>>,
    virtual_time: Option<VirtualClock>,
    stand_ins: Option<Arc<dyn StandIns>>,
    admission: Option<Arc<dyn Admission>>,
}

/// Running nodes, unless said otherwise.
const MAX_RUNNING_NODES: usize = 1024;

/// How long a cancelled attempt may take to stop, unless said otherwise.
const GRACE: Duration = Duration::from_secs(10);

impl FlowRuntimeBuilder {
    /// The node types that workflows may name.
    #[must_use]
    pub fn registry(mut self, registry: NodeRegistry) -> Self {
        self.registry = registry;
        self
    }

    /// How large workflows, and what is kept of their executions, may be; [`Limits::default`] unless said
    /// otherwise.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What nodes may touch; everything, with relative paths in the current directory, unless said
    /// otherwise.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The secrets that executions may read, the same in all projects.
    #[must_use]
    pub fn secrets(self, secrets: Secrets) -> Self {
        self.secret_source(Arc::new(secrets))
    }

    /// Where the secrets of each project come from.
    #[must_use]
    pub fn secret_source(mut self, source: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(source);
        self
    }

    /// The most attempts that run at the same time, over all executions; 1,024 unless said
    /// otherwise. Inline nodes do not count.
    #[must_use]
    pub fn max_running_nodes(mut self, most: usize) -> Self {
        self.max_running_nodes = Some(most);
        self
    }

    /// The most executions that run at the same time; others wait for their turn, in order. No
    /// limit unless said otherwise.
    #[must_use]
    pub fn max_executions(mut self, most: usize) -> Self {
        self.max_executions = Some(most);
        self
    }

    /// How long a cancelled attempt may take to stop before it is given up; 10 s unless said
    /// otherwise. An attempt that never asked for its cancellation is stopped at once. The shutdown
    /// of a node may take as long, too.
    #[must_use]
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How many events a subscriber may be behind before it loses the oldest.
    #[must_use]
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = Some(events);
        self
    }

    /// Where attempts run; in this process unless said otherwise.
    #[must_use]
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Where the events of executions are kept; nowhere unless said otherwise.
    #[must_use]
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Who watches all executions from inside; nobody unless said otherwise.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Where executions are kept, so that they outlive this process; nowhere unless said otherwise. An
    /// execution whose workflow has the setting `durability: none` is not.
    ///
    /// From the first start, or [`FlowRuntime::open`], the runtime goes on with all executions in the
    /// store that nobody executes.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Goes on only with executions that were started here, or that somebody here has a handle of.
    #[must_use]
    pub fn own_executions_only(mut self) -> Self {
        self.own_only = true;
        self
    }

    /// Seals with this what is kept and came from a secret; unless said otherwise, with what the store
    /// brings.
    #[must_use]
    pub fn sealing(mut self, seal: Arc<dyn Seal>) -> Self {
        self.seal = Some(seal);
        self
    }

    /// Which ended executions are forgotten, a few at a time, while the runtime is open; none unless
    /// said otherwise.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Where workflows that others call come from, besides those that are registered.
    #[must_use]
    pub fn workflows(mut self, source: impl WorkflowSource + Send + Sync + 'static) -> Self {
        self.workflows = Some(Arc::new(source));
        self
    }

    /// Where results of nodes with a `cache` are kept: unless said otherwise in memory, a
    /// [`MemoryCache`] with its default bounds. Several runtimes may share one, if a node type of
    /// the same name and version gives the same in all of them.
    #[must_use]
    pub fn result_cache(mut self, cache: Arc<dyn ResultCache>) -> Self {
        self.result_cache = Some(cache);
        self
    }

    /// Takes time from a virtual clock, for tests: waits, time-outs and the waits between attempts
    /// pass at once. Jitter makes no wait shorter.
    #[must_use]
    pub fn virtual_time(mut self, clock: &VirtualClock) -> Self {
        self.virtual_time = Some(clock.clone());
        self
    }

    /// Lets others stand in for nodes, for tests; nobody unless said otherwise.
    #[must_use]
    pub fn stand_ins(mut self, stand_ins: impl StandIns + 'static) -> Self {
        self.stand_ins = Some(Arc::new(stand_ins));
        self
    }

    /// Who decides whether one more execution may be started; all may unless said otherwise.
    #[must_use]
    pub fn admission(mut self, admission: Arc<dyn Admission>) -> Self {
        self.admission = Some(admission);
        self
    }

    /// The runtime.
    ///
    /// # Errors
    /// [`BuildError`] when a limit makes no sense.
    pub fn build(self) -> Result<FlowRuntime, BuildError> {
        let permits = limit("max_running_nodes", self.max_running_nodes)?;
        let executions = limit("max_executions", self.max_executions)?;
        let max_running_nodes = permits.unwrap_or(MAX_RUNNING_NODES);
        let bus_capacity = self.event_capacity.unwrap_or(EventBus::DEFAULT_CAPACITY);
        let clock = match self.virtual_time {
            Some(clock) => Time::Virtual(clock),
            None => Time::Real(RuntimeClock::new()),
        };
        let (seal, own_only, retention) = (self.seal, self.own_only, self.retention);
        let history = self.limits.history();
        let durable = self.store.map(|store| {
            let codec = Codec::new(seal.or_else(|| store.seal()));
            Arc::new(Durable::new(store, codec, !own_only, history, retention, clock.clone()))
        });
        let shared = Shared {
            registry: RwLock::new(self.registry),
            plans: Plans::default(),
            workflows: RwLock::default(),
            workflow_source: self.workflows,
            bus: EventBus::new(bus_capacity),
            gauges: Arc::default(),
            bus_capacity,
            permits: Arc::new(Semaphore::new(max_running_nodes)),
            executions: executions.map(|most| Arc::new(Semaphore::new(most))),
            lanes: Lanes::default(),
            rates: Rates::default(),
            limits: self.limits,
            policy: Arc::new(self.policy.unwrap_or_else(|| Policy::allow_all("."))),
            secrets: self.secrets.unwrap_or_else(|| Arc::new(Secrets::default())),
            shared_clock: clock.share(),
            clock,
            grace: self.grace.unwrap_or(GRACE),
            executor: self.executor.unwrap_or_else(|| Arc::new(LocalExecutor)),
            stand_ins: self.stand_ins,
            observer: self.observer,
            admission: self.admission,
            durable,
            journal: self.journal.unwrap_or_else(|| Arc::new(NullJournal)),
            result_cache: self.result_cache.unwrap_or_else(|| Arc::new(MemoryCache::default())),
            timers_checked: Mutex::new(None),
            max_running_nodes,
        };
        Ok(FlowRuntime { shared: Arc::new(shared) })
    }
}

fn limit(setting: &'static str, value: Option<usize>) -> Result<Option<usize>, BuildError> {
    let most = Semaphore::MAX_PERMITS;
    match value {
        Some(value) if !(1..=most).contains(&value) => Err(BuildError::Limit { setting, most }),
        value => Ok(value),
    }
}
