//! Records, and the audit log.

use flowcore::{ProjectId, Timestamp};
use flowruntime::store::{AuditEntry, StoreError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

use super::convert::{get, int, text, unsigned};
use super::failure::{self, damaged};
use super::pool::{Lent, limited};
use crate::catalog::{Newest, Verdict, project_column};
use crate::chain::{Chain, Checker, KeptLink};
use crate::{AuditCheck, AuditRow, Change, Committed, Record, RecordKey};

/// One process at a time changes records, so that no change with a lower number is committed later.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('flow.records.' || current_schema(), 0))";

const NEWEST: &str = "
    SELECT version, at, body FROM records
    WHERE project = $1 AND kind = $2 AND id = $3 AND is_newest";

const LAST_CHANGE: &str = "SELECT COALESCE(max(change), 0) FROM records";

const OUTDATE: &str = "
    UPDATE records SET is_newest = false
    WHERE project = $1 AND kind = $2 AND id = $3 AND is_newest";

const FORGET: &str = "DELETE FROM records WHERE project = $1 AND kind = $2 AND id = $3";

const INSERT: &str = "
    INSERT INTO records (change, project, kind, id, version, is_newest, at, body)
    VALUES ($1, $2, $3, $4, $5, true, $6, $7)";

/// In the order of the links, which is that of their positions.
pub(super) const WRITE_DOWN: &str = "
    INSERT INTO audit (chain, number, at, project, body, hash)
    SELECT $1, l.number, l.at, l.project, l.body, l.hash
    FROM unnest($2::int8[], $3::int8[], $4::text[], $5::bytea[], $6::bytea[])
        AS l(number, at, project, body, hash)
    ORDER BY l.number";

/// The columns that [`record`] reads.
const RECORD: &str = "project, kind, id, version, at, change, body";

const VERIFY: &str = "
    SELECT position, chain, number, at, project, body, hash FROM audit
    WHERE position > $1 ORDER BY position LIMIT $2";

/// How many rows of the audit log are read at once.
const ROWS: i64 = 1000;

/// Makes all changes and keeps all entries, or does nothing; gives whether a record is another one
/// now.
pub(super) async fn commit(
    lent: &Lent,
    chain: &mut Chain,
    at: Timestamp,
    changes: &[Change],
    audit: &[AuditEntry],
) -> Result<(Committed, bool), StoreError> {
    lent.execute("BEGIN").await?;
    lent.query(LOCK, &[]).await?;
    let mut versions = Vec::with_capacity(changes.len());
    let mut is_news = false;
    for (position, change) in changes.iter().enumerate() {
        let newest = newest(lent, &change.key).await?;
        match change.judge(at, newest.as_ref()) {
            Verdict::Conflict(found) => {
                lent.execute("ROLLBACK").await?;
                return Ok((Committed::Conflict { position, found }, false));
            }
            Verdict::Made(version) => versions.push(version),
            Verdict::Make(version) => {
                make(lent, at, change, version).await?;
                versions.push(version);
                is_news = true;
            }
        }
    }
    if (is_news || changes.is_empty()) && !audit.is_empty() {
        let entries: Vec<&AuditEntry> = audit.iter().collect();
        let written = async {
            let statement = lent.client().prepare_cached(WRITE_DOWN).await?;
            write_down(lent.client(), &statement, chain, &entries).await
        };
        written.await.map_err(|error| failure::of(&error))?;
    }
    lent.execute("COMMIT").await?;
    Ok((Committed::Done(versions), is_news))
}

async fn newest(lent: &Lent, key: &RecordKey) -> Result<Option<Newest>, StoreError> {
    let (project, kind, id) = columns(key);
    let rows = lent.query(NEWEST, &[&project, &kind, &id]).await?;
    let read = |row| {
        Ok(Newest {
            version: unsigned(row, 0)?,
            at: Timestamp::from_micros(get(row, 1, "a time")?),
            body: get(row, 2, "a record")?,
        })
    };
    rows.first().map(read).transpose()
}

async fn make(lent: &Lent, at: Timestamp, change: &Change, version: u64) -> Result<(), StoreError> {
    let (project, kind, id) = columns(&change.key);
    let last = lent.query(LAST_CHANGE, &[]).await?;
    let last: i64 = last.first().map_or(Ok(0), |row| get(row, 0, "a number"))?;
    // The last one is the newest of its record, and never goes without another that is newer.
    let number = last.saturating_add(1);
    let earlier = if change.keeps_earlier { OUTDATE } else { FORGET };
    lent.query(earlier, &[&project, &kind, &id]).await?;
    let (version, at) = (int(version), at.as_micros());
    let params: [&(dyn ToSql + Sync); 7] =
        [&number, &project, &kind, &id, &version, &at, &change.body];
    lent.query(INSERT, &params).await?;
    Ok(())
}

/// Adds entries to the audit log, in a transaction; `statement` is [`WRITE_DOWN`].
pub(super) async fn write_down(
    client: &Client,
    statement: &Statement,
    chain: &mut Chain,
    entries: &[&AuditEntry],
) -> Result<(), Error> {
    let (mut numbers, mut hashes): (Vec<i64>, Vec<Vec<u8>>) = Default::default();
    for entry in entries {
        let link = chain.add(entry);
        numbers.push(int(link.number));
        hashes.push(link.hash.as_bytes().to_vec());
    }
    let times: Vec<i64> = entries.iter().map(|entry| entry.at.as_micros()).collect();
    let projects = entries.iter().map(|entry| entry.project.as_ref().map(ProjectId::as_str));
    let projects: Vec<Option<&str>> = projects.collect();
    let bodies: Vec<&[u8]> = entries.iter().map(|entry| entry.body.as_bytes()).collect();
    let params: [&(dyn ToSql + Sync); 6] =
        [&chain.id, &numbers, &times, &projects, &bodies, &hashes];
    client.execute(statement, &params).await?;
    Ok(())
}

pub(super) async fn record(lent: &Lent, key: &RecordKey) -> Result<Option<Record>, StoreError> {
    let statement = format!(
        "SELECT {RECORD} FROM records WHERE project = $1 AND kind = $2 AND id = $3 \
         AND is_newest AND body IS NOT NULL"
    );
    let (project, kind, id) = columns(key);
    let rows = lent.query(&statement, &[&project, &kind, &id]).await?;
    rows.first().map(read_record).transpose()
}

pub(super) async fn record_version(
    lent: &Lent,
    key: &RecordKey,
    version: u64,
) -> Result<Option<Record>, StoreError> {
    let statement = format!(
        "SELECT {RECORD} FROM records \
         WHERE project = $1 AND kind = $2 AND id = $3 AND version = $4"
    );
    let (project, kind, id) = columns(key);
    let rows = lent.query(&statement, &[&project, &kind, &id, &int(version)]).await?;
    rows.first().map(read_record).transpose()
}

pub(super) async fn records(
    lent: &Lent,
    project: Option<&ProjectId>,
    kind: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let (project, kind, limit) = (project_column(project), kind.as_bytes(), int(limit));
    let after = after.map(str::as_bytes);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&project, &kind, &limit];
    let mut after_which = "";
    if let Some(after) = &after {
        params.push(after);
        after_which = "AND id > $4";
    }
    let statement = format!(
        "SELECT {RECORD} FROM records WHERE project = $1 AND kind = $2 {after_which} \
         AND is_newest AND body IS NOT NULL ORDER BY id LIMIT $3"
    );
    lent.query(&statement, &params).await?.iter().map(read_record).collect()
}

