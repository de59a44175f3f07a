//! A case as data: a workflow, and what its attempts and the world around it will do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flowcore::machine::{ExecutionStatus, NodeStatus, Outcome};
use flowcore::{
    CacheUse, Effect, Join, NodeError, NodeOutput, NodeSpec, Object, OnError, RetryPolicy, Value,
    Workflow,
};

use crate::nodes::{INPUTS, NEED, OUTPUTS};

/// The execution input that has the name of an input port.
pub(crate) const INPUT_A: &str = "from the outside";

/// A workflow and everything that will happen to it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    pub(crate) outputs: Option<Vec<Read>>,
    pub(crate) on_error: OnError,
    pub(crate) max_parallel: Option<u32>,
    /// Microseconds, as every moment here.
    pub(crate) deadline: Option<i64>,
    /// The values of the inputs `flag0`, `flag1`…
    pub(crate) flags: [Value; 4],
    /// When somebody wants the execution to stop.
    pub(crate) cancels: Vec<i64>,
    /// When somebody pauses it, and resumes it, in turn.
    pub(crate) pauses: Vec<i64>,
    /// Permits are granted at the multiples of this.
    pub(crate) permit_every: i64,
    /// What comes first of things that happen at the same moment, by [`Happening`].
    pub(crate) ranks: [u8; 6],
    /// Chooses the stale facts.
    pub(crate) seed: u64,
    /// Whether what happens at the same moment comes as with the driver: an attempt that cannot be
    /// prepared fails before another one starts, and one that is told to stop at the moment at which
    /// it starts has not begun.
    pub(crate) is_driven: bool,
}

/// What can happen next, and then to which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    AttemptEnds(usize),
    RetryIsDue(usize),
    DeadlinePasses,
    CancelComes,
    PauseComes,
    PermitComes,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) inline: bool,
    pub(crate) needs: bool,
    pub(crate) effect: Effect,
    pub(crate) join: Join,
    pub(crate) when: Option<When>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) timeout_ms: Option<u64>,
    /// Config entries `c0`, `c1`…
    pub(crate) config: Vec<Entry>,
    /// Input ports that the config names.
    pub(crate) ports: BTreeMap<usize, Entry>,
    /// What the attempts do, in turn.
    pub(crate) plans: Vec<AttemptPlan>,
}

/// A connection; `into` is the input port.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) leaves: Leaves,
    pub(crate) to: usize,
    pub(crate) into: Option<usize>,
}

/// Where a connection leaves its source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Leaves {
    Anywhere,
    Error,
    Port(usize),
}

/// An expression that reads a port of another node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) node: usize,
    pub(crate) port: usize,
    pub(crate) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form {
    Plain,
    /// Something inside of the value.
    Deep,
    /// With `default`.
    Default,
    /// Something that the value never has.
    Broken,
}

/// A value in a config.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    Constant,
    Read(Read),
    /// `input.<port>` of the node itself, with `default`.
    Own(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    Flag(usize),
    Read(Read),
    Defined(usize, usize),
    Undefined(usize, usize),
    OwnDefined(usize),
    FirstAttempt,
    NotBoolean,
}

/// What one attempt does.
#[derive(Debug, Clone)]
pub(crate) struct AttemptPlan {
    pub(crate) ends: Ends,
    pub(crate) duration: i64,
    /// Which output ports are live.
    pub(crate) live: [bool; 3],
    /// Whether it writes to the shared state.
    pub(crate) writes: bool,
    pub(crate) retry_after_ms: Option<u64>,
    /// The random number for the wait after it.
    pub(crate) jitter: f64,
    /// How long it takes to stop when it is told to; `None` does not listen.
    pub(crate) stops_after: Option<i64>,
    /// Whether it then says that it failed.
    pub(crate) fails_when_told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ends {
    Well,
    Badly,
    BadlyForNow,
    TooLate,
    InPanic,
}

/// One attempt: the round, the node, the number of the attempt.
pub(crate) type Key = (u32, usize, u32);

/// What an attempt was given, or the code of the error that kept it from starting.
pub(crate) type Log = BTreeMap<Key, Result<Given, String>>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    pub(crate) inputs: Vec<Option<Value>>,
    pub(crate) config: Vec<Value>,
    /// What the nodes share.
    pub(crate) state: Option<Object>,
    pub(crate) timeout: Option<i64>,
}

