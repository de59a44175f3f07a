//! What the holders of a handle and the driver share.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use flowcore::{CancelReason, ExecutionId, ExecutionResult, SharedPlan, Value};
use tokio::sync::Notify;

use crate::event_bus::{EventBus, Subscription};
use crate::handle::WaitError;

/// Something that a handle asks of the driver.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Stop.
    Cancel { reason: CancelReason, by: Option<Arc<str>> },
    /// A signal that a node waits for, or will.
    Signal { name: Arc<str>, key: Option<Arc<str>>, payload: Value },
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
}

/// What the driver is still to hear.
#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    /// The execution has ended: nobody hears anything.
    closed: bool,
    /// The driver, while it waits.
    driver: Option<Waker>,
}

impl Control {
    pub(crate) fn new(execution_id: ExecutionId, plan: SharedPlan, bus_capacity: usize) -> Self {
        Self {
            execution_id,
            plan,
            inbox: Mutex::default(),
            bus: OnceLock::new(),
            bus_capacity,
            result: OnceLock::new(),
            ended: Notify::new(),
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives whether there is somebody to hear it.
    pub(crate) fn command(&self, command: Command) -> bool {
        let mut inbox = self.inbox();
        if inbox.closed {
            return false;
        }
        inbox.commands.push(command);
        let driver = inbox.driver.take();
        drop(inbox);
        if let Some(driver) = driver {
            driver.wake();
        }
        true
    }

    pub(crate) fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut self.inbox().commands)
    }

    /// Ready when a cancel waits to be obeyed. Cancel safe.
    pub(crate) async fn cancelled(&self) {
        let is_cancel = |command: &Command| match command {
            Command::Cancel { .. } => true,
            Command::Signal { .. } => false,
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

    /// Notes the end.
    pub(crate) fn end(&self, result: Result<ExecutionResult, WaitError>) {
        // The first end counts.
        let _ = self.result.set(result);
        let mut inbox = self.inbox();
        inbox.closed = true;
        inbox.commands.clear();
        drop(inbox);
        if let Some(bus) = self.bus.get() {
            bus.close();
        }
        self.ended.notify_waiters();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.result.get().is_some()
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
