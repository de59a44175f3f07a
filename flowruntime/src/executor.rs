//! Where attempts run.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use flowcore::machine::Outcome;
use flowcore::{
    AttemptSignals, Effect, Execution, Hidden, InlineNode, Node, NodeContext, NodeError, NodeIndex,
    NodeInstance, NodeOutput, Object, SharedInstance, SharedPlan,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use crate::crew::{AttemptKey, Crew, Job, Reporter};

use crate::testing::StandIn;

/// The instance of a node type that is not stateless: made and initialised by its first attempt,
/// kept for the next ones, shut down by the driver.
pub(crate) type InstanceSlot = Arc<tokio::sync::Mutex<Option<Box<dyn Node>>>>;

/// An attempt that is to start.
pub struct Attempt {
    /// The plan of the execution.
    pub plan: SharedPlan,
    /// The node's index in the plan.
    pub node: NodeIndex,
    /// What the node is told.
    pub context: NodeContext,
    /// Whether something that it is told is tainted.
    pub is_tainted: bool,
    pub(crate) slot: Option<InstanceSlot>,
    pub(crate) signals: Arc<AttemptSignals>,
    pub(crate) crew: Crew,
    pub(crate) key: AttemptKey,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    /// How.
    pub outcome: Outcome,
}

/// An attempt that has started.
pub struct Started(pub(crate) Course);

/// Where an attempt goes on.
pub(crate) enum Course {
    /// The driver polls it; dropping it ends it.
    Polled(BoxFuture<'static, AttemptResult>),
    /// The crew runs it and reports. When it is abandoned it ends at its next await.
    Crewed,
    /// A thread runs it and reports. It cannot be stopped once it has begun: it is then waited for,
    /// and left behind after the grace period.
    Threaded(Ticket),
}

impl Started {
    /// An attempt that ends with this future. The driver polls it, and drops it to end it.
    pub fn polled(result: impl Future<Output = AttemptResult> + Send + 'static) -> Self {
        Self(Course::Polled(result.boxed()))
    }
}

/// The place of an attempt in a queue: whoever takes it first, the thread that is to begin or the
/// driver that withdraws it, has it.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<Mutex<Option<Reporter>>>);

impl Ticket {
    fn of(reporter: Reporter) -> Self {
        Self(Arc::new(Mutex::new(Some(reporter))))
    }

    /// Takes the place, and gives the permit back now, not when the queue comes to it. Whether it
    /// was still there.
    pub(crate) fn withdraw(&self) -> bool {
        self.take().map(Reporter::withdraw).is_some()
    }

    fn take(&self) -> Option<Reporter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Starts attempts: here, or one day on another computer.
///
/// Inline nodes do not come here: they are functions that the driver calls.
pub trait Executor: Send + Sync {
    /// Starts an attempt.
    fn start(&self, attempt: Attempt) -> Started;
}

/// Runs attempts in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalExecutor;

impl Executor for LocalExecutor {
    fn start(&self, attempt: Attempt) -> Started {
        let Attempt { plan, node, context, is_tainted, slot, signals, crew, key, permit } = attempt;
        match plan.graph().node(node).execution() {
            Execution::Async => Started::polled(async move {
                let result = run_node(&plan, node, context, is_tainted, slot).await;
                drop(permit);
                result
            }),
            Execution::Task => {
                let reporter = Reporter::new(crew.clone(), key, permit);
                crew.assign(Job { reporter, node, context, is_tainted, slot, signals });
                Started(Course::Crewed)
            }
            // Control nodes do not come here: the machine runs them.
            Execution::Inline | Execution::Blocking | Execution::Control => {
                let ticket = Ticket::of(Reporter::new(crew, key, permit));
                let place = ticket.clone();
                tokio::task::spawn_blocking(move || {
                    if let Some(reporter) = place.take() {
                        let result = run_function(&plan, node, &context, is_tainted);
                        // What it was given is let go before anybody hears of the end.
                        drop(context);
                        reporter.report(Some(result));
                    }
                });
                Started(Course::Threaded(ticket))
            }
        }
    }
}

/// Polls an attempt until it ends or is abandoned; then there is no result.
///
/// Each time that it is pending, `pending` is called.
pub(crate) async fn until_abandoned(
    signals: &AttemptSignals,
    run: impl Future<Output = AttemptResult>,
    mut pending: impl FnMut(),
) -> Option<AttemptResult> {
    let mut run = pin!(Some(run));
    let result = poll_fn(|cx| {
        let Some(attempt) = run.as_mut().as_pin_mut().filter(|_| !signals.is_abandoned()) else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(result) = attempt.poll(cx) {
            return Poll::Ready(Some(result));
        }
        pending();
        signals.poll_abandoned(cx).map(|()| None)
    });
    let result = result.await;
    if result.is_none() {
        let_go(|| run.set(None));
    }
    result
}

/// Drops the future of an attempt: that may be in any state of a node's code, and panic.
pub(crate) fn let_go(drop: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(drop)).is_err() {
        tracing::warn!("an attempt panicked when it was dropped");
    }
}

/// Runs an attempt of a node; a panic is an outcome.
pub(crate) async fn run_node(
    plan: &SharedPlan,
    node: NodeIndex,
    context: NodeContext,
    is_tainted: bool,
    slot: Option<InstanceSlot>,
) -> AttemptResult {
    let plan_node = plan.graph().node(node);
    let state = context.shared_state();
    // The node takes the context with it.
    let hidden = context.hidden();
    let run = async {
        match plan_node.shared_instance() {
            Some(SharedInstance::Node(instance)) => instance.execute(context).await,
            Some(SharedInstance::Inline(instance)) => instance.call(&context),
            None => run_instance(plan, node, slot.unwrap_or_default(), context).await,
        }
    };
    let result = AssertUnwindSafe(run).catch_unwind().await;
    let writes = || state.map(|state| state.take_writes()).unwrap_or_default();
    let outcome = outcome(result, writes, plan_node.effect(), is_tainted);
    AttemptResult { outcome: without(&hidden, outcome) }
}

/// The outcome, without what its node was given and came from a secret.
fn without(hidden: &Hidden, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(error) => Outcome::Failed(hidden.hide_in(error)),
        Outcome::Panicked { message } => Outcome::Panicked { message: hidden.hide(message) },
        outcome => outcome,
    }
}

/// Runs an attempt on an instance of its own execution.
async fn run_instance(
    plan: &SharedPlan,
    node: NodeIndex,
    slot: InstanceSlot,
    context: NodeContext,
) -> Result<NodeOutput, NodeError> {
    let mut instance = slot.lock().await;
    if instance.is_none() {
        let plan_node = plan.graph().node(node);
        let config = &plan.spec(node).config;
        match plan.node_type(plan_node).factory.instance(config)? {
            NodeInstance::Inline(function) => return function.call(&context),
            NodeInstance::Node(mut made) => {
                made.initialize().await?;
                *instance = Some(made);
            }
        }
    }
    match instance.as_deref() {
        Some(node) => node.execute(context).await,
        None => unreachable!("it was made above"),
    }
}

fn run_function(
    plan: &SharedPlan,
    node: NodeIndex,
    context: &NodeContext,
    is_tainted: bool,
) -> AttemptResult {
    let node = plan.graph().node(node);
    let outcome = match node.shared_instance() {
        Some(SharedInstance::Inline(function)) => {
            call(&**function, context, node.effect(), is_tainted)
        }
        Some(SharedInstance::Node(_)) | None => wrong_kind("a blocking node"),
    };
    AttemptResult { outcome }
}

/// Does what stands in for an attempt.
pub(crate) fn stand_in_for(attempt: Attempt, stand_in: StandIn) -> Started {
    let Attempt { plan, node, context, is_tainted, slot, permit, .. } = attempt;
    // From now on, also while the attempt is made; it holds no time while it waits for this.
    let clock = context.clock();
    let after = (!stand_in.after.is_zero()).then(|| clock.sleep(stand_in.after));
    let until = stand_in.until.map(|moment| clock.sleep_until(moment));
    let result = async move {
        let outcome = match stand_in.outcome {
            Some(outcome) => {
                drop(permit);
                let effect = plan.graph().node(node).effect();
                AttemptResult { outcome: as_given(outcome, effect, is_tainted) }
            }
            None => {
                let result = make(plan, node, context, is_tainted, slot).await;
                drop(permit);
                result
            }
        };
        for wait in after.into_iter().chain(until) {
            wait.await;
        }
        outcome
    };
    Started::polled(result)
}

/// Makes an attempt of any node, wherever it would run otherwise.
async fn make(
    plan: SharedPlan,
    node: NodeIndex,
    context: NodeContext,
    is_tainted: bool,
    slot: Option<InstanceSlot>,
) -> AttemptResult {
    match plan.graph().node(node).execution() {
        Execution::Async | Execution::Task => {
            run_node(&plan, node, context, is_tainted, slot).await
        }
        Execution::Inline | Execution::Blocking | Execution::Control => {
            let run = move || run_function(&plan, node, &context, is_tainted);
            // A panic of the node is an outcome already; this is the end of the tokio runtime.
            let lost = |_| AttemptResult { outcome: Outcome::Cancelled };
            tokio::task::spawn_blocking(run).await.unwrap_or_else(lost)
        }
    }
}

/// How an attempt ends for which somebody stands in. What a pure node makes of a secret is a secret.
pub(crate) fn as_given(outcome: Outcome, effect: Effect, is_tainted: bool) -> Outcome {
    match outcome {
        Outcome::Succeeded { outputs, state_writes, cache }
            if is_tainted && effect == Effect::Pure =>
        {
            Outcome::Succeeded { outputs: outputs.tainted(), state_writes, cache }
        }
        outcome => outcome,
    }
}

/// The descriptor of a node type contradicts what its factory makes.
pub(crate) fn wrong_kind(what: &str) -> Outcome {
    let message = format!("{what} is not a plain function that all executions share");
    Outcome::Failed(
        NodeError::new("node.wrong_kind", message)
            .with_hint("`Inline` and `Blocking` need an `InlineNode` and a `stateless` descriptor"),
    )
}

/// Calls a plain function; a panic is an outcome.
pub(crate) fn call(
    function: &dyn InlineNode,
    context: &NodeContext,
    effect: Effect,
    is_tainted: bool,
) -> Outcome {
    let result = catch_unwind(AssertUnwindSafe(|| function.call(context)));
    let outcome = outcome(result, || context.take_state_writes(), effect, is_tainted);
    if is_tainted { without(&context.hidden(), outcome) } else { outcome }
}

/// What became of an attempt that has ended.
pub(crate) fn outcome(
    result: Result<Result<NodeOutput, NodeError>, Box<dyn Any + Send>>,
    writes: impl FnOnce() -> Object,
    effect: Effect,
    is_tainted: bool,
) -> Outcome {
    match result {
        // What a pure node makes of a secret is a secret.
        Ok(Ok(outputs)) if is_tainted && effect == Effect::Pure => {
            Outcome::Succeeded { outputs: outputs.tainted(), state_writes: writes(), cache: None }
        }
        Ok(Ok(outputs)) => Outcome::Succeeded { outputs, state_writes: writes(), cache: None },
        Ok(Err(error)) => Outcome::Failed(error),
        Err(panic) => Outcome::Panicked { message: panic_message(panic.as_ref()) },
    }
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the panic has no message".to_owned())
}
