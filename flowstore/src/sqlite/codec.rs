//! What stands in the columns.

use flowcore::{
    Digest, ExecutionError, ExecutionId, ExecutionStatus, ProjectId, Timestamp, WorkflowId,
};
use flowruntime::store::{ExecutionRow, OwnerId};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use uuid::Uuid;

/// The columns that [`execution_row`] reads, of `executions e` and `definitions d`.
pub(super) const ROW: &str = "e.id, e.workflow, d.digest, e.status, e.fence, e.owner, e.last_seq, \
     e.created_at, e.started_at, e.ended_at, e.wake_at, e.error, e.rerun_of, e.format, e.project, \
     e.version";

/// No number of Flow is greater than SQLite's greatest; what is equal to no number stays so.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn id(id: ExecutionId) -> [u8; 16] {
    id.as_uuid().into_bytes()
}

pub(super) fn owner(owner: OwnerId) -> [u8; 16] {
    owner.0.into_bytes()
}

pub(super) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_micros)
}

pub(super) fn status(status: ExecutionStatus) -> u8 {
    match status {
        ExecutionStatus::Queued => 0,
        ExecutionStatus::Running => 1,
        ExecutionStatus::Waiting => 2,
        ExecutionStatus::Paused => 3,
        ExecutionStatus::Succeeded => 4,
        ExecutionStatus::Failed => 5,
        ExecutionStatus::Cancelled => 6,
        ExecutionStatus::TimedOut => 7,
    }
}

/// A value as it is kept.
pub(super) struct Kept<T>(pub(super) T);

macro_rules! kept {
    ($type:ty, $value:ident => $read:expr) => {
        impl FromSql for Kept<$type> {
            fn column_result($value: ValueRef<'_>) -> FromSqlResult<Self> {
                $read.map(Self)
            }
        }
    };
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> FromSqlError {
    FromSqlError::other(error)
}

kept!(ExecutionId, value => <[u8; 16]>::column_result(value).map(|bytes| ExecutionId::from_uuid(Uuid::from_bytes(bytes))));
kept!(OwnerId, value => <[u8; 16]>::column_result(value).map(|bytes| OwnerId(Uuid::from_bytes(bytes))));
kept!(Uuid, value => <[u8; 16]>::column_result(value).map(Uuid::from_bytes));
kept!(Digest, value => <[u8; 32]>::column_result(value).map(Digest::from_bytes));
kept!(u64, value => i64::column_result(value)
    .and_then(|number| u64::try_from(number).map_err(|_| FromSqlError::OutOfRange(number))));
kept!(Timestamp, value => i64::column_result(value).map(Timestamp::from_micros));
kept!(WorkflowId, value => value.as_str().and_then(|text| WorkflowId::new(text).map_err(other)));
kept!(ProjectId, value => value.as_str().and_then(|text| ProjectId::new(text).map_err(other)));
kept!(ExecutionError, value => value.as_str().and_then(|text| serde_json::from_str(text).map_err(other)));
kept!(ExecutionStatus, value => i64::column_result(value).and_then(read_status));

fn read_status(number: i64) -> FromSqlResult<ExecutionStatus> {
    Ok(match number {
        0 => ExecutionStatus::Queued,
        1 => ExecutionStatus::Running,
        2 => ExecutionStatus::Waiting,
        3 => ExecutionStatus::Paused,
        4 => ExecutionStatus::Succeeded,
        5 => ExecutionStatus::Failed,
        6 => ExecutionStatus::Cancelled,
        7 => ExecutionStatus::TimedOut,
        other => return Err(FromSqlError::OutOfRange(other)),
    })
}

/// Reads a column.
pub(super) fn get<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    Kept<T>: FromSql,
{
    row.get(column).map(|Kept(value)| value)
}

/// Reads a column that may be empty.
pub(super) fn get_option<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    Kept<T>: FromSql,
{
    Ok(row.get::<_, Option<Kept<T>>>(column)?.map(|Kept(value)| value))
}

/// Reads the columns of [`ROW`].
pub(super) fn execution_row(row: &Row<'_>) -> rusqlite::Result<ExecutionRow> {
    Ok(ExecutionRow {
        id: get(row, 0)?,
        workflow_id: get(row, 1)?,
        definition: get(row, 2)?,
        status: get(row, 3)?,
        fence: get(row, 4)?,
        owner: get_option(row, 5)?,
        last_seq: get(row, 6)?,
        created_at: get(row, 7)?,
        started_at: get_option(row, 8)?,
        ended_at: get_option(row, 9)?,
        wake_at: get_option(row, 10)?,
        error: get_option(row, 11)?,
        rerun_of: get_option(row, 12)?,
        format: row.get(13)?,
        project: get(row, 14)?,
        version: get_option(row, 15)?,
    })
}
