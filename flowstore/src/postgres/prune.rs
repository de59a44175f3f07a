//! Ended executions are forgotten.

use std::time::Duration;

use flowcore::Timestamp;
use flowruntime::store::{Retention, StoreError};
use uuid::Uuid;

use super::convert::{get, int};
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
    RETURNING e.id, e.definition, e.project, e.key";

/// What only they have. A later start may have the key by now.
const REST: [&str; 3] = [
    "DELETE FROM segments WHERE execution = ANY($1)",
    "DELETE FROM inbox WHERE execution = ANY($1)",
    "DELETE FROM logs WHERE execution = ANY($1)",
];

/// Forgets a few; gives how many.
pub(super) async fn prune(
    lent: &Lent,
    retention: &Retention,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let Some(bounds) = bounds(lent, retention, now).await? else { return Ok(0) };
    lent.execute("BEGIN").await?;
    let rows = lent.query(FORGET, &[&bounds.before, &bounds.at, &bounds.id, &AT_ONCE]).await?;
    let mut ids: Vec<Uuid> = Vec::new();
    let (mut definitions, mut keys): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
    let mut projects: Vec<String> = Vec::new();
    for row in &rows {
        ids.push(get(row, 0, "an id")?);
        definitions.push(get(row, 1, "a digest")?);
        if let Some(key) = get::<Option<Vec<u8>>>(row, 3, "a key")? {
            projects.push(get(row, 2, "the id of a project")?);
            keys.push(key);
        }
    }
    if !ids.is_empty() {
        for statement in REST {
            lent.query(statement, &[&ids]).await?;
        }
        let forget = "DELETE FROM keys \
            WHERE (project, key) IN (SELECT * FROM unnest($1::text[], $2::bytea[])) \
            AND execution = ANY($3)";
        lent.query(forget, &[&projects, &keys, &ids]).await?;
        let unused = "DELETE FROM blob_uses WHERE execution = ANY($1) RETURNING digest";
        let unused = lent.query(unused, &[&ids]).await?;
        let digest = |row| get::<Vec<u8>>(row, 0, "a digest");
        let blobs = unused.iter().map(digest).collect::<Result<Vec<_>, _>>()?;
        lent.query(LOCK, &[]).await?;
        let forget = "DELETE FROM blobs b WHERE digest = ANY($1) \
            AND NOT EXISTS (SELECT FROM blob_uses u WHERE u.digest = b.digest)";
        lent.query(forget, &[&blobs]).await?;
        let forget = "DELETE FROM definitions d WHERE digest = ANY($1) \
            AND NOT EXISTS (SELECT FROM executions e WHERE e.definition = d.digest)";
        lent.query(forget, &[&definitions]).await?;
    }
    lent.execute("COMMIT").await?;
    Ok(ids.len())
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
