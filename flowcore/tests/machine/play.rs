//! Plays a case: everything that is outside of the machine, with a look at it after every event.

mod again;
mod journal;
mod look;

use std::collections::{BTreeMap, BTreeSet};

use flowcore::machine::{
    Action, Fact, HistoryLimits, Machine, MachineOptions, Prepared, Recorded, Timer, Turn, Wish,
};
use flowcore::{
    CancelReason, ExecutionId, Instance, NodeError, NodeOutput, PauseReason, ScopeId, Secrets,
    SharedPlan, Timestamp, Value, compile,
};

use crate::script::{
    Attempt, Case, End, Entry, Given, Happening, Key, Link, Log, id, without_messages,
};
use journal::Journal;
use look::summary;

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
    /// The fold of all events.
    folded: Machine,
    /// Whether the process ends now and then.
    crashes: bool,
    /// The nodes that have the results of an earlier execution.
    kept: BTreeMap<usize, NodeOutput>,
    /// Whether nothing was lost in a crash but time: every attempt that was cut off goes on.
    is_same: bool,
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
    /// Attempts that were cut off by a crash, and go on where they were.
    cut_off: BTreeMap<Instance, Attempt>,
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

/// What came of a play.
pub(crate) struct Played {
    pub(crate) end: End,
    pub(crate) log: Log,
    /// Everything of note that happened.
    pub(crate) seen: BTreeSet<String>,
    machine: Machine,
    snapshots: Vec<Snapshot>,
    is_same: bool,
}

/// Plays a case from start to end and looks at everything on the way.
pub(crate) fn play(case: &Case) -> Played {
    let compiled = compile(&case.workflow(), &crate::nodes::registry());
    let plan = compiled.plan.unwrap_or_else(|| panic!("{}", compiled.diagnostics));
    let mut play = Play::new(case, new_machine(case, plan), true);
    play.turn(Fact::Start { inputs: case.inputs(), kept: None });
    play.go_on()
}

fn new_machine(case: &Case, plan: SharedPlan) -> Machine {
    let options = MachineOptions {
        execution_id: ExecutionId::from_uuid(uuid::Uuid::nil()),
        secrets: Secrets::default(),
        keep_outputs: keeps_outputs(case),
        history: HistoryLimits::default(),
    };
    Machine::new(plan, options)
}

fn keeps_outputs(case: &Case) -> bool {
    case.seed.is_multiple_of(4)
}

impl<'a> Play<'a> {
    fn new(case: &'a Case, machine: Machine, is_watched: bool) -> Self {
        Self {
            case,
            links: case.all_links(),
            world: World::default(),
            journal: Journal::default(),
            snapshots: Vec::new(),
            folded: machine.clone(),
            machine,
            crashes: false,
            kept: BTreeMap::new(),
            is_same: true,
            is_watched,
            log: Log::new(),
            seen: BTreeSet::new(),
        }
    }

    fn go_on(mut self) -> Played {
        while !self.world.is_finished {
            self.inject_stale_facts();
            let random = self.case.seed.wrapping_add(self.machine.seq()).wrapping_mul(SPREAD);
            if self.crashes && (random >> 40).is_multiple_of(3) {
                self.crash();
            } else {
                let fact = self.next_fact();
                self.turn(fact);
            }
        }
        self.inject_stale_facts();
        assert!(self.journal.is_complete, "finished before the last event");
        assert!(self.world.running.is_empty() && self.world.timers.is_empty());
        let end = self.end();
        let Self { log, machine, snapshots, seen, is_same, .. } = self;
        Played { end, log, seen, machine, snapshots, is_same }
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
        let key = self.key(instance, attempt);
        Fact::AttemptEnded {
            instance,
            attempt,
            started_at: moment(ended.started),
            outcome: ended.outcome,
            jitter: self.case.plan(key).jitter,
        }
    }

    /// What an attempt does; one that was cut off is followed by one that does the same.
    fn key(&self, instance: Instance, attempt: u32) -> Key {
        let again = self.journal.interrupted.get(&instance).copied().unwrap_or(0);
        (self.machine.round(), instance.node as usize, attempt - again)
    }

    /// One fact, and what came of it.
    fn turn(&mut self, fact: Fact) {
        let stale = self.machine.stale_facts();
        let mut turn = Turn::recording();
        self.machine.handle(moment(self.world.now), fact.clone(), &mut turn).unwrap();
        let was_stale = self.machine.stale_facts() > stale;
        assert!(was_stale == turn.events.is_empty() || self.journal.is_complete, "{fact:?}");
        self.note(fact, &turn);
        for Recorded { record, .. } in &turn.events {
            if self.is_watched {
                self.check_event(record);
            } else {
                self.journal.take(record);
                self.folded.apply(record.clone()).unwrap();
                self.seen.insert(summary(&record.event));
            }
        }
        self.perform(&turn.wishes, false);
        assert_eq!(self.folded, self.machine, "the fold is not the live state");
        if self.is_watched {
            self.check_outstanding(&self.folded);
        }
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
                    let key = self.key(instance, attempt);
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
        let key = self.key(instance, attempt);
        let is_kept = key.0 == 1 && self.kept.contains_key(&key.1);
        assert!(!is_kept, "{} is kept and starts", id(key.1));
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
        let begun = match self.world.cut_off.remove(&instance) {
            Some(mut cut_off) => {
                cut_off.ends = cut_off.ends.max(self.world.now);
                cut_off
            }
            None => self.case.begin(key, self.world.now, timeout),
        };
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
        let scope = self.journal.root.unwrap_or(ScopeId(0));
        let again = |node: u32| {
            self.journal.interrupted.get(&Instance { scope, node }).copied().unwrap_or(0)
        };
        End {
            status: result.status,
            error: error.map(|error| (error.code.clone(), error.node.as_ref().and_then(position))),
            outputs: without_messages(&result.outputs),
            warnings: result.warnings.len(),
            rounds: result.rounds,
            at: result.ended_at.as_micros(),
            nodes: (0..)
                .zip(result.nodes())
                .map(|(node, it)| (it.status, it.attempts - again(node)))
                .collect(),
        }
    }
}

/// Spreads the bits of a small number over a large one.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
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
