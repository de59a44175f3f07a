//! One thread that writes, with one connection: what waits while a transaction is flushed goes into
//! the next one, all of it with one flush.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use flowruntime::store::StoreError;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::change::{Owners, Tables};
use super::failure::{is_busy, is_of_the_disk, to_store_error};
use super::file::DatabaseFile;
use super::lock::Lock;
use super::log::Log;
use crate::Access;
use crate::chain::Chain;

/// How many changes go into one transaction at most, so that the first to come does not wait for
/// ever.
const MOST_AT_ONCE: usize = 1024;

/// How long changes are taken into one transaction.
const LONGEST: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 5 });

/// How often it is looked whether another process changed something.
const LOOK_EVERY: Duration = Duration::from_millis(75);

/// How often a lock that another process holds is waited for; each time for [`super::file::BUSY_LIMIT`].
const LOCK_TRIES: u32 = 2;

/// What is to be changed, and whoever waits for it.
pub(super) trait Change: Send {
    /// Makes it; once more when the transaction of the first time failed.
    fn make(&mut self, tables: &mut Tables<'_>) -> rusqlite::Result<()>;

    /// Tells whoever waits that it is committed, or why not.
    fn answer(self: Box<Self>, error: Option<&StoreError>);
}

/// A change that a closure makes.
struct Asked<T, W> {
    work: W,
    made: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    place: Option<OwnedSemaphorePermit>,
}

impl<T, W> Change for Asked<T, W>
where
    T: Send,
    W: FnMut(&mut Tables<'_>) -> rusqlite::Result<T> + Send,
{
    fn make(&mut self, tables: &mut Tables<'_>) -> rusqlite::Result<()> {
        self.made = Some((self.work)(tables)?);
        Ok(())
    }

    fn answer(self: Box<Self>, error: Option<&StoreError>) {
        let Self { made, answer, place, .. } = *self;
        drop(place);
        let outcome = match error {
            None => made.ok_or(StoreError::Closed),
            Some(error) => Err(error.clone()),
        };
        // Whoever asked may have gone; it is done all the same.
        let _ = answer.send(outcome);
    }
}

/// Where changes are asked for.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) sender: Sender<Box<dyn Change>>,
    pub(super) counts: Arc<Counts>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) waiting: AtomicUsize,
    pub(super) commits: AtomicU64,
    pub(super) appends: AtomicU64,
}

impl Requests {
    /// Asks for a change: those that are asked for first are made first. `place` is given back when it
    /// is answered.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        place: Option<OwnedSemaphorePermit>,
        work: impl FnMut(&mut Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { work, made: None, answer, place };
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        // With the thread gone, the answer never comes, which says it all.
        let _ = self.sender.send(Box::new(asked));
        answered
    }
}

/// The thread, and what it has.
pub(super) struct Writer {
    file: DatabaseFile,
    access: Access,
    connection: Option<Connection>,
    /// The audit log of this connection.
    chain: Chain,
    owners: Arc<Owners>,
    bell: watch::Sender<u64>,
    counts: Arc<Counts>,
    is_failing: bool,
    log: Log,
    /// When another process was looked for last, and what SQLite said then.
    looked_at: Instant,
    seen: Option<i64>,
    /// Let go last, when everything is closed.
    _lock: Option<Lock>,
}

impl Writer {
    /// Opens the file.
    pub(super) fn open(
        mut file: DatabaseFile,
        access: Access,
        owners: Arc<Owners>,
        bell: watch::Sender<u64>,
        counts: Arc<Counts>,
    ) -> Result<Self, StoreError> {
        let lock = match access {
            Access::Execute => Some(Lock::take(file.path())?),
            Access::Visit => None,
        };
        let mut connection = file.open_first(access)?;
        let log = Log::default();
        log.watch(&mut connection, access).map_err(|error| to_store_error(&error))?;
        let seen = Some(data_version(&connection).map_err(|error| to_store_error(&error))?);
        let (connection, looked_at) = (Some(connection), Instant::now());
        Ok(Self {
            file,
            access,
            connection,
            chain: Chain::new(),
            owners,
            bell,
            counts,
            is_failing: false,
            log,
            looked_at,
            seen,
            _lock: lock,
        })
    }

    pub(super) fn file(&self) -> &DatabaseFile {
        &self.file
    }

