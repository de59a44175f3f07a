//! One execution: a task that owns the machine and does what it wishes.
//!
//! The driver decides nothing. It starts attempts, keeps timers and permits, hands events to the
//! journal, publishes them, and brings facts back to the machine. Only it emits events.

mod attempts;
mod broken;
mod cached;
mod gate;
mod inline;
mod instances;
pub(crate) mod ledger;
mod life;
mod limited;
mod limits;
mod messages;
mod permits;
mod publish;
mod release;
mod timers;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use flowcore::machine::{Action, Fact, MAX_SIGNALS, Machine, Recorded, Turn};
use flowcore::{ExecutionEvent, ExecutionScope, ExecutionStatus, NodeContext, Timestamp};
use tokio::sync::OwnedSemaphorePermit;

use crate::concurrency::Place;
use crate::control::{Command, Control, Told};
use crate::crew::Ended;
use crate::journal::{Journal, JournalError};
use crate::metrics::{Doing, Presence};
use crate::observer::ExecutionObserver;
use crate::runtime::Shared;
use crate::store::MessageId;
use crate::testing::Hold;
use attempts::Attempts;
use broken::Bug;
use gate::Gate;
use instances::Instances;
use ledger::Ledger;
pub(crate) use life::Begin;
use life::Left;
use limited::Tickets;
use messages::Messages;
use permits::{PermitRequest, wait_for_permit};
use timers::{DriverTimer, Timers};

/// How many attempts start or end before other tasks get their turn.
///
/// Some tens of microseconds of work, besides the nodes' own: short enough for others, and the yield
/// costs nothing per node. Nodes that never wait would otherwise keep the thread to the end.
const BUDGET: u32 = 256;

/// How many events may wait for the journal while inline nodes run.
const EVENTS_PER_FLUSH: usize = 128;

/// The driver of one execution.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    machine: Machine,
    scope: Arc<ExecutionScope>,
    /// What inline nodes are told, one after another; made for the first one.
    context: Option<NodeContext>,
    control: Arc<Control>,
    ledger: Ledger,
    /// Gets events when they are safe.
    follower: Option<Arc<dyn Journal>>,
    /// Hears of events when they are safe; from its turn on.
    observer: Option<Box<dyn ExecutionObserver>>,
    /// What waits until what led to it is safe.
    gate: Gate,
    /// Messages from the inbox of the store that were taken up, and are still in it.
    taken: Vec<MessageId>,
    /// Events that were handed on, and are not published yet.
    unpublished: VecDeque<ExecutionEvent>,
    /// What it is counted as.
    presence: Presence,
    /// Among the executions of the workflow, if it limits how many run.
    place: Option<Place>,
    /// Its wishes are done up to `next_wish`.
    turn: Turn,
    next_wish: usize,
    /// Events and messages in their order, to be handed on.
    outbox: Vec<ExecutionEvent>,
    /// About how large the outputs in it are; counted where a store keeps them.
    held_bytes: u64,
    /// How large the history was when the machine was told.
    told_bytes: u64,
    attempts: Attempts,
    timers: Timers,
    permit_request: Option<PermitRequest>,
    /// A permit for the node that the machine starts next.
    permit: Option<OwnedSemaphorePermit>,
    /// Those of the attempts that have ended, in one, for the next ones that start in the same turn.
    spare_permits: Option<OwnedSemaphorePermit>,
    /// The nodes that wait for their turn under a rate limit.
    tickets: Tickets,
    /// When the machine was told the last fact.
    told_at: Timestamp,
    /// When the driver heard last that attempts had ended.
    heard_at: Timestamp,
    instances: Instances,
    messages: Messages,
    /// How many attempts may start or end before the next breath.
    budget: u32,
    finished: bool,
    /// Somebody else is to go on with it.
    is_handed_back: bool,
    /// Signals came, and may be kept.
    has_signals: bool,
    /// Keeps virtual time where it is, except while the driver waits.
    hold: Option<Hold>,
}

/// Why the driver gave up.
#[derive(Debug, thiserror::Error)]
enum DriveError {
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Bug(Box<Bug>),
}

