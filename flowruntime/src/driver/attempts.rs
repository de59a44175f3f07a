//! Attempts that are under way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flowcore::machine::{Fact, Outcome, Prepared};
use flowcore::{
    AttemptSignals, CancelReason, ExecutionScope, Instance, NodeContext, NodeError, Timestamp,
};
use slab::Slab;

use super::messages::Voice;
use super::{DriveError, Driver, DriverTimer};
use crate::executor::{Attempt, AttemptResult, Started, Stop, stand_in_for};
use crate::testing::{AttemptClock, AttemptTime};

/// The attempts that are under way.
#[derive(Default)]
pub(super) struct Attempts(Slab<Running>);

impl Attempts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(key, _)| key)
    }
}

/// A driver that is dropped before its end, by a panic or with its tokio runtime, leaves nothing
/// running that it can stop.
impl Drop for Attempts {
    fn drop(&mut self) {
        for (_, running) in &self.0 {
            match &running.stop {
                Stop::Drop => {}
                Stop::Abort(task) => task.abort(),
                Stop::Wait(ticket) => drop(ticket.take()),
            }
        }
    }
}

/// An attempt that is under way.
pub(super) struct Running {
    instance: Instance,
    attempt: u32,
    started_at: Timestamp,
    signals: Arc<AttemptSignals>,
    /// What it says, while somebody listens.
    voice: Option<Voice>,
    stop: Stop,
    /// Why it was told to stop.
    cancel: Option<CancelReason>,
    /// Whether its task was aborted.
    aborted: bool,
    timeout_at: Option<Timestamp>,
    grace_until: Option<Timestamp>,
    /// Keeps virtual time where it is.
    time: Option<Arc<AttemptTime>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(time) = self.time.take() {
            time.end();
        }
    }
}

/// How long an aborted task may take to end.
///
/// It ends at its next await, so this is only about the scheduler's turn. One that does not is stuck
/// in a poll, and nothing reaches it.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// An attempt's future, with its key. Gives up when told so.
pub(super) struct Tracked {
    key: usize,
    signals: Arc<AttemptSignals>,
    result: Option<Pin<Box<dyn Future<Output = AttemptResult> + Send>>>,
}

/// The end of an attempt; without a result it was given up.
pub(super) struct Ended {
    pub(super) key: usize,
    result: Option<AttemptResult>,
}

impl Future for Tracked {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let key = self.key;
        if self.signals.poll_abandoned(cx).is_ready() {
            // The future may be in any state of a node's code: its Drop may panic.
            let result = self.result.take();
            if catch_unwind(AssertUnwindSafe(|| drop(result))).is_err() {
                tracing::warn!("an attempt panicked when it was dropped");
            }
        }
        match &mut self.result {
            Some(result) => {
                result.as_mut().poll(cx).map(|result| Ended { key, result: Some(result) })
            }
            None => Poll::Ready(Ended { key, result: None }),
        }
    }
}

impl Driver {
    /// Starts an attempt; one whose inputs or config cannot be evaluated has failed already.
    pub(super) fn start(&mut self, instance: Instance, attempt: u32) -> Result<(), DriveError> {
        self.spend();
        let now = self.now();
        let permit = self.permit.take();
        match self.machine.prepare(instance, now) {
            Ok(prepared) => self.start_prepared(instance, attempt, now, prepared, permit),
            Err(error) => return self.failed_at_once(instance, attempt, now, error),
        }
        Ok(())
    }

