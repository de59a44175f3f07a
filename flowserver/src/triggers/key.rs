//! What names a trigger, and how the triggers of a workflow are found in its record.

use flowcore::{ProjectId, Source, Workflow, WorkflowId, read_workflow};
use flowstore::{Record, RecordKey};
use serde::{Deserialize, Serialize};

/// What names a trigger, of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct TriggerKey {
    pub(crate) project: ProjectId,
    pub(crate) workflow: WorkflowId,
    /// The trigger, as [`flowcore::Workflow::trigger_name`] calls it.
    pub(crate) trigger: String,
}

impl TriggerKey {
    /// The trigger at this place of a workflow, which is saved under this id.
    pub(crate) fn at(
        project: &ProjectId,
        id: &WorkflowId,
        workflow: &Workflow,
        place: usize,
    ) -> Self {
        let trigger = workflow.trigger_name(place).into_owned();
        Self { project: project.clone(), workflow: id.clone(), trigger }
    }

    /// What names the record of this kind that is kept of it. No id has a `.` in it.
    pub(crate) fn record(&self, kind: &str) -> RecordKey {
        RecordKey { project: Some(self.project.clone()), kind: kind.to_owned(), id: self.subject() }
    }

    /// The trigger that such a record is of.
    pub(crate) fn of(record: &RecordKey) -> Option<Self> {
        let (workflow, trigger) = record.id.split_once('.')?;
        Some(Self {
            project: record.project.clone()?,
            workflow: WorkflowId::new(workflow).ok()?,
            trigger: trigger.to_owned(),
        })
    }

    /// What the audit log calls it.
    pub(crate) fn subject(&self) -> String {
        format!("{}.{}", self.workflow, self.trigger)
    }
}

/// What `one` makes of the triggers of a version of a workflow, in the order of the file. It is not
/// asked about workflows that have none of these types.
pub(crate) fn of_workflow<T>(
    record: &Record,
    types: &[&str],
    one: impl Fn(TriggerKey, &Workflow, &flowcore::Trigger) -> Option<T>,
) -> Vec<T> {
    let (Some(project), Some(body)) = (&record.key.project, &record.body) else {
        return Vec::new();
    };
    // Most workflows have none and need not be read: no other spelling of a type is shorter than the
    // word, but for escapes.
    let has = |word: &str| body.windows(word.len()).any(|window| window == word.as_bytes());
    if !types.iter().any(|word| has(word)) && !has("\\u") {
        return Vec::new();
    }
    let Ok(id) = WorkflowId::new(&record.key.id) else { return Vec::new() };
    let source = Source::json(record.key.id.as_str(), String::from_utf8_lossy(body));
    let (Some(workflow), _) = read_workflow(&source) else { return Vec::new() };
    let all = workflow.triggers.iter().enumerate();
    let made = all.filter_map(|(place, trigger)| {
        one(TriggerKey::at(project, &id, &workflow, place), &workflow, trigger)
    });
    made.collect()
}
