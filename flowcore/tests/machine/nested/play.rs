//! Plays a case: everything that is outside of the machine, with a look at it after every event.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::machine::{
    Action, Fact, HistoryLimits, Machine, MachineOptions, Outcome, Timer, Turn, Wish,
};
use flowcore::{
    CancelReason, Event, ExecutionId, ExecutionResult, ExecutionStatus, Instance, Limits,
    NodeError, NodeOutput, Object, PauseReason, Record, Secrets, Timestamp, Value, compile_with,
};

use super::reference::How;
use super::tree::{Case, Plan};
use super::undoing::Entry;

/// A machine, and the world that it is in.
pub(super) struct Play<'a> {
    case: &'a Case,
    machine: Machine,
    world: World,
    /// The state at every prefix of the events, and the world at that moment.
    snapshots: Option<Vec<(Machine, World)>>,
    /// Everything of note that happened.
    seen: BTreeSet<String>,
    /// When somebody wants it to stop.
    stops: Vec<i64>,
    /// How often it was paused: nobody foresees that.
    pauses: u64,
    /// Whether every attempt that a crash cut off goes on.
    is_same: bool,
}

/// When and how it ended, and what was not undone.
pub(super) type End = (i64, How, Vec<(String, String)>);

/// What came of a play.
pub(super) struct Played {
    pub(super) end: End,
    pub(super) ledger: Vec<Entry>,
    pub(super) undone: Vec<String>,
    pub(super) seen: BTreeSet<String>,
}

/// What is under way, because the machine wished it and nothing has answered yet.
#[derive(Clone, Default)]
struct World {
    now: i64,
    running: BTreeMap<(Instance, u32), Attempt>,
    timers: BTreeMap<Timer, i64>,
    /// How many stops have come.
    stops: usize,
    is_finished: bool,
    /// Attempts that were cut off by a crash, and go on where they were.
    cut_off: BTreeMap<Instance, Attempt>,
    /// Nodes that ended, by address: none of them starts again.
    ended: BTreeSet<String>,
    /// The nodes with an `undo` that succeeded or were cut off, in order.
    ledger: Vec<Entry>,
    /// The nodes whose undo began, in order.
    undone: Vec<String>,
}

#[derive(Clone)]
struct Attempt {
    address: String,
    ends: i64,
    outcome: Outcome,
    told: Option<CancelReason>,
}

/// After how many events of one execution it is stopped.
const MAX_STOPS: usize = 24;

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Plays a case to its end.
pub(super) fn play(case: &Case, stops: Vec<i64>) -> Played {
    let mut play = Play::new(case, stops, HistoryLimits::default());
    play.turn(Fact::Start { inputs: Object::new(), kept: None });
    play.go_on();
    let end = play.end();
    let snapshots = play.snapshots.take().unwrap_or_default();
    // Of long executions every so many events, or it would take too long.
    let every = 1 + snapshots.len() / MAX_STOPS;
    let first = usize::try_from(case.seed).unwrap_or(0) % every;
    let stops = snapshots.into_iter().skip(first).step_by(every);
    for (number, (machine, world)) in stops.enumerate() {
        let at = machine.seq();
        let again = || {
            let (seen, stops) = (BTreeSet::new(), play.stops.clone());
            let (machine, world) = (machine.clone(), world.clone());
            Play { case, machine, world, snapshots: None, seen, stops, pauses: 0, is_same: true }
        };
        let mut resumed = again();
        resumed.resume();
        resumed.go_on();
        assert_eq!(resumed.end(), end, "after a stop at event {at}");
        let mut other = again();
        if number % 3 > 0 {
            other.crash();
        } else {
            other.resume();
            other.pause();
            other.is_same = false;
        }
        other.go_on();
        if other.is_same {
            assert_eq!(other.end(), end, "after a crash at event {at}");
        }
        play.seen.append(&mut other.seen);
    }
    let World { ledger, undone, .. } = play.world;
    Played { end, ledger, undone, seen: play.seen }
}

