//! Nodes that do what the script says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowcore::machine::Outcome;
use flowcore::{
    CancelReason, Execution, Node, NodeConfig, NodeContext, NodeError, NodeFactory, NodeOutput,
    NodeRegistry, Timestamp, Value, Workflow, async_trait,
};

use crate::fit::duration;
use crate::nodes::{INPUTS, descriptor};
use crate::script::{Case, Given, Key, without_messages};

/// How attempts take their time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As long as the script says, on a clock that is paused.
    Clock,
    /// So many turns of the scheduler as the script says milliseconds.
    Turns,
}

/// The nodes of one execution, and what they note.
pub(crate) struct Cast {
    case: Case,
    pace: Pace,
    /// What each attempt was given.
    pub(crate) log: Mutex<BTreeMap<Key, Seen>>,
    /// The nodes whose attempts began, and when.
    pub(crate) starts: Mutex<Vec<(usize, Timestamp)>>,
    /// How many attempts exist, and the most that ever did.
    running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
    /// Instances that were initialised and not shut down.
    pub(crate) instances: AtomicI64,
}

/// What an attempt sees of what it was given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    inputs: Vec<Option<Value>>,
    config: Vec<Value>,
    state: Option<[Option<Value>; 2]>,
}

/// The keys of the shared state that scripts write to.
const KEYS: [&str; 2] = ["even", "odd"];

impl From<&Given> for Seen {
    fn from(given: &Given) -> Self {
        let state = given.state.as_ref();
        Self {
            inputs: given.inputs.clone(),
            config: given.config.clone(),
            state: state.map(|state| KEYS.map(|key| state.get(key).cloned())),
        }
    }
}

impl Cast {
    pub(crate) fn new(case: &Case, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            case: case.clone(),
            pace,
            log: Mutex::default(),
            starts: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            instances: AtomicI64::new(0),
        })
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The workflow of the case; each node that waits does so in one of the ways there are.
    pub(crate) fn workflow(&self) -> Workflow {
        let mut workflow = self.case.workflow();
        let mut choice = self.case.seed;
        for node in &mut workflow.nodes {
            if let Some(rest) = node.node_type.strip_prefix("waiting") {
                choice = choice.rotate_right(1);
                let kind = KINDS[usize::from(choice.to_le_bytes()[0]) % KINDS.len()];
                node.node_type = format!("{kind}{rest}").into();
            }
        }
        workflow
    }

    pub(crate) fn registry(self: &Arc<Self>) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        for needs in [false, true] {
            let cast = self.clone();
            registry.register_function(descriptor("inline", needs), move |ctx| {
                let key = cast.enter(ctx);
                cast.perform(ctx, key)
            });
            for (kind, execution) in [("polled", Execution::Async), ("spawned", Execution::Task)] {
                let cast = self.clone();
                let descriptor = descriptor(kind, needs).execution(execution);
                registry.register_async(descriptor, move |ctx| {
                    let cast = cast.clone();
                    async move { cast.attempt(&ctx).await }
                });
            }
            let node_type = descriptor("owned", needs).node_type.to_string();
            registry.register(Owned { node_type, needs, cast: self.clone() });
        }
        registry
    }

    fn enter(&self, ctx: &NodeContext) -> Key {
        let key = key_of(ctx);
        let before = self.log.lock().unwrap().insert(key, self.seen(ctx, key));
        assert!(before.is_none(), "started twice: {key:?}");
        self.starts.lock().unwrap().push((key.1, ctx.clock().now()));
        key
    }

    fn seen(&self, ctx: &NodeContext, (_, node, _): Key) -> Seen {
        let node = &self.case.nodes[node];
        let names = INPUTS[..node.input_count()].iter();
        let config = 0..node.config.len();
        Seen {
            inputs: names
                .map(|name| {
                    let found = ctx.inputs().find(|(port, _)| port == name);
                    found.map(|(_, value)| without_messages(value))
                })
                .collect(),
            config: config
                .map(|number| {
                    without_messages(ctx.config_object().get(&format!("c{number}")).unwrap())
                })
                .collect(),
            state: ctx.state().ok().map(|state| KEYS.map(|key| state.get(key))),
        }
    }

    /// One attempt of a node that takes its time.
    async fn attempt(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let cancelled = ctx.cancellation().cancelled();
        let _running = Running::enter(self);
        let key = self.enter(ctx);
        let plan = self.case.plan(key);
        let mut work = std::pin::pin!(self.wait(ctx, plan.duration));
        tokio::select! {
            biased;
            () = &mut work => return self.perform(ctx, key),
            reason = cancelled => {
                if reason == CancelReason::AttemptTimeout {
                    return Err(told());
                }
            }
        }
        let Some(time) = plan.stops_after else {
            work.await;
            return self.perform(ctx, key);
        };
        tokio::select! {
            biased;
            () = work => self.perform(ctx, key),
            () = self.wait(ctx, time) => Err(told()),
        }
    }

    async fn wait(&self, ctx: &NodeContext, micros: i64) {
        match self.pace {
            Pace::Clock if micros == 0 => {}
            Pace::Clock => ctx.clock().sleep(duration(micros)).await,
            Pace::Turns => {
                for _ in 0..duration(micros).as_millis() {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn perform(&self, ctx: &NodeContext, key: Key) -> Result<NodeOutput, NodeError> {
        match self.case.plan(key).outcome(key) {
            Outcome::Succeeded { outputs, state_writes, .. } => {
                for (name, value) in state_writes.iter() {
                    ctx.state()?.set(name, value.clone()).unwrap();
                }
                Ok(outputs)
            }
            Outcome::Failed(error) => Err(error),
            Outcome::Panicked { message } => panic!("{message}"),
            Outcome::TimedOut | Outcome::Cancelled => unreachable!("no script says so"),
        }
    }
}

/// The types of nodes that wait.
const KINDS: [&str; 3] = ["polled", "spawned", "owned"];

fn told() -> NodeError {
    NodeError::new("script.told", "it was told to stop")
}

fn key_of(ctx: &NodeContext) -> Key {
    let key = ctx.idempotency_key();
    let round = key.split('/').nth(1).unwrap().parse().unwrap();
    (round, ctx.node_id().as_str()[1..].parse().unwrap(), ctx.attempt())
}

/// Counts an attempt as running until it is over, or dropped.
struct Running<'a>(&'a Cast);

impl<'a> Running<'a> {
    fn enter(cast: &'a Cast) -> Self {
        let now = cast.running.fetch_add(1, Ordering::SeqCst) + 1;
        cast.most_running.fetch_max(now, Ordering::SeqCst);
        Self(cast)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes nodes with an instance for each execution.
struct Owned {
    node_type: String,
    needs: bool,
    cast: Arc<Cast>,
}

impl NodeFactory for Owned {
    fn node_type(&self) -> &str {
        &self.node_type
    }

    fn create(&self, _config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(OwnedNode { node_type: self.node_type.clone(), cast: self.cast.clone() }))
    }

    fn descriptor(&self) -> flowcore::NodeDescriptor {
        descriptor("owned", self.needs)
    }
}

struct OwnedNode {
    node_type: String,
    cast: Arc<Cast>,
}

#[async_trait]
impl Node for OwnedNode {
    fn node_type(&self) -> &str {
        &self.node_type
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        self.cast.attempt(&ctx).await
    }

    async fn initialize(&mut self) -> Result<(), NodeError> {
        self.cast.instances.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), NodeError> {
        self.cast.instances.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Longer than anything takes here.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(86_400 * 365 * 20);
