//! From the turn of an execution to when its driver leaves it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use flowcore::machine::{Fact, FactSummary, Kept};
use flowcore::{CancelReason, ExecutionId, ExecutionTrace, Object, TraceId};
use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;

use super::broken::Bug;
use super::ledger::Ledger;
use super::{DriveError, Driver, DriverTimer, Woken};
use crate::control::Control;
use crate::durable::Durable;
use crate::handle::WaitError;
use crate::metrics::Doing;

/// How a driver begins.
pub(crate) enum Begin {
    /// The execution starts; a rerun with what is kept of the earlier one.
    Start(Object, Option<Box<Kept>>),
    /// The machine was folded from what is kept, by the owner that has this fence.
    Resume(u64),
}

/// How a driver leaves an execution.
pub(super) enum Left {
    /// It has ended.
    Ended,
    /// It is in the store, and goes on when something comes.
    LetGo,
}

/// What lines of the log about an execution name it by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) execution_id: ExecutionId,
    pub(super) trace_id: Option<TraceId>,
}

/// Notes that the driver has left, also when it is dropped or panics.
struct LeaveGuard {
    control: Arc<Control>,
    durable: Option<Arc<Durable>>,
    /// Whether what came of the execution is noted, or is still to come.
    is_settled: bool,
}

impl Drop for LeaveGuard {
    fn drop(&mut self) {
        if !self.is_settled {
            self.control.end(Err(WaitError::Lost));
        }
        if let Some(durable) = &self.durable {
            durable.left(&self.control);
        }
    }
}

impl Driver {
    /// Runs the execution to its end. The end is noted even if the future is never polled.
    ///
    /// The driver is boxed, because tokio moves a future several times before it runs.
    pub(crate) fn run(self: Box<Self>, begin: Begin) -> impl Future<Output = ()> + Send {
        let (control, durable) = (self.control.clone(), self.shared.durable.clone());
        let guard = LeaveGuard { control, durable, is_settled: false };
        self.run_guarded(begin, guard)
    }

    async fn run_guarded(mut self: Box<Self>, begin: Begin, mut guard: LeaveGuard) {
        let slot = self.take_turn().await;
        self.presence.set(Doing::Running);
        let id = self.control.execution_id;
        let Named { execution_id, trace_id } = self.named();
        let trace_id = trace_id.map(tracing::field::display);
        let driven = AssertUnwindSafe(self.drive(begin)).catch_unwind().await;
        let left = match driven {
            Ok(Ok(left)) => {
                if let Some(durable) = &guard.durable {
                    durable.forget_panics(id);
                }
                Ok(left)
            }
            Ok(Err(DriveError::Journal(error))) if error.is_fenced() => {
                tracing::info!(%execution_id, trace_id, "goes on elsewhere");
                self.wind_down().await;
                Ok(Left::LetGo)
            }
            Ok(Err(DriveError::Journal(error))) => {
                tracing::error!(%execution_id, trace_id, %error, "execution given up");
                self.wind_down().await;
                Err(WaitError::Journal(error))
            }
            Ok(Err(DriveError::Bug(bug))) => self.leave_after(*bug).await,
            Err(panic) => self.leave_after(Bug::panic(&*panic)).await,
        };
        // Whoever hears of the end finds the permits and the place free.
        self.spare_permits = None;
        drop(slot);
        drop(self.place.take());
        self.presence.leave();
        let hold = self.hold.take();
        let Self { machine, control, .. } = *self;
        match left {
            Ok(Left::LetGo) => control.let_go(),
            Ok(Left::Ended) => control.end(machine.into_result().ok_or(WaitError::Lost)),
            Err(error) => control.end(Err(error)),
        }
        guard.is_settled = true;
        drop(guard);
        drop(hold);
    }

    /// What lines of the log about it name it by.
    pub(super) fn named(&self) -> Named {
        let trace_id = self.scope.trace.as_ref().map(ExecutionTrace::trace_id);
        Named { execution_id: self.control.execution_id, trace_id }
    }

    async fn leave_after(&mut self, bug: Bug) -> Result<Left, WaitError> {
        let left = AssertUnwindSafe(self.leave_broken(bug)).catch_unwind().await;
        left.unwrap_or(Err(WaitError::Lost))
    }

    /// Waits for a turn among the executions: first of the workflow, then of the runtime, whose slot
    /// is for those that could run. One that is cancelled needs none: it starts nothing.
    async fn take_turn(&mut self) -> Option<OwnedSemaphorePermit> {
        if self.place.is_none() && self.shared.executions.is_none() {
            return None;
        }
        // Whoever has the turn may need time to move on.
        self.control.set_unheard(true);
        drop(self.hold.take());
        let (place, executions) = (&mut self.place, self.shared.executions.clone());
        let turn = async {
            if let Some(place) = place {
                place.turn().await;
            }
            executions?.acquire_owned().await.ok()
        };
        let turn = tokio::select! {
            biased;
            () = self.control.cancelled() => None,
            turn = turn => turn,
        };
        self.hold = self.shared.clock.hold();
        self.control.set_unheard(false);
        turn
    }

    pub(super) fn begin(&mut self, begin: Begin) -> Result<(), DriveError> {
        let now = self.now();
        let scope = Arc::get_mut(&mut self.scope).expect("no attempt has it yet");
        match begin {
            Begin::Start(inputs, kept) => {
                // Not when it was asked for: it may have waited for its turn.
                scope.started_at = now;
                self.be_observed();
                self.handle_at(now, Fact::Start { inputs, kept })
            }
            Begin::Resume(fence) if self.machine.has_attempts() => {
                scope.started_at = self.machine.started_at();
                self.be_observed();
                self.handle_at(now, Fact::Recover { fence })
            }
            Begin::Resume(_) => {
                scope.started_at = self.machine.started_at();
                self.be_observed();
                self.turn.recording = self.is_watched();
                self.told_at = now;
                if let Err(error) = self.machine.resume(now, &mut self.turn) {
                    let summary = FactSummary { kind: "Resume after a fold", instance: None };
                    return Err(self.broken(&error, summary));
                }
                self.post();
                Ok(())
            }
        }
    }

    fn be_observed(&mut self) {
        self.observer = self.shared.observer.as_ref().map(|observer| observer.begins(&self.scope));
    }

    /// Stops whatever runs, without the machine: what it would decide could not be kept.
    async fn wind_down(&mut self) {
        self.ledger = Ledger::Nowhere;
        self.stop_all().await;
    }

    /// Stops whatever runs, and waits for it; nobody is told.
    pub(super) async fn stop_all(&mut self) {
        self.gate.clear();
        self.permit_request = None;
        self.permit = None;
        let running: Vec<usize> = self.attempts.keys().collect();
        running.into_iter().for_each(|key| self.stop_attempt(key, CancelReason::Shutdown));
        while !self.attempts.is_empty() {
            match self.wait().await {
                Woken::Ended(ended) => drop(self.take_attempt(ended.key)),
                Woken::Timer => {
                    let now = self.now();
                    while let Some(timer) = self.timers.take_due(now) {
                        match timer {
                            DriverTimer::Machine(_) => {}
                            DriverTimer::Timeout(key) => self.time_out(key),
                            DriverTimer::Grace(key) => self.give_up(key),
                        }
                    }
                }
                Woken::Commanded => drop(self.control.take_commands()),
                Woken::Permit(_) | Woken::Message | Woken::Safer(_) => {}
            }
        }
        self.instances.release(self.shared.grace, self.named()).await;
    }
}
