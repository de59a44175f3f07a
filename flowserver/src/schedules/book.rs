//! The schedules of all projects, in memory, as they were noticed last.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::{ProjectId, Timestamp, WorkflowId};
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Change, Committed, Expect, Home, Record};
use tokio::sync::Notify;

use super::schedule::{KIND, of_workflow};
use super::{Schedule, State};
use crate::triggers::TriggerKey;
use crate::workflows::{self, unchanged};

/// The schedules of all projects.
pub(crate) struct Schedules {
    home: Arc<dyn Home>,
    known: Mutex<Known>,
    /// Rings when one has changed.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    entries: BTreeMap<TriggerKey, Entry>,
    /// The version of each workflow that was noticed last, deletions included.
    versions: HashMap<(ProjectId, WorkflowId), u64>,
}

/// What is known of a schedule.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// `None` when the workflow has no such trigger, or none any more.
    pub(super) schedule: Option<Arc<Schedule>>,
    /// How far it is; `None` when nothing is kept.
    pub(super) state: Option<Arc<State>>,
    /// The version of the record of that; 0 when there never was one.
    pub(super) version: u64,
    /// Whether there is such a record, readable or not.
    is_kept: bool,
    /// When something is to be done; `None` is now.
    look_at: Option<LookAt>,
    /// Counts what was noticed of it.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum LookAt {
    At(Timestamp),
    Never,
}

impl Entry {
    fn change(&mut self) {
        self.look_at = None;
        self.generation += 1;
    }
}

