//! What the columns hold, and what Rust makes of it.

use flowcore::{
    Digest, ExecutionError, ExecutionId, ExecutionStatus, ProjectId, Timestamp, WorkflowId,
};
use flowruntime::store::{
    Blob, ExecutionRow, LogLine, Message, MessageId, OwnerId, Segment, StoreError,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::failure::damaged;

/// The columns that [`execution`] reads, of `executions AS e`. An owner whose lease is over is none.
pub(super) const EXECUTION: &str = "e.id, e.workflow_id, e.definition, e.status, e.fence, \
    CASE WHEN EXISTS ( \
        SELECT FROM owners o WHERE o.id = e.owner AND o.lease_until >= clock_timestamp() \
    ) THEN e.owner END, \
    e.last_seq, e.created_at, e.started_at, e.ended_at, e.wake_at, e.error, e.rerun_of, e.format, \
    e.project, e.version";

/// Numbers without a sign have no column type. Those that do not fit are larger than any that is kept,
/// and so is the largest that does.
pub(super) fn int(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_micros)
}

pub(super) fn execution(row: &Row) -> Result<ExecutionRow, StoreError> {
    let status: &str = get(row, 3, "a status")?;
    let error: Option<&[u8]> = get(row, 11, "an error")?;
    let workflow_id: &str = get(row, 1, "the id of a workflow")?;
    let project: &str = get(row, 14, "the id of a project")?;
    let version: Option<i64> = get(row, 15, "a version")?;
    Ok(ExecutionRow {
        id: ExecutionId::from_uuid(get(row, 0, "the id of an execution")?),
        workflow_id: WorkflowId::new(workflow_id).map_err(|_| damaged("the id of a workflow"))?,
        definition: digest(row, 2)?,
        status: to_status(status)?,
        fence: unsigned(row, 4)?,
        owner: get::<Option<Uuid>>(row, 5, "an owner")?.map(OwnerId),
        last_seq: unsigned(row, 6)?,
        created_at: Timestamp::from_micros(get(row, 7, "a time")?),
        started_at: time(row, 8)?,
        ended_at: time(row, 9)?,
        wake_at: time(row, 10)?,
        error: error.map(to_error).transpose()?,
        rerun_of: get::<Option<Uuid>>(row, 12, "an id")?.map(ExecutionId::from_uuid),
        format: small(row, 13)?,
        project: ProjectId::new(project).map_err(|_| damaged("the id of a project"))?,
        version: version.map(to_unsigned).transpose()?,
    })
}

/// Reads `first_seq, last_seq, body`.
pub(super) fn segment(row: &Row) -> Result<Segment, StoreError> {
    Ok(Segment {
        first_seq: unsigned(row, 0)?,
        last_seq: unsigned(row, 1)?,
        bytes: get(row, 2, "a segment")?,
    })
}

/// Reads `digest, body`.
pub(super) fn blob(row: &Row) -> Result<Blob, StoreError> {
    let bytes: &[u8] = get(row, 1, "a blob")?;
    Ok(Blob { digest: digest(row, 0)?, bytes: bytes.into() })
}

/// Reads `id, at, body`.
pub(super) fn message(row: &Row) -> Result<Message, StoreError> {
    Ok(Message {
        id: MessageId(get(row, 0, "the id of a message")?),
        at: Timestamp::from_micros(get(row, 1, "a time")?),
        body: get(row, 2, "a message")?,
    })
}

/// Reads `number, at, node, attempt, kind, body`.
pub(super) fn log_line(row: &Row) -> Result<LogLine, StoreError> {
    Ok(LogLine {
        number: unsigned(row, 0)?,
        at: Timestamp::from_micros(get(row, 1, "a time")?),
        node: text(row, 2)?,
        attempt: small(row, 3)?,
        kind: text(row, 4)?,
        text: text(row, 5)?,
    })
}

pub(super) fn from_error(error: &ExecutionError) -> Vec<u8> {
    serde_json::to_vec(error).expect("texts and numbers have a form in JSON")
}

fn to_error(bytes: &[u8]) -> Result<ExecutionError, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| damaged("an error"))
}

fn to_status(text: &str) -> Result<ExecutionStatus, StoreError> {
    use ExecutionStatus::{
        Cancelled, Failed, Paused, Queued, Running, Succeeded, TimedOut, Waiting,
    };
    [Queued, Running, Waiting, Paused, Succeeded, Failed, Cancelled, TimedOut]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| damaged("a status"))
}

pub(super) fn get<'a, T: FromSql<'a>>(
    row: &'a Row,
    index: usize,
    what: &str,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(|_| damaged(what))
}

pub(super) fn digest(row: &Row, index: usize) -> Result<Digest, StoreError> {
    let bytes: &[u8] = get(row, index, "a digest")?;
    bytes.try_into().map(Digest::from_bytes).map_err(|_| damaged("a digest"))
}

pub(super) fn text(row: &Row, index: usize) -> Result<String, StoreError> {
    String::from_utf8(get(row, index, "a text")?).map_err(|_| damaged("a text"))
}

pub(super) fn time(row: &Row, index: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, index, "a time")?.map(Timestamp::from_micros))
}

pub(super) fn unsigned(row: &Row, index: usize) -> Result<u64, StoreError> {
    to_unsigned(get(row, index, "a number")?)
}

fn to_unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| damaged("a number"))
}

fn small(row: &Row, index: usize) -> Result<u32, StoreError> {
    u32::try_from(get::<i64>(row, index, "a number")?).map_err(|_| damaged("a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_larger_than_all_that_do() {
        assert_eq!((int(7_u64), int(u64::MAX), int(usize::MAX)), (7, i64::MAX, i64::MAX));
    }

    #[test]
    fn every_status_is_read_as_it_is_written() {
        let written = include_str!("migrations/1.sql");
        for text in ["Queued", "Running", "Waiting", "Paused", "Succeeded", "Failed"] {
            assert_eq!(to_status(text).unwrap().as_str(), text);
            assert!(written.contains(&format!("'{text}'")));
        }
        assert!(to_status("queued").is_err());
    }
}
