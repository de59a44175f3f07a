//! Attempts that are under way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flowcore::machine::{Fact, Outcome};
use flowcore::{
    AttemptSignals, CancelReason, Digest, ExecutionScope, Instance, NodeContext, NodeError,
    Timestamp,
};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use slab::Slab;
use tokio::sync::OwnedSemaphorePermit;

use super::cached::{Cached, reused};
use super::life::Named;
use super::messages::Voice;
use super::{DriveError, Driver, DriverTimer};
use crate::crew::{AttemptKey, Crew, Ended};
use crate::executor::{Attempt, AttemptResult, Course, Started, Ticket, let_go, stand_in_for};
use crate::testing::{AttemptClock, AttemptTime};

/// The attempts that are under way.
#[derive(Default)]
pub(super) struct Attempts {
    running: Slab<Running>,
    /// How many have been started.
    number: u64,
    /// Those that the driver polls; made for the first one.
    polled: Option<FuturesUnordered<Tracked>>,
    /// Those that run elsewhere report here; made for the first attempt that is not inline.
    crew: Option<Crew>,
    /// What has ended and is not handled yet.
    ended: VecDeque<Ended>,
}

impl Attempts {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = usize> {
        self.running.iter().map(|(key, _)| key)
    }

    /// Waits for the end of one. Cancel safe.
    pub(super) async fn ended(&mut self) -> Ended {
        std::future::poll_fn(|cx| self.poll_ended(cx)).await
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if self.ended.is_empty()
            && let Some(crew) = &self.crew
        {
            let _ = crew.poll_ended(cx, &mut self.ended);
        }
        if let Some(ended) = self.ended.pop_front() {
            return Poll::Ready(ended);
        }
        if let Some(polled) = &mut self.polled
            && let Poll::Ready(Some(ended)) = polled.poll_next_unpin(cx)
        {
            return Poll::Ready(ended);
        }
        Poll::Pending
    }

    /// Whether the next one that has ended is one of those that were heard of together.
    pub(super) fn has_heard(&self) -> bool {
        !self.ended.is_empty()
    }

    /// One that has ended by now.
    pub(super) fn next_ended(&mut self) -> Option<Ended> {
        if self.ended.is_empty()
            && let Some(crew) = &self.crew
        {
            crew.take_ended(&mut self.ended);
        }
        let polled = &mut self.polled;
        self.ended.pop_front().or_else(|| polled.as_mut()?.next().now_or_never()?)
    }

    /// Calls those who are to run what was started.
    pub(super) fn call_crew(&self) {
        if let Some(crew) = &self.crew {
            crew.call();
        }
    }
}

/// A driver that is dropped before its end, by a panic or with its tokio runtime, leaves nothing
/// running that it can stop.
impl Drop for Attempts {
    fn drop(&mut self) {
        for (_, running) in &self.running {
            match &running.stop {
                Stop::Drop => {}
                Stop::Abandon => running.signals.abandon(),
                Stop::Wait(ticket) => drop(ticket.withdraw()),
            }
        }
        if let Some(crew) = &self.crew {
            crew.close();
        }
    }
}

/// How an attempt can be stopped from outside.
enum Stop {
    /// Dropping the future ends it.
    Drop,
    /// Once it is abandoned, it ends at its next await.
    Abandon,
    /// It cannot once it has begun.
    Wait(Ticket),
}

/// An attempt that is under way.
pub(super) struct Running {
    number: u64,
    instance: Instance,
    attempt: u32,
    started_at: Timestamp,
    /// Under which its result is kept, if it may be.
    cache_key: Option<Digest>,
    signals: Arc<AttemptSignals>,
    /// What it says, while somebody listens.
    voice: Option<Voice>,
    stop: Stop,
    /// Why it was told to stop.
    cancel: Option<CancelReason>,
    /// Whether it was abandoned and is still waited for.
    abandoned: bool,
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

/// How long an attempt may take to end that the crew was told to abandon.
///
/// It ends at its next await, so this is only about the scheduler's turn. One that does not is stuck
/// in a poll, and nothing reaches it.
const ABANDON_TIME: Duration = Duration::from_secs(1);

/// An attempt that the driver polls, with its key. Gives up when told so.
struct Tracked {
    key: AttemptKey,
    signals: Arc<AttemptSignals>,
    result: Option<BoxFuture<'static, AttemptResult>>,
}

impl Future for Tracked {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let ended = |key, result| Poll::Ready(Ended { key, result, permit: None });
        let key = self.key;
        if !self.signals.is_abandoned()
            && let Some(result) = &mut self.result
            && let Poll::Ready(result) = result.as_mut().poll(cx)
        {
            return ended(key, Some(result));
        }
        if self.signals.poll_abandoned(cx).is_pending() {
            return Poll::Pending;
        }
        let result = self.result.take();
        let_go(|| drop(result));
        ended(key, None)
    }
}