pub(super) async fn record_versions(
    lent: &Lent,
    key: &RecordKey,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let statement = format!(
        "SELECT {RECORD} FROM records \
         WHERE project = $1 AND kind = $2 AND id = $3 AND version < $4 \
         ORDER BY version DESC LIMIT $5"
    );
    let (project, kind, id) = columns(key);
    let (before, limit) = (before.map_or(i64::MAX, int), int(limit));
    let rows = lent.query(&statement, &[&project, &kind, &id, &before, &limit]).await?;
    rows.iter().map(read_record).collect()
}

pub(super) async fn changes_after(
    lent: &Lent,
    change: u64,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let statement = format!(
        "SELECT {RECORD} FROM records WHERE change > $1 AND is_newest ORDER BY change LIMIT $2"
    );
    let rows = lent.query(&statement, &[&int(change), &int(limit)]).await?;
    rows.iter().map(read_record).collect()
}

pub(super) async fn audit(
    lent: &Lent,
    project: Option<&ProjectId>,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<AuditRow>, StoreError> {
    let project = project.map(ProjectId::as_str);
    let (before, limit) = (before.map_or(i64::MAX, int), int(limit));
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&before, &limit];
    let mut whose = "";
    if let Some(project) = &project {
        params.push(project);
        whose = "AND project = $3";
    }
    let statement = format!(
        "SELECT position, chain, number, at, project, body, hash FROM audit \
         WHERE position < $1 {whose} ORDER BY position DESC LIMIT $2"
    );
    lent.query(&statement, &params).await?.iter().map(read_audit_row).collect()
}

