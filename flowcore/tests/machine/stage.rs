//! A workflow played by hand: what happens is a line of text, and so is what comes of it.

use std::fmt::Write as _;

use flowcore::machine::{
    Action, Fact, HistoryLimits, Kept, Machine, MachineOptions, Outcome, Recorded, RerunError,
    Status, Timer, Turn, Wish,
};
use flowcore::{
    CalledWorkflow, CancelReason, ExecutionId, ExecutionResult, Instance, Limits, NoWorkflow,
    NodeError, NodeIndex, NodeOutput, NodeSpec, Object, OnError, PauseReason, Record, Secrets,
    SharedPlan, Timestamp, UndoSpec, Value, Workflow, WorkflowSource, compile_with,
};

use crate::nodes::registry;

/// An execution, and the events so far.
pub(crate) struct Stage {
    pub(crate) machine: Machine,
    pub(crate) events: Vec<Record>,
    /// The wishes of the last step.
    wishes: Vec<Wish>,
    pub(crate) now: i64,
    pub(crate) jitter: f64,
    /// Whether a permit is granted whenever one is wanted.
    pub(crate) grants: bool,
    history: HistoryLimits,
}

/// A node that waits, with the ports of all scripted nodes.
pub(crate) fn node(id: &str) -> NodeSpec {
    NodeSpec::new(id, "waiting")
}

/// A node that is a plain function.
pub(crate) fn inline(id: &str) -> NodeSpec {
    NodeSpec::new(id, "inline")
}

/// A workflow with connections such as `a > b`, `a.x > b.a` and `a.error > b`.
pub(crate) fn workflow(nodes: impl IntoIterator<Item = NodeSpec>, links: &[&str]) -> Workflow {
    let mut workflow = Workflow::new("stage");
    for node in nodes {
        workflow.add_node(node);
    }
    for link in links {
        let (from, to) = link.split_once(" > ").expect("`a.x > b.a`");
        let end = |text: &str| match text.split_once('.') {
            Some((node, port)) => (node.parse().unwrap(), Some(port.into())),
            None => (text.parse().unwrap(), None),
        };
        let ((from_node, from_port), (to_node, to_port)) = (end(from), end(to));
        workflow.connections.push(flowcore::Connection { from_node, from_port, to_node, to_port });
    }
    workflow
}

/// The workflows that every other one may call.
struct Library;

impl WorkflowSource for Library {
    /// `pair` is `x`, which has an undo, and then `y`; `pair.again` starts once more when one fails.
    fn find(&self, name: &str, _: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        let undo = UndoSpec::new("waiting").config_value("a", "{{ nodes.x.x }}");
        let mut pair = workflow([node("x").undo(undo), node("y")], &["x > y"]);
        match name {
            "pair" => {}
            "pair.again" => pair.settings.on_error = OnError::RetryWorkflow { max_attempts: 2 },
            _ => return Err(NoWorkflow::NotFound("it is not in the library".to_owned())),
        }
        Ok(CalledWorkflow { key: name.to_owned(), workflow: pair })
    }
}

pub(crate) fn plan(workflow: &Workflow) -> SharedPlan {
    let compiled = compile_with(workflow, &registry(), &Limits::default(), Some(&Library));
    compiled.plan.unwrap_or_else(|| panic!("{}", compiled.diagnostics))
}

pub(crate) fn machine(workflow: &Workflow) -> Machine {
    machine_of(plan(workflow), Secrets::default(), HistoryLimits::default())
}

fn machine_of(plan: SharedPlan, secrets: Secrets, history: HistoryLimits) -> Machine {
    let execution_id = ExecutionId::from_uuid(uuid::Uuid::nil());
    Machine::new(plan, MachineOptions { execution_id, secrets, keep_outputs: false, history })
}

impl Stage {
    /// An execution that has started.
    pub(crate) fn new(workflow: &Workflow) -> Self {
        Self::with_inputs(workflow, Object::new())
    }

    /// As [`Stage::new`], with inputs.
    pub(crate) fn with_inputs(workflow: &Workflow, inputs: Object) -> Self {
        let mut stage = Self::unstarted(workflow);
        stage.tell(Fact::Start { inputs, kept: None });
        stage
    }

