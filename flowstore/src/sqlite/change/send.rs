//! An execution is told something.

use flowcore::ExecutionId;
use flowruntime::store::{AuditEntry, MAX_WAITING, Message, Sent};

use super::commit::write_down;
use super::{AT_ONCE, Tables};
use crate::sqlite::codec::{id, limit};

pub(in crate::sqlite) fn send(
    tables: &mut Tables<'_>,
    execution: ExecutionId,
    message: &Message,
    audit: Option<&AuditEntry>,
) -> rusqlite::Result<Sent> {
    let found = tables.first(
        "SELECT number, status < 4 FROM executions WHERE id = ?1",
        [id(execution)],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
    )?;
    let Some((number, is_open)) = found else { return Ok(Sent::NotFound) };
    if !is_open {
        return Ok(Sent::Finished);
    }
    let message_id = message.id.0.into_bytes();
    let is_there = "SELECT 1 FROM inbox WHERE execution = ?1 AND id = ?2";
    if tables.exists(is_there, (number, message_id))? {
        return Ok(Sent::Kept);
    }
    // The one at that place, if there are so many.
    let is_full = "SELECT 1 FROM inbox WHERE execution = ?1 LIMIT 1 OFFSET ?2 - 1";
    if tables.exists(is_full, (number, limit(MAX_WAITING)))? {
        return Ok(Sent::TooMany);
    }
    tables.execute(
        "INSERT INTO inbox (execution, id, at, body) VALUES (?1, ?2, ?3, ?4)",
        (number, message_id, message.at.as_micros(), &message.body),
    )?;
    tables.execute(
        "UPDATE executions SET due_at = ?2 WHERE number = ?1 AND owner IS NULL",
        (number, AT_ONCE),
    )?;
    if let Some(entry) = audit {
        write_down(tables, entry)?;
    }
    tables.rings = true;
    Ok(Sent::Kept)
}
