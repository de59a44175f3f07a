//! An execution that is watched from its start: what came of it is told without reading it back.

use flowcore::{EventBody, ExecutionEvent, ExecutionResult, Object, SharedPlan};

use super::{ExecutionReport, Timeline};
use crate::store::{ExecutionRow, Progress};

/// What is known of an execution, as its events come.
#[derive(Debug)]
pub(crate) struct Watch {
    row: ExecutionRow,
    inputs: Object,
    timeline: Timeline,
    /// An event was missed: it was executed elsewhere meanwhile.
    has_gap: bool,
}

impl Watch {
    /// An execution that is about to be accepted.
    pub(crate) fn new(row: ExecutionRow, inputs: Object) -> Self {
        let timeline = Timeline::new(row.created_at).without_outputs();
        Self { row, inputs, timeline, has_gap: false }
    }

    /// Takes the next events, once they are safe.
    pub(crate) fn apply(&mut self, events: &[ExecutionEvent]) {
        for event in events {
            let EventBody::Fact(record) = &event.body else { continue };
            self.has_gap |= record.seq != self.row.last_seq + 1;
            self.row.last_seq = record.seq;
            self.timeline.apply(event, None);
        }
    }

    /// How it stands after the events that are handed on now.
    pub(crate) fn note(&mut self, progress: &Progress) {
        self.row.status = progress.status;
        self.row.started_at = progress.started_at;
        if progress.status.is_terminal() {
            self.row.ended_at = Some(progress.at);
            self.row.owner = None;
            self.row.error = progress.error.clone();
        }
    }

    /// What came of it; `None` when that is not known here, or it has not ended.
    pub(crate) fn report(
        self,
        result: ExecutionResult,
        plan: &SharedPlan,
    ) -> Option<ExecutionReport> {
        let Self { row, inputs, timeline, has_gap } = self;
        let is_known = !has_gap && row.status == result.status && row.status.is_terminal();
        let timeline = timeline.finish(plan);
        is_known.then_some(ExecutionReport { row, inputs, result, timeline, is_full: false })
    }
}
