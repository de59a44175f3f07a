//! A schedule, as a version of a workflow has it.

use flowcore::{CronTrigger, DueTimes, Durability, Timestamp, TriggerKind};
use flowstore::Record;

use crate::triggers::{self, TriggerKey};

/// The kind of records in which the server keeps how far schedules are.
pub(super) const KIND: &str = "schedule";

/// The key with which the execution of a due time is started.
pub(super) fn start_key(key: &TriggerKey, due: Timestamp) -> String {
    format!("schedule/{}/{}/{due}", key.workflow, key.trigger)
}

/// A cron trigger of the current version of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) key: TriggerKey,
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
    triggers::of_workflow(record, &["cron"], |key, workflow, trigger| {
        let TriggerKind::Cron(cron) = &trigger.kind else { return None };
        let Some(due) = DueTimes::new(&cron.expression, cron.timezone.as_deref()) else {
            // It was checked when it was saved, perhaps by a version that knew other time zones.
            tracing::error!(trigger = key.subject(), "a schedule cannot be read");
            return None;
        };
        Some(Schedule {
            key,
            version: record.version,
            saved_at: record.at,
            is_enabled: trigger.enabled,
            cron: cron.clone(),
            due,
            is_durable: workflow.settings.durability != Some(Durability::None),
        })
    })
}
