//! What the holders of a handle and the driver share.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use flowcore::machine::{Fact, MAX_SIGNALS, Waiter};
use flowcore::{CancelReason, ExecutionId, ExecutionResult, PauseReason, SharedPlan, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::event_bus::{EventBus, Subscription};
use crate::handle::WaitError;
use crate::history::Watch;
use crate::journal::Journal;
use crate::store::MessageId;
use crate::testing::{Hold, VirtualClock};

/// Something that the driver is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The execution is told something; with an id, by a message that a store keeps.
    Told(Option<MessageId>, Told),
    /// Stop without an end: somebody else goes on with the execution, or it waits for nobody's work.
    HandBack,
}

/// Something that an execution is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Told {
    /// Stop.
    Cancel {
        reason: CancelReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// A signal that a node waits for, or will.
    Signal {
        name: Arc<str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Arc<str>>,
        payload: Value,
    },
    /// Start nothing more.
    Pause {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// Go on.
    Resume {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
}

impl Told {
    pub(crate) fn into_fact(self) -> Fact {
        match self {
            Self::Cancel { reason, by } => Fact::Cancel { reason, by },
            Self::Signal { name, key, payload } => Fact::Signal { name, key, payload },
            Self::Pause { by } => Fact::Pause { reason: PauseReason::Requested, by },
            Self::Resume { by } => Fact::Resume { by },
        }
    }
}

/// Why a command is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// The execution has ended.
    Ended,
    /// It keeps as many signals as it may.
    TooManySignals,
}

/// What the holders of a handle and the driver share.
///
/// Commands are few (a cancel, later a signal or a pause), so a mutex around a vector is enough,
/// and an execution nobody talks to costs no channel.
pub(crate) struct Control {
    pub(crate) execution_id: ExecutionId,
    pub(crate) plan: SharedPlan,
    inbox: Mutex<Inbox>,
    /// Made when somebody subscribes to this execution.
    bus: OnceLock<EventBus>,
    bus_capacity: usize,
    result: OnceLock<Result<ExecutionResult, WaitError>>,
    ended: Notify,
    /// Who else gets the events whenever it is executed here.
    follower: OnceLock<Arc<dyn Journal>>,
    /// What is known of it, if it is watched from its start; taken by whoever asks first.
    watch: OnceLock<Mutex<Option<Watch>>>,
    /// The clock, if it is virtual: it stands still until a command is heard.
    clock: Option<VirtualClock>,
}

/// What the driver is still to hear.
#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    /// The messages among those that were ever put here: a store gives them until they are taken.
    known: HashSet<MessageId>,
    /// Signals that the execution keeps, as of when the driver last waited.
    kept_signals: usize,
    /// Signals that have come since.
    new_signals: usize,
    /// Who waits for one, when as many are kept as may be.
    waiters: Vec<Waiter>,
    hold: Option<Hold>,
    /// Nobody hears anything for now, and time may move on.
    is_unheard: bool,
    /// The execution has ended: nobody hears anything.
    closed: bool,
    /// The driver, while it waits.
    driver: Option<Waker>,
}

impl Control {
    pub(crate) fn new(
        execution_id: ExecutionId,
        plan: SharedPlan,
        bus_capacity: usize,
        clock: Option<VirtualClock>,
    ) -> Self {
        Self {
            execution_id,
            plan,
            inbox: Mutex::default(),
            bus: OnceLock::new(),
            bus_capacity,
            result: OnceLock::new(),
            ended: Notify::new(),
            follower: OnceLock::new(),
            watch: OnceLock::new(),
            clock,
        }
    }

    /// Hands the events to this journal, too, whenever it is executed here; the first one counts.
    pub(crate) fn follow(&self, journal: Arc<dyn Journal>) {
        let _ = self.follower.set(journal);
    }

    pub(crate) fn follower(&self) -> Option<Arc<dyn Journal>> {
        self.follower.get().cloned()
    }

    /// Follows the execution from here on.
    pub(crate) fn watch(&self, watch: Watch) {
        let _ = self.watch.set(Mutex::new(Some(watch)));
    }

