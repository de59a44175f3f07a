//! What is kept, as it is read.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use flowcore::{Digest, ExecutionId, ProjectId};
use flowruntime::store::{
    Blob, Definition, ExecutionRow, Kept, LogLine, Query, Segment, StoreError,
};
use tokio_postgres::types::ToSql;

use super::convert::{self, EXECUTION, get, int, text, unsigned};
use super::pool::Lent;

const SEGMENTS: &str = "
    SELECT first_seq, last_seq, body FROM segments
    WHERE execution = $1 AND last_seq > $2 ORDER BY last_seq LIMIT $3";

const LOGS: &str = "
    SELECT number, at, node, attempt, kind, body FROM logs
    WHERE execution = $1 AND number > $2 ORDER BY number LIMIT $3";

pub(super) async fn execution(
    lent: &Lent,
    id: ExecutionId,
) -> Result<Option<ExecutionRow>, StoreError> {
    let statement = format!("SELECT {EXECUTION} FROM executions e WHERE e.id = $1");
    let rows = lent.query(&statement, &[&id.as_uuid()]).await?;
    rows.first().map(convert::execution).transpose()
}

pub(super) async fn executions(
    lent: &Lent,
    query: &Query,
) -> Result<Vec<ExecutionRow>, StoreError> {
    let project = query.project.as_str();
    let workflow = query.workflow_id.as_ref().map(|id| id.as_str());
    let statuses: Vec<&str> = query.statuses.iter().map(|status| status.as_str()).collect();
    let (from, before) =
        (convert::micros(query.created_from), convert::micros(query.created_before));
    let ended_from = convert::micros(query.ended_from);
    let after = query.after.map(|cursor| (cursor.created_at.as_micros(), cursor.id.as_uuid()));
    let limit = int(query.limit);
    // Only what is asked for stands in the statement, so that each has the plan that suits it.
    let mut statement = format!("SELECT {EXECUTION} FROM executions e WHERE e.project = $1");
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&project];
    if let Some(workflow) = &workflow {
        params.push(workflow);
        let _ = write!(statement, " AND e.workflow_id = ${}", params.len());
    }
    if !statuses.is_empty() {
        params.push(&statuses);
        let _ = write!(statement, " AND e.status = ANY(${})", params.len());
    }
    if let Some(from) = &from {
        params.push(from);
        let _ = write!(statement, " AND e.created_at >= ${}", params.len());
    }
    if let Some(before) = &before {
        params.push(before);
        let _ = write!(statement, " AND e.created_at < ${}", params.len());
    }
    if let Some(ended_from) = &ended_from {
        params.push(ended_from);
        let _ = write!(statement, " AND e.ended_at >= ${}", params.len());
    }
    if let Some((created_at, id)) = &after {
        params.extend([created_at as &(dyn ToSql + Sync), id]);
        let at = params.len();
        let _ = write!(statement, " AND (e.created_at, e.id) < (${}, ${at})", at - 1);
    }
    params.push(&limit);
    let _ = write!(statement, " ORDER BY e.created_at DESC, e.id DESC LIMIT ${}", params.len());
    let rows = lent.query(&statement, &params).await?;
    rows.iter().map(convert::execution).collect()
}

/// One that has not begun belongs to somebody, or may be claimed: both are in an index.
const QUEUED: &str = "
    SELECT count(*) FROM (
        (SELECT 1 FROM executions WHERE owner IS NOT NULL AND project = $1 AND status = 'Queued'
         LIMIT $2)
        UNION ALL
        (SELECT 1 FROM executions WHERE owner IS NULL AND ended_at IS NULL AND due_at IS NOT NULL
         AND project = $1 AND status = 'Queued' LIMIT $2)
        LIMIT $2
    ) AS queued";

pub(super) async fn queued(
    lent: &Lent,
    project: &ProjectId,
    at_most: usize,
) -> Result<usize, StoreError> {
    let rows = lent.query(QUEUED, &[&project.as_str(), &int(at_most)]).await?;
    let count = rows.first().map(|row| unsigned(row, 0)).transpose()?;
    Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(usize::MAX))
}

pub(super) async fn gone_on(
    lent: &Lent,
    known: &[(ExecutionId, u64)],
) -> Result<Vec<ExecutionRow>, StoreError> {
    let (ids, seqs): (Vec<_>, Vec<_>) =
        known.iter().map(|(id, seq)| (id.as_uuid(), int(*seq))).unzip();
    let statement = format!(
        "SELECT {EXECUTION} FROM unnest($1::uuid[], $2::int8[]) AS known (id, seq)
         JOIN executions e ON e.id = known.id WHERE e.last_seq > known.seq"
    );
    let rows = lent.query(&statement, &[&ids, &seqs]).await?;
    rows.iter().map(convert::execution).collect()
}

/// All as of one moment: that is why it is a transaction.
pub(super) async fn load(lent: &Lent, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
    lent.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let statement =
        format!("SELECT {EXECUTION}, e.start, e.log_lines FROM executions e WHERE e.id = $1");
    let rows = lent.query(&statement, &[&id.as_uuid()]).await?;
    let kept = match rows.first() {
        Some(row) => Some(Kept {
            row: convert::execution(row)?,
            start: get(row, 16, "the start of an execution")?,
            segments: segments(lent, id, 0, usize::MAX).await?,
            last_line: unsigned(row, 17)?,
        }),
        None => None,
    };
    lent.execute("COMMIT").await?;
    Ok(kept)
}

pub(super) async fn segments(
    lent: &Lent,
    id: ExecutionId,
    after_seq: u64,
    limit: usize,
) -> Result<Vec<Segment>, StoreError> {
    let rows = lent.query(SEGMENTS, &[&id.as_uuid(), &int(after_seq), &int(limit)]).await?;
    rows.iter().map(convert::segment).collect()
}

pub(super) async fn blobs(lent: &Lent, digests: &[Digest]) -> Result<Vec<Blob>, StoreError> {
    let wanted: Vec<&[u8]> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
    let statement = "SELECT digest, body FROM blobs WHERE digest = ANY($1)";
    let rows = lent.query(statement, &[&wanted]).await?;
    let found = rows.iter().map(|row| convert::blob(row).map(|blob| (blob.digest, blob)));
    let found: HashMap<Digest, Blob> = found.collect::<Result<_, _>>()?;
    // In the order in which they were asked for.
    Ok(digests.iter().filter_map(|digest| found.get(digest).cloned()).collect())
}

pub(super) async fn definition(
    lent: &Lent,
    digest: Digest,
) -> Result<Option<Arc<Definition>>, StoreError> {
    let statement = "SELECT body FROM definitions WHERE digest = $1";
    let rows = lent.query(statement, &[&digest.as_bytes().as_slice()]).await?;
    let text = rows.first().map(|row| text(row, 0)).transpose()?;
    Ok(text.map(|text| Arc::new(Definition { digest, text })))
}

pub(super) async fn logs(
    lent: &Lent,
    id: ExecutionId,
    after: u64,
    limit: usize,
) -> Result<Vec<LogLine>, StoreError> {
    let rows = lent.query(LOGS, &[&id.as_uuid(), &int(after), &int(limit)]).await?;
    rows.iter().map(convert::log_line).collect()
}
