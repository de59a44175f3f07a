//! Plays a case: everything that is outside of the machine, with a look at it after every event.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::machine::{Action, Change, Fact, Machine, MachineOptions, Outcome, Status, Timer};
use flowcore::machine::{Prepared, Recorded, Turn, Wish};
use flowcore::{
    AfterFailure, CancelReason, Effect, Event, ExecutionId, Instance, Join, NodeError, NodeOutput,
    Object, PauseReason, Record, Secrets, SharedPlan, Timestamp, Value, compile,
};

use crate::nodes::OUTPUTS;
use crate::script::{
    Attempt, Case, End, Entry, Given, Happening, Key, Leaves, Link, Log, id, without_messages,
};

/// A machine, and the world that it is in.
pub(crate) struct Play<'a> {
    case: &'a Case,
    links: Vec<Link>,
    machine: Machine,
    world: World,
    /// What the events say, kept apart from the machine.
    journal: Journal,
    /// The state at every prefix of the events: folded, and the world at that moment.
    snapshots: Vec<Snapshot>,
    /// Whether to look at everything, or only to go on to the end.
    is_watched: bool,
    /// What each attempt was given.
    log: Log,
    seen: BTreeSet<String>,
}

/// What is under way, because the machine wished it and nothing has answered yet.
#[derive(Clone, Default)]
struct World {
    now: i64,
    running: BTreeMap<(Instance, u32), Attempt>,
    told: BTreeMap<(Instance, u32), CancelReason>,
    timers: BTreeMap<Timer, i64>,
    /// An inline attempt, which ends before anything else happens.
    inline: Option<(Instance, u32)>,
    permit: Option<i64>,
    cancels: usize,
    /// How many pauses and resumes have come.
    pauses: usize,
    is_finished: bool,
}

#[derive(Clone)]
struct Snapshot {
    folded: Machine,
    journal: Journal,
    world: World,
}

/// What the events say.
#[derive(Clone, Default)]
struct Journal {
    last: u64,
    ended: BTreeMap<Instance, Ended>,
    /// The event with which each attempt started.
    started: BTreeMap<(Instance, u32), u64>,
    /// The event with which each attempt failed that is followed by another.
    failed: BTreeMap<(Instance, u32), u64>,
    /// Facts that were taken, and so are stale from now on.
    past: Vec<Fact>,
    /// Whether nothing can stop the execution any more, because something has.
    is_stopping: bool,
    is_paused: bool,
    is_complete: bool,
}

/// How a node came to its end.
#[derive(Clone)]
enum Ended {
    Succeeded(NodeOutput),
    Handled,
    Otherwise,
}

/// What came of a play.
pub(crate) struct Played {
    pub(crate) end: End,
    pub(crate) log: Log,
    /// Everything of note that happened.
    pub(crate) seen: BTreeSet<String>,
    machine: Machine,
    snapshots: Vec<Snapshot>,
}

/// Plays a case from start to end and looks at everything on the way.
pub(crate) fn play(case: &Case) -> Played {
    let compiled = compile(&case.workflow(), &crate::nodes::registry());
    let plan = compiled.plan.unwrap_or_else(|| panic!("{}", compiled.diagnostics));
    let mut play = Play::new(case, new_machine(case, plan), true);
    play.turn(Fact::Start { inputs: case.inputs() });
    play.go_on()
}

fn new_machine(case: &Case, plan: SharedPlan) -> Machine {
    let options = MachineOptions {
        execution_id: ExecutionId::from_uuid(uuid::Uuid::nil()),
        secrets: Secrets::default(),
        keep_outputs: keeps_outputs(case),
    };
    Machine::new(plan, options)
}

fn keeps_outputs(case: &Case) -> bool {
    case.seed.is_multiple_of(4)
}

impl Played {
    /// Whatever the last event was before a stop, going on from there ends the same.
    pub(crate) fn check_every_stop(&self, case: &Case) {
        for Snapshot { folded, journal, world } in self.snapshots.iter().cloned() {
            let mut again = Play::new(case, folded, false);
            let at = journal.last;
            (again.journal, again.world) = (journal, world);
            again.resume();
            let again = again.go_on();
            assert_eq!(again.end, self.end, "after a stop at event {at}");
            assert_eq!(again.machine, self.machine, "after a stop at event {at}");
        }
    }
}

impl<'a> Play<'a> {
    fn new(case: &'a Case, machine: Machine, is_watched: bool) -> Self {
        Self {
            case,
            links: case.all_links(),
            machine,
            world: World::default(),
            journal: Journal::default(),
            snapshots: Vec::new(),
            is_watched,
            log: Log::new(),
            seen: BTreeSet::new(),
        }
    }

