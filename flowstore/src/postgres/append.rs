//! Appends, many in one statement.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowcore::{Digest, ExecutionId};
use flowruntime::store::{Append, Appended, LogLine};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};
use uuid::Uuid;

use super::convert::{from_error, int, micros};

/// The items, each of another execution, and the row of each changed if its fence is right, it has
/// not ended, and the events follow. What does not hold for an item leaves its row, and all that
/// depends on it, as it is; how it stands to what was kept before is what the statement gives.
///
/// Nothing here joins what grows with the number of items to anything else that does: `(… IN (…)) IS
/// TRUE` is looked up in a hash table, whatever the planner believes.
macro_rules! append {
    ($taken:literal, $more:literal) => {
        concat!(
            "WITH item AS (SELECT * FROM unnest(
                $1::uuid[], $2::int8[], $3::int8[], $4::int8[], $5::bytea[], $6::text[], $7::int8[],
                $8::int8[], $9::int8[], $10::bool[], $11::bool[], $12::bytea[], $13::int8[]
             ) AS i(execution, fence, first_seq, last_seq, body, status, started_at,
                    at, wake_at, ends, releases, error, last_line)
             ), hit AS (
                UPDATE executions e SET
                    status = i.status,
                    started_at = COALESCE(e.started_at, i.started_at),
                    wake_at = i.wake_at,
                    last_seq = GREATEST(i.last_seq, e.last_seq),
                    ended_at = CASE WHEN i.ends THEN i.at END,
                    error = i.error,
                    owner = CASE WHEN i.ends OR i.releases THEN NULL ELSE e.owner END,
                    due_at = CASE
                        WHEN NOT i.releases THEN e.due_at
                        WHEN e.waiting > ",
            $taken,
            "           THEN 0
                        ELSE i.wake_at
                    END,
                    waiting = e.waiting - ",
            $taken,
            "       , log_lines = GREATEST(e.log_lines, i.last_line)
                FROM item i
                WHERE e.id = i.execution AND e.fence = i.fence AND e.owner IS NOT NULL
                    AND e.ended_at IS NULL AND e.last_seq = i.first_seq - 1
                RETURNING e.id, i.first_seq, i.last_seq, i.body
             ), kept AS (
                INSERT INTO segments (execution, first_seq, last_seq, body)
                SELECT id, first_seq, last_seq, body FROM hit WHERE last_seq >= first_seq
             ) ",
            $more,
            "SELECT i.execution, e.fence, e.owner IS NOT NULL, e.ended_at IS NOT NULL, e.last_seq, EXISTS (
                SELECT FROM segments s
                WHERE s.execution = i.execution AND s.last_seq = i.last_seq
                    AND s.first_seq = i.first_seq AND s.body = i.body
             )
             FROM item i LEFT JOIN executions e ON e.id = i.execution
             WHERE (i.execution IN (SELECT id FROM hit)) IS NOT TRUE"
        )
    };
}

/// With nothing but events.
const PLAIN: &str = append!("0", "");

/// With messages that are taken, values that are kept apart, and logs.
///
/// Which messages wait is counted in the row of the execution, so that a message that is sent at the
/// same moment is seen once the row is.
const WHOLE: &str = append!(
    "(
        SELECT count(*) FROM inbox m WHERE m.execution = e.id
            AND ((m.execution, m.id) IN (SELECT * FROM unnest($14::uuid[], $15::uuid[]))) IS TRUE
     ) ",
    ", gone AS (
        DELETE FROM inbox m WHERE m.execution = ANY($14)
            AND ((m.execution, m.id) IN (SELECT * FROM unnest($14::uuid[], $15::uuid[]))) IS TRUE
            AND (m.execution IN (SELECT id FROM hit)) IS TRUE
     ), used AS (
        SELECT u.execution, u.digest FROM unnest($16::uuid[], $17::bytea[]) AS u(execution, digest)
        WHERE (u.execution IN (SELECT id FROM hit)) IS TRUE
     ), blob AS (
        INSERT INTO blobs (digest, body)
        SELECT b.digest, b.body FROM unnest($18::bytea[], $19::bytea[]) AS b(digest, body)
        WHERE (b.digest IN (SELECT digest FROM used)) IS TRUE ORDER BY b.digest
        ON CONFLICT (digest) DO NOTHING
     ), usage AS (
        INSERT INTO blob_uses (execution, digest) SELECT execution, digest FROM used
        ON CONFLICT (execution, digest) DO NOTHING
     ), line AS (
        INSERT INTO logs (execution, number, at, node, attempt, kind, body)
        SELECT l.execution, l.number, l.at, l.node, l.attempt, l.kind, l.body
        FROM unnest($20::uuid[], $21::int8[], $22::int8[], $23::bytea[], $24::int8[],
                    $25::bytea[], $26::bytea[])
            AS l(execution, number, at, node, attempt, kind, body)
        WHERE (l.execution IN (SELECT id FROM hit)) IS TRUE
            AND l.number > (SELECT e.log_lines FROM executions e WHERE e.id = l.execution)
     ) "
);

/// The statements, prepared in a session.
pub(super) struct Statements {
    plain: Statement,
    whole: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self { plain: client.prepare(PLAIN).await?, whole: client.prepare(WHOLE).await? })
    }
}

/// Makes appends, of different executions. Those that are not in the answer were made; of the others
/// nothing was, and it says why, or `None` when others were faster and it may be tried again.
pub(super) async fn append(
    client: &Client,
    statements: &Statements,
    items: &[&Append],
) -> Result<HashMap<ExecutionId, Option<Appended>>, Error> {
    let columns = Columns::of(items);
    let rows = if is_plain(items) {
        client.query(&statements.plain, &columns.params()).await?
    } else {
        let parts = Parts::of(items);
        let params = [columns.params(), parts.params()].concat();
        client.query(&statements.whole, &params).await?
    };
    let mut refused = HashMap::new();
    for row in &rows {
        let id = ExecutionId::from_uuid(row.try_get(0)?);
        if let Some(append) = items.iter().find(|item| item.execution == id) {
            refused.insert(id, verdict(append, row)?);
        }
    }
    Ok(refused)
}

