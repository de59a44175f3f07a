//! How far a schedule is.

use std::collections::VecDeque;

use flowcore::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Schedule;

/// How many runs are kept. All of them are in one record, which is written for every due time.
pub(super) const MOST_RUNS: usize = 100;

/// How far a schedule is, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What it goes by; with another expression or time zone it counts anew.
    pub(super) expression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timezone: Option<String>,
    /// Whether it starts executions.
    pub(crate) is_enabled: bool,
    /// What an operator has said, whatever the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<bool>,
    /// Due times up to this one are done with, or claimed.
    pub(crate) after: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<Claim>,
    /// What became of the last due times, the newest first.
    #[serde(default)]
    pub(crate) runs: VecDeque<Run>,
}

/// Due times whose executions somebody is about to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// Since when.
    pub(super) at: Timestamp,
    /// Who: no two claims are equal, however alike what is claimed and when.
    pub(super) by: Uuid,
    pub(super) due: Vec<Timestamp>,
}

/// What became of a due time, or of several one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) due_at: Timestamp,
    /// The last one, when there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// How many; `None` when they are too many to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    pub(crate) outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) execution: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// There is an execution.
    Started,
    /// There is none, and none was to be.
    Skipped,
    /// There is none: it could not be started.
    Failed,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// Why a due time was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SkipReason {
    Missed,
    LaterOne,
    TooMany,
    Changed,
    Interrupted,
}

impl SkipReason {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Missed => "missed: nobody was there to start it in time",
            Self::LaterOne => "missed: a later one was due, too",
            Self::TooMany => "missed: more were than are made up for",
            Self::Changed => "the schedule was changed or disabled before it was started",
            Self::Interrupted => "a server ended while it started it, and may have done so",
        }
    }
}

impl Run {
    /// One due time that was left out.
    pub(super) fn skipped(due: Timestamp, reason: SkipReason) -> Self {
        Self::without_execution(due, Outcome::Skipped, reason.text().to_owned())
    }

    pub(super) fn without_execution(due: Timestamp, outcome: Outcome, reason: String) -> Self {
        Self {
            due_at: due,
            until: None,
            count: Some(1),
            outcome,
            reason: Some(reason),
            execution: None,
            version: None,
        }
    }
}

impl State {
    /// How far a schedule is that goes by this version of its workflow, when it was as far as `before`
    /// with an earlier one, or is new. It counts from when the version was saved if it is new, was
    /// edited, or was enabled by that version: due times before that are not made up for.
    pub(super) fn following(before: Option<&Self>, schedule: &Schedule) -> Self {
        let (expression, timezone) = (&schedule.cron.expression, &schedule.cron.timezone);
        let Some(before) = before else {
            return Self {
                expression: expression.clone(),
                timezone: timezone.clone(),
                is_enabled: schedule.is_enabled,
                asked: None,
                after: schedule.saved_at,
                claim: None,
                runs: VecDeque::new(),
            };
        };
        let mut next = before.clone();
        let is_other = before.expression != *expression || before.timezone != *timezone;
        let is_enabled = before.asked.unwrap_or(schedule.is_enabled);
        if is_other || (is_enabled && !before.is_enabled) {
            next.after = schedule.saved_at;
        }
        if is_other || !is_enabled {
            next.drop_claim(SkipReason::Changed);
        }
        (next.expression, next.timezone) = (expression.clone(), timezone.clone());
        next.is_enabled = is_enabled;
        next
    }

    /// An operator enables or disables it, whatever the file says. One that is enabled counts from
    /// now on.
    pub(super) fn ask(&mut self, is_enabled: bool, now: Timestamp) {
        self.asked = Some(is_enabled);
        if is_enabled && !self.is_enabled {
            self.after = now;
        }
        if !is_enabled {
            self.drop_claim(SkipReason::Changed);
        }
        self.is_enabled = is_enabled;
    }

    /// Nobody starts what was claimed.
    pub(super) fn drop_claim(&mut self, reason: SkipReason) {
        for due in self.claim.take().into_iter().flat_map(|claim| claim.due) {
            self.note(Run::skipped(due, reason));
        }
    }

    /// Keeps what became of a due time; what was said of it before gives way.
    pub(super) fn note(&mut self, run: Run) {
        self.runs.retain(|other| other.due_at != run.due_at || other.until.is_some());
        let place = self.runs.partition_point(|other| other.due_at > run.due_at);
        self.runs.insert(place, run);
        self.runs.truncate(MOST_RUNS);
    }
}
