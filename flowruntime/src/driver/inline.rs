//! Inline nodes: functions that the driver calls.

use std::sync::Arc;

use flowcore::machine::{Fact, Outcome};
use flowcore::{
    AttemptSignals, Execution, Instance, NodeContext, Object, SharedInstance, Timestamp,
};

use super::cached::{Cached, reused};
use super::{DriveError, Driver};
use crate::executor::{call, outcome, wrong_kind};

impl Driver {
    pub(super) fn is_inline(&self, instance: Instance) -> bool {
        self.machine.plan().graph().node(instance.node).execution() == Execution::Inline
    }

    /// Whether it was offered, and has no event before its end.
    pub(super) fn has_one_event(&self, instance: Instance) -> bool {
        self.machine.plan().graph().node(instance.node).has_one_event()
    }

    /// Runs an inline node and tells the machine. Gives when it ended.
    pub(super) fn run_inline(
        &mut self,
        instance: Instance,
        attempt: u32,
        started_at: Timestamp,
    ) -> Result<Timestamp, DriveError> {
        let context = self.context.take();
        let mut context = context.unwrap_or_else(|| NodeContext::reusable(self.scope.clone()));
        let prepared = self.machine.prepare_into(instance, started_at, context.prepared());
        let outcome = match prepared {
            Ok(()) => self.cached_or_called(instance, attempt, started_at, &mut context),
            Err(error) => Outcome::Failed(error),
        };
        context.clear();
        self.context = Some(context);
        let outcome = self.keepable(outcome);
        let is_success = matches!(outcome, Outcome::Succeeded { .. });
        let jitter = if is_success { 0.0 } else { self.shared.clock.jitter() };
        let now = self.now();
        self.handle_at(now, Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter })?;
        Ok(now)
    }

    fn cached_or_called(
        &mut self,
        instance: Instance,
        attempt: u32,
        now: Timestamp,
        context: &mut NodeContext,
    ) -> Outcome {
        match self.ask_cache(instance, context.prepared(), now) {
            Ok(Cached::Hit(outputs)) => reused(outputs),
            Ok(Cached::Miss(None)) => self.call_inline(instance, attempt, context),
            Ok(Cached::Miss(Some(key))) => {
                let mut outcome = self.call_inline(instance, attempt, context);
                self.keep(instance, key, &mut outcome);
                outcome
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    fn call_inline(
        &mut self,
        instance: Instance,
        attempt: u32,
        context: &mut NodeContext,
    ) -> Outcome {
        // As of the last event: asking again for each node would cost more than most of them.
        let voice = if self.turn.recording { self.voice(instance, attempt) } else { None };
        let signals = voice.as_ref().map(|voice| Arc::new(AttemptSignals::new(Some(voice.sink()))));
        context.turn_to(instance.node, attempt, signals);
        let node = self.machine.plan().graph().node(instance.node);
        let is_tainted = context.is_tainted();
        let stand_ins = self.shared.stand_ins.as_ref();
        let stand_in =
            stand_ins.and_then(|all| all.stand_in(self.machine.plan(), instance.node, context));
        let outcome = match (stand_in, node.shared_instance()) {
            (Some(stand_in), _) => {
                outcome(Ok(stand_in.result), Object::new, node.effect(), is_tainted)
            }
            (None, Some(SharedInstance::Inline(function))) => {
                call(&**function, context, node.effect(), is_tainted)
            }
            (None, Some(SharedInstance::Node(_)) | None) => wrong_kind("an inline node"),
        };
        if voice.is_some() {
            self.silence(voice);
        }
        outcome
    }
}