impl Driver {
    /// Starts an attempt; one whose inputs or config cannot be evaluated has failed already.
    pub(super) fn start(&mut self, instance: Instance, attempt: u32) -> Result<(), DriveError> {
        let prepared = self.prepare(instance);
        self.launch(instance, attempt, prepared)
    }

    /// What an attempt is given, as of now.
    pub(super) fn prepare(&self, instance: Instance) -> Result<NodeContext, NodeError> {
        let mut context = NodeContext::reusable(self.scope.clone());
        self.machine.prepare_into(instance, self.told_at, context.prepared())?;
        Ok(context)
    }

    /// Starts an attempt with what it is given.
    pub(super) fn launch(
        &mut self,
        instance: Instance,
        attempt: u32,
        prepared: Result<NodeContext, NodeError>,
    ) -> Result<(), DriveError> {
        self.spend();
        let now = self.told_at;
        let permit = self.permit.take();
        let asked = prepared.and_then(|mut context| {
            let cached = self.ask_cache(instance, context.prepared(), now)?;
            Ok((context, cached))
        });
        match asked {
            Ok((context, Cached::Miss(key))) => {
                self.start_prepared(instance, attempt, now, context, key, permit);
                Ok(())
            }
            Ok((_, Cached::Hit(outputs))) => {
                drop(permit);
                self.ended_at_once(instance, attempt, now, reused(outputs))
            }
            Err(error) => self.ended_at_once(instance, attempt, now, Outcome::Failed(error)),
        }
    }

