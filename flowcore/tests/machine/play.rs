//! Plays a case: everything that is outside of the machine, with a look at it after every event.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::machine::{
    Action, Change, ExecutionStatus, Fact, Kept, Machine, MachineOptions, NodeStatus, Outcome,
    Status, Timer,
};
use flowcore::machine::{Prepared, Recorded, Turn, Wish};
use flowcore::{
    AfterFailure, CancelReason, Effect, Event, ExecutionId, Instance, Join, NodeError, NodeOutput,
    Object, PauseReason, Record, ScopeId, Secrets, SharedPlan, Timestamp, Value, compile,
};

use crate::nodes::OUTPUTS;
use crate::script::{
    Attempt, Case, End, Entry, Given, Happening, Key, Leaves, Link, Log, id, without,
    without_messages,
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

/// What the events say.
#[derive(Clone, Default)]
struct Journal {
    last: u64,
    ended: BTreeMap<Instance, Ended>,
    /// The event with which each attempt started.
    started: BTreeMap<(Instance, u32), u64>,
    /// The event with which each attempt failed that is followed by another.
    failed: BTreeMap<(Instance, u32), u64>,
    /// How often each node was interrupted.
    interrupted: BTreeMap<Instance, u32>,
    /// Those that were, and have not started again.
    to_start_again: BTreeSet<Instance>,
    /// The scope of this round.
    root: Option<ScopeId>,
    /// How many attempts were under way at the last recovery.
    last_interrupted: usize,
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

/// After how many events of one execution there is a crash.
const MAX_CRASHES: usize = 24;

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

    /// Whatever the last event was before a crash: nothing that has ended starts again, and where
    /// every attempt that was cut off goes on, the end is the same.
    pub(crate) fn check_every_crash(&self, case: &Case) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        // Of long executions every so many events, or it would take too long.
        let every = 1 + self.snapshots.len() / MAX_CRASHES;
        let first = usize::try_from(case.seed).unwrap() % every;
        let snapshots = self.snapshots.iter().skip(first).step_by(every);
        for Snapshot { folded, journal, world } in snapshots.cloned() {
            let mut again = Play::new(case, folded, false);
            let at = journal.last;
            (again.journal, again.world) = (journal, world);
            again.crash();
            let mut again = again.go_on();
            seen.append(&mut again.seen);
            self.check_same(&again, &format!("after a crash at event {at}"));
        }
        seen
    }

    /// A new execution from some node, with the results that are kept of this one: they are those
    /// of all nodes that succeeded and do not follow from it, and none of them starts again.
    pub(crate) fn check_rerun(&self, case: &Case) {
        if !keeps_outputs(case) {
            return;
        }
        let from = usize::try_from(case.seed / 4).unwrap() % case.nodes.len();
        let kept = self.machine.kept_for_rerun(&id(from)).unwrap();
        let links = case.all_links();
        let mut follows = BTreeSet::from([from]);
        for _ in &case.nodes {
            let reached = links.iter().filter(|link| follows.contains(&link.from));
            follows.extend(reached.map(|link| link.to).collect::<Vec<_>>());
        }
        let succeeded = |node: &usize| self.end.nodes[*node].0 == NodeStatus::Succeeded;
        let expected: Vec<usize> = (0..case.nodes.len())
            .filter(|node| succeeded(node) && !follows.contains(node))
            .collect();
        let nodes: Vec<usize> = kept.nodes().iter().map(|kept| kept.node as usize).collect();
        assert_eq!(nodes, expected, "kept from {from}");
        let json = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&json).unwrap(), kept, "{json}");
        let mut again = Play::new(case, new_machine(case, self.machine.plan().clone()), true);
        let outputs = kept.nodes().iter().map(|kept| (kept.node as usize, kept.outputs.clone()));
        again.kept = outputs.collect();
        again.turn(Fact::Start { inputs: case.inputs(), kept: Some(Box::new(kept)) });
        let again = again.go_on();
        again.check_every_stop(case);
        // Where nothing depends on when something happens, the end is the same.
        let is_timeless = case.cancels.is_empty()
            && case.deadline.is_none()
            && case.nodes.iter().all(|node| {
                let elapsed = node.retry.as_ref().and_then(|policy| policy.max_elapsed_ms);
                node.join != Join::First && elapsed.is_none()
            });
        if is_timeless && self.end.rounds == 1 && self.end.status == ExecutionStatus::Succeeded {
            let statuses = |end: &End| end.nodes.iter().map(|node| node.0).collect::<Vec<_>>();
            assert_eq!(statuses(&again.end), statuses(&self.end), "again from {from}");
            let outputs = |end: &End| without("attempts", &end.outputs);
            assert_eq!(outputs(&again.end), outputs(&self.end), "again from {from}");
        }
    }

    fn check_same(&self, again: &Self, when: &str) {
        if again.is_same {
            assert_eq!(without_attempts(&again.end), without_attempts(&self.end), "{when}");
        }
    }

    /// As with one crash, with one after the other.
    pub(crate) fn check_many_crashes(&self, case: &Case) -> BTreeSet<String> {
        let plan = self.machine.plan().clone();
        let mut again = Play::new(case, new_machine(case, plan), false);
        again.crashes = true;
        again.turn(Fact::Start { inputs: case.inputs(), kept: None });
        let mut again = again.go_on();
        self.check_same(&again, "after many crashes");
        std::mem::take(&mut again.seen)
    }
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

    /// The process ends, and another one goes on with what was kept.
    fn crash(&mut self) {
        self.machine = self.folded.clone();
        let world = &mut self.world;
        (world.inline, world.permit) = (None, None);
        world.timers.clear();
        let told = std::mem::take(&mut world.told);
        for ((instance, attempt), running) in std::mem::take(&mut world.running) {
            if !told.contains_key(&(instance, attempt)) {
                world.cut_off.insert(instance, running);
            }
        }
        let was_paused = self.machine.paused().is_some();
        let again = self.journal.to_start_again.len();
        self.turn(Fact::Recover { fence: self.journal.last });
        self.check_outstanding(&self.machine);
        // What was told to stop, or is not to start twice, does not go on.
        let goes_on = self.journal.to_start_again.len() - again;
        let is_lost = goes_on != self.journal.last_interrupted;
        // What starts again waits for a permit, and for a resume.
        let waits = self.case.permit_every > 1 || (was_paused && goes_on > 0);
        self.is_same &= !is_lost && !waits;
        if self.machine.paused() == Some(PauseReason::CrashLoop) {
            self.turn(Fact::Resume { by: None });
        }
        while self.machine.wants_permit_for().is_some_and(|instance| {
            self.case.permit_every == 1 && self.journal.to_start_again.contains(&instance)
        }) {
            self.turn(Fact::PermitGranted);
        }
    }

    /// Goes on from a fold.
    fn resume(&mut self) {
        let mut turn = Turn::recording();
        self.machine.resume(moment(self.world.now), &mut turn).unwrap();
        for Recorded { record, .. } in &turn.events {
            self.journal.take(record);
            self.folded.apply(record.clone()).unwrap();
        }
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

    // From here on: looking at it.

    /// Folds an event that has been through JSON, and keeps the state for a stop after it.
    fn check_event(&mut self, record: &Record) {
        let json = serde_json::to_string(record).unwrap();
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(read, *record, "{json}");
        let before = self.statuses(&self.folded);
        self.folded.apply(read).unwrap();
        if !matches!(record.event, Event::WorkflowStarted { .. } | Event::RoundStarted { .. }) {
            for (before, after) in before.into_iter().zip(self.statuses(&self.folded)) {
                let is_step = CHANGES.iter().any(|change| before.next(*change) == Some(after));
                assert!(before == after || is_step, "from {before:?} to {after:?}: {json}");
            }
        }
        if let Event::NodeCompleted { instance, kept: true, outputs, attempt, .. } = &record.event {
            assert_eq!(self.kept.get(&(instance.node as usize)), Some(outputs), "{json}");
            assert_eq!((*attempt, self.folded.round()), (0, 1), "{json}");
        }
        self.journal.take(record);
        self.seen.insert(summary(&record.event));
        self.snapshots.push(Snapshot {
            folded: self.folded.clone(),
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
        let again = self.journal.interrupted.get(&instance).copied().unwrap_or(0);
        let most = self.case.nodes[node].retry.as_ref().map_or(1, |policy| policy.max_attempts);
        assert!(attempt <= most + again, "{} has attempt {attempt}", id(node));
        if self.case.nodes[node].effect == Effect::Once && attempt > 1 {
            let has_said = self.journal.failed.contains_key(&(instance, attempt - 1));
            assert!(has_said, "{} starts twice", id(node));
        }
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
            | Fact::Recover { .. }
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
                self.to_start_again.remove(instance);
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
            Event::Recovered { interrupted, .. } => self.last_interrupted = *interrupted as usize,
            Event::NodeInterrupted { instance, .. } => {
                *self.interrupted.entry(*instance).or_default() += 1;
                self.to_start_again.insert(*instance);
            }
            Event::RoundStarted { scope, .. } => self.root = Some(*scope),
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
        self.to_start_again.remove(&instance);
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

const CHANGES: [Change; 10] = [
    Change::Unblock,
    Change::Start,
    Change::Wait,
    Change::Succeed,
    Change::Retry,
    Change::Due,
    Change::Interrupt,
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

/// How it ended, without the numbers that every crash makes larger.
fn without_attempts(end: &End) -> End {
    End { outputs: without("attempts", &end.outputs), ..end.clone() }
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
        Event::Paused { reason, .. } => format!("{name} {reason:?}"),
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
        Fact::Recover { .. } => "Recover",
        Fact::Cancel { .. } => "Cancel",
    }
}
