//! Projects: what belongs to one is not seen by another.
//!
//! A request is in the project of its token, and names no other. None is ever deleted: executions,
//! versions and the audit log stay, and a project whose tokens are taken back is closed.

use flowcore::{ProjectId, Timestamp};
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Change, Committed, Expect, Home, RecordKey};

use crate::app::now;
use crate::audit;

/// The kind of records that projects are.
const KIND: &str = "project";

/// A project.
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) created_at: Timestamp,
}

fn key(id: &str) -> RecordKey {
    RecordKey { project: None, kind: KIND.to_owned(), id: id.to_owned() }
}

/// Makes the project of those who name none, if it is not there yet.
pub(crate) async fn ensure_default(home: &dyn Home) -> Result<(), StoreError> {
    let id = ProjectId::default();
    if !exists(home, &id).await? {
        create(home, &id, audit::own_entry("project.create", id.as_str())).await?;
    }
    Ok(())
}

pub(crate) async fn exists(home: &dyn Home, id: &ProjectId) -> Result<bool, StoreError> {
    Ok(home.record(&key(id.as_str())).await?.is_some())
}

/// Makes a project; `None` when there is one already.
pub(crate) async fn create(
    home: &dyn Home,
    id: &ProjectId,
    audit: AuditEntry,
) -> Result<Option<Project>, StoreError> {
    let (key, at) = (key(id.as_str()), now());
    // The time stands in it, so that whoever makes it a moment later does not count as the first.
    let body = Some(serde_json::to_vec(&at).expect("a time is a text"));
    let change = Change { key, expect: Expect::Absent, body, keeps_earlier: false };
    match home.commit(at, vec![change], vec![audit]).await? {
        Committed::Done(_) => Ok(Some(Project { id: id.to_string(), created_at: at })),
        Committed::Conflict { .. } => Ok(None),
    }
}

/// The projects by id, those after this one, at most so many.
pub(crate) async fn list(
    home: &dyn Home,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Project>, StoreError> {
    let records = home.records(None, KIND, after, limit).await?;
    Ok(records.into_iter().map(|one| Project { id: one.key.id, created_at: one.at }).collect())
}
