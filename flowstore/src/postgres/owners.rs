//! Owners: who lives, and what becomes of the executions of those who do not.

use std::time::Duration;

use flowruntime::store::{OwnerId, StoreError};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::failure;
use super::pool::Lent;

/// How long the session of an owner may be gone, unless its lease is short: it may be that only the
/// connection broke, and is made anew.
const LONGEST_ABSENCE: Duration = Duration::from_secs(2);

/// How long the session of an owner may be gone.
pub(super) fn absence(lease: Duration) -> Duration {
    LONGEST_ABSENCE.min(lease / 4)
}

/// The number of the advisory lock that the session of an owner holds. The end of the id is random.
pub(super) fn lock_key(owner: OwnerId) -> i64 {
    let (_, low) = owner.0.as_u64_pair();
    low.cast_signed()
}

/// Enters an owner, and takes its lock.
pub(super) async fn enter(client: &Client, owner: OwnerId, lease: Duration) -> Result<(), Error> {
    let enter = "INSERT INTO owners (id, lock_key, lease_until) \
        VALUES ($1, $2, clock_timestamp() + $3 * interval '1 ms') ON CONFLICT (id) DO NOTHING";
    client.execute("SELECT pg_advisory_lock($1)", &[&lock_key(owner)]).await?;
    client.execute(enter, &[&owner.0, &lock_key(owner), &millis(lease)]).await?;
    Ok(())
}

/// Takes the lock of an owner in a new session.
pub(super) async fn hold(client: &Client, owner: OwnerId) -> Result<(), Error> {
    client.execute("SELECT pg_advisory_lock($1)", &[&lock_key(owner)]).await?;
    client.execute("UPDATE owners SET missing_since = NULL WHERE id = $1", &[&owner.0]).await?;
    Ok(())
}

/// Lets the lock go.
pub(super) async fn release(client: &Client, owner: OwnerId) -> Result<(), Error> {
    client.execute("SELECT pg_advisory_unlock($1)", &[&lock_key(owner)]).await?;
    Ok(())
}

/// Lengthens a lease, unless it is over.
pub(super) async fn renew(client: &Client, owner: OwnerId, lease: Duration) -> Result<bool, Error> {
    let renew = "UPDATE owners \
        SET lease_until = clock_timestamp() + $2 * interval '1 ms', missing_since = NULL \
        WHERE id = $1 AND lease_until >= clock_timestamp()";
    Ok(client.execute(renew, &[&owner.0, &millis(lease)]).await? == 1)
}

/// Removes an owner; what it had is due at once.
pub(super) async fn leave(client: &Client, owner: OwnerId) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    client.execute("DELETE FROM owners WHERE id = $1", &[&owner.0]).await?;
    free(client, &[owner.0]).await?;
    client.batch_execute("COMMIT").await
}

/// Finds owners that are dead, and makes what they had due at once; gives whether there were any.
/// `held` are those whose locks this very session holds: it cannot tell that they are taken.
pub(super) async fn sweep(client: &Client, held: &[Uuid], lease: Duration) -> Result<bool, Error> {
    let absence = millis(absence(lease));
    // A lock that is free is taken until the end of the statement. So another sweep may believe that
    // it is not: only its owner says that it is back.
    let look = "SELECT id, missing_since IS NULL AS is_news, \
            lease_until < clock_timestamp() OR is_free AND COALESCE( \
                missing_since < clock_timestamp() - $2 * interval '1 ms', false \
            ) AS is_dead \
        FROM (SELECT *, id <> ALL($1) AND pg_try_advisory_xact_lock(lock_key) AS is_free \
            FROM owners OFFSET 0) AS o \
        WHERE is_free OR lease_until < clock_timestamp()";
    let rows = client.query(look, &[&held, &absence]).await?;
    let (mut dead, mut missing): (Vec<Uuid>, Vec<Uuid>) = Default::default();
    for row in &rows {
        let (is_news, is_dead): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
        match (is_dead, is_news) {
            (true, _) => dead.push(row.try_get(0)?),
            (false, true) => missing.push(row.try_get(0)?),
            (false, false) => {}
        }
    }
    if !missing.is_empty() {
        let note = "UPDATE owners SET missing_since = clock_timestamp() \
            WHERE id = ANY($1) AND missing_since IS NULL";
        client.execute(note, &[&missing]).await?;
    }
    Ok(!dead.is_empty() && bury(client, &dead, absence).await?)
}

/// As [`sweep`], on a connection that holds no locks.
pub(super) async fn sweep_on(lent: &Lent, lease: Duration) -> Result<bool, StoreError> {
    sweep(lent.client(), &[], lease).await.map_err(|error| failure::of(&error))
}

/// Removes owners that are still dead. One that starts or claims something at this moment comes first,
/// or finds itself removed.
async fn bury(client: &Client, dead: &[Uuid], absence: f64) -> Result<bool, Error> {
    let bury = "DELETE FROM owners WHERE id = ANY($1) AND (lease_until < clock_timestamp() \
        OR missing_since < clock_timestamp() - $2 * interval '1 ms') RETURNING id";
    client.batch_execute("BEGIN").await?;
    let rows = client.query(bury, &[&dead, &absence]).await?;
    let gone: Vec<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    free(client, &gone).await?;
    client.batch_execute("COMMIT").await?;
    Ok(!gone.is_empty())
}

/// Whoever had them may have left something under way: they are due before all others.
async fn free(client: &Client, owners: &[Uuid]) -> Result<u64, Error> {
    let free = "UPDATE executions SET owner = NULL, claim = NULL, due_at = 0 WHERE owner = ANY($1)";
    client.execute(free, &[&owners]).await
}

/// For `interval`, which is multiplied by such a number.
#[expect(clippy::cast_precision_loss, reason = "leases are not so long")]
fn millis(duration: Duration) -> f64 {
    duration.as_millis() as f64
}
