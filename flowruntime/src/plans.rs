//! Plans: each is compiled once for a workflow, a set of node types, and the workflows that it calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flowcore::{
    Diagnostics, Digest, Limits, NodeRegistry, SharedPlan, Workflow, WorkflowSource, compile_with,
};

use crate::durable::{Bundle, Durable, LoadError, Recording};
use crate::runtime::{FlowRuntime, StartError};
use crate::store::Definition;
use crate::workflows::KnownWorkflows;

/// How many plans are kept.
///
/// A plan keeps its workflow alive, so the cache is bounded; a program with more workflows than
/// this compiles some of them again.
pub(crate) const MAX_PLANS: usize = 1024;

/// What a plan depends on besides its workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Generation {
    registry: u64,
    workflows: u64,
}

/// A plan and what it was made with.
pub(crate) struct MadePlan {
    generation: Generation,
    plan: SharedPlan,
    bundle: Bundle,
    /// The bundle as a store keeps it; made for the first execution that is kept.
    definition: OnceLock<Arc<Definition>>,
}

impl MadePlan {
    pub(crate) fn plan(&self) -> &SharedPlan {
        &self.plan
    }

    /// What an execution of the plan runs, as a store keeps it.
    pub(crate) fn definition(&self) -> &Arc<Definition> {
        self.definition.get_or_init(|| self.bundle.to_definition())
    }

    fn is_good(&self, now: Generation) -> bool {
        let Generation { registry, workflows } = self.generation;
        registry == now.registry && (workflows == now.workflows || !self.plan.calls_workflows())
    }
}

/// What an execution is prepared from.
pub(crate) enum Planned {
    /// A workflow that was compiled here.
    Made(Arc<MadePlan>),
    /// What another execution ran.
    Kept(SharedPlan, Arc<Definition>),
}

impl Planned {
    pub(crate) fn plan(&self) -> &SharedPlan {
        match self {
            Self::Made(made) => &made.plan,
            Self::Kept(plan, _) => plan,
        }
    }

    pub(crate) fn definition(&self) -> &Arc<Definition> {
        match self {
            Self::Made(made) => made.definition(),
            Self::Kept(_, definition) => definition,
        }
    }
}

/// The plans that were made, by the identity of their workflows.
#[derive(Default)]
pub(crate) struct Plans {
    made: Mutex<HashMap<usize, Arc<MadePlan>>>,
    /// Counts the changes of workflows that others call.
    workflows: AtomicU64,
}

impl Plans {
    fn get(&self, workflow: &Workflow, now: Generation) -> Option<Arc<MadePlan>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(&workflow.identity()).filter(|made| made.is_good(now)).cloned()
    }

    pub(crate) fn keep(&self, plan: Arc<MadePlan>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= MAX_PLANS {
            made.clear();
        }
        // The plan holds the workflow, so its identity is not used again while it is cached.
        made.insert(plan.plan.workflow().identity(), plan);
    }
}

impl FlowRuntime {
    /// The plan of a workflow: compiled once for each workflow and each set of node types.
    ///
    /// # Errors
    /// [`StartError::Workflow`] with every problem.
    pub fn plan(&self, workflow: &Workflow) -> Result<SharedPlan, StartError> {
        Ok(self.planned(workflow, None)?.plan.clone())
    }

    /// Workflows that others call are not what they were: those others are compiled again when they
    /// start next. Executions that run keep theirs.
    pub fn workflows_changed(&self) {
        self.shared.plans.workflows.fetch_add(1, Ordering::Relaxed);
    }

    /// The plan of a workflow whose calls are looked up in this source.
    pub(crate) fn planned(
        &self,
        workflow: &Workflow,
        source: Option<&dyn WorkflowSource>,
    ) -> Result<Arc<MadePlan>, StartError> {
        let registry = self.shared.registry.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = self.shared.plans.get(workflow, self.generation(&registry)) {
            return Ok(made);
        }
        let together = std::slice::from_ref(workflow);
        let known = KnownWorkflows::new(&self.shared, together, source);
        let made = self.compile(workflow, &registry, known).map_err(StartError::Workflow)?;
        let made = Arc::new(made);
        self.shared.plans.keep(made.clone());
        Ok(made)
    }

    fn generation(&self, registry: &NodeRegistry) -> Generation {
        let workflows = self.shared.plans.workflows.load(Ordering::Relaxed);
        Generation { registry: registry.generation(), workflows }
    }

    /// Compiles a workflow that may call these.
    pub(crate) fn compile(
        &self,
        workflow: &Workflow,
        registry: &NodeRegistry,
        known: KnownWorkflows<'_>,
    ) -> Result<MadePlan, Diagnostics> {
        // As of before: what changes meanwhile is compiled again.
        let generation = self.generation(registry);
        let source = Recording::new(known);
        let compiled = compile_with(workflow, registry, &self.shared.limits, Some(&source));
        let plan = compiled.plan.ok_or(compiled.diagnostics)?;
        let bundle = source.into_bundle(workflow);
        Ok(MadePlan { generation, plan, bundle, definition: OnceLock::new() })
    }

    /// The plan of what an execution that is kept runs.
    pub(crate) async fn plan_of(
        &self,
        durable: &Durable,
        digest: Digest,
    ) -> Result<SharedPlan, LoadError> {
        let generation = || {
            let registry = self.shared.registry.read().unwrap_or_else(PoisonError::into_inner);
            registry.generation()
        };
        if let Some(plan) = durable.plan(digest, generation()) {
            return Ok(plan);
        }
        let unknown = || LoadError::Workflow(format!("definition {digest} is not in the store"));
        let definition = durable.store.definition(digest).await?.ok_or_else(unknown)?;
        let bundle = Bundle::read(&definition).map_err(LoadError::Workflow)?;
        let registry = self.shared.registry.read().unwrap_or_else(PoisonError::into_inner);
        let generation = registry.generation();
        // What was accepted once is not measured again.
        let limits = Limits::none();
        let compiled = compile_with(&bundle.workflow, &registry, &limits, Some(&bundle));
        let broken = || LoadError::Workflow(compiled.diagnostics.to_string());
        let plan = compiled.plan.clone().ok_or_else(broken)?;
        durable.keep_plan(digest, generation, plan.clone());
        Ok(plan)
    }
}

impl From<Arc<MadePlan>> for Planned {
    fn from(made: Arc<MadePlan>) -> Self {
        Self::Made(made)
    }
}