/// Plays a case whose history may have only so many events, to its end, and once more with a crash
/// after some events. Gives how many events there are, and the result.
pub(super) fn play_full(case: &Case, max_events: Option<u64>) -> (u64, ExecutionResult) {
    let history = HistoryLimits { max_events, max_bytes: None };
    let mut play = Play::new(case, case.cancel.into_iter().collect(), history);
    play.turn(Fact::Start { inputs: Object::new(), kept: None });
    play.go_on();
    let max = max_events.unwrap_or(u64::MAX);
    let snapshots = play.snapshots.take().unwrap_or_default();
    // Of long executions a few, or it would take too long.
    let every = 1 + snapshots.len() / 8;
    for (machine, world) in snapshots.into_iter().rev().step_by(every) {
        let (seen, stops) = (BTreeSet::new(), play.stops.clone());
        let (at, pauses) = (machine.seq(), play.pauses);
        let mut crashed =
            Play { case, machine, world, snapshots: None, seen, stops, pauses, is_same: true };
        crashed.crash();
        crashed.go_on();
        let (seq, most) = (crashed.machine.seq(), max.saturating_add(2 * crashed.pauses));
        assert!(seq <= most, "{seq} events after a crash at {at}, and {most} may be");
    }
    let seq = play.machine.seq();
    let most = max.saturating_add(2 * play.pauses);
    assert!(seq <= most, "{seq} events, and {most} may be");
    (seq, play.machine.into_result().expect("it has ended"))
}

impl<'a> Play<'a> {
    fn new(case: &'a Case, stops: Vec<i64>, history: HistoryLimits) -> Self {
        let registry = crate::nodes::registry();
        let compiled = compile_with(&case.workflow(), &registry, &Limits::default(), Some(case));
        let plan = compiled.plan.unwrap_or_else(|| panic!("{}", compiled.diagnostics));
        let options = MachineOptions {
            execution_id: ExecutionId::from_uuid(uuid::Uuid::nil()),
            secrets: Secrets::default(),
            keep_outputs: false,
            history,
        };
        Self {
            case,
            machine: Machine::new(plan, options),
            world: World::default(),
            snapshots: Some(Vec::new()),
            seen: BTreeSet::new(),
            stops,
            pauses: 0,
            is_same: true,
        }
    }
}

