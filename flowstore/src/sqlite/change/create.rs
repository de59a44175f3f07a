//! An execution is accepted.

use flowcore::{Digest, ExecutionId, ExecutionStatus, ProjectId, Timestamp};
use flowruntime::store::{Created, KEY_LIFE, NewExecution, StartKey, StoreError};

use super::Tables;
use super::commit::write_down;
use crate::sqlite::codec::{get, id, owner, signed, status};

/// Gives [`StoreError::KeyConflict`] for a key that was used for another start.
pub(in crate::sqlite) fn create(
    tables: &mut Tables<'_>,
    new: &NewExecution,
) -> rusqlite::Result<Result<Created, StoreError>> {
    if let Some(start_key) = &new.key
        && let Some(earlier) = with_key(tables, &new.project, start_key, new.created_at)?
    {
        return Ok(earlier.map(Created::Existing));
    }
    let known = tables.first(
        "SELECT number FROM definitions WHERE digest = ?1",
        [new.definition.digest.as_bytes()],
        |row| row.get::<_, i64>(0),
    )?;
    let definition = match known {
        Some(number) => number,
        // Nothing is kept for one that is there already.
        None if tables.number(new.id)?.is_some() => return Ok(Ok(Created::Existing(new.id))),
        None => {
            tables.execute(
                "INSERT INTO definitions (digest, text) VALUES (?1, ?2)",
                (new.definition.digest.as_bytes(), &new.definition.text),
            )?;
            tables.db.last_insert_rowid()
        }
    };
    // Nobody would ever claim what belongs to one who is gone.
    let living = new.owner.filter(|owner| tables.owners.lives(*owner));
    let inserted = tables.execute(
        "INSERT INTO executions (id, workflow, definition, status, fence, owner, last_seq, \
           created_at, due_at, rerun_of, format, key, project, version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO NOTHING",
        (
            id(new.id),
            new.workflow_id.as_str(),
            definition,
            status(ExecutionStatus::Queued),
            i64::from(living.is_some()),
            living.map(owner),
            new.created_at.as_micros(),
            new.rerun_of.map(id),
            new.format,
            new.key.as_ref().map(|start_key| start_key.key.as_str()),
            new.project.as_str(),
            new.version.map(signed),
        ),
    )?;
    if inserted == 0 {
        return Ok(Ok(Created::Existing(new.id)));
    }
    let number = tables.db.last_insert_rowid();
    tables.execute(
        "INSERT INTO segments (execution, first_seq, last_seq, bytes) VALUES (?1, 0, 0, ?2)",
        (number, &new.start),
    )?;
    tables.keep_blobs(number, &new.blobs)?;
    if let Some(StartKey { key, fingerprint }) = &new.key {
        tables.execute(
            "INSERT OR REPLACE INTO keys (project, key, fingerprint, execution) \
             VALUES (?1, ?2, ?3, ?4)",
            (new.project.as_str(), key, fingerprint.as_bytes(), number),
        )?;
    }
    if let Some(entry) = &new.audit {
        write_down(tables, entry)?;
    }
    tables.rings |= living.is_none();
    Ok(Ok(Created::New))
}

/// The execution that a key was used for, if it is not forgotten yet.
fn with_key(
    tables: &Tables<'_>,
    project: &ProjectId,
    start_key: &StartKey,
    now: Timestamp,
) -> rusqlite::Result<Option<Result<ExecutionId, StoreError>>> {
    let earlier = tables.first(
        "SELECT k.fingerprint, e.id, e.created_at \
         FROM keys k CROSS JOIN executions e ON e.number = k.execution \
         WHERE k.project = ?1 AND k.key = ?2",
        [project.as_str(), &start_key.key],
        |row| Ok((get::<Digest>(row, 0)?, get(row, 1)?, get::<Timestamp>(row, 2)?)),
    )?;
    let earlier = earlier.filter(|(_, _, created_at)| now.since(*created_at) < KEY_LIFE);
    Ok(earlier.map(|(fingerprint, id, _)| {
        if fingerprint == start_key.fingerprint {
            Ok(id)
        } else {
            Err(StoreError::KeyConflict { key: start_key.key.clone() })
        }
    }))
}
