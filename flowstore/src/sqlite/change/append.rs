//! An owner writes.

use flowruntime::store::{Append, Appended};

use super::{AT_ONCE, Tables};
use crate::sqlite::codec::{get, micros, signed, status};
use crate::sqlite::read::last_line;

/// A change of the row, with the one condition of every write of an owner: that it is one.
macro_rules! update {
    ($set:literal, $and:literal) => {
        concat!(
            "UPDATE executions SET last_seq = ?4, started_at = coalesce(started_at, ?5), \
             wake_at = ?6",
            $set,
            " WHERE number = ?1 AND fence = ?2 AND last_seq = ?3 \
               AND owner IS NOT NULL AND status < 4",
            $and
        )
    };
}

const END: &str = update!(", status = ?7, ended_at = ?8, error = ?9, owner = NULL", "");
const RELEASE: &str = update!(", status = ?7, due_at = ?6, owner = NULL", "");
const GO_ON: &str = update!(", status = ?7", "");
/// Touches no index.
const GO_ON_AS_BEFORE: &str = update!("", " AND status = ?7");

pub(in crate::sqlite) fn append(
    tables: &mut Tables<'_>,
    append: &Append,
) -> rusqlite::Result<Appended> {
    // By itself: `RETURNING` would make a table of its own for the number, each time.
    let Some(number) = tables.number(append.execution)? else { return Ok(Appended::Fenced) };
    if !change_row(tables, number, append)? {
        return why_not(tables, number, append);
    }
    if append.has_events() {
        tables.execute(
            "INSERT INTO segments (execution, first_seq, last_seq, bytes) VALUES (?1, ?2, ?3, ?4)",
            (number, signed(append.first_seq), signed(append.last_seq), &append.segment),
        )?;
    }
    for message in &append.taken {
        tables.execute(
            "DELETE FROM inbox WHERE execution = ?1 AND id = ?2",
            (number, message.0.into_bytes()),
        )?;
    }
    tables.keep_blobs(number, &append.blobs)?;
    write_lines(tables, number, append)?;
    if append.progress.status.is_terminal() {
        tables.execute("DELETE FROM inbox WHERE execution = ?1", [number])?;
    } else if append.progress.release {
        // Told something that it did not take up.
        tables.execute(
            "UPDATE executions SET due_at = ?2 WHERE number = ?1 \
             AND EXISTS (SELECT 1 FROM inbox WHERE execution = ?1)",
            (number, AT_ONCE),
        )?;
        tables.rings = true;
    }
    tables.appends += 1;
    Ok(Appended::Committed)
}

/// Changes the row, if the owner is its owner; gives whether it was changed.
fn change_row(tables: &Tables<'_>, number: i64, append: &Append) -> rusqlite::Result<bool> {
    let progress = &append.progress;
    let Some(before) = append.first_seq.checked_sub(1) else { return Ok(false) };
    let last_seq = if append.has_events() { append.last_seq } else { before };
    let (fence, before, last_seq) = (signed(append.fence), signed(before), signed(last_seq));
    let (started_at, wake_at) = (micros(progress.started_at), micros(progress.wake_at));
    let status = status(progress.status);
    let params = (number, fence, before, last_seq, started_at, wake_at, status);
    let changed = if progress.status.is_terminal() {
        let error = progress.error.as_ref().map(serde_json::to_string).transpose();
        let error = error.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let ended_at = progress.at.as_micros();
        let params =
            (number, fence, before, last_seq, started_at, wake_at, status, ended_at, error);
        tables.execute(END, params)?
    } else if progress.release {
        tables.execute(RELEASE, params)?
    } else if append.first_seq > 1 && tables.execute(GO_ON_AS_BEFORE, params)? == 1 {
        // The first events change the status, others mostly do not.
        1
    } else {
        tables.execute(GO_ON, params)?
    };
    Ok(changed == 1)
}

fn write_lines(tables: &Tables<'_>, execution: i64, append: &Append) -> rusqlite::Result<()> {
    if append.logs.is_empty() {
        return Ok(());
    }
    let last = last_line(tables.db, execution)?;
    let lines = (append.first_line..).zip(&append.logs);
    // The others are kept from an earlier call.
    for (number, line) in lines.filter(|(number, _)| *number > last) {
        tables.execute(
            "INSERT INTO logs (execution, number, at, node, attempt, kind, text) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                execution,
                signed(number),
                line.at.as_micros(),
                &line.node,
                line.attempt,
                &line.kind,
                &line.text,
            ),
        )?;
    }
    Ok(())
}

/// Why the row was not changed, or that all of this was done before.
fn why_not(tables: &Tables<'_>, number: i64, append: &Append) -> rusqlite::Result<Appended> {
    let found = tables.first(
        "SELECT fence, last_seq, status < 4, owner IS NOT NULL FROM executions WHERE number = ?1",
        [number],
        |row| {
            let (is_open, is_owned) = (row.get::<_, bool>(2)?, row.get::<_, bool>(3)?);
            Ok((get::<u64>(row, 0)?, get::<u64>(row, 1)?, is_open, is_owned))
        },
    )?;
    let Some((fence, last_seq, is_open, is_owned)) = found else { return Ok(Appended::Fenced) };
    if fence != append.fence {
        return Ok(Appended::Fenced);
    }
    if append.has_events() && is_kept(tables, number, append)? {
        return Ok(Appended::Committed);
    }
    if !is_open {
        return Ok(Appended::Fenced);
    }
    if !is_owned {
        // Perhaps it was let go by an earlier call of the same.
        let is_repeated = append.progress.release && append.last_seq == last_seq;
        return Ok(if is_repeated { Appended::Committed } else { Appended::Fenced });
    }
    Ok(Appended::OutOfOrder { last_seq })
}

/// Whether exactly these events are kept.
fn is_kept(tables: &Tables<'_>, execution: i64, append: &Append) -> rusqlite::Result<bool> {
    tables.exists(
        "SELECT 1 FROM segments \
         WHERE execution = ?1 AND first_seq = ?2 AND first_seq > 0 AND last_seq = ?3 AND bytes = ?4",
        (execution, signed(append.first_seq), signed(append.last_seq), &append.segment),
    )
}
