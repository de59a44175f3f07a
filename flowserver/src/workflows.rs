//! The workflows that are saved, each with its versions.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use flowcore::{
    CalledWorkflow, NoWorkflow, ProjectId, Source, Timestamp, Workflow, WorkflowId, WorkflowSource,
    read_workflow,
};
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Change, Committed, Expect, Home, Record, RecordKey};

use crate::app::now;

/// The kind of records that workflows are.
pub(crate) const KIND: &str = "workflow";

/// How many versions are kept in memory; when there are more, they are read again.
const MOST_KNOWN: usize = 10_000;

/// A version of a workflow.
pub(crate) struct Saved {
    pub(crate) id: WorkflowId,
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    /// As it was sent.
    pub(crate) text: Arc<[u8]>,
    pub(crate) workflow: Workflow,
}

impl Saved {
    /// Reads a record; `None` when it cannot be read, which the log says.
    fn read(record: &Record) -> Option<Self> {
        let text = record.body.clone()?;
        let id = WorkflowId::new(&record.key.id).ok()?;
        let source = Source::json(record.key.id.as_str(), String::from_utf8_lossy(&text));
        let (workflow, _) = read_workflow(&source);
        let Some(mut workflow) = workflow else {
            let RecordKey { id, .. } = &record.key;
            tracing::error!(id, version = record.version, "a saved workflow cannot be read");
            return None;
        };
        workflow.id = Some(id.clone());
        Some(Self { id, version: record.version, at: record.at, text, workflow })
    }
}

/// A version, or the one that is current.
type Name = (ProjectId, String, Option<u64>);

/// The workflows of all projects. What was asked for once is in memory until it changes.
pub(crate) struct Workflows {
    home: Arc<dyn Home>,
    known: RwLock<Known>,
}

/// What is in memory.
#[derive(Default)]
struct Known {
    saved: HashMap<Name, Arc<Saved>>,
    /// Counts the changes that were taken notice of: what was read before one may be of yesterday.
    changes: u64,
}

pub(crate) fn key(project: &ProjectId, id: &str) -> RecordKey {
    RecordKey { project: Some(project.clone()), kind: KIND.to_owned(), id: id.to_owned() }
}

/// A change that changes nothing, and is in the way of those made with it when the workflow is no
/// longer in this version. `None` when there is no such version.
pub(crate) async fn unchanged(
    home: &dyn Home,
    project: &ProjectId,
    id: &WorkflowId,
    version: u64,
) -> Result<Option<Change>, StoreError> {
    let key = key(project, id.as_str());
    let Some(record) = home.record_version(&key, version).await? else { return Ok(None) };
    // It counts as made already as long as the record is in the version after the expected one and
    // says the same; nothing else could be expected of a record with a later version.
    Ok(Some(Change {
        key,
        expect: Expect::Version(version.saturating_sub(1)),
        body: record.body.map(|body| body.to_vec()),
        keeps_earlier: true,
    }))
}

impl Workflows {
    pub(crate) fn new(home: Arc<dyn Home>) -> Self {
        Self { home, known: RwLock::default() }
    }

