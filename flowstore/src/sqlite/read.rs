//! What is read, each on one connection as of one moment.

use std::sync::Arc;

use flowcore::{Digest, ExecutionId, ExecutionStatus, ProjectId};
use flowruntime::store::{
    Blob, Definition, ExecutionRow, Kept, LogLine, Message, MessageId, OwnerId, Pruned, Query,
    Segment,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row, params_from_iter};

use super::change::Bound;
use super::codec::{self, ROW, execution_row, get, id, limit, signed};

pub(super) fn rows<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, read)?.collect()
}

pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(params, read).optional()
}

fn number(db: &Connection, execution: ExecutionId) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT number FROM executions WHERE id = ?1";
    first(db, sql, [id(execution)], |row| row.get(0))
}

pub(super) fn execution(
    db: &Connection,
    execution: ExecutionId,
) -> rusqlite::Result<Option<ExecutionRow>> {
    let sql = format!(
        "SELECT {ROW} FROM executions e CROSS JOIN definitions d ON d.number = e.definition \
         WHERE e.id = ?1"
    );
    first(db, &sql, [id(execution)], execution_row)
}

pub(super) fn executions(db: &Connection, query: &Query) -> rusqlite::Result<Vec<ExecutionRow>> {
    let mut conditions = vec!["e.project = ?1".to_owned()];
    let mut values = vec![Value::Text(query.project.as_str().to_owned())];
    if let Some(workflow_id) = &query.workflow_id {
        values.push(Value::Text(workflow_id.as_str().to_owned()));
        conditions.push(format!("e.workflow = ?{}", values.len()));
    }
    let mut index = "";
    if !query.statuses.is_empty() {
        let are = |has: fn(ExecutionStatus) -> bool| query.statuses.iter().all(|one| has(*one));
        // Those that have not ended, and those that failed, are few among many.
        let partial = if are(|status| !status.is_terminal()) {
            Some(("e.status < 4", "INDEXED BY executions_open"))
        } else if are(|status| status.is_terminal() && status != ExecutionStatus::Succeeded) {
            Some(("e.status > 4", "INDEXED BY executions_failed"))
        } else {
            None
        };
        if let Some((condition, partial)) = partial {
            conditions.push(condition.to_owned());
            if query.workflow_id.is_none() {
                index = partial;
            }
        }
        let numbers = query.statuses.iter().map(|status| codec::status(*status).to_string());
        let numbers: Vec<String> = numbers.collect();
        conditions.push(format!("e.status IN ({})", numbers.join(", ")));
    }
    let bounds = [(query.created_from, ">="), (query.created_before, "<")];
    for (bound, compares) in bounds {
        if let Some(time) = bound {
            values.push(Value::Integer(time.as_micros()));
            conditions.push(format!("e.created_at {compares} ?{}", values.len()));
        }
    }
    if let Some(from) = query.ended_from {
        values.push(Value::Integer(from.as_micros()));
        conditions.push(format!("e.ended_at >= ?{}", values.len()));
        // Whoever asks means a few of the last moments.
        index = "INDEXED BY executions_ended";
    }
    if let Some(after) = query.after {
        values.push(Value::Integer(after.created_at.as_micros()));
        values.push(Value::Blob(id(after.id).to_vec()));
        let places = (values.len() - 1, values.len());
        conditions.push(format!("(e.created_at, e.id) < (?{}, ?{})", places.0, places.1));
    }
    values.push(Value::Integer(limit(query.limit)));
    let sql = format!(
        "SELECT {ROW} FROM executions e {index} \
         CROSS JOIN definitions d ON d.number = e.definition \
         WHERE {} ORDER BY e.created_at DESC, e.id DESC LIMIT ?{}",
        conditions.join(" AND "),
        values.len()
    );
    rows(db, &sql, params_from_iter(values), execution_row)
}

pub(super) fn queued(
    db: &Connection,
    project: &ProjectId,
    at_most: usize,
) -> rusqlite::Result<usize> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM executions INDEXED BY executions_open \
               WHERE project = ?1 AND status < 4 AND status = ?2 LIMIT ?3)";
    let queued = codec::status(ExecutionStatus::Queued);
    let params = (project.as_str(), queued, limit(at_most));
    let count: u64 = db.prepare_cached(sql)?.query_one(params, |row| get(row, 0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

pub(super) fn gone_on(
    db: &Connection,
    known: &[(ExecutionId, u64)],
) -> rusqlite::Result<Vec<ExecutionRow>> {
    let sql = format!(
        "SELECT {ROW} FROM executions e CROSS JOIN definitions d ON d.number = e.definition \
         WHERE e.id = ?1 AND e.last_seq > ?2"
    );
    let mut found = Vec::new();
    for (of, seq) in known {
        found.extend(first(db, &sql, (id(*of), signed(*seq)), execution_row)?);
    }
    Ok(found)
}

pub(super) fn load(db: &Connection, of: ExecutionId) -> rusqlite::Result<Option<Kept>> {
    let transaction = db.unchecked_transaction()?;
    let Some(row) = execution(&transaction, of)? else { return Ok(None) };
    let Some(number) = number(&transaction, of)? else { return Ok(None) };
    let mut segments = rows(
        &transaction,
        "SELECT first_seq, last_seq, bytes FROM segments WHERE execution = ?1 ORDER BY first_seq",
        [number],
        segment,
    )?;
    // It stands before the first.
    let start = if segments.is_empty() { Vec::new() } else { segments.remove(0).bytes };
    let last_line = last_line(&transaction, number)?;
    Ok(Some(Kept { row, start, segments, last_line }))
}

/// The number of the last line of the log of an execution, which has this number itself.
pub(super) fn last_line(db: &Connection, execution: i64) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(number), 0) FROM logs WHERE execution = ?1";
    db.prepare_cached(sql)?.query_one([execution], |row| get(row, 0))
}

