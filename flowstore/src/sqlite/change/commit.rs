//! Records are changed, and the audit log grows.

use flowcore::Timestamp;
use flowruntime::store::AuditEntry;

use super::Tables;
use crate::catalog::{Newest, Verdict, project_column};
use crate::sqlite::codec::{get, signed};
use crate::{Change, Committed, RecordKey, keyring};

/// All of it or, with a conflict, nothing.
pub(in crate::sqlite) fn commit(
    tables: &mut Tables<'_>,
    at: Timestamp,
    changes: &[Change],
    audit: &[AuditEntry],
) -> rusqlite::Result<Committed> {
    // Others have changed something in the same transaction.
    tables.execute("SAVEPOINT records", ())?;
    let mut versions = Vec::with_capacity(changes.len());
    let mut is_news = false;
    for (position, change) in changes.iter().enumerate() {
        let newest = newest(tables, &change.key)?;
        match change.judge(at, newest.as_ref()) {
            Verdict::Conflict(found) => {
                tables.execute("ROLLBACK TO records", ())?;
                tables.execute("RELEASE records", ())?;
                return Ok(Committed::Conflict { position, found });
            }
            Verdict::Made(version) => versions.push(version),
            Verdict::Make(version) => {
                make(tables, at, change, version)?;
                versions.push(version);
                is_news = true;
            }
        }
    }
    if is_news || changes.is_empty() {
        for entry in audit {
            write_down(tables, entry)?;
        }
    }
    tables.execute("RELEASE records", ())?;
    tables.rings |= is_news;
    Ok(Committed::Done(versions))
}

/// Whether there is a record of keys.
pub(in crate::sqlite) fn has_keyring(tables: &mut Tables<'_>) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM records \
         WHERE project = '' AND kind = ?1 AND is_newest AND body IS NOT NULL";
    tables.exists(sql, [keyring::KIND])
}

fn newest(tables: &Tables<'_>, key: &RecordKey) -> rusqlite::Result<Option<Newest>> {
    tables.first(
        "SELECT version, at, body FROM records \
         WHERE project = ?1 AND kind = ?2 AND id = ?3 AND is_newest",
        (project_column(key.project.as_ref()), &key.kind, &key.id),
        |row| Ok(Newest { version: get(row, 0)?, at: get(row, 1)?, body: row.get(2)? }),
    )
}

fn make(tables: &Tables<'_>, at: Timestamp, change: &Change, version: u64) -> rusqlite::Result<()> {
    let key = (project_column(change.key.project.as_ref()), &change.key.kind, &change.key.id);
    let last =
        tables.first("SELECT max(change) FROM records", (), |row| row.get::<_, Option<i64>>(0))?;
    // The last one is the newest of its record, and never goes without another that is newer.
    let number = last.flatten().unwrap_or(0) + 1;
    if change.keeps_earlier {
        tables.execute(
            "UPDATE records SET is_newest = 0 \
             WHERE project = ?1 AND kind = ?2 AND id = ?3 AND is_newest",
            key,
        )?;
    } else {
        tables.execute("DELETE FROM records WHERE project = ?1 AND kind = ?2 AND id = ?3", key)?;
    }
    tables.execute(
        "INSERT INTO records (change, project, kind, id, version, is_newest, at, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7)",
        (number, key.0, key.1, key.2, signed(version), at.as_micros(), &change.body),
    )?;
    Ok(())
}

/// Adds an entry to the audit log.
pub(super) fn write_down(tables: &mut Tables<'_>, entry: &AuditEntry) -> rusqlite::Result<()> {
    let link = tables.chain.add(entry);
    tables.execute(
        "INSERT INTO audit (chain, number, at, project, body, hash) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            tables.chain.id.into_bytes(),
            signed(link.number),
            entry.at.as_micros(),
            entry.project.as_ref().map(|project| project.as_str()),
            &entry.body,
            link.hash.as_bytes(),
        ),
    )?;
    Ok(())
}