    /// Makes one change, alone.
    pub(super) fn make_one<T: Send>(
        &mut self,
        work: impl FnMut(&mut Tables<'_>) -> rusqlite::Result<T> + Send,
    ) -> Result<T, StoreError> {
        let (answer, _) = oneshot::channel();
        let mut one = Asked { work, made: None, answer, place: None };
        self.transact(&mut |tables| one.make(tables))?;
        one.made.ok_or(StoreError::Closed)
    }

    /// Makes changes until nobody can ask for any more.
    pub(super) fn run(mut self, requests: &Receiver<Box<dyn Change>>) {
        loop {
            let first = match self.access {
                Access::Execute => requests.recv_timeout(LOOK_EVERY),
                Access::Visit => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(first) => self.make_group(first, requests),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.access == Access::Execute {
                self.tidy();
                self.look();
            }
        }
    }

    /// Makes a change and those that wait behind it, with one flush.
    fn make_group(&mut self, first: Box<dyn Change>, requests: &Receiver<Box<dyn Change>>) {
        let mut group = vec![first];
        let started = Instant::now();
        let outcome = self.transact(&mut |tables| {
            for change in &mut group {
                change.make(tables)?;
            }
            while group.len() < MOST_AT_ONCE && started.elapsed() < LONGEST {
                let Ok(mut change) = requests.try_recv() else { break };
                let made = change.make(tables);
                group.push(change);
                made?;
            }
            Ok(())
        });
        self.counts.waiting.fetch_sub(group.len(), Ordering::Relaxed);
        match outcome {
            // One that has no room, or cannot be made at all, does not stop the others.
            Err(StoreError::Full { .. } | StoreError::Damaged { .. }) if group.len() > 1 => {
                for mut change in group {
                    let outcome = self.transact(&mut |tables| change.make(tables));
                    change.answer(outcome.as_ref().err());
                }
            }
            outcome => {
                for change in group {
                    change.answer(outcome.as_ref().err());
                }
            }
        }
    }

    /// Makes changes in one transaction, flushed when this returns. After an error nothing is changed,
    /// unless the disk failed: then nobody knows.
    fn transact(
        &mut self,
        make: &mut dyn FnMut(&mut Tables<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let outcome = self.try_transact(make);
        match &outcome {
            Ok(()) if self.is_failing => {
                tracing::info!(file = %self.file.path().display(), "the store works again");
            }
            Err(error) if !self.is_failing => {
                tracing::error!(file = %self.file.path().display(), %error, "the store fails");
            }
            _ => {}
        }
        self.is_failing = outcome.is_err();
        outcome
    }

    fn try_transact(
        &mut self,
        make: &mut dyn FnMut(&mut Tables<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.file.check()?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        let mut tables = Tables::new(&connection, &self.owners, self.chain.clone());
        let result = transaction(&connection, || make(&mut tables));
        let Tables { rings, appends, chain, .. } = tables;
        if let Err(error) = result {
            // SQLite has rolled back by itself after some errors.
            let is_clean =
                connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
            if is_clean && !is_of_the_disk(&error) {
                self.connection = Some(connection);
            }
            return Err(to_store_error(&error));
        }
        self.connection = Some(connection);
        self.chain = chain;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.counts.appends.fetch_add(appends, Ordering::Relaxed);
        if rings {
            self.bell.send_modify(|rung| *rung += 1);
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<Connection, StoreError> {
        let mut connection = self.file.open_again(self.access)?;
        self.log.watch(&mut connection, self.access).map_err(|error| to_store_error(&error))?;
        self.seen = None;
        // Nobody knows whether its last links were kept.
        self.chain = Chain::new();
        Ok(connection)
    }

    /// Moves the log into the file when it has become long; nobody waits for that.
    fn tidy(&mut self) {
        if let Some(connection) = &self.connection
            && let Err(error) = self.log.tidy(connection)
        {
            tracing::warn!(file = %self.file.path().display(), %error, "the log is not moved");
            if is_of_the_disk(&error) {
                self.connection = None;
            }
        }
    }

    /// Rings when another process changed something.
    fn look(&mut self) {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked_at = Instant::now();
        let Some(connection) = &self.connection else { return };
        // What is wrong with the file is told to whoever wants something.
        let Ok(version) = data_version(connection) else { return };
        if self.seen.replace(version) != Some(version) {
            self.bell.send_modify(|rung| *rung += 1);
        }
    }
}

/// Changes with what other connections commit.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_one((), |row| row.get(0))
}

fn transaction(
    connection: &Connection,
    make: impl FnOnce() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut begin = connection.prepare_cached("BEGIN IMMEDIATE")?;
    let mut tries = 1;
    while let Err(error) = begin.execute(()) {
        if !is_busy(&error) || tries == LOCK_TRIES {
            return Err(error);
        }
        tries += 1;
        tracing::warn!("another process holds the write lock of the store");
    }
    make()?;
    connection.prepare_cached("COMMIT")?.execute(()).map(|_| ())
}