    fn ended_at_once(
        &mut self,
        instance: Instance,
        attempt: u32,
        started_at: Timestamp,
        outcome: Outcome,
    ) -> Result<(), DriveError> {
        let outcome = self.keepable(outcome);
        let jitter = self.shared.clock.jitter();
        self.handle(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter })
    }

    /// An attempt that a cancel, or its own end, has overtaken does not start.
    pub(super) fn leave_out(&mut self, instance: Instance, attempt: u32) -> Result<(), DriveError> {
        if self.is_inline(instance) {
            if !self.machine.is_under_way(instance, attempt) {
                return Ok(());
            }
        } else {
            self.permit = None;
        }
        let (started_at, outcome) = (self.now(), Outcome::Cancelled);
        self.handle(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter: 0.0 })
    }

    fn start_prepared(
        &mut self,
        instance: Instance,
        attempt: u32,
        now: Timestamp,
        mut context: NodeContext,
        cache_key: Option<Digest>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let voice = self.voice(instance, attempt);
        let signals = Arc::new(AttemptSignals::new(voice.as_ref().map(Voice::sink)));
        let (timeout, is_tainted) = (context.prepared().timeout, context.is_tainted());
        let time = self.shared.clock.as_virtual().map(AttemptTime::new);
        if let Some(time) = &time {
            context.move_to(self.scope_in(time));
        }
        context.turn_to(instance.node, attempt, Some(signals.clone()));
        let plan = self.machine.plan().clone();
        let is_shared = plan.graph().node(instance.node).shared_instance().is_some();
        let slot = (!is_shared).then(|| self.instances.slot(instance));
        self.attempts.number += 1;
        let number = self.attempts.number;
        let key = AttemptKey { slot: self.attempts.running.vacant_key(), number };
        let crew = self.attempts.crew.get_or_insert_with(|| Crew::new(plan.clone())).clone();
        let Started(course) = self.start_or_stand_in(Attempt {
            plan,
            node: instance.node,
            context,
            is_tainted,
            slot,
            signals: signals.clone(),
            crew,
            key,
            permit,
        });
        let stop = match course {
            Course::Polled(result) => {
                let polled = self.attempts.polled.get_or_insert_default();
                polled.push(Tracked { key, signals: signals.clone(), result: Some(result) });
                Stop::Drop
            }
            Course::Crewed => Stop::Abandon,
            Course::Threaded(ticket) => Stop::Wait(ticket),
        };
        self.attempts.running.insert(Running {
            number,
            instance,
            attempt,
            started_at: now,
            cache_key,
            signals,
            voice,
            stop,
            cancel: None,
            abandoned: false,
            timeout_at: timeout.map(|timeout| now.after(timeout)),
            grace_until: None,
            time,
        });
        if let Some(timeout) = timeout {
            self.timers.set(DriverTimer::Timeout(key.slot), now.after(timeout));
        }
    }

    /// What nodes are told, with a clock that knows when the attempt waits for it.
    fn scope_in(&self, time: &Arc<AttemptTime>) -> Arc<ExecutionScope> {
        let scope = &self.scope;
        Arc::new(ExecutionScope {
            execution_id: scope.execution_id,
            origin: scope.origin.clone(),
            plan: scope.plan.clone(),
            version: scope.version,
            trace: scope.trace.clone(),
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
            .running
            .iter()
            .find(|(_, running)| running.instance == instance && running.attempt == attempt);
        if let Some((key, _)) = found {
            self.stop_attempt(key, reason);
        }
    }

    /// An attempt has taken as long as it may.
    pub(super) fn time_out(&mut self, key: usize) {
        let Some(running) = self.attempts.running.get_mut(key) else { return };
        running.timeout_at = None;
        // One that was told to stop for another reason is in its grace period.
        if running.cancel.is_none() {
            self.stop_attempt(key, CancelReason::AttemptTimeout);
        }
    }

    /// Tells an attempt to stop. One that never asked for its cancellation is stopped at once; the
    /// others have the grace period.
    pub(super) fn stop_attempt(&mut self, key: usize, reason: CancelReason) {
        let Some(running) = self.attempts.running.get_mut(key) else { return };
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
                Stop::Abandon => {
                    running.signals.abandon();
                    running.abandoned = true;
                    grace = grace.max(ABANDON_TIME);
                }
                Stop::Wait(ticket) if ticket.withdraw() => return self.leave(key),
                Stop::Wait(_) => {}
            }
        }
        self.set_grace(key, grace);
    }

    fn set_grace(&mut self, key: usize, grace: Duration) {
        let until = self.now().after(grace);
        self.timers.set(DriverTimer::Grace(key), until);
        self.attempts.running[key].grace_until = Some(until);
    }

    /// The grace period is over: the attempt is stopped by force, or left behind.
    pub(super) fn give_up(&mut self, key: usize) {
        let Some(running) = self.attempts.running.get_mut(key) else { return };
        running.grace_until = None;
        match running.stop {
            Stop::Drop => return running.signals.abandon(),
            Stop::Abandon if !running.abandoned => {
                running.signals.abandon();
                running.abandoned = true;
                return self.set_grace(key, ABANDON_TIME);
            }
            Stop::Abandon | Stop::Wait(_) => {}
        }
        let (instance, attempt) = (running.instance, running.attempt);
        let node = self.machine.address(instance);
        let named @ Named { execution_id, trace_id } = self.named();
        let trace_id = trace_id.map(tracing::field::display);
        tracing::warn!(
            %execution_id,
            trace_id,
            %node,
            attempt,
            "attempt is unresponsive, left behind"
        );
        self.instances.leave_behind(instance, self.shared.grace, named);
        self.leave(key);
    }

    /// Whoever has an attempt will not report, or too late: for the driver it has ended.
    fn leave(&mut self, slot: usize) {
        let number = self.attempts.running[slot].number;
        let key = AttemptKey { slot, number };
        self.heard_at = self.now();
        self.attempts.ended.push_back(Ended { key, result: None, permit: None });
    }

    /// Takes an attempt that has ended out, and its timers with it; `None` if it was left behind.
    pub(super) fn take_attempt(&mut self, key: AttemptKey) -> Option<Running> {
        let AttemptKey { slot, number } = key;
        let is_current = |running: &Running| running.number == number;
        self.attempts.running.get(slot).filter(|running| is_current(running))?;
        let running = self.attempts.running.remove(slot);
        if let Some(at) = running.timeout_at {
            self.timers.remove(DriverTimer::Timeout(slot), at);
        }
        if let Some(at) = running.grace_until {
            self.timers.remove(DriverTimer::Grace(slot), at);
        }
        Some(running)
    }

    pub(super) fn attempt_ended(&mut self, ended: Ended) -> Result<(), DriveError> {
        self.spend();
        let Some(mut running) = self.take_attempt(ended.key) else { return Ok(()) };
        let Running { instance, attempt, started_at, cache_key, cancel, .. } = running;
        self.silence(running.voice.take());
        match (&mut self.spare_permits, ended.permit) {
            (Some(spare), Some(permit)) => spare.merge(permit),
            (spare @ None, permit) => *spare = permit,
            (Some(_), None) => {}
        }
        let mut outcome = self.keepable(outcome(ended.result, cancel));
        if let Some(key) = cache_key {
            self.keep(instance, key, &mut outcome);
        }
        let jitter = match outcome {
            Outcome::Succeeded { .. } => 0.0,
            _ => self.shared.clock.jitter(),
        };
        // Asking the clock for each of them would cost a tenth of all that they cost.
        let now = self.heard_at.max(self.told_at);
        self.handle_at(now, Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter })
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