impl Play<'_> {
    fn go_on(&mut self) {
        while !self.world.is_finished {
            // A stop in the middle of a pause that takes no time.
            if self.machine.paused().is_some() {
                self.turn(Fact::Resume { by: None });
                continue;
            }
            if self.case.pauses_after(self.machine.seq()) {
                self.pause_for_no_time();
                // Where the history is full, that may have been the last that fits.
                if self.world.is_finished {
                    break;
                }
            }
            let fact = self.next_fact();
            self.turn(fact);
        }
        assert!(self.world.running.is_empty(), "something still runs");
        assert!(self.world.timers.is_empty(), "a timer is still set: {:?}", self.world.timers);
    }

    /// What happens next; the world has forgotten it already.
    fn next_fact(&mut self) -> Fact {
        if self.machine.wants_permit() {
            return Fact::PermitGranted;
        }
        let running = self.world.running.values().map(|attempt| (attempt.ends, &attempt.address));
        let first_end = running.min().map(|(at, address)| (at, address.clone()));
        let first_timer = self.world.timers.iter().map(|(timer, at)| (*at, *timer)).min();
        let cancel = self.stops.get(self.world.stops).copied();
        let soonest = [first_end.as_ref().map(|end| end.0), first_timer.map(|t| t.0), cancel];
        let now = soonest.into_iter().flatten().min().expect("the machine waits for nothing");
        self.world.now = now;
        if cancel == Some(now) {
            self.world.stops += 1;
            return Fact::Cancel { reason: CancelReason::Requested, by: None };
        }
        if let Some((_, timer)) = first_timer.filter(|(at, _)| *at == now) {
            self.world.timers.remove(&timer);
            return Fact::TimerFired(timer);
        }
        let address = first_end.expect("something ends").1;
        let key = *self.world.running.iter().find(|(_, a)| a.address == address).unwrap().0;
        let attempt = self.world.running.remove(&key).unwrap();
        Fact::AttemptEnded {
            instance: key.0,
            attempt: key.1,
            started_at: moment(now),
            outcome: attempt.outcome,
            jitter: 0.0,
        }
    }

    /// One fact, and what came of it.
    fn turn(&mut self, fact: Fact) {
        let mut turn = Turn::recording();
        let mut folded = self.machine.clone();
        self.machine.handle(moment(self.world.now), fact, &mut turn).unwrap();
        for recorded in &turn.events {
            self.take(&mut folded, &recorded.record);
        }
        assert_eq!(folded, self.machine, "the fold is not the live state");
        self.perform(&turn.wishes, false);
        self.check_outstanding();
    }

    /// A pause that takes no time changes nothing.
    fn pause_for_no_time(&mut self) {
        self.turn(Fact::Pause { reason: PauseReason::Requested, by: None });
        self.turn(Fact::Resume { by: None });
    }

    /// A pause until all that runs has ended: nothing else starts meanwhile.
    fn pause(&mut self) {
        if self.world.is_finished {
            return;
        }
        self.turn(Fact::Pause { reason: PauseReason::Requested, by: None });
        while self.machine.paused().is_some() && !self.world.running.is_empty() {
            let attempts = self.world.running.len();
            let fact = self.next_fact();
            assert!(fact != Fact::PermitGranted, "a permit is wanted in a pause");
            self.turn(fact);
            let is_paused = self.machine.paused().is_some();
            assert!(!is_paused || self.world.running.len() <= attempts, "started in a pause");
        }
        self.turn(Fact::Resume { by: None });
    }

    /// The process ends, and another one goes on with what was kept.
    fn crash(&mut self) {
        self.world.timers.clear();
        for ((instance, _), running) in std::mem::take(&mut self.world.running) {
            if running.told.is_none() {
                self.world.cut_off.insert(instance, running);
            }
        }
        let under_way = self.under_way();
        let fence = self.machine.seq();
        self.turn(Fact::Recover { fence });
        if self.machine.paused().is_some() {
            self.turn(Fact::Resume { by: None });
        }
        while self.machine.wants_permit() {
            self.turn(Fact::PermitGranted);
        }
        // What was told to stop, or would have been a moment later, does not go on.
        let running: BTreeSet<Instance> = self.world.running.keys().map(|key| key.0).collect();
        self.is_same &= under_way.is_subset(&running);
    }

    /// The nodes with attempts under way, as the state says.
    fn under_way(&self) -> BTreeSet<Instance> {
        let mut wishes = Vec::new();
        self.machine.outstanding(&mut wishes);
        let starts = wishes.iter().filter_map(|wish| match wish.action {
            Action::Start { instance, .. } => Some(instance),
            _ => None,
        });
        starts.collect()
    }

    /// Folds an event that has been through JSON, and keeps the state for a stop after it.
    fn take(&mut self, folded: &mut Machine, record: &Record) {
        let json = serde_json::to_string(record).unwrap();
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(read, *record, "{json}");
        if let Event::NodeCompleted { instance, .. } | Event::NodeFailed { instance, .. } =
            &record.event
        {
            let address = folded.address(*instance);
            assert!(self.world.ended.insert(address), "ended twice: {json}");
        }
        self.note(folded, &record.event);
        folded.apply(read).unwrap();
        self.seen.insert(record.event.name().to_owned());
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.push((folded.clone(), self.world.clone()));
        }
    }

    /// Notes what has to be undone, and what is.
    fn note(&mut self, folded: &Machine, event: &Event) {
        self.pauses += u64::from(matches!(event, Event::Paused { .. }));
        let (instance, succeeded) = match event {
            Event::NodeCompleted { instance, .. } => (*instance, true),
            Event::NodeCancelled { instance, .. } => (*instance, false),
            Event::UndoStarted { node, .. } => {
                self.world.undone.push(node.to_string());
                return;
            }
            _ => return,
        };
        if folded.plan().spec(instance.node).undo.is_some() {
            self.world.ledger.push((folded.address(instance), succeeded));
        }
    }

    /// Goes on from a fold.
    fn resume(&mut self) {
        let mut turn = Turn::recording();
        let mut folded = self.machine.clone();
        self.machine.resume(moment(self.world.now), &mut turn).unwrap();
        for recorded in &turn.events {
            self.take(&mut folded, &recorded.record);
        }
        assert_eq!(folded, self.machine, "the fold is not the live state");
        let goes_on = |key: &(Instance, u32)| {
            turn.wishes.iter().any(|wish| match wish.action {
                Action::Start { instance, attempt } => (instance, attempt) == *key,
                _ => false,
            })
        };
        self.world.running.retain(|key, _| goes_on(key));
        self.world.timers.clear();
        self.perform(&turn.wishes, true);
        self.check_outstanding();
    }

    fn perform(&mut self, wishes: &[Wish], is_resumed: bool) {
        for wish in wishes {
            match wish.action {
                Action::Start { instance, attempt } => {
                    let is_there = self.world.running.contains_key(&(instance, attempt));
                    if !(is_resumed && is_there) {
                        self.start(instance, attempt);
                    }
                }
                Action::Cancel { instance, attempt, reason } => {
                    let now = self.world.now;
                    let running = self.world.running.get_mut(&(instance, attempt));
                    running.expect("it runs").tell(self.case, now, reason);
                }
                Action::SetTimer { timer, at } => {
                    let before = self.world.timers.insert(timer, at.as_micros());
                    assert!(before.is_none(), "set twice: {timer:?}");
                }
                Action::ClearTimer { timer } => {
                    let before = self.world.timers.remove(&timer);
                    assert!(is_resumed || before.is_some(), "not set: {timer:?}");
                }
                Action::ReleaseInstances | Action::ReleaseScope { .. } => {
                    panic!("every node type here is stateless")
                }
                Action::Finish => self.world.is_finished = true,
            }
        }
    }

    fn start(&mut self, instance: Instance, attempt: u32) {
        let address = self.machine.address(instance);
        if let Some(node) = address.strip_suffix("~undo") {
            let prepared = self.machine.prepare(instance, moment(self.world.now)).unwrap();
            assert_eq!(prepared.inputs()[0], Some(Value::from(node)), "what the node gave");
        }
        assert!(!self.world.ended.contains(&address), "{address} starts again");
        let Plan { duration, succeeds, .. } = self.case.plan(&address);
        let outcome = if succeeds {
            let outputs = NodeOutput::of("x", Value::from(address.clone()));
            Outcome::Succeeded { outputs, state_writes: Object::new(), cache: None }
        } else {
            Outcome::Failed(NodeError::new("script.failed", "it had to"))
        };
        let ends = self.world.now + duration;
        let started = match self.world.cut_off.remove(&instance) {
            Some(cut_off) => Attempt { ends: cut_off.ends.max(self.world.now), ..cut_off },
            None => Attempt { address, ends, outcome, told: None },
        };
        let before = self.world.running.insert((instance, attempt), started);
        assert!(before.is_none(), "started twice: {instance:?}");
    }

    /// What is under way is what the state says.
    fn check_outstanding(&self) {
        let mut wishes = Vec::new();
        self.machine.outstanding(&mut wishes);
        let outstanding: BTreeSet<String> =
            wishes.iter().map(|wish| format!("{:?}", wish.action)).collect();
        let running = self.world.running.iter().flat_map(|(&(instance, attempt), running)| {
            let told = running.told.map(|reason| Action::Cancel { instance, attempt, reason });
            [Some(Action::Start { instance, attempt }), told].into_iter().flatten()
        });
        let timers = self.world.timers.iter();
        let timers = timers.map(|(&timer, &at)| Action::SetTimer { timer, at: moment(at) });
        let finish = self.world.is_finished.then_some(Action::Finish);
        let under_way = running.chain(timers).chain(finish);
        let under_way: BTreeSet<String> = under_way.map(|action| format!("{action:?}")).collect();
        assert_eq!(outstanding, under_way, "outstanding, and under way");
    }

    fn end(&self) -> End {
        let result = self.machine.clone().into_result().expect("it has ended");
        let how = match (result.status, result.error) {
            (ExecutionStatus::Succeeded, _) => {
                How::Well(result.outputs.get("all").expect("it is declared").to_json())
            }
            (ExecutionStatus::Failed, Some(error)) => {
                How::Badly(error.code, error.node.unwrap_or_default())
            }
            _ => How::Cancelled,
        };
        let left = result.not_undone.into_iter().map(|left| (left.node, left.code)).collect();
        (result.ended_at.as_micros(), how, left)
    }
}

impl Attempt {
    fn tell(&mut self, case: &Case, now: i64, reason: CancelReason) {
        if self.told.is_none()
            && let Some(after) = case.plan(&self.address).stops_after
            && now + after < self.ends
        {
            self.ends = now + after;
            self.outcome = Outcome::Cancelled;
        }
        self.told = self.told.max(Some(reason));
    }
}