impl Schedules {
    pub(crate) fn new(home: Arc<dyn Home>) -> Self {
        Self { home, known: Mutex::default(), changed: Notify::new() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes notice of a record that has changed, here or elsewhere.
    pub(crate) fn notice(&self, record: &Record) {
        match &*record.key.kind {
            workflows::KIND => self.notice_workflow(record),
            KIND => self.notice_state(record),
            _ => {}
        }
    }

    fn notice_workflow(&self, record: &Record) {
        let Some(project) = &record.key.project else { return };
        let Ok(workflow) = WorkflowId::new(&record.key.id) else { return };
        let schedules = of_workflow(record);
        let mut known = self.known();
        let name = (project.clone(), workflow);
        let (project, workflow) = &name;
        let start = TriggerKey {
            project: project.clone(),
            workflow: workflow.clone(),
            trigger: String::new(),
        };
        let of_it = |key: &TriggerKey| key.project == *project && key.workflow == *workflow;
        let had_some = known.entries.range(&start..).next().is_some_and(|(key, _)| of_it(key));
        // Of a version without any, too: an older one that is noticed later brings none back.
        let last = known.versions.entry(name.clone()).or_default();
        if record.version <= *last {
            return;
        }
        *last = record.version;
        if schedules.is_empty() && !had_some {
            return;
        }
        for (_, entry) in known.entries.range_mut(&start..).take_while(|(key, _)| of_it(key)) {
            entry.schedule = None;
            entry.change();
        }
        for schedule in schedules {
            let entry = known.entries.entry(schedule.key.clone()).or_default();
            entry.schedule = Some(Arc::new(schedule));
            entry.change();
        }
        drop(known);
        self.changed.notify_one();
    }

    fn notice_state(&self, record: &Record) {
        let Some(key) = TriggerKey::of(&record.key) else { return };
        let state = record.body.as_deref().and_then(|body| match serde_json::from_slice(body) {
            Ok(state) => Some(state),
            Err(error) => {
                // It counts anew from when its workflow was saved; start keys find what was started.
                tracing::error!(schedule = key.subject(), %error, "a schedule cannot be read");
                None
            }
        });
        self.put(&key, state, record.version, record.body.is_some());
    }

    /// Remembers how far a schedule is, unless something newer is known.
    fn put(&self, key: &TriggerKey, state: Option<State>, version: u64, is_kept: bool) {
        let mut known = self.known();
        if !is_kept && !known.entries.contains_key(key) {
            return;
        }
        let entry = known.entries.entry(key.clone()).or_default();
        if version <= entry.version {
            return;
        }
        entry.state = state.map(Arc::new);
        (entry.version, entry.is_kept) = (version, is_kept);
        entry.change();
        if entry.schedule.is_none() && !is_kept {
            known.entries.remove(key);
        }
        drop(known);
        self.changed.notify_one();
    }

    pub(super) fn entry(&self, key: &TriggerKey) -> Entry {
        self.known().entries.get(key).cloned().unwrap_or_default()
    }

    /// Those for which something may have to be done now.
    pub(super) fn to_look_at(&self, now: Timestamp) -> Vec<TriggerKey> {
        let is_due = |entry: &Entry| match entry.look_at {
            None => true,
            Some(LookAt::At(moment)) => moment <= now,
            Some(LookAt::Never) => false,
        };
        let known = self.known();
        let due = known.entries.iter().filter(|(_, entry)| is_due(entry));
        due.map(|(key, _)| key.clone()).collect()
    }

    /// Says when something is to be done for a schedule, as far as this entry says.
    pub(super) fn look_at(&self, key: &TriggerKey, entry: &Entry, moment: Option<Timestamp>) {
        let mut known = self.known();
        let Some(now) = known.entries.get_mut(key) else { return };
        if now.generation == entry.generation {
            now.look_at = Some(moment.map_or(LookAt::Never, LookAt::At));
        }
    }

    /// When something is to be done next.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        let known = self.known();
        let moment = |entry: &Entry| match entry.look_at {
            None => Some(Timestamp::from_micros(0)),
            Some(LookAt::At(moment)) => Some(moment),
            Some(LookAt::Never) => None,
        };
        known.entries.values().filter_map(moment).min()
    }

    /// Returns once one has changed since this returned last. Cancel safe.
    pub(super) async fn changes(&self) {
        self.changed.notified().await;
    }

    /// The schedules of a project, by workflow and trigger.
    pub(crate) fn of(&self, project: &ProjectId) -> Vec<(Arc<Schedule>, Option<Arc<State>>)> {
        let known = self.known();
        let own = known.entries.iter().filter(|(key, _)| key.project == *project);
        own.filter_map(|(_, entry)| Some((entry.schedule.clone()?, entry.state.clone()))).collect()
    }

    /// A schedule, and how far it is.
    pub(crate) fn get(&self, key: &TriggerKey) -> Option<(Arc<Schedule>, Option<Arc<State>>)> {
        let entry = self.entry(key);
        Some((entry.schedule?, entry.state))
    }

    /// Changes how far a schedule is, if it is as far as `entry` says and its workflow is still in the
    /// version of the entry; gives false when something has changed.
    pub(super) async fn keep(
        &self,
        key: &TriggerKey,
        entry: &Entry,
        state: Option<&State>,
        now: Timestamp,
        audit: Vec<AuditEntry>,
    ) -> Result<bool, StoreError> {
        // The version that was decided by, not one that was noticed since.
        let version = match &entry.schedule {
            Some(schedule) => Some(schedule.version),
            None => {
                let name = (key.project.clone(), key.workflow.clone());
                let known = self.known();
                let is_same = |now: &Entry| now.generation == entry.generation;
                if !known.entries.get(key).is_some_and(is_same) {
                    return Ok(false);
                }
                known.versions.get(&name).copied()
            }
        };
        let mut changes = Vec::with_capacity(2);
        if let Some(version) = version {
            match unchanged(&*self.home, &key.project, &key.workflow, version).await? {
                Some(change) => changes.push(change),
                None => return Ok(false),
            }
        }
        let body = state.map(|state| serde_json::to_vec(state).expect("it has string keys only"));
        let expect = if entry.is_kept { Expect::Version(entry.version) } else { Expect::Absent };
        changes.push(Change { key: key.record(KIND), expect, body, keeps_earlier: false });
        match self.home.commit(now, changes, audit).await? {
            Committed::Done(versions) => {
                let version = versions.last().copied().unwrap_or_default();
                self.put(key, state.cloned(), version, state.is_some());
                Ok(true)
            }
            Committed::Conflict { .. } => Ok(false),
        }
    }
}