    fn known(&self, name: &Name) -> Option<Arc<Saved>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).saved.get(name).cloned()
    }

    fn changes(&self) -> u64 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// Keeps what was read when there had been so many changes.
    fn keep(&self, name: Name, saved: Arc<Saved>, changes: u64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_current = name.2.is_none();
        if is_current && known.changes != changes {
            return;
        }
        if known.saved.len() >= MOST_KNOWN {
            known.saved.clear();
        }
        known.saved.insert(name, saved);
    }

    /// A version of a workflow, or the one that is current.
    pub(crate) async fn get(
        &self,
        project: &ProjectId,
        id: &str,
        version: Option<u64>,
    ) -> Result<Option<Arc<Saved>>, StoreError> {
        let name = (project.clone(), id.to_owned(), version);
        if let Some(saved) = self.known(&name) {
            return Ok(Some(saved));
        }
        let (key, changes) = (key(project, id), self.changes());
        let record = match version {
            Some(version) => self.home.record_version(&key, version).await?,
            None => self.home.record(&key).await?,
        };
        let Some(saved) = record.as_ref().and_then(Saved::read).map(Arc::new) else {
            return Ok(None);
        };
        self.keep(name, saved.clone(), changes);
        Ok(Some(saved))
    }

    /// The current versions of a project, by id.
    pub(crate) async fn list(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.home.records(Some(project), KIND, after, limit).await
    }

    /// The versions of a workflow, the newest first; those in which it was deleted have no text.
    pub(crate) async fn versions(
        &self,
        project: &ProjectId,
        id: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.home.record_versions(&key(project, id), before, limit).await
    }

    /// The record of a workflow as it is now.
    pub(crate) async fn record(
        &self,
        project: &ProjectId,
        id: &WorkflowId,
    ) -> Result<Option<Record>, StoreError> {
        self.home.record(&key(project, id.as_str())).await
    }

    /// Changes a workflow, and what goes with it, in one transaction.
    pub(crate) async fn commit(
        &self,
        project: &ProjectId,
        id: &WorkflowId,
        changes: Vec<Change>,
        audit: AuditEntry,
    ) -> Result<Committed, StoreError> {
        let committed = self.home.commit(now(), changes, vec![audit]).await?;
        self.forget(project, id.as_str());
        Ok(committed)
    }

    /// Takes notice of a record that has changed; gives whether it is a workflow.
    pub(crate) fn notice(&self, record: &Record) -> bool {
        match &record.key.project {
            Some(project) if record.key.kind == KIND => {
                self.forget(project, &record.key.id);
                true
            }
            _ => false,
        }
    }

    /// What is current has changed; versions stay what they are.
    fn forget(&self, project: &ProjectId, id: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.saved.remove(&(project.clone(), id.to_owned(), None));
        known.changes += 1;
    }

    /// Does something that looks up workflows which others call, again until all of them are in
    /// memory.
    pub(crate) async fn with_calls<T>(
        &self,
        project: &ProjectId,
        work: impl Fn(&dyn WorkflowSource) -> T,
    ) -> Result<T, StoreError> {
        let mut absent = HashSet::new();
        loop {
            let calls = Calls { workflows: self, project, missing: Mutex::default() };
            let done = work(&calls);
            let missing = calls.missing.into_inner().unwrap_or_else(PoisonError::into_inner);
            let missing: Vec<_> =
                missing.into_iter().filter(|name| !absent.contains(name)).collect();
            if missing.is_empty() {
                return Ok(done);
            }
            for (id, version) in missing {
                if self.get(project, &id, version).await?.is_none() {
                    absent.insert((id, version));
                }
            }
        }
    }
}

/// Looks up the workflows of a project, as far as they are in memory.
struct Calls<'a> {
    workflows: &'a Workflows,
    project: &'a ProjectId,
    /// Those that were not.
    missing: Mutex<HashSet<(String, Option<u64>)>>,
}

impl WorkflowSource for Calls<'_> {
    fn find(&self, name: &str, _: Option<&str>) -> Result<CalledWorkflow, NoWorkflow> {
        let (id, version) = match name.split_once('@') {
            None => (name, None),
            Some((id, version)) => {
                let version = version.parse::<u64>();
                let bad =
                    || NoWorkflow::NotFound("a version is a number, as in `name@3`".to_owned());
                (id, Some(version.map_err(|_| bad())?))
            }
        };
        let found = self.workflows.known(&(self.project.clone(), id.to_owned(), version));
        match found {
            Some(saved) => {
                let key = format!("{}@{}", saved.id, saved.version);
                Ok(CalledWorkflow { key, workflow: saved.workflow.clone() })
            }
            None => {
                let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
                missing.insert((id.to_owned(), version));
                Err(NoWorkflow::NotFound(format!("no workflow `{name}` is saved")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flowstore::{Access, StoreUrl};

    use super::*;

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_what_is_current() {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("flow.db"));
        let home = flowstore::open_home(&url, Access::Execute).await.unwrap();
        let workflows = Workflows::new(home);
        let (project, id) = (ProjectId::default(), WorkflowId::new("w").unwrap());
        let text = r#"{"nodes": [{"id": "a", "node_type": "debug.log"}]}"#;
        let entry = AuditEntry { at: now(), project: None, body: "{}".to_owned() };
        let change = Change {
            key: key(&project, "w"),
            expect: Expect::Absent,
            body: Some(text.as_bytes().to_vec()),
            keeps_earlier: true,
        };
        let saved = workflows.commit(&project, &id, vec![change], entry);
        assert_eq!(saved.await.unwrap(), Committed::Done(vec![1]));
        let name = (project.clone(), "w".to_owned(), None);
        let before = workflows.changes();
        let read = workflows.get(&project, "w", None).await.unwrap().unwrap();
        assert!(workflows.known(&name).is_some());
        // Another version comes while somebody still reads this one.
        workflows.forget(&project, "w");
        workflows.keep(name.clone(), read.clone(), before);
        assert!(workflows.known(&name).is_none());
        workflows.keep(name.clone(), read, workflows.changes());
        assert!(workflows.known(&name).is_some());
    }
}