    fn go_on(mut self) -> Played {
        while !self.world.is_finished {
            self.inject_stale_facts();
            let fact = self.next_fact();
            self.turn(fact);
        }
        self.inject_stale_facts();
        assert!(self.journal.is_complete, "finished before the last event");
        assert!(self.world.running.is_empty() && self.world.timers.is_empty());
        let end = self.end();
        let Self { log, machine, snapshots, seen, .. } = self;
        Played { end, log, seen, machine, snapshots }
    }

    /// What happens next; the world has forgotten it already.
    fn next_fact(&mut self) -> Fact {
        let wanted = self.machine.wants_permit().then(|| self.case.next_permit(self.world.now));
        self.world.permit = self.world.permit.filter(|_| wanted.is_some()).or(wanted);
        if let Some((instance, attempt)) = self.world.inline.take() {
            return self.attempt_ended(instance, attempt);
        }
        let next = self.machine.wants_permit_for();
        if next.is_some_and(|instance| self.case.nodes[instance.node as usize].inline) {
            self.world.permit = None;
            return Fact::PermitGranted;
        }
        let mut possible = Vec::new();
        let retries = self.world.timers.iter();
        for (timer, at) in retries {
            possible.push(match timer {
                Timer::Deadline => (*at, Happening::DeadlinePasses),
                Timer::Retry { instance, .. } => {
                    (*at, Happening::RetryIsDue(instance.node as usize))
                }
                Timer::Cleanup | Timer::Limit { .. } | Timer::Wait { .. } => {
                    panic!("no control node is here: {timer:?}")
                }
            });
        }
        for ((instance, _), attempt) in &self.world.running {
            possible.push((attempt.ends, Happening::AttemptEnds(instance.node as usize)));
        }
        let cancel = self.case.cancels.get(self.world.cancels);
        possible.extend(cancel.map(|at| (*at, Happening::CancelComes)));
        let pause = self.case.pauses.get(self.world.pauses);
        possible.extend(pause.map(|at| (*at, Happening::PauseComes)));
        possible.extend(self.world.permit.map(|at| (at, Happening::PermitComes)));
        let ranked = possible.into_iter().map(|(at, what)| (at, self.case.rank(what), what));
        let (at, _, happening) = ranked.min().expect("the machine waits for nothing");
        assert!(at >= self.world.now);
        self.world.now = at;
        match happening {
            Happening::AttemptEnds(node) => {
                let mut running = self.world.running.keys();
                let found = running.find(|(instance, _)| instance.node as usize == node);
                let (instance, attempt) = *found.expect("it runs");
                self.attempt_ended(instance, attempt)
            }
            Happening::RetryIsDue(node) => {
                let is_it = |timer: &&Timer| matches!(timer, Timer::Retry { instance, .. } if instance.node as usize == node);
                let timer = *self.world.timers.keys().find(is_it).expect("it is set");
                self.timer_fired(timer)
            }
            Happening::DeadlinePasses => self.timer_fired(Timer::Deadline),
            Happening::CancelComes => {
                self.world.cancels += 1;
                Fact::Cancel { reason: CancelReason::Requested, by: Some("somebody".into()) }
            }
            Happening::PauseComes => {
                let is_pause = self.world.pauses.is_multiple_of(2);
                self.world.pauses += 1;
                let by = None;
                match is_pause {
                    true => Fact::Pause { reason: PauseReason::Requested, by },
                    false => Fact::Resume { by },
                }
            }
            Happening::PermitComes => {
                self.world.permit = None;
                Fact::PermitGranted
            }
        }
    }

    fn timer_fired(&mut self, timer: Timer) -> Fact {
        self.world.timers.remove(&timer);
        Fact::TimerFired(timer)
    }

    fn attempt_ended(&mut self, instance: Instance, attempt: u32) -> Fact {
        let ended = self.world.running.remove(&(instance, attempt)).expect("it runs");
        self.world.told.remove(&(instance, attempt));
        let key = (self.machine.round(), instance.node as usize, attempt);
        Fact::AttemptEnded {
            instance,
            attempt,
            started_at: moment(ended.started),
            outcome: ended.outcome,
            jitter: self.case.plan(key).jitter,
        }
    }

