//! Runs one case: with stand-ins, in virtual time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowcore::{
    Effect, Execution, ExecutionResult, NodeContext, NodeError, NodeIndex, NodeRegistry, Object,
    Plan, Policy, Secrets, Workflow,
};
use flowruntime::testing::{Hold, Pins, StandIn, StandIns, VirtualClock, covers};
use flowruntime::{BlockingRuntime, ExecutionHandle, FlowRuntime};

use super::file::{Case, Signal};
use super::recorder::{Recorder, Seen};
use super::{codes, file};
use crate::error::CliError;
use crate::execution::interrupts::Interrupts;
use crate::execution::shut_down;
use crate::workflows::WorkflowFiles;

/// Node types that touch nothing outside, whatever their effect is.
pub(crate) const HARMLESS: [&str; 2] = ["crypto.hmac", "debug.log"];

/// What a case runs on.
pub(crate) struct Stage<'a> {
    pub(crate) registry: &'a NodeRegistry,
    pub(crate) policy: Policy,
    pub(crate) workflow: &'a Workflow,
    pub(crate) files: WorkflowFiles,
    /// The longest that a case may really take.
    pub(crate) limit: Duration,
}

/// How a case ended.
pub(crate) enum Ending {
    /// The execution ended.
    Ended(Box<ExecutionResult>),
    /// It waits for something that never comes.
    Waits,
    /// It took longer than it may.
    TookTooLong,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// What came of a case.
pub(crate) struct Ran {
    pub(crate) ending: Ending,
    /// How much virtual time passed.
    pub(crate) duration: Duration,
    pub(super) seen: BTreeMap<String, Seen>,
    pub(crate) nodes: HashSet<NodeIndex>,
    /// What the nodes were given that the case asks for.
    pub(super) given: BTreeMap<String, Object>,
    /// The addresses and types of nodes that would have touched the world.
    pub(super) not_pinned: Vec<(String, String)>,
    /// The signals for which the execution ended too early.
    pub(super) unheard: Vec<String>,
}

/// Stands in for the nodes of a case, and keeps what they were given.
#[derive(Clone)]
struct Cast(Arc<Inner>);

struct Inner {
    pins: Pins,
    allow: Vec<String>,
    runs_unpinned: bool,
    /// Whether anybody asks what nodes were given.
    keeps: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    given: BTreeMap<String, Object>,
    not_pinned: Vec<(String, String)>,
}

impl Cast {
    fn new(case: &Case) -> Self {
        let pin = |pins: Pins, pin: &file::Pin| {
            let attempts = pin.attempts.iter().map(|(stand_in, _)| stand_in.clone());
            pins.pin(pin.address.name.as_str(), attempts)
        };
        Self(Arc::new(Inner {
            pins: case.pins.iter().fold(Pins::new(), pin),
            allow: case.allow.iter().map(|named| named.name.clone()).collect(),
            runs_unpinned: case.runs_unpinned,
            keeps: !case.expect.given.is_empty(),
            kept: Mutex::default(),
        }))
    }