    /// As [`Stage::new`], but permits have to be granted by steps.
    pub(crate) fn without_permits(workflow: &Workflow) -> Self {
        let mut stage = Self { grants: false, ..Self::unstarted(workflow) };
        stage.tell(Fact::Start { inputs: Object::new(), kept: None });
        stage
    }

    /// As [`Stage::new`], with a history that may become only so long.
    pub(crate) fn limited(workflow: &Workflow, history: HistoryLimits) -> Self {
        let machine = machine_of(plan(workflow), Secrets::default(), history);
        let mut stage = Self { history, ..Self::of_machine(machine) };
        stage.tell(Fact::Start { inputs: Object::new(), kept: None });
        stage
    }

    /// An execution that goes on after a stop: what is left of it are these events.
    pub(crate) fn after(workflow: &Workflow, events: &[Record]) -> Self {
        let mut stage = Self { events: events.to_vec(), ..Self::unstarted(workflow) };
        for record in events {
            stage.machine.apply(record.clone()).unwrap();
        }
        let mut turn = Turn::recording();
        stage.machine.resume(stage.moment(), &mut turn).unwrap();
        stage.events.extend(turn.events.drain(..).map(|recorded| recorded.record));
        stage.wishes.append(&mut turn.wishes);
        if stage.machine.wants_permit() {
            stage.tell(Fact::PermitGranted);
        }
        stage
    }

    /// As [`Stage::new`], with node types and secrets of its own.
    pub(crate) fn of_plan(plan: SharedPlan, secrets: Secrets) -> Self {
        let mut stage = Self::of_machine(machine_of(plan, secrets, HistoryLimits::default()));
        stage.tell(Fact::Start { inputs: Object::new(), kept: None });
        stage
    }

    /// From the next crash on, the history may become only so long.
    pub(crate) fn with_history(mut self, history: HistoryLimits) -> Self {
        self.history = history;
        self
    }

    /// The process ends, and another one goes on with what was kept: all events so far.
    pub(crate) fn crash(&mut self) {
        let plan = self.machine.plan().clone();
        self.machine = machine_of(plan, Secrets::default(), self.history);
        for record in &self.events {
            self.machine.apply(record.clone()).unwrap();
        }
        self.tell(Fact::Recover { fence: self.machine.seq() });
    }

    /// A new execution that keeps what came of this one, but for a node and what follows from it.
    pub(crate) fn rerun(&self, from: &str) -> Self {
        let kept = Some(Box::new(self.kept(from).unwrap_or_else(|error| panic!("{error}"))));
        let plan = self.machine.plan().clone();
        let mut stage = Self::of_machine(machine_of(plan, Secrets::default(), self.history));
        stage.tell(Fact::Start { inputs: Object::new(), kept });
        stage
    }

    /// What another execution keeps of this one, found from its events.
    pub(crate) fn kept(&self, from: &str) -> Result<Kept, RerunError> {
        let execution_id = ExecutionId::from_uuid(uuid::Uuid::nil());
        let secrets = Secrets::default();
        let options =
            MachineOptions { execution_id, secrets, keep_outputs: true, history: self.history };
        let mut folded = Machine::new(self.machine.plan().clone(), options);
        for record in &self.events {
            folded.apply(record.clone()).unwrap();
        }
        folded.kept_for_rerun(from)
    }

    fn unstarted(workflow: &Workflow) -> Self {
        Self::of_machine(machine(workflow))
    }

    fn of_machine(machine: Machine) -> Self {
        let history = HistoryLimits::default();
        let (events, wishes) = (Vec::new(), Vec::new());
        Self { machine, events, wishes, now: 0, jitter: 1.0, grants: true, history }
    }