    /// One fact, and what came of it.
    fn turn(&mut self, fact: Fact) {
        let stale = self.machine.stale_facts();
        let mut turn = Turn::recording();
        let mut folded = self.is_watched.then(|| self.machine.clone());
        self.machine.handle(moment(self.world.now), fact.clone(), &mut turn).unwrap();
        let was_stale = self.machine.stale_facts() > stale;
        assert_eq!(was_stale, turn.events.is_empty(), "{fact:?}");
        self.note(fact, &turn);
        for Recorded { record, .. } in &turn.events {
            if let Some(folded) = &mut folded {
                self.check_event(folded, record);
            } else {
                self.journal.take(record);
            }
        }
        self.perform(&turn.wishes, false);
        if let Some(folded) = folded {
            assert_eq!(folded, self.machine, "the fold is not the live state");
            self.check_outstanding(&folded);
        }
    }

    /// Goes on from a fold.
    fn resume(&mut self) {
        let mut turn = Turn::recording();
        self.machine.resume(moment(self.world.now), &mut turn).unwrap();
        turn.events.iter().for_each(|recorded| self.journal.take(&recorded.record));
        let is_current = |wishes: &[Wish], key: &(Instance, u32)| {
            wishes.iter().any(|wish| match wish.action {
                Action::Start { instance, attempt } => (instance, attempt) == *key,
                _ => false,
            })
        };
        self.world.running.retain(|key, _| is_current(&turn.wishes, key));
        self.world.timers.clear();
        self.perform(&turn.wishes, true);
        self.check_outstanding(&self.machine);
    }

    /// Does what the machine wishes. After a stop, attempts that are under way go on.
    fn perform(&mut self, wishes: &[Wish], is_resumed: bool) {
        for wish in wishes {
            match wish.action {
                Action::Start { instance, attempt } => {
                    assert!(is_resumed || !self.journal.is_paused, "{instance:?} in a pause");
                    self.check_start(instance, attempt, wish.after);
                    if !(is_resumed && self.world.running.contains_key(&(instance, attempt))) {
                        self.start(instance, attempt);
                    }
                }
                Action::Cancel { instance, attempt, reason } => {
                    let key = (self.machine.round(), instance.node as usize, attempt);
                    let before = self.world.told.insert((instance, attempt), reason);
                    assert!(is_resumed || before.is_none_or(|before| before < reason));
                    let running = self.world.running.get_mut(&(instance, attempt));
                    self.case.tell(key, self.world.now, running.expect("it runs"));
                }
                Action::SetTimer { timer, at } => {
                    let before = self.world.timers.insert(timer, at.as_micros());
                    assert!(before.is_none(), "set twice: {timer:?}");
                    let durable = match timer {
                        Timer::Deadline | Timer::Cleanup | Timer::Limit { .. } => 0,
                        Timer::Wait { .. } => self.journal.last,
                        Timer::Retry { instance, attempt } => {
                            self.journal.failed[&(instance, attempt)]
                        }
                    };
                    let is_safe = (durable..=self.journal.last).contains(&wish.after);
                    assert!(is_safe, "a wait is entered when it is safe");
                }
                Action::ClearTimer { timer } => {
                    assert!(self.world.timers.remove(&timer).is_some(), "not set: {timer:?}");
                }
                Action::ReleaseInstances | Action::ReleaseScope { .. } => {
                    panic!("every node type here is stateless")
                }
                Action::Finish => {
                    assert!(!std::mem::replace(&mut self.world.is_finished, true));
                    assert_eq!(wish.after, self.journal.last, "the end is told when it is safe");
                }
            }
        }
        let most = self.case.max_parallel.unwrap_or(u32::MAX);
        let inline = usize::from(self.world.inline.is_some());
        assert!(self.world.running.len() - inline <= most as usize, "too many nodes run");
    }

    fn start(&mut self, instance: Instance, attempt: u32) {
        let key = (self.machine.round(), instance.node as usize, attempt);
        let prepared = self.machine.prepare(instance, moment(self.world.now));
        let timeout = match &prepared {
            Ok(prepared) => {
                let micros = |timeout: std::time::Duration| timeout.as_micros();
                Ok(prepared.timeout.map(|timeout| i64::try_from(micros(timeout)).unwrap()))
            }
            Err(error) => Err(error.clone()),
        };
        if self.is_watched {
            let given = given(self.case, key, &prepared);
            assert!(self.log.insert(key, given).is_none(), "started twice: {key:?}");
        }
        let begun = self.case.begin(key, self.world.now, timeout);
        let before = self.world.running.insert((instance, attempt), begun);
        assert!(before.is_none(), "started twice: {key:?}");
        if self.case.nodes[key.1].inline {
            assert!(self.world.inline.replace((instance, attempt)).is_none());
        }
    }

