//! Ended executions are forgotten.

use std::time::Duration;

use flowcore::Timestamp;
use flowruntime::store::{Pruned, Retention, StoreError};
use uuid::Uuid;

use super::convert::{get, int, unsigned};
use super::pool::Lent;

/// How many one call forgets at most.
const AT_ONCE: i64 = 100;

/// Alone among all that use blobs and definitions: see [`super::writer::USE_LOCK`].
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('flow.prune.' || current_schema(), 0))";

/// The last that goes because so many ended after it.
const BEYOND: &str = "
    SELECT ended_at, id FROM executions WHERE ended_at IS NOT NULL
    ORDER BY ended_at DESC, id DESC OFFSET $1 LIMIT 1";

/// Those that go, the oldest first: all that ended before a time, and all up to another one.
const FORGET: &str = "
    WITH gone AS (
        SELECT id FROM executions
        WHERE ended_at IS NOT NULL AND (ended_at < $1 OR (ended_at, id) <= ($2, $3))
        ORDER BY ended_at, id LIMIT $4 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM executions e USING gone g WHERE e.id = g.id
    RETURNING e.id, e.definition, e.key, octet_length(e.start)::int8";

/// What only they have, with how large it was.
const REST: [&str; 2] = [
    "WITH gone AS (
        DELETE FROM segments WHERE execution = ANY($1) RETURNING octet_length(body) AS size
    ) SELECT COALESCE(sum(size), 0)::int8 FROM gone",
    "WITH gone AS (
        DELETE FROM logs WHERE execution = ANY($1) RETURNING octet_length(body) AS size
    ) SELECT COALESCE(sum(size), 0)::int8 FROM gone",
];

/// All that [`FORGET`] would find, and what only they have.
const PRUNABLE: &str = "
    WITH gone AS MATERIALIZED (
        SELECT id, octet_length(start) AS size FROM executions
        WHERE ended_at IS NOT NULL AND (ended_at < $1 OR (ended_at, id) <= ($2, $3))
    ), unused AS MATERIALIZED (
        SELECT digest FROM blob_uses WHERE execution IN (SELECT id FROM gone)
        EXCEPT SELECT digest FROM blob_uses WHERE execution NOT IN (SELECT id FROM gone)
    ) SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM unused), (
        COALESCE((SELECT sum(size) FROM gone), 0)
        + COALESCE((SELECT sum(octet_length(s.body)) FROM segments s
            WHERE s.execution IN (SELECT id FROM gone)), 0)
        + COALESCE((SELECT sum(octet_length(l.body)) FROM logs l
            WHERE l.execution IN (SELECT id FROM gone)), 0)
        + COALESCE((SELECT sum(octet_length(b.body)) FROM blobs b
            WHERE b.digest IN (SELECT digest FROM unused)), 0)
    )::int8";

/// What would be forgotten.
pub(super) async fn prunable(
    lent: &Lent,
    retention: &Retention,
    now: Timestamp,
) -> Result<Pruned, StoreError> {
    let Some(bounds) = bounds(lent, retention, now).await? else { return Ok(Pruned::default()) };
    let rows = lent.query(PRUNABLE, &[&bounds.before, &bounds.at, &bounds.id]).await?;
    let Some(row) = rows.first() else { return Ok(Pruned::default()) };
    let [executions, blobs, bytes] = [unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?];
    Ok(Pruned { executions, blobs, bytes })
}

/// Forgets a few; gives what went.
pub(super) async fn prune(
    lent: &Lent,
    retention: &Retention,
    now: Timestamp,
) -> Result<Pruned, StoreError> {
    let mut pruned = Pruned::default();
    let Some(bounds) = bounds(lent, retention, now).await? else { return Ok(pruned) };
    lent.execute("BEGIN").await?;
    let rows = lent.query(FORGET, &[&bounds.before, &bounds.at, &bounds.id, &AT_ONCE]).await?;
    let mut ids: Vec<Uuid> = Vec::new();
    let (mut definitions, mut keys): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
    for row in &rows {
        ids.push(get(row, 0, "an id")?);
        definitions.push(get(row, 1, "a digest")?);
        keys.extend(get::<Option<Vec<u8>>>(row, 2, "a key")?);
        pruned.executions += 1;
        pruned.bytes += unsigned(row, 3)?;
    }
    if !ids.is_empty() {
        for statement in REST {
            for row in lent.query(statement, &[&ids]).await? {
                pruned.bytes += unsigned(&row, 0)?;
            }
        }
        lent.query("DELETE FROM inbox WHERE execution = ANY($1)", &[&ids]).await?;
        let forget = "DELETE FROM keys WHERE key = ANY($1) AND execution = ANY($2)";
        lent.query(forget, &[&keys, &ids]).await?;
        let unused = "DELETE FROM blob_uses WHERE execution = ANY($1) RETURNING digest";
        let unused = lent.query(unused, &[&ids]).await?;
        let digest = |row| get::<Vec<u8>>(row, 0, "a digest");
        let blobs = unused.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        lent.query(LOCK, &[]).await?;
        let forget = "DELETE FROM blobs b WHERE digest = ANY($1) \
            AND NOT EXISTS (SELECT FROM blob_uses u WHERE u.digest = b.digest) \
            RETURNING octet_length(body)::int8";
        for row in lent.query(forget, &[&blobs]).await? {
            pruned.blobs += 1;
            pruned.bytes += unsigned(&row, 0)?;
        }
        let forget = "DELETE FROM definitions d WHERE digest = ANY($1) \
            AND NOT EXISTS (SELECT FROM executions e WHERE e.definition = d.digest)";
        lent.query(forget, &[&definitions]).await?;
    }
    lent.execute("COMMIT").await?;
    Ok(pruned)
}

/// Up to where executions go.
struct Bounds {
    before: Option<i64>,
    at: Option<i64>,
    id: Option<Uuid>,
}

async fn bounds(
    lent: &Lent,
    retention: &Retention,
    now: Timestamp,
) -> Result<Option<Bounds>, StoreError> {
    let micros = |age: Duration| now.as_micros().saturating_sub(int(age.as_micros()));
    let before = retention.max_age.map(micros);
    let (mut at, mut id) = (None, None);
    if let Some(count) = retention.max_count {
        let rows = lent.query(BEYOND, &[&int(count)]).await?;
        if let Some(row) = rows.first() {
            (at, id) = (Some(get(row, 0, "a time")?), Some(get(row, 1, "an id")?));
        }
    }
    let is_any = before.is_some() || at.is_some();
    Ok(is_any.then_some(Bounds { before, at, id }))
}
