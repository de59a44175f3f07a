//! Going through what is kept of an execution, event by event.

use std::collections::VecDeque;

use flowcore::machine::{HistoryLimits, Machine, MachineOptions};
use flowcore::{
    ExecutionEvent, ExecutionId, ExecutionResult, Object, Record, Secrets, SharedPlan, Timestamp,
};

use super::{LoadError, StoredStart};

/// An execution that is folded event by event. Nothing is run.
pub struct Replay {
    id: ExecutionId,
    inputs: Object,
    machine: Machine,
    records: VecDeque<Record>,
}

impl Replay {
    pub(crate) fn new(
        id: ExecutionId,
        plan: SharedPlan,
        start: StoredStart,
        records: Vec<Record>,
        secrets: Secrets,
        keep_outputs: bool,
    ) -> Self {
        // Nothing is decided.
        let history = HistoryLimits::default();
        let options = MachineOptions { execution_id: id, secrets, keep_outputs, history };
        let machine = Machine::new(plan, options);
        Self { id, inputs: start.inputs, machine, records: records.into() }
    }

    /// The execution.
    pub fn id(&self) -> ExecutionId {
        self.id
    }

    /// What it was given.
    pub fn inputs(&self) -> &Object {
        &self.inputs
    }

    /// The execution as it stood after the last step.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// More that is kept, to be applied after the rest: the events that follow, in order.
    pub fn extend(&mut self, records: impl IntoIterator<Item = Record>) {
        self.records.extend(records);
    }

    /// The event that the next step applies; `None` after the last one.
    pub fn next_record(&self) -> Option<&Record> {
        self.records.front()
    }

    /// Applies the next event; gives it, and `None` after the last one.
    ///
    /// # Errors
    /// [`LoadError::Events`] when it cannot follow.
    pub fn step(&mut self) -> Result<Option<ExecutionEvent>, LoadError> {
        let Some(record) = self.records.pop_front() else { return Ok(None) };
        let instance = record.event.instance();
        let address = instance.and_then(|instance| self.machine.inner_address(instance));
        self.machine.apply(record.clone())?;
        let event = ExecutionEvent::fact(self.id, self.machine.plan().clone(), record);
        Ok(Some(event.at_address(address)))
    }

    /// What came of the execution up to here; `at` stands for its end when it has none.
    pub fn into_result(self, at: Timestamp) -> ExecutionResult {
        self.machine.into_snapshot(at)
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Replay").field(&self.id).finish()
    }
}