/// How it all ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) status: ExecutionStatus,
    /// The code, and the node that failed.
    pub(crate) error: Option<(String, Option<usize>)>,
    pub(crate) outputs: Value,
    pub(crate) warnings: usize,
    pub(crate) rounds: u32,
    pub(crate) at: i64,
    /// The status of each node and its number of attempts.
    pub(crate) nodes: Vec<(NodeStatus, u32)>,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) started: i64,
    pub(crate) ends: i64,
    pub(crate) outcome: Outcome,
    told: bool,
}

impl Case {
    pub(crate) fn plan(&self, (round, node, attempt): Key) -> &AttemptPlan {
        let plans = &self.nodes[node].plans;
        &plans[((round - 1) * 2 + attempt - 1) as usize % plans.len()]
    }

    /// Begins an attempt that was given this much time, or could not be prepared.
    pub(crate) fn begin(
        &self,
        key: Key,
        now: i64,
        timeout: Result<Option<i64>, NodeError>,
    ) -> Attempt {
        let plan = self.plan(key);
        let duration = if self.nodes[key.1].inline { 0 } else { plan.duration };
        let (duration, outcome) = match timeout {
            Err(error) => (0, Outcome::Failed(error)),
            Ok(Some(timeout)) if timeout < duration => (timeout, Outcome::TimedOut),
            Ok(_) => (duration, plan.outcome(key)),
        };
        Attempt { started: now, ends: now + duration, outcome, told: false }
    }

    /// Tells an attempt to stop.
    pub(crate) fn tell(&self, key: Key, now: i64, attempt: &mut Attempt) {
        let plan = self.plan(key);
        let stops = plan.stops_after.map(|after| now + after);
        if self.is_driven && attempt.started == now {
            (attempt.ends, attempt.outcome) = (now, Outcome::Cancelled);
        } else if let Some(stops) = stops.filter(|&stops| !attempt.told && stops < attempt.ends) {
            attempt.ends = stops;
            attempt.outcome = match plan.fails_when_told {
                true => Outcome::Failed(NodeError::retryable("script.told", "it was told to stop")),
                false => Outcome::Cancelled,
            };
        }
        attempt.told = true;
    }

    /// All connections: the written ones, and one for each other node that an expression reads.
    pub(crate) fn all_links(&self) -> Vec<Link> {
        let mut links = self.links.clone();
        for (to, node) in self.nodes.iter().enumerate() {
            for from in node.read_nodes() {
                if !links.iter().any(|link| link.from == from && link.to == to) {
                    links.push(Link { from, leaves: Leaves::Anywhere, to, into: None });
                }
            }
        }
        links
    }

    /// Whether an expression or the outputs read a node.
    pub(crate) fn is_read(&self, node: usize) -> bool {
        let outputs = self.outputs.iter().flatten().any(|read| read.node == node);
        outputs || self.nodes.iter().any(|reader| reader.read_nodes().contains(&node))
    }

    pub(crate) fn handles_error(&self, node: usize) -> bool {
        self.links.iter().any(|link| link.from == node && link.leaves == Leaves::Error)
    }

    /// The next moment at which a permit is granted.
    pub(crate) fn next_permit(&self, now: i64) -> i64 {
        (now + self.permit_every - 1) / self.permit_every * self.permit_every
    }

    /// What comes first of things that happen at the same moment.
    pub(crate) fn rank(&self, happening: Happening) -> u8 {
        self.ranks[match happening {
            Happening::AttemptEnds(_) => 0,
            Happening::RetryIsDue(_) => 1,
            Happening::DeadlinePasses => 2,
            Happening::CancelComes => 3,
            Happening::PermitComes => 4,
            Happening::PauseComes => 5,
        }]
    }

    pub(crate) fn on_error(&self, node: usize) -> OnError {
        self.nodes[node].on_error.unwrap_or(self.on_error)
    }

    pub(crate) fn inputs(&self) -> Object {
        let flags = self.flags.iter().enumerate();
        let flags = flags.map(|(index, flag)| (format!("flag{index}"), flag.clone()));
        Object::from_entries(flags.chain([("a".to_owned(), Value::from(INPUT_A))])).unwrap()
    }