/// All as of one moment: a link that is committed later may have a lower position than the last one
/// that was read. However long it takes, each part has its time limit.
pub(super) async fn verify_audit(lent: &Lent) -> Result<AuditCheck, StoreError> {
    limited(lent.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")).await?;
    let mut checker = Checker::default();
    let mut position = i64::MIN;
    'all: loop {
        let rows = limited(lent.query(VERIFY, &[&position, &ROWS])).await?;
        for row in &rows {
            let link = KeptLink {
                chain: get(row, 1, "a chain")?,
                number: get(row, 2, "a number")?,
                at: get(row, 3, "a time")?,
                project: get::<Option<&str>>(row, 4, "a project")?.map(str::as_bytes),
                body: get(row, 5, "an entry")?,
                hash: get(row, 6, "a hash")?,
            };
            if !checker.take(&link) {
                break 'all;
            }
            position = get(row, 0, "a position")?;
        }
        if rows.is_empty() {
            break;
        }
    }
    limited(lent.execute("COMMIT")).await?;
    Ok(checker.finish())
}

fn columns(key: &RecordKey) -> (&str, &[u8], &[u8]) {
    (project_column(key.project.as_ref()), key.kind.as_bytes(), key.id.as_bytes())
}

fn read_record(row: &Row) -> Result<Record, StoreError> {
    let project: &str = get(row, 0, "the id of a project")?;
    let body: Option<&[u8]> = get(row, 6, "a record")?;
    Ok(Record {
        key: RecordKey {
            project: to_project(Some(project).filter(|project| !project.is_empty()))?,
            kind: text(row, 1)?,
            id: text(row, 2)?,
        },
        version: unsigned(row, 3)?,
        at: Timestamp::from_micros(get(row, 4, "a time")?),
        change: unsigned(row, 5)?,
        body: body.map(Into::into),
    })
}

fn read_audit_row(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        position: unsigned(row, 0)?,
        chain: get::<Uuid>(row, 1, "a chain")?,
        number: unsigned(row, 2)?,
        entry: AuditEntry {
            at: Timestamp::from_micros(get(row, 3, "a time")?),
            project: to_project(get(row, 4, "the id of a project")?)?,
            body: text(row, 5)?,
        },
        hash: super::convert::digest(row, 6)?,
    })
}

fn to_project(text: Option<&str>) -> Result<Option<ProjectId>, StoreError> {
    text.map(|text| ProjectId::new(text).map_err(|_| damaged("the id of a project"))).transpose()
}