/// What the driver was woken by.
enum Woken {
    Commanded,
    Ended(Ended),
    Permit(Option<OwnedSemaphorePermit>),
    Timer,
    Message,
    /// More events are safe.
    Safer(Result<(), JournalError>),
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        machine: Machine,
        scope: ExecutionScope,
        control: Arc<Control>,
        ledger: Ledger,
        follower: Option<Arc<dyn Journal>>,
        place: Option<Place>,
    ) -> Box<Self> {
        let hold = shared.clock.hold();
        let presence = Presence::new(shared.gauges.clone());
        Box::new(Self {
            hold,
            presence,
            shared,
            machine,
            context: None,
            scope: Arc::new(scope),
            control,
            ledger,
            follower,
            observer: None,
            gate: Gate::new(),
            taken: Vec::new(),
            unpublished: VecDeque::new(),
            place,
            turn: Turn::default(),
            next_wish: 0,
            outbox: Vec::new(),
            held_bytes: 0,
            told_bytes: 0,
            attempts: Attempts::default(),
            timers: Timers::default(),
            permit_request: None,
            permit: None,
            tickets: Tickets::default(),
            spare_permits: None,
            told_at: Timestamp::default(),
            heard_at: Timestamp::default(),
            instances: Instances::default(),
            messages: Messages::default(),
            budget: BUDGET,
            finished: false,
            is_handed_back: false,
            has_signals: false,
        })
    }

    async fn drive(&mut self, begin: Begin) -> Result<Left, DriveError> {
        if self.is_not_begun_here(&begin) {
            self.hand_back().await?;
            return Ok(Left::LetGo);
        }
        self.begin(begin)?;
        // A cancel that came before the start comes before the first attempt, too.
        self.obey()?;
        loop {
            self.perform().await?;
            if self.finished {
                return Ok(Left::Ended);
            }
            if self.is_handed_back {
                self.hand_back().await?;
                return Ok(Left::LetGo);
            }
            if self.budget == 0 {
                self.breathe().await?;
                continue;
            }
            if self.has_only_to_wait() {
                self.let_go().await?;
                return Ok(Left::LetGo);
            }
            self.report_signals();
            match self.wait().await {
                Woken::Commanded => self.obey()?,
                Woken::Ended(ended) => {
                    self.heard_at = self.now();
                    self.attempt_ended(ended)?;
                }
                Woken::Permit(permit) => self.permit_granted(permit)?,
                Woken::Timer => self.fire_timers()?,
                Woken::Message => {}
                Woken::Safer(safer) => {
                    safer?;
                    self.publish().await?;
                }
            }
            self.drain_ended()?;
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Tells the machine a fact; its wishes are done by [`Driver::perform`].
    fn handle(&mut self, fact: Fact) -> Result<(), DriveError> {
        self.handle_at(self.now(), fact)
    }

    /// Inlined, because each caller knows its fact: nothing else is left of the machine's choice.
    #[inline(always)]
    fn handle_at(&mut self, now: Timestamp, fact: Fact) -> Result<(), DriveError> {
        if !self.has_wishes() {
            self.turn.wishes.clear();
            self.next_wish = 0;
        }
        if self.messages.is_waiting() {
            self.hear_messages();
        }
        self.turn.recording = self.is_watched();
        self.told_at = now;
        let summary = fact.summary();
        if let Err(error) = self.machine.handle(now, fact, &mut self.turn) {
            return Err(self.broken(&error, summary));
        }
        if self.turn.recording {
            self.post();
        }
        Ok(())
    }

    fn post(&mut self) {
        let (execution_id, plan) = (self.control.execution_id, self.machine.plan());
        let records = self.turn.events.drain(..);
        self.outbox.extend(records.map(|Recorded { record, address }| {
            ExecutionEvent::fact(execution_id, plan.clone(), record).at_address(address)
        }));
    }

    fn has_wishes(&self) -> bool {
        self.next_wish < self.turn.wishes.len()
    }

    /// Does what the machine wishes, in order, until nothing is left that can be done at once.
    async fn perform(&mut self) -> Result<(), DriveError> {
        loop {
            self.perform_wishes().await?;
            // Before anything is handed on: what ended and what starts next share a flush.
            self.ask_for_permit()?;
            if self.has_wishes() {
                continue;
            }
            if self.is_behind() {
                self.hand_on().await?;
                if self.tell_size()? {
                    continue;
                }
            }
            let mut has_passed = false;
            while self.pass_gate()? {
                has_passed = true;
            }
            if !has_passed {
                return Ok(());
            }
        }
    }

    async fn perform_wishes(&mut self) -> Result<(), DriveError> {
        // When the last inline node ended: the next one starts then, which saves asking the clock.
        let mut last_end = None;
        while let Some(&wish) = self.turn.wishes.get(self.next_wish) {
            self.next_wish += 1;
            if let Action::Start { instance, attempt } = wish.action
                && !self.machine.is_due(instance, attempt)
            {
                self.leave_out(instance, attempt)?;
                continue;
            }
            if self.must_be_safe(wish) {
                self.put_off(wish)?;
                continue;
            }
            if let Action::Start { instance, attempt } = wish.action
                && self.is_inline(instance)
            {
                let started_at = last_end.unwrap_or_else(|| self.now());
                if self.has_one_event(instance) && self.must_wait(instance, started_at)? {
                    continue;
                }
                // It may take long, and others may want them.
                self.spare_permits = None;
                last_end = Some(self.run_inline(instance, attempt, started_at)?);
                if self.holds_much() {
                    self.hand_on().await?;
                    self.tell_size()?;
                    last_end = None;
                }
                self.spend();
            } else {
                last_end = None;
                self.perform_one(wish.action).await?;
            }
            if self.budget == 0 {
                self.breathe().await?;
                last_end = None;
            }
        }
        Ok(())
    }

    fn spend(&mut self) {
        self.budget = self.budget.saturating_sub(1);
    }

    /// Lets other tasks run, and hears what came in the meantime.
    async fn breathe(&mut self) -> Result<(), DriveError> {
        self.budget = BUDGET;
        self.let_others_go_on();
        self.hand_on().await?;
        self.tell_size()?;
        tokio::task::yield_now().await;
        self.obey()?;
        self.fire_timers()?;
        self.drain_ended()
    }

    /// Before the driver waits: meanwhile nobody waits for it, neither the crew for its call nor another
    /// execution for a permit.
    fn let_others_go_on(&mut self) {
        self.spare_permits = None;
        self.attempts.call_crew();
    }

    async fn perform_one(&mut self, action: Action) -> Result<(), DriveError> {
        match action {
            Action::Start { instance, attempt } => self.start(instance, attempt)?,
            Action::Cancel { instance, attempt, reason } => {
                self.cancel_attempt(instance, attempt, reason);
            }
            Action::SetTimer { timer, at } => self.timers.set(DriverTimer::Machine(timer), at),
            Action::ClearTimer { timer } => {
                self.timers.clear(timer);
                self.give_up_turn(timer);
            }
            Action::ReleaseInstances => {
                self.instances.release(self.shared.grace, self.named()).await;
                self.handle(Fact::InstancesReleased)?;
            }
            Action::ReleaseScope { scope } => {
                self.instances.release_scope(scope, self.shared.grace, self.named()).await;
            }
            Action::Finish => {
                self.finished = true;
            }
        }
        Ok(())
    }

    /// Waits for the next thing that happens.
    async fn wait(&mut self) -> Woken {
        self.let_others_go_on();
        let only_waits = self.machine.status() == ExecutionStatus::Waiting;
        self.presence.set(if only_waits { Doing::Waiting } else { Doing::Running });
        let alarm = self.shared.clock.alarm(self.timers.next());
        // The alarm is set: virtual time may move on, unless events are on their way to safety.
        if self.ledger.is_confirmed() {
            self.hold = None;
        }
        let mut alarm = std::pin::pin!(alarm.ring());
        let mut hold = None;
        let permit_request = &mut self.permit_request;
        let (attempts, ledger) = (&mut self.attempts, &mut self.ledger);
        let woken = tokio::select! {
            biased;
            () = self.control.commanded() => Woken::Commanded,
            safer = poll_fn(|cx| ledger.poll_safer(cx)) => Woken::Safer(safer),
            ended = attempts.ended() => Woken::Ended(ended),
            permit = wait_for_permit(permit_request) => Woken::Permit(permit),
            rung = &mut alarm => {
                hold = rung;
                Woken::Timer
            }
            // Last: a node that talks without end would keep its own time-out from coming.
            () = self.messages.arrived() => Woken::Message,
        };
        self.hold = hold.or_else(|| self.shared.clock.hold());
        self.presence.set(Doing::Running);
        woken
    }

    /// Takes every attempt that has ended by now, so that one turn sees them all; at most as many as
    /// the budget allows.
    fn drain_ended(&mut self) -> Result<(), DriveError> {
        while self.budget > 0 {
            let is_news = !self.attempts.has_heard();
            let Some(ended) = self.attempts.next_ended() else { break };
            if is_news {
                self.heard_at = self.now();
            }
            self.attempt_ended(ended)?;
        }
        Ok(())
    }

    fn obey(&mut self) -> Result<(), DriveError> {
        for command in self.control.take_commands() {
            match command {
                Command::Told(id, told) => {
                    self.has_signals |= matches!(told, Told::Signal { .. });
                    // Also if the machine cannot go on from it: it would come again and again.
                    self.taken.extend(id);
                    self.handle(told.into_fact())?;
                }
                Command::HandBack => self.is_handed_back = true,
            }
        }
        Ok(())
    }

    /// Says how many signals are kept, while there are any, so that whoever sends too many hears it.
    fn report_signals(&mut self) {
        if self.has_signals {
            let kept = self.machine.kept_signals();
            let is_full = kept >= MAX_SIGNALS;
            let waiters = if is_full { self.machine.waiters() } else { Vec::new() };
            let is_noted = self.control.set_kept_signals(kept, waiters);
            self.has_signals = kept > 0 || !is_noted;
        }
    }

    fn fire_timers(&mut self) -> Result<(), DriveError> {
        let now = self.now();
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                DriverTimer::Machine(timer) => self.handle_at(now, Fact::TimerFired(timer))?,
                DriverTimer::Timeout(key) => self.time_out(key),
                DriverTimer::Grace(key) => self.give_up(key),
            }
        }
        Ok(())
    }
}
