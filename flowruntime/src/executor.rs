//! Where attempts run.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use flowcore::machine::Outcome;
use flowcore::{
    Effect, Execution, InlineNode, Node, NodeContext, NodeError, NodeInstance, NodeOutput, Object,
    SharedInstance, SharedPlan,
};
use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use crate::testing::StandIn;

/// The instance of a node type that is not stateless: made and initialised by its first attempt,
/// kept for the next ones, shut down by the driver.
pub(crate) type InstanceSlot = Arc<tokio::sync::Mutex<Option<Box<dyn Node>>>>;

/// An attempt that is to start.
pub struct Attempt {
    /// The plan of the execution.
    pub plan: SharedPlan,
    /// The node's index in the plan.
    pub node: flowcore::NodeIndex,
    /// What the node is told.
    pub context: NodeContext,
    /// Whether something that it is told is tainted.
    pub is_tainted: bool,
    pub(crate) slot: Option<InstanceSlot>,
    /// Given back when the attempt has really ended, even if the driver has given it up.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    /// How.
    pub outcome: Outcome,
}

/// How an attempt can be stopped from outside.
#[derive(Debug)]
pub enum Stop {
    /// Dropping the future ends it.
    Drop,
    /// The task can be aborted, and the future then ends.
    Abort(AbortHandle),
    /// It cannot once it has begun: it is then waited for, and given up after the grace period.
    Wait(Ticket),
}

/// The place of an attempt in a queue: whoever takes it first, the thread that is to begin or the
/// driver that withdraws it, has it.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<Mutex<Option<Place>>>);

/// What the place holds: the attempt's permit, so that it is given back when the attempt is
/// withdrawn and not when the queue comes to it.
#[derive(Debug, Default)]
struct Place {
    permit: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    fn holding(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Mutex::new(Some(Place { permit }))))
    }

    /// Takes the place. Whether it was still there.
    pub fn take(&self) -> bool {
        self.take_place().is_some()
    }

    fn take_place(&self) -> Option<Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Default for Ticket {
    fn default() -> Self {
        Self::holding(None)
    }
}

/// An attempt that has started.
pub struct Started {
    /// Ends with the attempt.
    pub result: Pin<Box<dyn Future<Output = AttemptResult> + Send>>,
    /// How it can be stopped.
    pub stop: Stop,
}

/// Starts attempts: here, or one day on another computer.
///
/// Inline nodes do not come here: they are functions that the driver calls.
pub trait Executor: Send + Sync {
    /// Starts an attempt. The future need not be polled for it to go on, unless [`Started::stop`]
    /// is [`Stop::Drop`].
    fn start(&self, attempt: Attempt) -> Started;
}

/// Runs attempts in this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalExecutor;

impl Executor for LocalExecutor {
    fn start(&self, mut attempt: Attempt) -> Started {
        let permit = attempt.permit.take();
        match attempt.plan.graph().node(attempt.node).execution() {
            Execution::Async => {
                Started { result: run_node(attempt, permit).boxed(), stop: Stop::Drop }
            }
            Execution::Task => {
                let task = tokio::spawn(run_node(attempt, permit));
                let stop = Stop::Abort(task.abort_handle());
                Started { result: joined(task).boxed(), stop }
            }
            // Control nodes do not come here: the machine runs them.
            Execution::Inline | Execution::Blocking | Execution::Control => {
                let ticket = Ticket::holding(permit);
                let stop = Stop::Wait(ticket.clone());
                let task = tokio::task::spawn_blocking(move || {
                    let Some(Place { permit }) = ticket.take_place() else {
                        return AttemptResult { outcome: Outcome::Cancelled };
                    };
                    let result = run_function(&attempt);
                    drop(permit);
                    result
                });
                Started { result: joined(task).boxed(), stop }
            }
        }
    }
}

async fn joined(task: tokio::task::JoinHandle<AttemptResult>) -> AttemptResult {
    task.await.unwrap_or_else(|error| {
        let outcome = if error.is_cancelled() {
            Outcome::Cancelled
        } else {
            Outcome::Panicked { message: panic_message(error.into_panic().as_ref()) }
        };
        AttemptResult { outcome }
    })
}

async fn run_node(attempt: Attempt, permit: Option<OwnedSemaphorePermit>) -> AttemptResult {
    let Attempt { plan, node, context, is_tainted, slot, .. } = attempt;
    let plan_node = plan.graph().node(node);
    let state = context.shared_state();
    let run = async {
        match plan_node.shared_instance() {
            Some(SharedInstance::Node(instance)) => instance.execute(context).await,
            Some(SharedInstance::Inline(instance)) => instance.call(&context),
            None => run_instance(&plan, node, slot.unwrap_or_default(), context).await,
        }
    };
    let result = AssertUnwindSafe(run).catch_unwind().await;
    drop(permit);
    let writes = || state.map(|state| state.take_writes()).unwrap_or_default();
    AttemptResult { outcome: outcome(result, writes, plan_node.effect(), is_tainted) }
}

/// Runs an attempt on an instance of its own execution.
async fn run_instance(
    plan: &SharedPlan,
    node: flowcore::NodeIndex,
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

fn run_function(attempt: &Attempt) -> AttemptResult {
    let node = attempt.plan.graph().node(attempt.node);
    let Some(SharedInstance::Inline(function)) = node.shared_instance() else {
        return AttemptResult { outcome: wrong_kind("a blocking node") };
    };
    AttemptResult {
        outcome: call(&**function, &attempt.context, node.effect(), attempt.is_tainted),
    }
}

/// Does what stands in for an attempt, which is not made.
pub(crate) fn stand_in_for(attempt: Attempt, stand_in: StandIn) -> Started {
    let Attempt { plan, node, context, is_tainted, permit, .. } = attempt;
    let effect = plan.graph().node(node).effect();
    let result = async move {
        if !stand_in.after.is_zero() {
            context.clock().sleep(stand_in.after).await;
        }
        drop(permit);
        AttemptResult { outcome: outcome(Ok(stand_in.result), Object::new, effect, is_tainted) }
    };
    Started { result: result.boxed(), stop: Stop::Drop }
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
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| function.call(context)));
    outcome(result, || context.take_state_writes(), effect, is_tainted)
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
            Outcome::Succeeded { outputs: outputs.tainted(), state_writes: writes() }
        }
        Ok(Ok(outputs)) => Outcome::Succeeded { outputs, state_writes: writes() },
        Ok(Err(error)) => Outcome::Failed(error),
        Err(panic) => Outcome::Panicked { message: panic_message(panic.as_ref()) },
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the panic has no message".to_owned())
}