    pub(crate) fn workflow(&self) -> Workflow {
        let mut workflow = Workflow::new("case");
        let anything = || serde_json::json!({});
        for name in self.inputs().keys() {
            workflow.add_input(&**name, anything()).unwrap();
        }
        workflow.settings.on_error = self.on_error;
        workflow.settings.max_parallel_nodes = self.max_parallel;
        workflow.settings.max_execution_time_ms =
            self.deadline.map(|micros| u64::try_from(micros / 1000).unwrap());
        for (index, node) in self.nodes.iter().enumerate() {
            workflow.add_node(node.spec(index));
        }
        for link in &self.links {
            workflow.connections.push(flowcore::Connection {
                from_node: id(link.from).parse().unwrap(),
                from_port: match link.leaves {
                    Leaves::Anywhere => None,
                    Leaves::Error => Some("error".into()),
                    Leaves::Port(port) => Some(OUTPUTS[port].into()),
                },
                to_node: id(link.to).parse().unwrap(),
                to_port: link.into.map(|port| INPUTS[port].into()),
            });
        }
        for (index, read) in self.outputs.iter().flatten().enumerate() {
            workflow.add_output(&format!("o{index}"), read.template()).unwrap();
        }
        if self.outputs.is_some() {
            workflow.outputs.get_or_insert_default();
        }
        workflow
    }
}

impl Node {
    pub(crate) fn input_count(&self) -> usize {
        if self.needs { INPUTS.len() } else { NEED }
    }

    fn read_nodes(&self) -> BTreeSet<usize> {
        let entries = self.config.iter().chain(self.ports.values());
        let mut nodes: BTreeSet<usize> = entries
            .filter_map(|entry| match entry {
                Entry::Read(read) => Some(read.node),
                Entry::Constant | Entry::Own(_) => None,
            })
            .collect();
        match self.when {
            Some(When::Read(Read { node, .. }))
            | Some(When::Defined(node, _) | When::Undefined(node, _)) => drop(nodes.insert(node)),
            _ => {}
        }
        nodes
    }

    fn spec(&self, index: usize) -> NodeSpec {
        let kind = if self.inline { "inline" } else { "waiting" };
        let node_type = if self.needs { format!("{kind}.needing") } else { kind.to_owned() };
        let mut spec = NodeSpec::new(id(index), node_type).join(self.join).effect(self.effect);
        spec.on_error = self.on_error;
        spec.retry_policy = self.retry.clone().map(Box::new);
        spec.timeout_ms = self.timeout_ms;
        spec.when = self.when.map(|when| Value::from(when.text()));
        for (number, entry) in self.config.iter().enumerate() {
            spec = spec.config_value(&format!("c{number}"), entry.template());
        }
        for (port, entry) in &self.ports {
            spec = spec.config_value(INPUTS[*port], entry.template());
        }
        spec
    }
}

impl Read {
    fn text(self) -> String {
        let port = OUTPUTS.get(self.port).copied().unwrap_or("error");
        let path = format!("nodes.{}.{port}", id(self.node));
        match self.form {
            Form::Plain => path,
            Form::Deep => format!("{path}.deep"),
            Form::Default => format!("{path} | default('none')"),
            Form::Broken => format!("{path}.nothing"),
        }
    }

    fn template(self) -> String {
        format!("{{{{ {} }}}}", self.text())
    }

    /// The value of the expression when the port has this value.
    pub(crate) fn value(self, found: Option<Value>) -> Result<Value, String> {
        let value = match self.form {
            Form::Plain => found,
            Form::Deep => found.and_then(|value| value.get("deep").cloned()),
            Form::Default => Some(found.unwrap_or_else(|| Value::from("none"))),
            Form::Broken => None,
        };
        value.ok_or_else(|| "expression.undefined".to_owned())
    }
}

impl Entry {
    fn template(self) -> String {
        match self {
            Self::Constant => "constant".to_owned(),
            Self::Read(read) => read.template(),
            Self::Own(port) => format!("{{{{ input.{} | default('none') }}}}", INPUTS[port]),
        }
    }
}

