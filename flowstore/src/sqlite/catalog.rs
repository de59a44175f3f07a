//! The catalog, and how it is read.

use async_trait::async_trait;
use flowcore::{ProjectId, Timestamp};
use flowruntime::store::{AuditEntry, StoreError};
use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::change;
use super::codec::{get, get_option, limit, signed};
use super::read::{first, rows};
use crate::catalog::{check, project_column};
use crate::chain::{Checker, KeptLink};
use crate::{AuditCheck, AuditRow, Catalog, Change, Committed, Record, RecordKey};

/// What [`record`] reads.
const RECORD: &str = "project, kind, id, version, at, change, body";

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let is_of_a_project = !row.get_ref(0)?.as_str()?.is_empty();
    let project = if is_of_a_project { Some(get(row, 0)?) } else { None };
    let body = row.get_ref(6)?.as_blob_or_null()?;
    Ok(Record {
        key: RecordKey { project, kind: row.get(1)?, id: row.get(2)? },
        version: get(row, 3)?,
        at: get(row, 4)?,
        change: get(row, 5)?,
        body: body.map(Into::into),
    })
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        position: get(row, 0)?,
        chain: get(row, 1)?,
        number: get(row, 2)?,
        entry: AuditEntry { at: get(row, 3)?, project: get_option(row, 4)?, body: row.get(5)? },
        hash: get(row, 6)?,
    })
}

#[async_trait]
impl Catalog for SqliteStore {
    async fn commit(
        &self,
        at: Timestamp,
        changes: Vec<Change>,
        audit: Vec<AuditEntry>,
    ) -> Result<Committed, StoreError> {
        check(&changes)?;
        self.change(move |tables| change::commit(tables, at, &changes, &audit)).await
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        let read = move |db: &Connection| {
            let sql = format!(
                "SELECT {RECORD} FROM records WHERE project = ?1 AND kind = ?2 AND id = ?3 \
                 AND is_newest AND body IS NOT NULL"
            );
            first(db, &sql, (project_column(key.project.as_ref()), &key.kind, &key.id), record)
        };
        self.readers.read(read).await
    }

    async fn record_version(
        &self,
        key: &RecordKey,
        version: u64,
    ) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        let read = move |db: &Connection| {
            let sql = format!(
                "SELECT {RECORD} FROM records \
                 WHERE project = ?1 AND kind = ?2 AND id = ?3 AND version = ?4"
            );
            let project = project_column(key.project.as_ref());
            first(db, &sql, (project, &key.kind, &key.id, signed(version)), record)
        };
        self.readers.read(read).await
    }

    async fn records(
        &self,
        project: Option<&ProjectId>,
        kind: &str,
        after: Option<&str>,
        at_most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (project, kind) = (project_column(project).to_owned(), kind.to_owned());
        let after = after.map(str::to_owned);
        let read = move |db: &Connection| {
            let after_which = if after.is_some() { "id > ?3" } else { "?3 IS NULL" };
            let sql = format!(
                "SELECT {RECORD} FROM records WHERE project = ?1 AND kind = ?2 AND {after_which} \
                 AND is_newest AND body IS NOT NULL ORDER BY id LIMIT ?4"
            );
            rows(db, &sql, (project, kind, after, limit(at_most)), record)
        };
        self.readers.read(read).await
    }

    async fn record_versions(
        &self,
        key: &RecordKey,
        before: Option<u64>,
        at_most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let key = key.clone();
        let read = move |db: &Connection| {
            let sql = format!(
                "SELECT {RECORD} FROM records \
                 WHERE project = ?1 AND kind = ?2 AND id = ?3 AND version < ?4 \
                 ORDER BY version DESC LIMIT ?5"
            );
            let project = project_column(key.project.as_ref());
            let before = before.map_or(i64::MAX, signed);
            rows(db, &sql, (project, &key.kind, &key.id, before, limit(at_most)), record)
        };
        self.readers.read(read).await
    }

    async fn changes_after(&self, change: u64, at_most: usize) -> Result<Vec<Record>, StoreError> {
        let read = move |db: &Connection| {
            let sql = format!(
                "SELECT {RECORD} FROM records WHERE change > ?1 AND is_newest \
                 ORDER BY change LIMIT ?2"
            );
            rows(db, &sql, (signed(change), limit(at_most)), record)
        };
        self.readers.read(read).await
    }

    async fn audit(
        &self,
        project: Option<&ProjectId>,
        before: Option<u64>,
        at_most: usize,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let project = project.map(|project| project.as_str().to_owned());
        let read = move |db: &Connection| {
            let whose = if project.is_some() { "project = ?1" } else { "?1 IS NULL" };
            let sql = format!(
                "SELECT position, chain, number, at, project, body, hash FROM audit \
                 WHERE {whose} AND position < ?2 ORDER BY position DESC LIMIT ?3"
            );
            let before = before.map_or(i64::MAX, signed);
            rows(db, &sql, (project, before, limit(at_most)), audit_row)
        };
        self.readers.read(read).await
    }

    async fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        self.readers.read(verify).await
    }
}

/// One statement sees one moment.
fn verify(db: &Connection) -> rusqlite::Result<AuditCheck> {
    let sql = "SELECT chain, number, at, project, body, hash FROM audit ORDER BY position";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut checker = Checker::default();
    while let Some(row) = rows.next()? {
        let link = KeptLink {
            chain: get(row, 0)?,
            number: row.get(1)?,
            at: row.get(2)?,
            // Whatever stands there by now.
            project: row.get_ref(3)?.as_bytes_or_null()?,
            body: row.get_ref(4)?.as_bytes()?,
            hash: row.get_ref(5)?.as_bytes()?,
        };
        if !checker.take(&link) {
            break;
        }
    }
    Ok(checker.finish())
}
