//! Inline nodes: functions that the driver calls.

use flowcore::machine::Fact;
use flowcore::{AttemptSignals, Execution, Instance, NodeContext, SharedInstance};
use std::sync::Arc;

use super::{DriveError, Driver};
use crate::executor::{call, wrong_kind};

impl Driver {
    pub(super) fn is_inline(&self, instance: Instance) -> bool {
        self.machine.plan().graph().node(instance.node).execution() == Execution::Inline
    }

    /// Runs an inline node and tells the machine.
    pub(super) fn run_inline(
        &mut self,
        instance: Instance,
        attempt: u32,
    ) -> Result<(), DriveError> {
        let started_at = self.now();
        let prepared = match self.machine.prepare(instance, started_at) {
            Ok(prepared) => prepared,
            Err(error) => return self.failed_at_once(instance, attempt, started_at, error),
        };
        let voice = self.voice(instance, attempt);
        let signals = voice.as_ref().map(|voice| Arc::new(AttemptSignals::new(Some(voice.sink()))));
        let node = self.machine.plan().graph().node(instance.node);
        let is_tainted = prepared.is_tainted;
        let context = NodeContext::new(self.scope.clone(), node, prepared, attempt, signals);
        let outcome = match node.shared_instance() {
            Some(SharedInstance::Inline(function)) => {
                call(&**function, &context, node.effect(), is_tainted)
            }
            Some(SharedInstance::Node(_)) | None => wrong_kind("an inline node"),
        };
        drop(context);
        self.silence(voice);
        let is_success = matches!(outcome, flowcore::machine::Outcome::Succeeded { .. });
        let jitter = if is_success { 0.0 } else { fastrand::f64() };
        self.handle(Fact::AttemptEnded { instance, attempt, started_at, outcome, jitter })
    }
}