fn segment(row: &Row<'_>) -> rusqlite::Result<Segment> {
    Ok(Segment { first_seq: get(row, 0)?, last_seq: get(row, 1)?, bytes: row.get(2)? })
}

pub(super) fn segments(
    db: &Connection,
    of: ExecutionId,
    after_seq: u64,
    at_most: usize,
) -> rusqlite::Result<Vec<Segment>> {
    // The last that begins there or before is the first that may end after it.
    rows(
        db,
        "SELECT s.first_seq, s.last_seq, s.bytes \
         FROM executions e CROSS JOIN segments s ON s.execution = e.number \
         WHERE e.id = ?1 AND s.last_seq > ?2 AND s.first_seq >= coalesce( \
           (SELECT max(first_seq) FROM segments \
            WHERE execution = e.number AND first_seq BETWEEN 1 AND ?3), 1) \
         ORDER BY s.first_seq LIMIT ?4",
        (id(of), signed(after_seq), signed(after_seq.saturating_add(1)), limit(at_most)),
        segment,
    )
}

pub(super) fn blobs(db: &Connection, digests: &[Digest]) -> rusqlite::Result<Vec<Blob>> {
    let transaction = db.unchecked_transaction()?;
    let mut found = Vec::new();
    for digest in digests {
        let sql = "SELECT bytes FROM blobs WHERE digest = ?1";
        let bytes = first(&transaction, sql, [digest.as_bytes()], |row| {
            Ok(row.get_ref(0)?.as_blob()?.into())
        })?;
        found.extend(bytes.map(|bytes| Blob { digest: *digest, bytes }));
    }
    Ok(found)
}

pub(super) fn definition(
    db: &Connection,
    digest: Digest,
) -> rusqlite::Result<Option<Arc<Definition>>> {
    let sql = "SELECT text FROM definitions WHERE digest = ?1";
    let text = first(db, sql, [digest.as_bytes()], |row| row.get(0))?;
    Ok(text.map(|text| Arc::new(Definition { digest, text })))
}

pub(super) fn logs(
    db: &Connection,
    of: ExecutionId,
    after: u64,
    at_most: usize,
) -> rusqlite::Result<Vec<LogLine>> {
    rows(
        db,
        "SELECT l.number, l.at, l.node, l.attempt, l.kind, l.text \
         FROM executions e CROSS JOIN logs l ON l.execution = e.number \
         WHERE e.id = ?1 AND l.number > ?2 ORDER BY l.number LIMIT ?3",
        (id(of), signed(after), limit(at_most)),
        |row| {
            Ok(LogLine {
                number: get(row, 0)?,
                at: get(row, 1)?,
                node: row.get(2)?,
                attempt: row.get(3)?,
                kind: row.get(4)?,
                text: row.get(5)?,
            })
        },
    )
}

pub(super) fn messages(db: &Connection, of: ExecutionId) -> rusqlite::Result<Vec<Message>> {
    rows(
        db,
        "SELECT i.id, i.at, i.body \
         FROM executions e CROSS JOIN inbox i ON i.execution = e.number \
         WHERE e.id = ?1 ORDER BY i.at, i.id",
        [id(of)],
        message,
    )
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message { id: MessageId(get(row, 0)?), at: get(row, 1)?, body: row.get(2)? })
}

pub(super) fn inbox(
    db: &Connection,
    owner: OwnerId,
) -> rusqlite::Result<Vec<(ExecutionId, Message)>> {
    // Messages are few: what has no owner is claimed for them.
    rows(
        db,
        "SELECT i.id, i.at, i.body, e.id \
         FROM inbox i CROSS JOIN executions e ON e.number = i.execution \
         WHERE e.owner = ?1 ORDER BY i.at, i.id",
        [codec::owner(owner)],
        |row| Ok((get(row, 3)?, message(row)?)),
    )
}

/// What would be forgotten up to this bound.
pub(super) fn prunable(db: &Connection, bound: Bound) -> rusqlite::Result<Pruned> {
    let last = bound.id.map(|last| id(last).to_vec()).unwrap_or_default();
    let sql = "WITH gone AS MATERIALIZED ( \
           SELECT number FROM executions INDEXED BY executions_ended \
           WHERE ended_at IS NOT NULL AND (ended_at, id) <= (?1, ?2) \
         ), unused AS MATERIALIZED ( \
           SELECT DISTINCT blob FROM blob_uses WHERE execution IN gone \
           EXCEPT SELECT blob FROM blob_uses WHERE execution NOT IN gone \
         ) SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM unused), \
           (SELECT coalesce(sum(octet_length(bytes)), 0) FROM segments WHERE execution IN gone) \
         + (SELECT coalesce(sum(octet_length(text)), 0) FROM logs WHERE execution IN gone) \
         + (SELECT coalesce(sum(octet_length(bytes)), 0) FROM blobs WHERE number IN unused)";
    db.prepare_cached(sql)?.query_one((bound.ended_at.as_micros(), last), |row| {
        Ok(Pruned { executions: get(row, 0)?, blobs: get(row, 1)?, bytes: get(row, 2)? })
    })
}

/// The newest of those that ended which is beyond so many.
pub(super) fn beyond(db: &Connection, count: u64) -> rusqlite::Result<Option<Bound>> {
    first(
        db,
        "SELECT ended_at, id FROM executions INDEXED BY executions_ended \
         WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT 1 OFFSET ?1",
        [signed(count)],
        |row| Ok(Bound { ended_at: get(row, 0)?, id: Some(get(row, 1)?) }),
    )
}
