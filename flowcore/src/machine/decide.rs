//! Deciding: from a fact to events and wishes.

use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, Recorded, Timer, Turn};
use super::apply::Impossible;
use super::fact::{Fact, Outcome};
use super::scopes::Scope;
use super::state::{Due, Ending, Machine};
use super::status::Status;
use crate::event::{AfterFailure, Event, FailureKind, Instance, Record, SkipReason, Wait};
use crate::node::{CancelReason, Effect, Execution, NodeError};
use crate::plan::PlanNode;
use crate::time::Timestamp;
use crate::workflow::OnError;

/// An attempt that came to its end.
pub(super) struct Ended {
    pub(super) instance: Instance,
    pub(super) attempt: u32,
    pub(super) started_at: Timestamp,
    pub(super) jitter: f64,
}

impl Machine {
    /// Decides what follows from a fact: events, each applied, and wishes.
    ///
    /// A fact that is no longer current (a late result, an old timer, a second cancel) is counted
    /// and ignored.
    ///
    /// # Errors
    /// [`Impossible`] is a bug in Flow; the machine is then useless.
    #[inline]
    pub fn handle(
        &mut self,
        now: Timestamp,
        fact: Fact,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        match fact {
            Fact::Start { inputs, kept } => {
                let kept = kept.filter(|kept| !kept.nodes().is_empty());
                self.emit(now, Event::WorkflowStarted { inputs, kept }, turn)?;
                self.set_deadline(turn);
            }
            Fact::PermitGranted => self.start_next(now, turn)?,
            Fact::RateLimited { instance, until, name } => {
                self.rate_limited(now, instance, until, name, turn)?;
            }
            Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter } => {
                if !self.is_current(instance, attempt) {
                    self.stale += 1;
                    return Ok(());
                }
                let ended = Ended { instance, attempt, started_at, jitter };
                self.attempt_ended(now, &ended, outcome, turn)?;
            }
            Fact::InstancesReleased => self.instances_released(),
            Fact::TimerFired(timer) => self.timer_fired(now, timer, turn)?,
            Fact::Pause { reason, by } => self.pause(now, reason, by, turn)?,
            Fact::Resume { by } => self.unpause(now, by, turn)?,
            Fact::HistoryGrew { bytes } => self.history_grew(now, bytes, turn)?,
            Fact::Recover { fence } => return self.recover(now, fence, turn),
            Fact::Cancel { by, .. } if self.only_unpauses() => self.unpause(now, by, turn)?,
            Fact::Cancel { reason, by } => {
                let event = Event::CancelRequested { instance: None, reason, by };
                if self.cancel(now, event, turn)? {
                    self.clear_deadline(turn);
                }
            }
            Fact::Signal { name, key, payload } => self.signal(now, name, key, payload, turn)?,
        }
        self.settle(now, turn)
    }

    /// Goes on after a fold: takes the decisions that were due when the last event was written,
    /// then emits every wish that is not answered yet.
    ///
    /// # Errors
    /// As [`Machine::handle`].
    pub fn resume(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Impossible> {
        self.begun.clear();
        if self.end.is_none() && self.seq > 0 {
            if self.root_scope().ending.is_some() {
                self.begin_cleanup_of_open(now, turn)?;
            }
            for scope in self.ending_scopes() {
                self.stop_waiting(now, scope, turn)?;
            }
            self.wake_the_waiting(now, turn)?;
            self.find_due();
        }
        self.settle(now, turn)?;
        turn.wishes.clear();
        self.outstanding(&mut turn.wishes);
        Ok(())
    }

    fn ending_scopes(&self) -> Vec<crate::event::ScopeId> {
        self.scopes.iter().filter(|scope| scope.ending.is_some()).map(|scope| scope.id).collect()
    }

    /// Everything may be due: what was noted is lost with a fold.
    pub(super) fn find_due(&mut self) {
        self.due.clear();
        for scope in self.scopes.iter() {
            let controls = scope.nodes().filter(|(_, node)| node.control.is_some());
            let controls = controls.map(|(node, _)| Due::Advance(scope.instance(node)));
            self.due.extend(controls);
            self.due.push_back(Due::Close(scope.id));
        }
    }

    /// Whether a node waits only for a permit. The driver has at most one request outstanding, and
    /// answers with [`Fact::PermitGranted`]; to an inline node it grants it at once.
    pub fn wants_permit(&self) -> bool {
        self.wants_permit_for().is_some()
    }

    /// The node that waits only for a permit.
    pub fn wants_permit_for(&self) -> Option<Instance> {
        self.next_to_start().filter(|instance| {
            self.checked == Some(*instance) && !self.plan_node(*instance).has_one_event()
        })
    }

    /// Whether an attempt that was wished for is still to start: it has not ended, and nothing told
    /// it to stop. Facts may come between a wish and its deed.
    pub fn is_due(&self, instance: Instance, attempt: u32) -> bool {
        self.is_current(instance, attempt) && self.cancel_reason(instance).is_none()
    }

    /// Inlined for the same reason as [`Machine::fold`].
    #[inline(always)]
    pub(super) fn emit(
        &mut self,
        now: Timestamp,
        event: Event,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let scope = event.instance().map(|instance| instance.scope);
        if turn.recording {
            self.emit_recorded(now, event, turn)?;
        } else {
            self.fold(self.seq + 1, now, event)?;
        }
        if let Some(scope) = scope
            && self.scopes.get(scope).is_done()
        {
            self.due.push_back(Due::Close(scope));
        }
        Ok(())
    }

    /// Apart, because an event that is kept has to be built.
    fn emit_recorded(
        &mut self,
        now: Timestamp,
        event: Event,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let record = Record { seq: self.seq + 1, at: now, event };
        let address = record.event.instance().and_then(|instance| self.inner_address(instance));
        turn.events.push(Recorded { record: record.clone(), address });
        self.apply(record)
    }

    /// Whether an attempt has started, as the events say, and not ended.
    pub fn is_under_way(&self, instance: Instance, attempt: u32) -> bool {
        self.find(instance).is_some_and(|state| {
            state.status == Status::Running && state.attempt == attempt && state.control.is_none()
        })
    }

    /// Whether an attempt is the one that the machine waits for.
    fn is_current(&self, instance: Instance, attempt: u32) -> bool {
        let Some(state) = self.find(instance).filter(|_| self.end.is_none()) else { return false };
        match state.status {
            Status::Running => state.attempt == attempt && state.control.is_none(),
            // What has one event was offered, and runs without another.
            Status::Ready if self.paused.is_none() => {
                let node = self.plan_node(instance);
                let was_offered = self.checked == Some(instance);
                node.has_one_event() && was_offered && state.attempt + 1 == attempt
            }
            Status::Pending
            | Status::Ready
            | Status::Backoff
            | Status::Waiting
            | Status::Succeeded
            | Status::Failed
            | Status::Skipped
            | Status::Cancelled => false,
        }
    }

    fn attempt_ended(
        &mut self,
        now: Timestamp,
        ended: &Ended,
        outcome: Outcome,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Ended { instance, attempt, started_at, .. } = *ended;
        // A node that lost a race may fail because it was told to stop: that is no failure.
        let has_lost = self.node(instance).cancel.is_some();
        match outcome {
            Outcome::Failed(_) | Outcome::TimedOut | Outcome::Panicked { .. } if has_lost => {
                self.attempt_cancelled(now, instance, turn)
            }
            Outcome::Succeeded { outputs, state_writes, cache } => {
                let undo = self.undo_input(instance, &outputs);
                // Nothing is decided by it, so it is made only for those who listen.
                let recording = turn.recording;
                let changes = recording.then(|| self.changes(instance, &outputs, &state_writes));
                let event = Event::NodeCompleted {
                    instance,
                    attempt,
                    outputs,
                    state_writes,
                    started_at,
                    cache,
                    kept: false,
                    changes: changes.flatten(),
                    undo,
                };
                self.emit(now, event, turn)
            }
            Outcome::Failed(error) => {
                self.attempt_failed(now, ended, FailureKind::Failed, error, turn)
            }
            Outcome::TimedOut => {
                let error = NodeError::new("node.timed_out", "the attempt took longer than it may");
                self.attempt_failed(now, ended, FailureKind::TimedOut, error, turn)
            }
            Outcome::Panicked { message } => {
                let error =
                    NodeError::new("node.panicked", format!("the node panicked: {message}"));
                self.attempt_failed(now, ended, FailureKind::Panicked, error, turn)
            }
            Outcome::Cancelled => self.attempt_cancelled(now, instance, turn),
        }
    }

    pub(super) fn attempt_cancelled(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let reason = self.cancel_reason(instance).unwrap_or(CancelReason::Requested);
        self.emit(now, Event::NodeCancelled { instance, reason }, turn)
    }

    /// Why a running node is to stop, if it is.
    pub(super) fn cancel_reason(&self, instance: Instance) -> Option<CancelReason> {
        let scope = self.scopes.get(instance.scope);
        let own = scope.node(instance.node).cancel;
        own.max(scope.ending.map(|ending| match ending {
            Ending::NewRound | Ending::Failed(_) | Ending::Outputs => CancelReason::SiblingFailed,
            Ending::Stopped => CancelReason::Stopped,
            Ending::Cancelled(reason) => reason,
        }))
    }

    pub(super) fn attempt_failed(
        &mut self,
        now: Timestamp,
        ended: &Ended,
        outcome: FailureKind,
        error: NodeError,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Ended { instance, attempt, started_at, .. } = *ended;
        let then = self.after_failure(now, ended, outcome, &error);
        let event = Event::NodeFailed { instance, attempt, outcome, error, then, started_at };
        self.emit(now, event, turn)?;
        match then {
            AfterFailure::Retry(at) => {
                let timer = Timer::Retry { instance, attempt };
                turn.wish(self.seq, Action::SetTimer { timer, at });
                Ok(())
            }
            AfterFailure::Stop | AfterFailure::NewRound => self.begin_ending(now, turn),
            AfterFailure::ErrorPort | AfterFailure::Continue | AfterFailure::Ending => Ok(()),
        }
    }

    fn after_failure(
        &self,
        now: Timestamp,
        ended: &Ended,
        outcome: FailureKind,
        error: &NodeError,
    ) -> AfterFailure {
        let node = self.plan_node(ended.instance);
        if self.cancel_reason(ended.instance).is_none()
            && let Some(at) = self.next_attempt(now, ended, outcome, error)
        {
            return AfterFailure::Retry(at);
        }
        let scope = self.scopes.get(ended.instance.scope);
        if scope.ending.is_some() {
            return AfterFailure::Ending;
        }
        if node.handles_error() {
            return AfterFailure::ErrorPort;
        }
        match node.on_error {
            OnError::ContinueOnError => AfterFailure::Continue,
            OnError::RetryWorkflow { max_attempts }
                if self.home(scope).round() < max_attempts && self.may_start_again(scope) =>
            {
                AfterFailure::NewRound
            }
            OnError::StopWorkflow | OnError::RetryWorkflow { .. } => AfterFailure::Stop,
        }
    }

    /// Whether the workflow of a scope may have a new round: not while it ends already.
    fn may_start_again(&self, scope: &Scope) -> bool {
        self.home(scope).ending.is_none()
    }

    /// When the next attempt starts, if there is one.
    fn next_attempt(
        &self,
        now: Timestamp,
        ended: &Ended,
        outcome: FailureKind,
        error: &NodeError,
    ) -> Option<Timestamp> {
        let node = self.plan_node(ended.instance);
        let policy = node.retry()?;
        let may_repeat = match outcome {
            FailureKind::Failed => error.is_retryable(),
            // What became of an attempt that was cut off is unknown.
            FailureKind::TimedOut => policy.retry_on_timeout && node.effect != Effect::Once,
            FailureKind::Panicked | FailureKind::Interrupted => false,
        };
        let state = self.node(ended.instance);
        // What the end of a process cut off does not count.
        let attempts = ended.attempt.saturating_sub(state.interruptions.into());
        if !may_repeat || attempts >= policy.max_attempts {
            return None;
        }
        let wait = policy.delay_after(attempts, ended.jitter);
        let at = now.after(wait.max(error.retry_after().unwrap_or_default()));
        let first = if state.attempt == 0 { ended.started_at } else { state.started_at };
        let latest = policy.max_elapsed_ms.map(|ms| first.after(Duration::from_millis(ms)));
        (latest.is_none_or(|latest| at < latest)).then_some(at)
    }

    fn timer_fired(
        &mut self,
        now: Timestamp,
        timer: Timer,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        match timer {
            Timer::Deadline => {
                let event = Event::CancelRequested {
                    instance: None,
                    reason: CancelReason::ExecutionTimeout,
                    by: None,
                };
                self.cancel(now, event, turn).map(drop)
            }
            Timer::Cleanup => self.cleanup_timed_out(now, turn),
            Timer::Limit { instance, attempt } => self.limit_reached(now, instance, attempt, turn),
            Timer::Wait { instance } => self.wait_ended(now, instance, turn),
            Timer::Retry { instance, attempt } => {
                let waits = self.find(instance).is_some_and(|state| {
                    state.status == Status::Backoff && state.attempt == attempt
                });
                if !waits || self.end.is_some() {
                    self.stale += 1;
                    return Ok(());
                }
                self.emit(now, Event::WaitEnded { instance }, turn)
            }
        }
    }

    /// The node at the head of the queue, if it may start now. Control nodes have no attempts that
    /// would count.
    #[inline]
    pub(super) fn next_to_start(&self) -> Option<Instance> {
        let is_held = self.paused.is_some() || self.called.is_some();
        if is_held || self.end.is_some() || !self.dead.is_empty() {
            return None;
        }
        let head = self.ready.front().copied();
        let has_room = self.running < self.plan.max_parallel_nodes;
        head.filter(|instance| has_room || self.plan_node(*instance).control().is_some())
    }

    /// Starts the node at the head of the queue, which a permit was granted for.
    fn start_next(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Impossible> {
        if !self.wants_permit() {
            self.stale += 1;
            return Ok(());
        }
        let Some(instance) = self.next_to_start() else { return Ok(()) };
        let attempt = self.node(instance).attempt + 1;
        self.emit(now, Event::NodeStarted { instance, attempt, opens: None }, turn)?;
        let after = self.flush_before(self.plan_node(instance));
        turn.wish(after, Action::Start { instance, attempt });
        Ok(())
    }

    /// The node at the head of the queue has to wait for its turn: the others go on without it.
    fn rate_limited(
        &mut self,
        now: Timestamp,
        instance: Instance,
        until: Timestamp,
        name: Arc<str>,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let is_next = self.next_to_start() == Some(instance) && self.checked == Some(instance);
        if !is_next || self.plan_node(instance).rate_limits().is_empty() {
            self.stale += 1;
            return Ok(());
        }
        let before = self.node(instance).attempt;
        let (attempt, wait) = (before + 1, Wait::RateLimit { name });
        self.emit(now, Event::NodeWaiting { instance, attempt, until: Some(until), wait }, turn)?;
        let timer = Timer::Retry { instance, attempt: before };
        turn.wish(self.seq, Action::SetTimer { timer, at: until });
        Ok(())
    }

    /// What must be durable before an attempt of this node starts.
    pub(super) fn flush_before(&self, node: &PlanNode) -> u64 {
        match node.effect {
            Effect::Pure | Effect::Read => 0,
            Effect::Idempotent if self.plan.is_async => 0,
            Effect::Idempotent | Effect::Once => self.seq,
        }
    }

    /// Takes every decision that is due, until only the outside can bring something new. While the
    /// execution is paused they stay due: all that starts or ends something is decided here.
    pub(super) fn settle(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Impossible> {
        if self.paused.is_some() {
            return Ok(());
        }
        loop {
            if self.end.is_some() || self.seq == 0 {
                return Ok(());
            }
            if self.nears_limit() {
                self.keep_within_events(now, turn)?;
            }
            if let Some(due) = self.due.pop_front() {
                match due {
                    Due::Close(scope) => self.close_if_done(now, scope, turn)?,
                    Due::Advance(instance) => self.advance(now, instance, turn)?,
                }
            } else if let Some(&instance) = self.dead.front() {
                let reason = SkipReason::Connections;
                self.emit(now, Event::NodeSkipped { instance, reason }, turn)?;
            } else if let Some(instance) = self.next_to_start() {
                if self.offer(now, instance, turn)? {
                    return Ok(());
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Looks at the node at the head of the queue. Gives whether it is now up to the outside; if
    /// not, there was an event.
    fn offer(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<bool, Impossible> {
        if self.checked != Some(instance) {
            if self.kept.is_some() && self.reuse_kept(now, instance, turn)? {
                return Ok(false);
            }
            match self.check_when(instance) {
                Ok(true) => {}
                Ok(false) => {
                    let reason = SkipReason::When;
                    self.emit(now, Event::NodeSkipped { instance, reason }, turn)?;
                    return Ok(false);
                }
                Err(error) => {
                    self.fail_before_start(now, instance, error, turn)?;
                    return Ok(false);
                }
            }
            self.cancel_losers(now, instance, turn)?;
            self.checked = Some(instance);
        }
        let plan_node = self.plan_node(instance);
        match plan_node.execution {
            Execution::Inline if plan_node.has_one_event() => {
                let attempt = self.node(instance).attempt + 1;
                // It leaves nothing behind, so nothing has to be durable before.
                turn.wish(0, Action::Start { instance, attempt });
                Ok(true)
            }
            Execution::Control => self.start_control(now, instance, turn).map(|()| false),
            Execution::Inline | Execution::Async | Execution::Task | Execution::Blocking => {
                Ok(true)
            }
        }
    }

    fn check_when(&self, instance: Instance) -> Result<bool, NodeError> {
        let Some(condition) = self.plan_node(instance).when() else { return Ok(true) };
        // A retried node was found to run; its `when` is not asked again.
        if self.node(instance).attempt > 0 {
            return Ok(true);
        }
        self.holds(condition, instance)
    }

    /// A node whose `when` failed: it failed with its first attempt.
    pub(super) fn fail_before_start(
        &mut self,
        now: Timestamp,
        instance: Instance,
        error: NodeError,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let ended = Ended { instance, attempt: 1, started_at: now, jitter: 0.0 };
        self.attempt_failed(now, &ended, FailureKind::Failed, error, turn)
    }
}
