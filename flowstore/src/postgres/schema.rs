//! The tables, and how they come to be.

use flowruntime::store::StoreError;
use tokio_postgres::{Client, Error};

use super::failure;
use super::settings::Settings;

/// Each brings the tables from the version before to its own. What was released is never changed.
const MIGRATIONS: [&str; 2] = [include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// Brings the tables up to date. Several processes may try at once: one does, the others wait for it.
///
/// # Errors
/// [`StoreError::TooNew`], and what failing statements mean.
pub(super) async fn migrate(client: &Client, settings: &Settings) -> Result<(), StoreError> {
    let known = version_of(MIGRATIONS.len());
    let failed = |error: Error| failure::of_opening(&error, &settings.shown);
    if current(client, settings).await.map_err(failed)? == known {
        return Ok(());
    }
    // As long as it takes.
    client.batch_execute("BEGIN; SET LOCAL statement_timeout TO 0").await.map_err(failed)?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    let name = format!("flow.migrate.{}", settings.schema);
    client.execute(lock, &[&name]).await.map_err(failed)?;
    let found = current(client, settings).await.map_err(failed)?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    let schema = &settings.schema;
    if found == 0 {
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS \"{schema}\"; \
             CREATE TABLE versions (version int8 PRIMARY KEY, made_at timestamptz NOT NULL)"
        );
        client.batch_execute(&make).await.map_err(failed)?;
    }
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if version > found {
            client.batch_execute(migration).await.map_err(failed)?;
            let note = "INSERT INTO versions VALUES ($1, now())";
            client.execute(note, &[&i64::from(version)]).await.map_err(failed)?;
        }
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}

/// The version of the tables; 0 when there are none.
async fn current(client: &Client, settings: &Settings) -> Result<u32, Error> {
    // Not `to_regclass`: that remembers what was not there before the lock was.
    let is_there = "SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'versions'
    )";
    if !client.query_one(is_there, &[&settings.schema]).await?.try_get(0)? {
        return Ok(0);
    }
    let newest = "SELECT COALESCE(max(version), 0) FROM versions";
    let version: i64 = client.query_one(newest, &[]).await?.try_get(0)?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

fn version_of(migrations: usize) -> u32 {
    u32::try_from(migrations).unwrap_or(u32::MAX)
}