    fn end(&self) -> End {
        let result = self.machine.clone().into_result().expect("it has ended");
        let is_last = |node: usize| !self.links.iter().any(|link| link.from == node);
        for (index, node) in result.nodes().enumerate() {
            let is_asked_for = match &self.case.outputs {
                Some(reads) => reads.iter().any(|read| read.node == index),
                None => is_last(index),
            };
            assert!(
                node.outputs.is_none() || is_asked_for || keeps_outputs(self.case),
                "the outputs of {} are still held",
                node.id
            );
        }
        let error = result.error.as_ref();
        let position = |node: &String| (0..).find(|index| id(*index) == *node);
        End {
            status: result.status,
            error: error.map(|error| (error.code.clone(), error.node.as_ref().and_then(position))),
            outputs: without_messages(&result.outputs),
            warnings: result.warnings.len(),
            rounds: result.rounds,
            at: result.ended_at.as_micros(),
            nodes: result.nodes().map(|node| (node.status, node.attempts)).collect(),
        }
    }

    // From here on: looking at it.

    /// Folds an event that has been through JSON, and keeps the state for a stop after it.
    fn check_event(&mut self, folded: &mut Machine, record: &Record) {
        let json = serde_json::to_string(record).unwrap();
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(read, *record, "{json}");
        let before = self.statuses(folded);
        folded.apply(read).unwrap();
        if !matches!(record.event, Event::WorkflowStarted { .. } | Event::RoundStarted { .. }) {
            for (before, after) in before.into_iter().zip(self.statuses(folded)) {
                let is_step = CHANGES.iter().any(|change| before.next(*change) == Some(after));
                assert!(before == after || is_step, "from {before:?} to {after:?}: {json}");
            }
        }
        self.journal.take(record);
        self.seen.insert(summary(&record.event));
        self.snapshots.push(Snapshot {
            folded: folded.clone(),
            journal: self.journal.clone(),
            world: self.world.clone(),
        });
    }

    fn statuses(&self, machine: &Machine) -> Vec<Status> {
        (0..).take(self.case.nodes.len()).map(|node| machine.node_status(node)).collect()
    }

    /// What is under way is what the state says.
    fn check_outstanding(&self, folded: &Machine) {
        let mut wishes = Vec::new();
        folded.outstanding(&mut wishes);
        let outstanding: BTreeSet<String> =
            wishes.iter().map(|wish| format!("{:?}", wish.action)).collect();
        assert_eq!(outstanding.len(), wishes.len(), "a wish twice: {wishes:?}");
        let world = &self.world;
        let starts = world.running.keys();
        let starts = starts.map(|&(instance, attempt)| Action::Start { instance, attempt });
        let cancels = world.told.iter().map(|(&(instance, attempt), &reason)| Action::Cancel {
            instance,
            attempt,
            reason,
        });
        let timers = world.timers.iter();
        let timers = timers.map(|(&timer, &at)| Action::SetTimer { timer, at: moment(at) });
        let finish = world.is_finished.then_some(Action::Finish);
        let actions = starts.chain(cancels).chain(timers).chain(finish);
        let under_way: BTreeSet<String> = actions.map(|action| format!("{action:?}")).collect();
        assert_eq!(outstanding, under_way, "outstanding, and under way");
    }

    /// An attempt starts only when the connections of its node say so, and never after its end.
    fn check_start(&self, instance: Instance, attempt: u32, after: u64) {
        let node = instance.node as usize;
        assert!(!self.journal.ended.contains_key(&instance), "{} has ended", id(node));
        let live: Vec<Option<bool>> = self
            .links
            .iter()
            .filter(|link| link.to == node)
            .map(|link| self.journal.is_live(instance, link))
            .collect();
        let all = live.iter().all(Option::is_some);
        let may_run = match self.case.nodes[node].join {
            _ if live.is_empty() => true,
            Join::All => live.iter().all(|live| *live == Some(true)),
            Join::Any => all && live.contains(&Some(true)),
            Join::First => live.contains(&Some(true)),
        };
        assert!(may_run, "{} starts with {live:?}", id(node));
        let durable = match self.case.nodes[node].effect {
            Effect::Pure | Effect::Read => after == 0,
            Effect::Idempotent | Effect::Once => {
                after >= self.journal.started[&(instance, attempt)]
            }
        };
        assert!(durable && after <= self.journal.last, "{} may start after {after}", id(node));
    }

