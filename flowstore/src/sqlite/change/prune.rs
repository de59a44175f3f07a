//! What need not be kept goes, bit by bit: nobody else waits long.

use std::time::{Duration, Instant};

use flowcore::{ExecutionId, Timestamp};
use flowruntime::store::Pruned;

use super::Tables;
use crate::sqlite::codec::id;

/// How many executions one call forgets at most: some milliseconds.
const FORGOTTEN_AT_ONCE: u32 = 100;

/// How long what is left of them is swept before others have their turn.
const SWEEP: Duration = Duration::from_millis(2);

/// How many rows are swept between two looks at the clock; a row may be large.
const ROWS: u32 = 16;

/// Those that ended before this, or at this time and have at most this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sqlite) struct Bound {
    pub(in crate::sqlite) ended_at: Timestamp,
    /// `None` is less than any.
    pub(in crate::sqlite) id: Option<ExecutionId>,
}

/// Forgets a few, the oldest first; gives how many. Their segments, lines and values are swept later.
pub(in crate::sqlite) fn forget(tables: &mut Tables<'_>, bound: Bound) -> rusqlite::Result<u64> {
    let mut statement = tables.statement(
        "SELECT number, definition, key FROM executions INDEXED BY executions_ended \
         WHERE ended_at IS NOT NULL AND (ended_at, id) <= (?1, ?2) ORDER BY ended_at, id LIMIT ?3",
    )?;
    let last = bound.id.map(|last| id(last).to_vec()).unwrap_or_default();
    let rows = statement
        .query_map((bound.ended_at.as_micros(), last, FORGOTTEN_AT_ONCE), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, i64, Option<String>)>>>()?;
    for (number, definition, key) in &rows {
        tables.execute("INSERT INTO leftovers (execution) VALUES (?1)", [number])?;
        tables.execute("DELETE FROM executions WHERE number = ?1", [number])?;
        if let Some(key) = key {
            // A later start may have the key by now.
            tables.execute("DELETE FROM keys WHERE key = ?1 AND execution = ?2", (key, number))?;
        }
        tables.execute(
            "DELETE FROM definitions WHERE number = ?1 \
             AND NOT EXISTS (SELECT 1 FROM executions WHERE definition = ?1)",
            [definition],
        )?;
    }
    Ok(rows.len() as u64)
}

/// Sweeps some of what is left; gives what went, and whether that was all.
pub(in crate::sqlite) fn sweep(tables: &mut Tables<'_>) -> rusqlite::Result<(Pruned, bool)> {
    let (started, mut pruned) = (Instant::now(), Pruned::default());
    while started.elapsed() < SWEEP {
        let next = "SELECT execution FROM leftovers LIMIT 1";
        let Some(execution) = tables.first(next, (), |row| row.get::<_, i64>(0))? else {
            return Ok((pruned, true));
        };
        sweep_some(tables, execution, &mut pruned)?;
    }
    Ok((pruned, false))
}

fn sweep_some(tables: &Tables<'_>, execution: i64, pruned: &mut Pruned) -> rusqlite::Result<()> {
    let some = (execution, ROWS);
    let segments = tables.sizes(
        "DELETE FROM segments WHERE execution = ?1 AND first_seq IN \
           (SELECT first_seq FROM segments WHERE execution = ?1 ORDER BY first_seq LIMIT ?2) \
         RETURNING octet_length(bytes)",
        some,
    )?;
    if !segments.is_empty() {
        pruned.bytes += segments.iter().sum::<u64>();
        return Ok(());
    }
    let lines = tables.sizes(
        "DELETE FROM logs WHERE execution = ?1 AND number IN \
           (SELECT number FROM logs WHERE execution = ?1 ORDER BY number LIMIT ?2) \
         RETURNING octet_length(text)",
        some,
    )?;
    if !lines.is_empty() {
        pruned.bytes += lines.iter().sum::<u64>();
        return Ok(());
    }
    let used = "SELECT blob FROM blob_uses WHERE execution = ?1 LIMIT 1";
    if let Some(blob) = tables.first(used, [execution], |row| row.get::<_, i64>(0))? {
        tables.execute(
            "DELETE FROM blob_uses WHERE execution = ?1 AND blob = ?2",
            (execution, blob),
        )?;
        let blobs = tables.sizes(
            "DELETE FROM blobs WHERE number = ?1 \
             AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE blob = ?1) \
             RETURNING octet_length(bytes)",
            [blob],
        )?;
        pruned.blobs += blobs.len() as u64;
        pruned.bytes += blobs.iter().sum::<u64>();
        return Ok(());
    }
    tables.execute("DELETE FROM leftovers WHERE execution = ?1", [execution])?;
    Ok(())
}