    /// Whether somebody will ask what is known of the execution.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.get().is_some()
    }

    /// Tells whoever watches the execution something, if somebody does.
    #[inline]
    pub(crate) fn tell_watch(&self, tell: impl FnOnce(&mut Watch)) {
        let Some(watch) = self.watch.get() else { return };
        if let Some(watch) = &mut *watch.lock().unwrap_or_else(PoisonError::into_inner) {
            tell(watch);
        }
    }

    /// What is known of the execution, if it is watched. It is given once.
    pub(crate) fn take_watch(&self) -> Option<Watch> {
        self.watch.get()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the driver something.
    ///
    /// A signal that would be dropped is refused: as many as are kept have come, and nobody is known
    /// to wait for this one.
    pub(crate) fn command(&self, command: Command) -> Result<(), Unheard> {
        let mut inbox = self.inbox();
        if inbox.closed {
            return Err(Unheard::Ended);
        }
        if let Command::Told(None, Told::Signal { name, key, payload }) = &command {
            if inbox.kept_signals + inbox.new_signals < MAX_SIGNALS {
                inbox.new_signals += 1;
            } else {
                let takes =
                    |waiter: &Waiter| waiter.takes(&self.plan, name, key.as_deref(), payload);
                let waiter = inbox.waiters.iter().position(takes);
                inbox.waiters.swap_remove(waiter.ok_or(Unheard::TooManySignals)?);
            }
        }
        if let Command::Told(Some(id), _) = &command
            && !inbox.known.insert(*id)
        {
            return Ok(());
        }
        inbox.commands.push(command);
        let driver = inbox.driver.take();
        if inbox.hold.is_none() && !inbox.is_unheard {
            inbox.hold = self.clock.as_ref().map(VirtualClock::hold);
        }
        drop(inbox);
        if let Some(driver) = driver {
            driver.wake();
        }
        Ok(())
    }

    /// The execution keeps so many signals, and these wait for one if no more are kept. Gives whether
    /// it has taken up all that it was told; otherwise this is not noted.
    pub(crate) fn set_kept_signals(&self, kept: usize, waiters: Vec<Waiter>) -> bool {
        let mut inbox = self.inbox();
        let is_all = inbox.commands.is_empty();
        if is_all {
            (inbox.kept_signals, inbox.new_signals, inbox.waiters) = (kept, 0, waiters);
        }
        is_all
    }

    /// Whether it is to be left, and nobody took that up.
    pub(crate) fn is_handed_back(&self) -> bool {
        let is_handed_back = |command: &Command| matches!(command, Command::HandBack);
        self.inbox().commands.iter().any(is_handed_back)
    }

    /// Whether there are commands that nobody took.
    pub(crate) fn has_commands(&self) -> bool {
        !self.inbox().commands.is_empty()
    }

    pub(crate) fn take_commands(&self) -> Vec<Command> {
        let mut inbox = self.inbox();
        let (commands, hold) = (std::mem::take(&mut inbox.commands), inbox.hold.take());
        drop(inbox);
        // The driver, which asks, holds the clock itself.
        drop(hold);
        commands
    }

    /// The driver waits for its turn, or no longer: until then commands do not hold virtual time,
    /// which whoever has the turn may need.
    pub(crate) fn set_unheard(&self, is_unheard: bool) {
        let mut inbox = self.inbox();
        inbox.is_unheard = is_unheard;
        let hold = inbox.hold.take_if(|_| is_unheard);
        drop(inbox);
        drop(hold);
    }

    /// Ready when a cancel waits to be obeyed, or the execution is handed back. Cancel safe.
    pub(crate) async fn cancelled(&self) {
        let is_cancel = |command: &Command| match command {
            Command::Told(_, Told::Cancel { .. }) | Command::HandBack => true,
            Command::Told(_, Told::Signal { .. } | Told::Pause { .. } | Told::Resume { .. }) => {
                false
            }
        };
        poll_fn(|cx| self.poll_inbox(cx, |commands| commands.iter().any(is_cancel))).await;
    }

    /// Ready when there is a command. Cancel safe.
    pub(crate) async fn commanded(&self) {
        poll_fn(|cx| self.poll_inbox(cx, |commands| !commands.is_empty())).await;
    }

    /// Only the driver waits here.
    fn poll_inbox(&self, cx: &Context<'_>, is_ready: impl Fn(&[Command]) -> bool) -> Poll<()> {
        let mut inbox = self.inbox();
        if is_ready(&inbox.commands) {
            return Poll::Ready(());
        }
        match &mut inbox.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            None => inbox.driver = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// The events from now on, to the end of the execution.
    pub(crate) fn subscribe(&self) -> Subscription {
        let bus = self.bus.get_or_init(|| EventBus::new(self.bus_capacity));
        let subscription = bus.subscribe().until_end_of(self.execution_id);
        // The lock orders this with the end: either it is seen here, or it sees the bus.
        if self.inbox().closed {
            bus.close();
        }
        subscription
    }

    /// The bus, if somebody ever subscribed to it.
    pub(crate) fn used_bus(&self) -> Option<&EventBus> {
        self.bus.get()
    }

    /// Nobody executes it here any more: what it was told and did not take up, the store tells whoever
    /// goes on with it.
    pub(crate) fn let_go(&self) {
        let mut inbox = self.inbox();
        inbox.commands.clear();
        inbox.known.clear();
        let hold = inbox.hold.take();
        drop(inbox);
        drop(hold);
    }

    /// Notes the end.
    pub(crate) fn end(&self, result: Result<ExecutionResult, WaitError>) {
        // The first end counts.
        let _ = self.result.set(result);
        let mut inbox = self.inbox();
        inbox.closed = true;
        inbox.commands.clear();
        let hold = inbox.hold.take();
        drop(inbox);
        if let Some(bus) = self.bus.get() {
            bus.close();
        }
        self.ended.notify_waiters();
        drop(hold);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.result.get().is_some()
    }

    /// Whether it has ended, and it is known what came of it.
    pub(crate) fn has_result(&self) -> bool {
        self.result.get().is_some_and(Result::is_ok)
    }

    /// Waits for the end. Cancel safe.
    pub(crate) async fn wait(&self) -> Result<ExecutionResult, WaitError> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            ended.await;
        }
    }
}