    /// Remembers a fact that was taken, to tell it again later.
    fn note(&mut self, fact: Fact, turn: &Turn) {
        if !self.is_watched {
            return;
        }
        match fact {
            Fact::AttemptEnded { .. } | Fact::TimerFired(_) => self.journal.past.push(fact),
            Fact::Start { .. }
            | Fact::PermitGranted
            | Fact::RateLimited { .. }
            | Fact::InstancesReleased
            | Fact::Signal { .. }
            | Fact::Pause { .. }
            | Fact::Resume { .. }
            | Fact::Cancel { .. } => {}
        }
        for wish in &turn.wishes {
            if let Action::ClearTimer { timer } = wish.action {
                self.journal.past.push(Fact::TimerFired(timer));
            }
        }
    }

    /// Facts that are no longer current are counted and change nothing.
    fn inject_stale_facts(&mut self) {
        if !self.is_watched || self.world.inline.is_some() {
            return;
        }
        let mut random = self.case.seed.wrapping_add(self.machine.seq()).wrapping_mul(SPREAD) >> 32;
        let mut stale = Vec::new();
        if !self.journal.past.is_empty() && random.is_multiple_of(2) {
            let past = self.journal.past.len() as u64;
            let index = usize::try_from(random / 2 % past).unwrap();
            stale.push(changed(self.journal.past[index].clone(), random));
        }
        random /= 16;
        if random.is_multiple_of(4) && !self.machine.wants_permit() {
            stale.push(Fact::PermitGranted);
        }
        let is_paused = self.machine.paused().is_some();
        if random.is_multiple_of(3) && self.journal.is_stopping && !is_paused {
            stale.push(Fact::Cancel { reason: CancelReason::Requested, by: None });
        }
        if random.is_multiple_of(5) {
            stale.push(match is_paused || self.journal.is_complete {
                true => Fact::Pause { reason: PauseReason::Requested, by: None },
                false => Fact::Resume { by: None },
            });
        }
        for fact in stale {
            let (before, count) = (self.machine.clone(), self.machine.stale_facts());
            let mut turn = Turn::recording();
            self.machine.handle(moment(self.world.now), fact.clone(), &mut turn).unwrap();
            assert_eq!(self.machine.stale_facts(), count + 1, "not counted: {fact:?}");
            assert!(turn.events.is_empty() && turn.wishes.is_empty(), "{fact:?}: {turn:?}");
            assert_eq!(self.machine, before, "{fact:?}");
            self.seen.insert(format!("stale {}", name_of(&fact)));
        }
    }
}

impl Journal {
    fn take(&mut self, record: &Record) {
        assert!(!self.is_complete, "after the last event: {record:?}");
        assert_eq!(record.seq, self.last + 1);
        self.last = record.seq;
        self.check_pause(&record.event);
        match &record.event {
            Event::NodeStarted { instance, attempt, .. } => {
                self.started.insert((*instance, *attempt), record.seq);
            }
            Event::NodeCompleted { instance, outputs, .. } => {
                self.end(*instance, Ended::Succeeded(outputs.clone()));
            }
            Event::NodeFailed { instance, attempt, then, .. } => match then {
                AfterFailure::Retry(_) => {
                    self.failed.insert((*instance, *attempt), record.seq);
                }
                AfterFailure::ErrorPort => self.end(*instance, Ended::Handled),
                AfterFailure::Continue
                | AfterFailure::Stop
                | AfterFailure::NewRound
                | AfterFailure::Ending => {
                    self.is_stopping |= *then == AfterFailure::Stop;
                    self.end(*instance, Ended::Otherwise);
                }
            },
            Event::NodeSkipped { instance, .. } | Event::NodeCancelled { instance, .. } => {
                self.end(*instance, Ended::Otherwise);
            }
            Event::CancelRequested { instance: None, .. } => self.is_stopping = true,
            Event::WorkflowCompleted { .. } => {
                (self.is_complete, self.is_stopping) = (true, true);
            }
            _ => {}
        }
    }

    /// While it is paused, nothing starts, is skipped, or ends but what had started.
    fn check_pause(&mut self, event: &Event) {
        let starts = match event {
            Event::NodeStarted { .. } | Event::NodeSkipped { .. } | Event::RoundStarted { .. } => {
                true
            }
            Event::WorkflowCompleted { .. } => true,
            Event::NodeCompleted { instance, attempt, .. } => {
                !self.started.contains_key(&(*instance, *attempt))
            }
            _ => false,
        };
        assert!(!(self.is_paused && starts), "in a pause: {event:?}");
        match event {
            Event::Paused { .. } => self.is_paused = true,
            Event::Resumed { .. } | Event::CancelRequested { instance: None, .. } => {
                self.is_paused = false;
            }
            _ => {}
        }
    }