impl When {
    fn text(self) -> String {
        match self {
            Self::Flag(flag) => format!("inputs.flag{flag}"),
            Self::Read(read) => read.text(),
            Self::Defined(node, port) => format!("nodes.{}.{} is defined", id(node), OUTPUTS[port]),
            Self::Undefined(node, port) => {
                format!("nodes.{}.{} is not defined", id(node), OUTPUTS[port])
            }
            Self::OwnDefined(port) => format!("input.{} is defined", INPUTS[port]),
            Self::FirstAttempt => "execution.attempt == 1".to_owned(),
            Self::NotBoolean => "1 + 1".to_owned(),
        }
    }
}

impl AttemptPlan {
    pub(crate) fn outcome(&self, key: Key) -> Outcome {
        match self.ends {
            Ends::Well => {
                let live = (0..OUTPUTS.len()).filter(|&port| self.live[port]);
                let outputs = live.fold(NodeOutput::new(), |outputs, port| {
                    outputs.with(OUTPUTS[port], value_of(key, port))
                });
                let name = if key.1.is_multiple_of(2) { "even" } else { "odd" };
                let writes = self.writes.then(|| (name, value_of(key, 0)));
                let state_writes = Object::from_entries(writes).unwrap();
                // Whatever a cache said, the execution goes on in the same way.
                let cache = [None, Some(CacheUse::Hit), Some(CacheUse::Miss)][key.1 % 3];
                Outcome::Succeeded { outputs, state_writes, cache }
            }
            Ends::Badly => Outcome::Failed(NodeError::new("script.failed", "it had to")),
            Ends::BadlyForNow => {
                let error = NodeError::retryable("script.busy", "not now");
                Outcome::Failed(match self.retry_after_ms {
                    Some(wait) => error.with_retry_after(Duration::from_millis(wait)),
                    None => error,
                })
            }
            Ends::TooLate => Outcome::TimedOut,
            Ends::InPanic => Outcome::Panicked { message: "boom".to_owned() },
        }
    }
}

/// The code of the error that an outcome leaves behind.
pub(crate) fn error_code(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed(error) => error.code(),
        Outcome::TimedOut => "node.timed_out",
        Outcome::Panicked { .. } => "node.panicked",
        Outcome::Succeeded { .. } | Outcome::Cancelled => unreachable!("not a failure"),
    }
}

pub(crate) fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap().saturating_mul(1000)
}

pub(crate) fn id(node: usize) -> String {
    format!("n{node}")
}

/// What an attempt puts on a port: different for every attempt, of every kind.
pub(crate) fn value_of((round, node, attempt): Key, port: usize) -> Value {
    let mark = format!("{}.{} of attempt {attempt} in round {round}", id(node), OUTPUTS[port]);
    let number = (node * 31 + attempt as usize * 7 + round as usize * 3) as u64;
    match (port, number % 7) {
        (0, _) => {
            let entries = [("deep", Value::from(mark)), ("$bytes", Value::from("not bytes"))];
            Value::Object(Object::from_entries(entries).unwrap())
        }
        (1, 0) => Value::Null,
        (1, 1) => Value::from(u64::MAX - number),
        (1, 2) => Value::try_from(number as f64 / 3.0).unwrap(),
        (1, 3) => Value::from(mark.as_bytes()),
        (1, 4) => Value::from_json(serde_json::json!([mark, [null, 1.0], {}])).unwrap(),
        (1, _) => Value::from(mark),
        (_, 0) => Value::Null,
        (_, rest) => Value::from(rest % 3 != 0),
    }
}

/// The messages of errors are no part of what is compared.
pub(crate) fn without_messages(value: &Value) -> Value {
    without("message", value)
}

/// A value without the entries of this name.
pub(crate) fn without(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries = object.iter().filter(|(key, _)| ***key != *name);
            let entries = entries.map(|(key, value)| (key.clone(), without(name, value)));
            Value::Object(Object::from_entries(entries).unwrap())
        }
        Value::Array(array) => {
            let items: Vec<Value> = array.iter().map(|item| without(name, item)).collect();
            Value::try_from(items).unwrap()
        }
        other => other.clone(),
    }
}
