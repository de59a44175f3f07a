//! Who executes what.

use flowcore::{EVENT_FORMAT, ExecutionId, Timestamp};
use flowruntime::store::{Claim, Claimed, OwnerId};

use super::{AT_ONCE, Tables};
use crate::sqlite::codec::{get, id, limit, owner as owner_bytes, signed};

pub(in crate::sqlite) fn claim(
    tables: &mut Tables<'_>,
    owner: OwnerId,
    now: Timestamp,
    at_most: usize,
) -> rusqlite::Result<Claimed> {
    if !tables.owners.lives(owner) {
        return Ok(Claimed::default());
    }
    // One more says when the next is due.
    let sql = "SELECT number, id, fence, due_at FROM executions INDEXED BY executions_due \
         WHERE owner IS NULL AND status < 4 AND due_at IS NOT NULL AND format <= ?1 \
         ORDER BY due_at, id LIMIT ?2";
    let mut statement = tables.statement(sql)?;
    let rows = statement.query_map((EVENT_FORMAT, limit(at_most.saturating_add(1))), |row| {
        Ok((row.get::<_, i64>(0)?, get(row, 1)?, get(row, 2)?, get::<Timestamp>(row, 3)?))
    })?;
    let mut due = Vec::new();
    let mut claimed = Claimed::default();
    for row in rows {
        let (number, id, fence, due_at) = row?;
        if due_at > now || due.len() == at_most {
            claimed.next_at = Some(due_at);
            break;
        }
        due.push((number, id, fence));
    }
    for (number, execution, fence) in due {
        claimed.executions.extend(take(tables, owner, number, execution, fence)?);
    }
    Ok(claimed)
}

pub(in crate::sqlite) fn claim_one(
    tables: &mut Tables<'_>,
    owner: OwnerId,
    execution: ExecutionId,
) -> rusqlite::Result<Option<Claim>> {
    if !tables.owners.lives(owner) {
        return Ok(None);
    }
    let found = tables.first(
        "SELECT number, fence FROM executions \
         WHERE id = ?1 AND owner IS NULL AND status < 4 AND format <= ?2",
        (id(execution), EVENT_FORMAT),
        |row| Ok((row.get(0)?, get(row, 1)?)),
    )?;
    match found {
        Some((number, fence)) => take(tables, owner, number, execution, fence),
        None => Ok(None),
    }
}

fn take(
    tables: &Tables<'_>,
    owner: OwnerId,
    number: i64,
    execution: ExecutionId,
    fence: u64,
) -> rusqlite::Result<Option<Claim>> {
    let changed = tables.execute(
        "UPDATE executions SET owner = ?1, fence = fence + 1 \
         WHERE number = ?2 AND fence = ?3 AND owner IS NULL AND status < 4",
        (owner_bytes(owner), number, signed(fence)),
    )?;
    Ok((changed == 1).then_some(Claim { execution, fence: fence + 1 }))
}

pub(in crate::sqlite) fn leave(tables: &mut Tables<'_>, owner: OwnerId) -> rusqlite::Result<()> {
    tables.owners.leave(owner);
    // Whoever had it may have left something under way.
    tables.execute(
        "UPDATE executions INDEXED BY executions_open SET owner = NULL, due_at = ?1 \
         WHERE owner = ?2 AND status < 4",
        (AT_ONCE, owner_bytes(owner)),
    )?;
    tables.rings = true;
    Ok(())
}

/// Whoever executed before is dead.
pub(in crate::sqlite) fn release_all(tables: &mut Tables<'_>) -> rusqlite::Result<()> {
    tables.execute(
        "UPDATE executions INDEXED BY executions_open SET owner = NULL, due_at = ?1 \
         WHERE owner IS NOT NULL AND status < 4",
        [AT_ONCE],
    )?;
    Ok(())
}
