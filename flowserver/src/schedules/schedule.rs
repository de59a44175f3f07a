//! A schedule, as a version of a workflow has it.

use flowcore::{
    CronTrigger, DueTimes, Durability, ProjectId, Source, Timestamp, TriggerKind, WorkflowId,
    read_workflow,
};
use flowstore::{Record, RecordKey};

/// The kind of records in which the server keeps how far schedules are.
pub(super) const KIND: &str = "schedule";

/// What names a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ScheduleKey {
    pub(crate) project: ProjectId,
    pub(crate) workflow: WorkflowId,
    /// The trigger, as [`flowcore::Workflow::trigger_name`] calls it.
    pub(crate) trigger: String,
}

impl ScheduleKey {
    /// What names its record. No id has a `.` in it.
    pub(super) fn record(&self) -> RecordKey {
        let id = format!("{}.{}", self.workflow, self.trigger);
        RecordKey { project: Some(self.project.clone()), kind: KIND.to_owned(), id }
    }

    /// The schedule that such a record is of.
    pub(super) fn of(record: &RecordKey) -> Option<Self> {
        let (workflow, trigger) = record.id.split_once('.')?;
        Some(Self {
            project: record.project.clone()?,
            workflow: WorkflowId::new(workflow).ok()?,
            trigger: trigger.to_owned(),
        })
    }

    /// The key with which the execution of a due time is started.
    pub(super) fn start_key(&self, due: Timestamp) -> String {
        format!("schedule/{}/{}/{due}", self.workflow, self.trigger)
    }

    /// What the audit log calls it.
    pub(crate) fn subject(&self) -> String {
        self.record().id
    }
}

/// A cron trigger of the current version of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) key: ScheduleKey,
    pub(crate) version: u64,
    /// When that version was saved.
    pub(crate) saved_at: Timestamp,
    /// Whether the file says that it starts executions.
    pub(crate) is_enabled: bool,
    pub(crate) cron: CronTrigger,
    pub(crate) due: DueTimes,
    /// Whether executions are kept, and with them the keys that they were started with.
    pub(crate) is_durable: bool,
}

/// The schedules of a version of a workflow.
pub(super) fn of_workflow(record: &Record) -> Vec<Schedule> {
    let (Some(project), Some(body)) = (&record.key.project, &record.body) else {
        return Vec::new();
    };
    // Most workflows have none and need not be read: no other spelling of the type is shorter than
    // the word, but for escapes.
    let has = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    if !has(b"cron") && !has(b"\\u") {
        return Vec::new();
    }
    let Ok(id) = WorkflowId::new(&record.key.id) else { return Vec::new() };
    let source = Source::json(record.key.id.as_str(), String::from_utf8_lossy(body));
    let (Some(workflow), _) = read_workflow(&source) else { return Vec::new() };
    let one = |(index, trigger): (usize, &flowcore::Trigger)| {
        let TriggerKind::Cron(cron) = &trigger.kind else { return None };
        let trigger_name = workflow.trigger_name(index).into_owned();
        let Some(due) = DueTimes::new(&cron.expression, cron.timezone.as_deref()) else {
            // It was checked when it was saved, perhaps by a version that knew other time zones.
            tracing::error!(%id, trigger = trigger_name, "a schedule cannot be read");
            return None;
        };
        Some(Schedule {
            key: ScheduleKey {
                project: project.clone(),
                workflow: id.clone(),
                trigger: trigger_name,
            },
            version: record.version,
            saved_at: record.at,
            is_enabled: trigger.enabled,
            cron: cron.clone(),
            due,
            is_durable: workflow.settings.durability != Some(Durability::None),
        })
    };
    workflow.triggers.iter().enumerate().filter_map(one).collect()
}