/// Whether there is nothing but events.
fn is_plain(items: &[&Append]) -> bool {
    items.iter().all(|item| !has_blobs(item) && item.taken.is_empty() && item.logs.is_empty())
}

/// The lines of an append, each with its number.
fn numbered(append: &Append) -> impl Iterator<Item = (i64, &LogLine)> {
    (int(append.first_line)..).zip(&append.logs)
}

/// Whether values are kept apart.
pub(super) fn has_blobs(append: &Append) -> bool {
    !append.blobs.is_empty()
}

/// How an append that was not made stands to what was kept before.
fn verdict(append: &Append, row: &Row) -> Result<Option<Appended>, Error> {
    let Some(fence) = row.try_get::<_, Option<i64>>(1)? else { return Ok(Some(Appended::Fenced)) };
    let (is_owned, has_ended): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
    let (last_seq, is_kept): (i64, bool) = (row.try_get(4)?, row.try_get(5)?);
    Ok(if fence != int(append.fence) {
        Some(Appended::Fenced)
    } else if append.has_events() && is_kept {
        Some(Appended::Committed)
    } else if has_ended {
        Some(Appended::Fenced)
    } else if !is_owned {
        // Perhaps it was let go by an earlier call of the same.
        let is_repeated = append.progress.release && int(append.last_seq) == last_seq;
        Some(if is_repeated { Appended::Committed } else { Appended::Fenced })
    } else if int(append.first_seq) != last_seq.saturating_add(1) {
        Some(Appended::OutOfOrder { last_seq: u64::try_from(last_seq).unwrap_or(0) })
    } else {
        None
    })
}

/// What every item has, a column each.
#[derive(Default)]
struct Columns<'a> {
    executions: Vec<Uuid>,
    fences: Vec<i64>,
    first_seqs: Vec<i64>,
    last_seqs: Vec<i64>,
    bodies: Vec<&'a [u8]>,
    statuses: Vec<&'static str>,
    started_at: Vec<Option<i64>>,
    at: Vec<i64>,
    wake_at: Vec<Option<i64>>,
    ends: Vec<bool>,
    releases: Vec<bool>,
    errors: Vec<Option<Vec<u8>>>,
    last_lines: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(items: &[&'a Append]) -> Self {
        let mut columns = Self::default();
        for item in items {
            let progress = &item.progress;
            let ends = progress.status.is_terminal();
            let error = progress.error.as_ref().filter(|_| ends);
            columns.executions.push(item.execution.as_uuid());
            columns.fences.push(int(item.fence));
            columns.first_seqs.push(int(item.first_seq));
            columns.last_seqs.push(int(item.last_seq));
            columns.bodies.push(&item.segment);
            columns.statuses.push(progress.status.as_str());
            columns.started_at.push(micros(progress.started_at));
            columns.at.push(progress.at.as_micros());
            columns.wake_at.push(micros(progress.wake_at));
            columns.ends.push(ends);
            columns.releases.push(progress.release);
            columns.errors.push(error.map(from_error));
            columns.last_lines.push(numbered(item).last().map_or(0, |(number, _)| number));
        }
        columns
    }

    fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.executions,
            &self.fences,
            &self.first_seqs,
            &self.last_seqs,
            &self.bodies,
            &self.statuses,
            &self.started_at,
            &self.at,
            &self.wake_at,
            &self.ends,
            &self.releases,
            &self.errors,
            &self.last_lines,
        ]
    }
}

/// What some items have, and may have several of.
#[derive(Default)]
struct Parts<'a> {
    takers: Vec<Uuid>,
    taken: Vec<Uuid>,
    users: Vec<Uuid>,
    used: Vec<&'a [u8]>,
    digests: Vec<&'a [u8]>,
    blobs: Vec<&'a [u8]>,
    loggers: Vec<Uuid>,
    numbers: Vec<i64>,
    at: Vec<i64>,
    nodes: Vec<&'a [u8]>,
    attempts: Vec<i64>,
    kinds: Vec<&'a [u8]>,
    texts: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(items: &[&'a Append]) -> Self {
        let mut parts = Self::default();
        let mut blobs: BTreeMap<&Digest, &[u8]> = BTreeMap::new();
        for item in items {
            let id = item.execution.as_uuid();
            for message in item.taken.iter().collect::<BTreeSet<_>>() {
                parts.takers.push(id);
                parts.taken.push(message.0);
            }
            for blob in &item.blobs {
                blobs.entry(&blob.digest).or_insert(&blob.bytes);
                parts.users.push(id);
                parts.used.push(blob.digest.as_bytes());
            }
            for (number, line) in numbered(item) {
                parts.loggers.push(id);
                parts.numbers.push(number);
                parts.at.push(line.at.as_micros());
                parts.nodes.push(line.node.as_bytes());
                parts.attempts.push(line.attempt.into());
                parts.kinds.push(line.kind.as_bytes());
                parts.texts.push(line.text.as_bytes());
            }
        }
        for (digest, bytes) in blobs {
            parts.digests.push(digest.as_bytes());
            parts.blobs.push(bytes);
        }
        parts
    }

    fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.takers,
            &self.taken,
            &self.users,
            &self.used,
            &self.digests,
            &self.blobs,
            &self.loggers,
            &self.numbers,
            &self.at,
            &self.nodes,
            &self.attempts,
            &self.kinds,
            &self.texts,
        ]
    }
}