    fn keep(&self, keep: impl FnOnce(&mut Kept)) {
        keep(&mut self.0.kept.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn may_run(&self, plan: &Plan, node: NodeIndex, address: &str) -> bool {
        let node_type: &str = &plan.spec(node).node_type;
        let allow = || {
            let named = |name: &String| {
                name == node_type || plan.find_node(name) == Ok(node) && covers(name, address)
            };
            self.0.allow.iter().any(named)
        };
        self.0.runs_unpinned
            || plan.graph().node(node).effect() == Effect::Pure
            || plan.graph().node(node).execution() == Execution::Control
            || HARMLESS.contains(&node_type)
            || allow()
    }
}

impl StandIns for Cast {
    fn stand_in(&self, plan: &Plan, node: NodeIndex, context: &NodeContext) -> Option<StandIn> {
        let address = context.address();
        if self.0.keeps {
            self.keep(|kept| drop(kept.given.insert(address.to_owned(), given(context))));
        }
        if let Some(stand_in) = self.0.pins.find(address, context.attempt()) {
            return Some(stand_in.clone());
        }
        if self.may_run(plan, node, address) {
            return None;
        }
        let node_type = plan.spec(node).node_type.to_string();
        self.keep(|kept| kept.not_pinned.push((address.to_owned(), node_type)));
        let message = "it would touch the world, and the test does not pin it";
        Some(StandIn::fails(NodeError::new(codes::NOT_PINNED, message)))
    }
}

/// The config of an attempt, and over it what its connections bring.
fn given(context: &NodeContext) -> Object {
    let mut given = context.config_object().clone();
    for (port, value) in context.inputs() {
        given.insert(port, value.clone()).expect("it was as deep in the execution");
    }
    given
}

/// Runs a case to its end.
pub(crate) fn run(stage: Stage<'_>, case: &Case) -> Result<Ran, CliError> {
    let clock = VirtualClock::starting_at(case.now);
    let cast = Cast::new(case);
    let flow = FlowRuntime::builder()
        .registry(stage.registry.clone())
        .policy(stage.policy)
        .workflows(stage.files)
        .virtual_time(&clock)
        .stand_ins(cast.clone())
        .build()
        .expect("no limit is set");
    // On this thread alone, so that what can be in the same order is.
    let runtime = BlockingRuntime::builder(flow).worker_threads(0).build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    let recorder = Arc::new(Recorder::default());
    let prepared = runtime.flow().prepare(stage.workflow, case.inputs.clone())?;
    let secrets = Secrets::new(case.secrets.iter().cloned());
    let prepared = prepared.secrets(secrets).journal(recorder.clone());
    let played = runtime.block_on(async {
        let mut interrupts = Interrupts::listen().map_err(CliError::Runtime)?;
        // Nothing moves before everything has its place.
        let hold = clock.hold();
        let mut messenger = Messenger::new(&clock, case);
        let execution = prepared.start().await?;
        let mut limit = pin!(tokio::time::sleep(stage.limit));
        drop(hold);
        let mut waits = None;
        let ending = {
            let mut deliver = pin!(messenger.deliver(&execution));
            let mut end = pin!(execution.wait());
            let mut delivered = false;
            loop {
                tokio::select! {
                    biased;
                    result = &mut end => break Ending::Ended(Box::new(result?)),
                    _ = interrupts.next() => break Ending::Interrupted,
                    () = &mut deliver, if !delivered => delivered = true,
                    () = clock.stalled(), if waits.is_none() => {
                        waits = Some(recorder.seen());
                        // What it has opened is closed.
                        execution.cancel();
                    }
                    () = &mut limit => break Ending::TookTooLong,
                }
            }
        };
        let unheard = messenger.unheard();
        Ok::<_, CliError>((ending, waits, unheard))
    });
    shut_down(runtime);
    let (ending, waits, unheard) = played?;
    let duration = match &ending {
        Ending::Ended(result) => result.duration(),
        Ending::Waits | Ending::TookTooLong | Ending::Interrupted => Duration::ZERO,
    };
    let (is_ended, nodes) = (matches!(ending, Ending::Ended(_)), recorder.ran());
    let (ending, seen) = match waits {
        Some(seen) if is_ended => (Ending::Waits, seen),
        _ => (ending, recorder.seen()),
    };
    let mut kept = cast.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let Kept { given, not_pinned } = std::mem::take(&mut *kept);
    Ok(Ran { ending, duration, seen, nodes, given, not_pinned, unheard })
}

type Reached = Pin<Box<dyn Future<Output = Hold>>>;

/// Brings the signals of a case, each at its time.
struct Messenger<'a> {
    due: VecDeque<(&'a Signal, Reached)>,
}

impl<'a> Messenger<'a> {
    fn new(clock: &VirtualClock, case: &'a Case) -> Self {
        let mut signals: Vec<&Signal> = case.signals.iter().collect();
        signals.sort_by_key(|signal| signal.at);
        let due = |signal: &'a Signal| {
            let reached: Reached = Box::pin(clock.reach(case.now.after(signal.at)));
            (signal, reached)
        };
        Self { due: signals.into_iter().map(due).collect() }
    }

    /// Sends all. Stops at one for which it is too late.
    async fn deliver(&mut self, execution: &ExecutionHandle) {
        while let Some((signal, reached)) = self.due.front_mut() {
            let hold = reached.await;
            let payload = signal.payload.clone();
            let sent = execution.signal_to(&signal.name, signal.key.as_deref(), payload).await;
            if sent.is_err() {
                return;
            }
            self.due.pop_front();
            drop(hold);
        }
    }

    /// The names of those that were not sent.
    fn unheard(self) -> Vec<String> {
        self.due.into_iter().map(|(signal, _)| signal.name.clone()).collect()
    }
}