    fn end(&mut self, instance: Instance, how: Ended) {
        assert!(self.ended.insert(instance, how).is_none(), "ended twice: {instance:?}");
    }

    fn is_live(&self, to: Instance, link: &Link) -> Option<bool> {
        let from = Instance { scope: to.scope, node: u32::try_from(link.from).unwrap() };
        self.ended.get(&from).map(|ended| match (ended, link.leaves) {
            (Ended::Succeeded(outputs), Leaves::Port(port)) => outputs.get(OUTPUTS[port]).is_some(),
            (Ended::Succeeded(_), Leaves::Anywhere) | (Ended::Handled, Leaves::Error) => true,
            (Ended::Succeeded(_) | Ended::Handled | Ended::Otherwise, _) => false,
        })
    }
}

const CHANGES: [Change; 9] = [
    Change::Unblock,
    Change::Start,
    Change::Wait,
    Change::Succeed,
    Change::Retry,
    Change::Due,
    Change::Fail,
    Change::Skip,
    Change::Cancel,
];

/// Spreads the bits of a small number over a large one.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A late result may be another one than the first.
fn changed(fact: Fact, random: u64) -> Fact {
    match fact {
        Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter } => {
            let outcome = match random / 2 % 4 {
                0 => Outcome::Cancelled,
                1 => Outcome::Failed(NodeError::retryable("script.late", "too late")),
                2 => Outcome::Succeeded {
                    outputs: NodeOutput::of("x", "late"),
                    state_writes: Object::new(),
                    cache: None,
                },
                _ => outcome,
            };
            Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter }
        }
        other => other,
    }
}

fn given(case: &Case, key: Key, prepared: &Result<Prepared, NodeError>) -> Result<Given, String> {
    let prepared = prepared.as_ref().map_err(|error| error.code().to_owned())?;
    let entries = case.nodes[key.1].config.iter().enumerate();
    let config = entries.map(|(number, entry)| match (prepared.config(), entry) {
        (Some(config), _) => without_messages(config.get(&format!("c{number}")).unwrap()),
        (None, Entry::Constant) => Value::from("constant"),
        (None, Entry::Read(_) | Entry::Own(_)) => panic!("the config was not resolved"),
    });
    let inputs = prepared.inputs().iter();
    Ok(Given {
        config: config.collect(),
        state: prepared.state().cloned(),
        inputs: inputs.map(|value| value.as_ref().map(without_messages)).collect(),
        timeout: prepared.timeout.map(|timeout| i64::try_from(timeout.as_micros()).unwrap()),
    })
}

/// An event as the tests of coverage see it.
fn summary(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::NodeFailed { outcome, then: AfterFailure::Retry(_), .. } => {
            format!("{name} {outcome:?} Retry")
        }
        Event::NodeFailed { outcome, then, .. } => format!("{name} {outcome:?} {then:?}"),
        Event::NodeSkipped { reason, .. } => format!("{name} {reason:?}"),
        Event::NodeCancelled { reason, .. } => format!("{name} {reason:?}"),
        Event::CancelRequested { reason, .. } => format!("{name} {reason:?}"),
        Event::WorkflowCompleted { status, .. } => format!("{name} {status:?}"),
        _ => name.to_owned(),
    }
}

fn name_of(fact: &Fact) -> &'static str {
    match fact {
        Fact::Start { .. } => "Start",
        Fact::PermitGranted => "PermitGranted",
        Fact::RateLimited { .. } => "RateLimited",
        Fact::InstancesReleased => "InstancesReleased",
        Fact::AttemptEnded { .. } => "AttemptEnded",
        Fact::TimerFired(Timer::Deadline) => "Deadline",
        Fact::TimerFired(Timer::Retry { .. }) => "Retry",
        Fact::TimerFired(Timer::Cleanup) => "Cleanup",
        Fact::TimerFired(Timer::Limit { .. }) => "Limit",
        Fact::TimerFired(Timer::Wait { .. }) => "Wait",
        Fact::Signal { .. } => "Signal",
        Fact::Pause { .. } => "Pause",
        Fact::Resume { .. } => "Resume",
        Fact::Cancel { .. } => "Cancel",
    }
}