    /// Plays steps, divided by `, `:
    ///
    /// `a ok x y` succeeds with these ports live; `a fails`, `a is busy` (which may be retried),
    /// `a is late`, `a panics`, `a stopped`; `a is due` ends its wait; `cancel`, `pause`, `resume`,
    /// `crash`, `deadline`, `permit`; `+500` lets as many milliseconds pass.
    pub(crate) fn play(&mut self, steps: &str) -> &mut Self {
        for step in steps.split(", ").filter(|step| !step.is_empty()) {
            self.wishes.clear();
            let words: Vec<&str> = step.split(' ').collect();
            let failed = |error| Outcome::Failed(error);
            match words[..] {
                ["cancel"] => {
                    self.tell(Fact::Cancel { reason: CancelReason::Requested, by: None });
                }
                ["deadline"] => self.tell(Fact::TimerFired(Timer::Deadline)),
                ["pause"] => {
                    self.tell(Fact::Pause { reason: PauseReason::Requested, by: None });
                }
                ["crash"] => self.crash(),
                ["resume"] => self.tell(Fact::Resume { by: None }),
                ["permit"] => self.tell(Fact::PermitGranted),
                ["cleanup"] => self.tell(Fact::TimerFired(Timer::Cleanup)),
                ["signal", name] => self.signal(name, None),
                ["signal", name, key] => self.signal(name, Some(key)),
                [id, "waited"] => {
                    let instance = self.instance(id);
                    self.tell(Fact::TimerFired(Timer::Wait { instance }));
                }
                [id, "is", "over"] => {
                    let (instance, attempt) = (self.instance(id), self.attempt(id));
                    self.tell(Fact::TimerFired(Timer::Limit { instance, attempt }));
                }
                [id, "ok", ..] => {
                    let outputs = words[2..].iter().fold(NodeOutput::new(), |outputs, port| {
                        outputs.with((*port).to_owned(), format!("{id}.{port}"))
                    });
                    let state_writes = Object::new();
                    self.end(id, Outcome::Succeeded { outputs, state_writes, cache: None });
                }
                [id, "fails"] => self.end(id, failed(NodeError::new("test.failed", "it had to"))),
                [id, "is", "busy"] => {
                    self.end(id, failed(NodeError::retryable("test.busy", "not now")));
                }
                [id, "is", "late"] => self.end(id, Outcome::TimedOut),
                [id, "panics"] => self.end(id, Outcome::Panicked { message: "boom".to_owned() }),
                [id, "stopped"] => self.end(id, Outcome::Cancelled),
                [id, "is", "due"] => {
                    let (instance, attempt) = (self.instance(id), self.attempt(id));
                    self.tell(Fact::TimerFired(Timer::Retry { instance, attempt }));
                }
                [pause] if pause.starts_with('+') => {
                    self.now += pause[1..].parse::<i64>().unwrap();
                }
                _ => panic!("what is `{step}`?"),
            }
        }
        self
    }

