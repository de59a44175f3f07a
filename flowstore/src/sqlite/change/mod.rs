//! What changes the tables. All of it runs on the thread of the writer, in a transaction that holds
//! the changes of many.
//!
//! A change that is refused has changed nothing when it says so: the others of its transaction are
//! committed all the same.

mod append;
mod claim;
mod commit;
mod create;
mod prune;
mod send;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use flowcore::{ExecutionId, Timestamp};
use flowruntime::store::{Blob, OwnerId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

pub(super) use append::append;
pub(super) use claim::{claim, claim_one, leave, release_all};
pub(super) use commit::{commit, has_keyring};
pub(super) use create::create;
pub(super) use prune::{Bound, forget, sweep};
pub(super) use send::send;

use super::codec::{get, id};
use crate::chain::Chain;

/// The owners that have entered and not left. Nobody else is one: whoever was before has died, or the
/// file would still be locked.
#[derive(Default)]
pub(super) struct Owners(Mutex<BTreeSet<OwnerId>>);

impl Owners {
    pub(super) fn enter(&self, owner: OwnerId) {
        self.with(|living| living.insert(owner));
    }

    pub(super) fn lives(&self, owner: OwnerId) -> bool {
        self.with(|living| living.contains(&owner))
    }

    fn leave(&self, owner: OwnerId) {
        self.with(|living| living.remove(&owner));
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeSet<OwnerId>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The tables, within a transaction.
pub(super) struct Tables<'a> {
    pub(super) db: &'a Connection,
    owners: &'a Owners,
    /// Whether there may be something new to claim or to take.
    pub(super) rings: bool,
    /// How many appends were made.
    pub(super) appends: u64,
    /// Where entries of the audit log go; it counts as grown once all is committed.
    pub(super) chain: Chain,
}

/// Due at once, whatever the time.
const AT_ONCE: i64 = Timestamp::from_micros(0).as_micros();

impl<'a> Tables<'a> {
    pub(super) fn new(db: &'a Connection, owners: &'a Owners, chain: Chain) -> Self {
        Self { db, owners, rings: false, appends: 0, chain }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'a>> {
        self.db.prepare_cached(sql)
    }

    /// Gives how many rows it changed.
    fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.statement(sql)?.execute(params)
    }

    /// The numbers that a change returns, such as the sizes of what it deleted.
    fn sizes(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<u64>> {
        self.statement(sql)?.query_map(params, |row| get(row, 0))?.collect()
    }

    /// The first row, if there is one.
    fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.statement(sql)?.query_row(params, read).optional()
    }

    fn exists(&self, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
        self.statement(sql)?.exists(params)
    }

    /// The number of an execution.
    fn number(&self, execution: ExecutionId) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT number FROM executions WHERE id = ?1";
        self.first(sql, [id(execution)], |row| row.get(0))
    }

    /// Keeps values for an execution, each once.
    fn keep_blobs(&self, execution: i64, blobs: &[Blob]) -> rusqlite::Result<()> {
        for blob in blobs {
            let known = self.first(
                "SELECT number FROM blobs WHERE digest = ?1",
                [blob.digest.as_bytes()],
                |row| row.get::<_, i64>(0),
            )?;
            let number = match known {
                Some(number) => number,
                None => {
                    self.execute(
                        "INSERT INTO blobs (digest, bytes) VALUES (?1, ?2)",
                        (blob.digest.as_bytes(), &*blob.bytes),
                    )?;
                    self.db.last_insert_rowid()
                }
            };
            self.execute(
                "INSERT INTO blob_uses (execution, blob) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                (execution, number),
            )?;
        }
        Ok(())
    }
}
