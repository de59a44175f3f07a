//! A store in a SQLite file.
//!
//! One thread writes, a few read; what they are asked for goes to them through channels, so no thread
//! of a runtime ever waits for the disk.

mod catalog;
mod change;
mod codec;
mod failure;
mod file;
mod lock;
mod log;
mod read;
mod readers;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use flowcore::value::Seal;
use flowcore::{Digest, ExecutionId, ProjectId, Timestamp};
use flowruntime::store::{
    Append, Appended, AuditEntry, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept,
    LogLine, Message, NewExecution, Owner, OwnerId, Pruned, Query, Retention, Segment, Sent, Store,
    StoreError, StoreMetrics,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::{Access, Keyring, KeyringError, SealingKey};
use change::{Bound, Owners, Tables};
use file::DatabaseFile;
use readers::{READERS, Readers, no_thread};
use writer::{Counts, Requests, Writer};

/// How many requests may wait to be written; more wait to be asked for. Appends come in always: their
/// order is that of the calls, and whoever makes them has only so many under way.
const MOST_WAITING: usize = if cfg!(test) { 16 } else { 4096 };

/// How long a visitor leaves the file alone between many changes: SQLite looks several times in that time
/// whether a lock is free.
const WAY: Duration = Duration::from_millis(20);

/// Keeps executions in a SQLite file.
///
/// What it says is committed is flushed (`synchronous=FULL`), many changes with one flush. One process
/// at a time executes from a file, which a lock of the operating system sees to; with
/// [`Access::Visit`] any number look at it meanwhile, and leave messages and new executions.
///
/// What came from secrets is sealed with the key in `<file>.key`, which is made with the file, or with
/// the [`Keyring`] that this key opens. It is not made anew for a file with a keyring.
///
/// Dropping it waits until everything that was asked for is written; that takes as long as a flush.
pub struct SqliteStore {
    access: Access,
    owned: Owned,
    owners: Arc<Owners>,
    bell: watch::Sender<u64>,
    places: Arc<Semaphore>,
    readers: Readers,
    /// What came from secrets is sealed with it.
    seal: Option<Arc<dyn Seal>>,
    /// `None` when it is being dropped.
    requests: Option<Requests>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the file and brings its tables up to date; makes it if there is none. With
    /// [`Access::Execute`] everything that was executed before may be claimed at once: whoever did is
    /// dead, or would still have the lock.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process executes from it, or another store of this one;
    /// [`StoreError::TooNew`] and [`StoreError::Damaged`]; [`StoreError::BadUrl`] when there can be no
    /// such file, or it belongs to another program.
    pub async fn open(path: impl AsRef<Path>, access: Access) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let (bell, owners) = (watch::Sender::new(0), Arc::new(Owners::default()));
        let counts = Arc::new(Counts::default());
        let (sender, waiting) = mpsc::channel();
        let (opened, is_opened) = oneshot::channel();
        let open = {
            let (bell, owners, counts) = (bell.clone(), owners.clone(), counts.clone());
            move || {
                let mut writer =
                    Writer::open(DatabaseFile::find(&path)?, access, owners, bell, counts)?;
                if access == Access::Execute {
                    writer.make_one(change::release_all)?;
                }
                let has_keyring = writer.make_one(change::has_keyring)?;
                let seal = sealing_key(writer.file().path(), access, has_keyring)?;
                let readers = Readers::start(writer.file())?;
                Ok((writer, readers, seal))
            }
        };
        let work = move || match open() {
            Ok((writer, readers, seal)) => {
                let _ = opened.send(Ok((writer.file().clone(), readers, seal)));
                writer.run(&waiting);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("flow-store-write".to_owned());
        let writer = thread.spawn(work).map_err(|error| no_thread(&error))?;
        let (file, readers, seal) = is_opened.await.map_err(|_| StoreError::Closed)??;
        let owned = match access {
            Access::Execute => Owned::Here,
            Access::Visit => Owned::Elsewhere(file),
        };
        let mut store = Self {
            access,
            owned,
            owners,
            bell,
            places: Arc::new(Semaphore::new(MOST_WAITING)),
            readers,
            seal: None,
            requests: Some(Requests { sender, counts }),
            writer: Some(writer),
        };
        store.seal = match (Keyring::find(&store, seal.as_ref()).await, seal) {
            (Ok(Some(keyring)), _) => Some(Arc::new(keyring)),
            (Err(KeyringError::Store(error)), _) => return Err(error),
            // One that is not that of the keyring: what it does not open says so.
            (Ok(None) | Err(_), Some(key)) => Some(Arc::new(key)),
            (Ok(None) | Err(_), None) => None,
        };
        Ok(store)
    }

    fn requests(&self) -> Result<&Requests, StoreError> {
        self.requests.as_ref().ok_or(StoreError::Closed)
    }

    /// Has something changed, when there is a place for the request.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        answer(self.requests()?.ask(Some(place), work)).await
    }

    /// Up to where ended executions go.
    async fn bound(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Option<Bound>, StoreError> {
        // What is beyond the newest stays so: those that end meanwhile are newer.
        let beyond = match retention.max_count {
            Some(count) => self.readers.read(move |db| read::beyond(db, count)).await?,
            None => None,
        };
        let older = retention.max_age.map(|max_age| {
            let micros = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
            let ended_at = Timestamp::from_micros(now.as_micros().saturating_sub(micros));
            Bound { ended_at, id: None }
        });
        Ok(beyond.max(older))
    }

    /// Lets another process that executes write before the next of many changes. In one process they
    /// take their turns anyway.
    async fn make_way(&self) -> Result<(), StoreError> {
        if let Owned::Elsewhere(file) = &self.owned {
            let file = file.clone();
            if self.readers.read(move |_| Ok(file.is_executed())).await? {
                tokio::time::sleep(WAY).await;
            }
        }
        Ok(())
    }
}

/// The key beside a file: `<file>.key`. Only one who executes makes it, and not when another one has
/// sealed already.
fn sealing_key(
    database: &Path,
    access: Access,
    has_keyring: bool,
) -> Result<Option<SealingKey>, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    let is_there = Path::new(&path).exists();
    if !is_there && (access == Access::Visit || has_keyring) {
        return Ok(None);
    }
    SealingKey::open(path).map(Some)
}

async fn answer<T>(answered: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answered.await.map_err(|_| StoreError::Closed)?
}

/// Knows whether the owners that stand in rows live.
#[derive(Clone)]
enum Owned {
    /// Whoever was before this one is in no row any more.
    Here,
    /// Those that died with their process stand there until the next one opens the file.
    Elsewhere(DatabaseFile),
}

impl Owned {
    fn only_living<'a>(&self, rows: impl IntoIterator<Item = &'a mut ExecutionRow>) {
        match self {
            Self::Elsewhere(file) if !file.is_executed() => {
                rows.into_iter().for_each(|row| row.owner = None);
            }
            Self::Here | Self::Elsewhere(_) => {}
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // It has nobody else to tell, and what it panicked with is on standard error.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(&self, execution: NewExecution) -> Result<Created, StoreError> {
        self.change(move |tables| change::create(tables, &execution)).await?
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>> {
        // A visitor owns nothing.
        if self.access == Access::Visit {
            return ready(Ok(Appended::Fenced)).boxed();
        }
        match self.requests() {
            Ok(requests) => {
                answer(requests.ask(None, move |tables| change::append(tables, &append))).boxed()
            }
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    /// # Errors
    /// [`StoreError::NotExecuting`] for a visitor.
    async fn enter(&self) -> Result<Owner, StoreError> {
        if self.access == Access::Visit {
            return Err(StoreError::NotExecuting);
        }
        let id = OwnerId::new();
        self.owners.enter(id);
        Ok(Owner { id, lease: None })
    }

    async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
        Ok(self.owners.lives(owner))
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        if self.access == Access::Visit {
            return Ok(());
        }
        self.change(move |tables| change::leave(tables, owner)).await
    }

    async fn claim(
        &self,
        owner: OwnerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Claimed, StoreError> {
        self.change(move |tables| change::claim(tables, owner, now, limit)).await
    }

    async fn claim_one(
        &self,
        owner: OwnerId,
        execution: ExecutionId,
    ) -> Result<Option<Claim>, StoreError> {
        self.change(move |tables| change::claim_one(tables, owner, execution)).await
    }

    async fn send(
        &self,
        execution: ExecutionId,
        message: Message,
        audit: Option<AuditEntry>,
    ) -> Result<Sent, StoreError> {
        self.change(move |tables| change::send(tables, execution, &message, audit.as_ref())).await
    }

    async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        self.readers.read(move |db| read::inbox(db, owner)).await
    }

    async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError> {
        self.readers.read(move |db| read::messages(db, execution)).await
    }

    fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
        let owned = self.owned.clone();
        let read = move |db: &Connection| {
            let mut row = read::execution(db, id)?;
            owned.only_living(&mut row);
            Ok(row)
        };
        self.readers.read(read).await
    }

    async fn executions(&self, query: &Query) -> Result<Vec<ExecutionRow>, StoreError> {
        let (owned, query) = (self.owned.clone(), query.clone());
        let read = move |db: &Connection| {
            let mut rows = read::executions(db, &query)?;
            owned.only_living(&mut rows);
            Ok(rows)
        };
        self.readers.read(read).await
    }

    async fn queued(&self, project: &ProjectId, at_most: usize) -> Result<usize, StoreError> {
        let project = project.clone();
        self.readers.read(move |db| read::queued(db, &project, at_most)).await
    }

    async fn gone_on(&self, known: &[(ExecutionId, u64)]) -> Result<Vec<ExecutionRow>, StoreError> {
        let (owned, known) = (self.owned.clone(), known.to_vec());
        let read = move |db: &Connection| {
            let mut rows = read::gone_on(db, &known)?;
            owned.only_living(&mut rows);
            Ok(rows)
        };
        self.readers.read(read).await
    }

    async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
        let owned = self.owned.clone();
        let read = move |db: &Connection| {
            let mut kept = read::load(db, id)?;
            owned.only_living(kept.as_mut().map(|kept| &mut kept.row));
            Ok(kept)
        };
        self.readers.read(read).await
    }

    async fn segments(
        &self,
        id: ExecutionId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Segment>, StoreError> {
        self.readers.read(move |db| read::segments(db, id, after_seq, limit)).await
    }

    async fn blobs(&self, digests: &[Digest]) -> Result<Vec<Blob>, StoreError> {
        let digests = digests.to_vec();
        self.readers.read(move |db| read::blobs(db, &digests)).await
    }

    async fn definition(&self, digest: Digest) -> Result<Option<Arc<Definition>>, StoreError> {
        self.readers.read(move |db| read::definition(db, digest)).await
    }

    async fn logs(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, StoreError> {
        self.readers.read(move |db| read::logs(db, id, after, limit)).await
    }

    async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        if let Some(bound) = self.bound(retention, now).await? {
            let forget = move |tables: &mut Tables<'_>| change::forget(tables, bound);
            pruned.executions = self.change(forget).await?;
        }
        loop {
            self.make_way().await?;
            // Also what an earlier call left.
            let (swept, is_all) = self.change(change::sweep).await?;
            pruned += swept;
            if is_all {
                return Ok(pruned);
            }
        }
    }

    async fn prunable(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        match self.bound(retention, now).await? {
            Some(bound) => self.readers.read(move |db| read::prunable(db, bound)).await,
            None => Ok(Pruned::default()),
        }
    }

    fn seal(&self) -> Option<Arc<dyn Seal>> {
        self.seal.clone()
    }

    fn metrics(&self) -> StoreMetrics {
        let Some(Requests { counts, .. }) = &self.requests else { return StoreMetrics::default() };
        let waiting = counts.waiting.load(Ordering::Relaxed);
        StoreMetrics {
            connections: READERS + 1,
            in_use: self.readers.busy() + usize::from(waiting > 0),
            waiting: waiting + self.readers.waiting(),
            commits: counts.commits.load(Ordering::Relaxed),
            appends: counts.appends.load(Ordering::Relaxed),
        }
    }
}