    pub(crate) fn end(&mut self, id: &str, outcome: Outcome) {
        let instance = self.instance(id);
        let plan_node = self.machine.plan().graph().node(instance.node);
        let attempt = self.attempt(id) + u32::from(plan_node.has_one_event());
        let started_at = self.moment();
        let jitter = self.jitter;
        self.tell(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter });
    }

    pub(crate) fn moment(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn signal(&mut self, name: &str, key: Option<&str>) {
        let (name, payload) = (name.into(), Value::from(format!("{name}!")));
        self.tell(Fact::Signal { name, key: key.map(Into::into), payload });
    }

    /// The open nodes that have started and not ended, in the order in which their scopes were
    /// opened: `each Running, each[0].a Running`.
    pub(crate) fn open(&self) -> String {
        let is_open =
            |status: &Status| matches!(status, Status::Running | Status::Waiting | Status::Backoff);
        let nodes = self.machine.open_nodes().filter(|(_, status)| is_open(status));
        let texts = nodes.map(|(address, status)| format!("{address} {}", status.to_public()));
        texts.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn index(&self, id: &str) -> NodeIndex {
        let nodes = self.machine.plan().graph().nodes();
        (0..).zip(nodes).find(|(_, node)| *node.id() == *id).expect("a node of this id").0
    }

    pub(crate) fn instance(&self, id: &str) -> Instance {
        let found = self.machine.find_address(id);
        found.unwrap_or_else(|| panic!("no open node `{id}`: {}", self.open()))
    }

    fn root_instance(&self, node: NodeIndex) -> Instance {
        // A new round has a scope of its own.
        let opened = self.events.iter().rev().find_map(|record| match record.event {
            flowcore::Event::RoundStarted { scope, .. } => Some(scope),
            _ => None,
        });
        Instance { scope: opened.unwrap_or(flowcore::ScopeId(0)), node }
    }

    /// The last attempt that started.
    fn attempt(&self, id: &str) -> u32 {
        self.last_attempt(self.instance(id))
    }

    fn last_attempt(&self, instance: Instance) -> u32 {
        let of = |record: &Record| match &record.event {
            flowcore::Event::NodeStarted { instance: of, attempt, .. }
            | flowcore::Event::NodeWaiting { instance: of, attempt, .. }
            | flowcore::Event::NodeFailed { instance: of, attempt, .. }
            | flowcore::Event::NodeInterrupted { instance: of, attempt }
            | flowcore::Event::NodeCompleted { instance: of, attempt, .. } => {
                (*of == instance).then_some(*attempt)
            }
            _ => None,
        };
        self.events.iter().filter_map(of).max().unwrap_or(0)
    }

    /// One fact, and as many permits as are wanted then.
    pub(crate) fn tell(&mut self, fact: Fact) {
        let mut turn = Turn::recording();
        let mut folded = self.machine.clone();
        self.machine.handle(self.moment(), fact, &mut turn).unwrap();
        for Recorded { record, .. } in &turn.events {
            let json = serde_json::to_string(record).unwrap();
            folded.apply(serde_json::from_str(&json).unwrap()).unwrap();
        }
        assert_eq!(folded, self.machine, "the fold is not the live state");
        self.events.extend(turn.events.drain(..).map(|recorded| recorded.record));
        self.wishes.append(&mut turn.wishes);
        if self.grants && self.machine.wants_permit() {
            self.tell(Fact::PermitGranted);
        }
    }

    /// The statuses of the nodes, and of the execution: `a Succeeded, b Failed 3; Running`, with the
    /// number of attempts if there was more than one.
    pub(crate) fn statuses(&self) -> String {
        let mut text = String::new();
        let plan = self.machine.plan();
        for (index, node) in (0..).zip(&plan.graph().nodes()[..plan.len()]) {
            let status = self.machine.node_status(index).to_public();
            let separator = if index == 0 { "" } else { ", " };
            write!(text, "{separator}{} {status}", node.id()).unwrap();
            let attempt = self.last_attempt(self.root_instance(index));
            if attempt > 1 {
                write!(text, " {attempt}").unwrap();
            }
        }
        write!(text, "; {}", self.machine.status()).unwrap();
        text
    }

    /// The wishes of the last step.
    pub(crate) fn wishes(&self) -> String {
        let id = |instance: Instance| self.machine.address(instance);
        let name = |timer: Timer| match timer {
            Timer::Deadline => "deadline".to_owned(),
            Timer::Cleanup => "cleanup".to_owned(),
            Timer::Limit { instance, .. } => format!("limit of {}", id(instance)),
            Timer::Wait { instance } => format!("wait of {}", id(instance)),
            Timer::Retry { instance, attempt } => format!("retry of {} {attempt}", id(instance)),
        };
        let words = self.wishes.iter().map(|wish| match wish.action {
            Action::Start { instance, attempt } => format!("start {} {attempt}", id(instance)),
            Action::Cancel { instance, attempt, reason } => {
                format!("cancel {} {attempt}: {reason}", id(instance))
            }
            Action::SetTimer { timer, at } => format!("set {} at {}", name(timer), at.as_millis()),
            Action::ClearTimer { timer } => format!("clear {}", name(timer)),
            Action::ReleaseInstances => "release".to_owned(),
            Action::ReleaseScope { scope } => format!("release {}", scope.0),
            Action::Finish => "finish".to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// What an attempt of this node would be given on a port.
    pub(crate) fn input(&self, id: &str, port: usize) -> Option<Value> {
        let prepared = self.machine.prepare(self.instance(id), self.moment());
        prepared.unwrap_or_else(|error| panic!("{error:?}")).inputs()[port].clone()
    }

    pub(crate) fn result(&self) -> ExecutionResult {
        self.machine.clone().into_result().unwrap_or_else(|| panic!("{}", self.statuses()))
    }
}

/// Plays a workflow and checks how its nodes stand then.
#[track_caller]
pub(crate) fn check(workflow: &Workflow, steps: &str, statuses: &str) {
    assert_eq!(Stage::new(workflow).play(steps).statuses(), statuses, "after: {steps}");
}

/// Plays a workflow, and checks what the last step makes the machine wish.
#[track_caller]
pub(crate) fn check_wishes(workflow: &Workflow, steps: &str, wishes: &str) {
    assert_eq!(Stage::new(workflow).play(steps).wishes(), wishes, "after: {steps}");
}