    pub(super) fn failed_at_once(
        &mut self,
        instance: Instance,
        attempt: u32,
        started_at: Timestamp,
        error: NodeError,
    ) -> Result<(), DriveError> {
        let outcome = Outcome::Failed(error);
        let jitter = self.shared.clock.jitter();
        self.handle(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter })
    }

    /// An attempt that a cancel, or its own end, has overtaken does not start.
    pub(super) fn leave_out(&mut self, instance: Instance, attempt: u32) -> Result<(), DriveError> {
        if self.is_inline(instance) {
            return Ok(());
        }
        self.permit = None;
        let (started_at, outcome) = (self.now(), Outcome::Cancelled);
        self.handle(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter: 0.0 })
    }

    fn start_prepared(
        &mut self,
        instance: Instance,
        attempt: u32,
        now: Timestamp,
        prepared: Prepared,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) {
        let plan = self.machine.plan().clone();
        let node = plan.graph().node(instance.node);
        let voice = self.voice(instance, attempt);
        let signals = Arc::new(AttemptSignals::new(voice.as_ref().map(Voice::sink)));
        let (timeout, is_tainted) = (prepared.timeout, prepared.is_tainted);
        let slot = node.shared_instance().is_none().then(|| self.instances.slot(instance));
        let node = instance.node;
        let time = self.shared.clock.as_virtual().map(AttemptTime::new);
        let scope = time.as_ref().map_or_else(|| self.scope.clone(), |time| self.scope_in(time));
        let context = NodeContext::new(scope, node, prepared, attempt, Some(signals.clone()));
        let attempt_spec = Attempt { plan, node, context, is_tainted, slot, permit };
        let started = self.start_or_stand_in(attempt_spec);
        let key = self.attempts.0.insert(Running {
            instance,
            attempt,
            started_at: now,
            signals: signals.clone(),
            voice,
            stop: started.stop,
            cancel: None,
            aborted: false,
            timeout_at: timeout.map(|timeout| now.after(timeout)),
            grace_until: None,
            time,
        });
        if let Some(timeout) = timeout {
            self.timers.set(DriverTimer::Timeout(key), now.after(timeout));
        }
        let running = self.running.get_or_insert_default();
        running.push(Tracked { key, signals, result: Some(started.result) });
    }

    /// What nodes are told, with a clock that knows when the attempt waits for it.
    fn scope_in(&self, time: &Arc<AttemptTime>) -> Arc<ExecutionScope> {
        let scope = &self.scope;
        Arc::new(ExecutionScope {
            execution_id: scope.execution_id,
            plan: scope.plan.clone(),
            started_at: scope.started_at,
            clock: Arc::new(AttemptClock(time.clone())),
            policy: scope.policy.clone(),
            secrets: scope.secrets.clone(),
        })
    }

    fn start_or_stand_in(&self, attempt: Attempt) -> Started {
        let stand_ins = self.shared.stand_ins.as_ref();
        let found =
            stand_ins.and_then(|all| all.stand_in(&attempt.plan, attempt.node, &attempt.context));
        match found {
            Some(stand_in) => stand_in_for(attempt, stand_in),
            None => self.shared.executor.start(attempt),
        }
    }

    pub(super) fn cancel_attempt(
        &mut self,
        instance: Instance,
        attempt: u32,
        reason: CancelReason,
    ) {
        let found = self
            .attempts
            .0
            .iter()
            .find(|(_, running)| running.instance == instance && running.attempt == attempt);
        if let Some((key, _)) = found {
            self.stop_attempt(key, reason);
        }
    }

    /// An attempt has taken as long as it may.
    pub(super) fn time_out(&mut self, key: usize) {
        let Some(running) = self.attempts.0.get_mut(key) else { return };
        running.timeout_at = None;
        // One that was told to stop for another reason is in its grace period.
        if running.cancel.is_none() {
            self.stop_attempt(key, CancelReason::AttemptTimeout);
        }
    }

    /// Tells an attempt to stop. One that never asked for its cancellation is stopped at once; the
    /// others have the grace period.
    pub(super) fn stop_attempt(&mut self, key: usize, reason: CancelReason) {
        let Some(running) = self.attempts.0.get_mut(key) else { return };
        let first = running.cancel.is_none();
        running.cancel = running.cancel.max(Some(reason));
        let listens = running.signals.cancel(reason);
        if !first {
            return;
        }
        let mut grace = self.shared.grace;
        if !listens {
            match &running.stop {
                Stop::Drop => return running.signals.abandon(),
                Stop::Abort(task) => {
                    task.abort();
                    running.aborted = true;
                    grace = grace.max(ABORT_TIME);
                }
                Stop::Wait(ticket) if ticket.take() => return running.signals.abandon(),
                Stop::Wait(_) => {}
            }
        }
        self.set_grace(key, grace);
    }

    fn set_grace(&mut self, key: usize, grace: Duration) {
        let until = self.now().after(grace);
        self.timers.set(DriverTimer::Grace(key), until);
        self.attempts.0[key].grace_until = Some(until);
    }

    /// The grace period is over: the attempt is stopped by force, or left behind.
    pub(super) fn give_up(&mut self, key: usize) {
        let Some(running) = self.attempts.0.get_mut(key) else { return };
        running.grace_until = None;
        if let Stop::Abort(task) = &running.stop
            && !running.aborted
        {
            task.abort();
            running.aborted = true;
            return self.set_grace(key, ABORT_TIME);
        }
        if !matches!(running.stop, Stop::Drop) {
            let node = self.machine.address(running.instance);
            tracing::warn!(%node, attempt = running.attempt, "attempt is unresponsive, left behind");
            self.instances.leave_behind(running.instance, self.shared.grace);
        }
        running.signals.abandon();
    }

    /// Takes an attempt that has ended out, and its timers with it.
    pub(super) fn take_attempt(&mut self, key: usize) -> Option<Running> {
        let running = self.attempts.0.try_remove(key)?;
        if let Some(at) = running.timeout_at {
            self.timers.remove(DriverTimer::Timeout(key), at);
        }
        if let Some(at) = running.grace_until {
            self.timers.remove(DriverTimer::Grace(key), at);
        }
        Some(running)
    }

    pub(super) fn attempt_ended(&mut self, ended: Ended) -> Result<(), DriveError> {
        self.spend();
        let Some(mut running) = self.take_attempt(ended.key) else { return Ok(()) };
        let Running { instance, attempt, started_at, cancel, .. } = running;
        self.silence(running.voice.take());
        let outcome = outcome(ended.result, cancel);
        let jitter = if matches!(outcome, Outcome::Succeeded { .. }) {
            0.0
        } else {
            self.shared.clock.jitter()
        };
        self.handle(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter })
    }
}

/// How an attempt ended that may have been told to stop.
///
/// Work that was done in spite of a cancel counts as done; after its time-out it does not.
fn outcome(result: Option<AttemptResult>, cancel: Option<CancelReason>) -> Outcome {
    let outcome = result.map(|result| result.outcome);
    match (outcome, cancel) {
        (Some(outcome @ Outcome::Panicked { .. }), _) | (Some(outcome), None) => outcome,
        (_, Some(CancelReason::AttemptTimeout)) => Outcome::TimedOut,
        (Some(outcome @ Outcome::Succeeded { .. }), Some(_)) => outcome,
        (_, _) => Outcome::Cancelled,
    }
}
