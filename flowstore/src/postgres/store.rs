//! The store, call by call.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use flowcore::{Digest, ExecutionId, ProjectId, Timestamp};
use flowruntime::store::{
    Append, Appended, AuditEntry, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept,
    LogLine, Message, NewExecution, Owner, OwnerId, Pruned, Query, Retention, Segment, Sent, Store,
    StoreError, StoreMetrics,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, oneshot, watch};

use super::claims::{self, Lost, Parcel};
use super::connector::Connector;
use super::failure::{self, unanswered, unavailable};
use super::guard::{self, Bell, Guard};
use super::home::Home;
use super::pool::{Pool, limited};
use super::settings::Settings;
use super::writer::{self, Queue};
use super::{inbox, owners, prune, read, schema};
use crate::Access;
use crate::chain::Chain;

/// How many connections there are beside the pool: the writer's, and the one that shows that the
/// process lives.
const BESIDE: usize = 2;

/// Keeps executions in a PostgreSQL database, which any number of processes may share.
///
/// All tables are in one schema. An owner lives as long as it renews its lease; when the session of
/// its process is gone and does not come back within two seconds, or a quarter of the lease, it is
/// dead sooner. Everything is flushed before it is answered, whatever the server's default for
/// `synchronous_commit`.
///
/// The store has a thread of its own, and may be used from several runtimes. When it is dropped, the
/// thread finishes what was asked and ends; nobody waits for it.
pub struct PostgresStore {
    pub(super) home: Home,
    pub(super) pool: Pool,
    queue: Queue,
    guard: Guard,
    pub(super) bell: Bell,
    /// The audit log of what changes records.
    pub(super) chain: Arc<Mutex<Chain>>,
    /// The audit log of what executions are told.
    told: Arc<Mutex<Chain>>,
    lost: Lost,
    settings: Settings,
    access: Access,
}

impl PostgresStore {
    /// Connects to the database of a URL, and brings the tables up to date.
    ///
    /// Beside those of PostgreSQL's client, the URL may have these parameters: `schema`, which has all
    /// tables (`flow`); `pool`, how many connections there are, beside two with a task of their own
    /// (8); `wait_ms`, how long a request waits for one of them before it is refused with
    /// [`StoreError::Saturated`] (30,000); and `lease_ms`, how long an owner lives after each renewal
    /// (15,000).
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] when the database of the URL cannot be used, now or later;
    /// [`StoreError::Unavailable`] when it cannot be now; [`StoreError::TooNew`].
    pub async fn connect(url: &str, access: Access) -> Result<Self, StoreError> {
        let settings = Settings::read(url)?;
        let home = Home::start()
            .map_err(|error| unavailable(format!("no thread can be started: {error}")))?;
        let (opening, bell) = (settings.clone(), Bell::new());
        let connector = home.run(open(opening)).await?;
        let (queue, writer) = writer::writer(connector.clone());
        let (guard, watchman) = guard::guard(connector.clone(), &settings, bell.clone());
        home.spawn(writer);
        home.spawn(watchman);
        let pool = Pool::new(connector, &settings);
        let [chain, told] = [(), ()].map(|()| Arc::new(Mutex::new(Chain::new())));
        let lost = Lost::default();
        Ok(Self { home, pool, queue, guard, bell, chain, told, lost, settings, access })
    }
}

async fn open(settings: Settings) -> Result<Connector, StoreError> {
    let connector = Connector::new(&settings).await?;
    let failed = |error| failure::of_opening(&error, &settings.shown);
    let (client, _) = connector.connect(None).await.map_err(failed)?;
    schema::migrate(&client, &settings).await?;
    Ok(connector)
}

/// Does something on a connection of the pool, to its end, even if nobody waits for it any more.
macro_rules! on_pool {
    ($self:ident, $lent:ident => $work:expr) => {{
        let pool = $self.pool.clone();
        $self
            .home
            .run(async move {
                let $lent = pool.lend().await?;
                let done = $crate::postgres::pool::limited($work).await;
                $lent.finish(done)
            })
            .await
    }};
}
pub(super) use on_pool;

/// Claims on a connection of the pool, after the dead were looked for. What nobody waits for any more
/// is given back.
macro_rules! claim_on_pool {
    ($self:ident, $owner:ident, ($lent:ident, $parcel:ident, $lost:ident) => $work:expr) => {{
        let (pool, bell, $lost) = ($self.pool.clone(), $self.bell.clone(), $self.lost.clone());
        let lease = $self.settings.lease;
        let $parcel = Parcel::new($owner, $lost.clone());
        let (answer, answered) = oneshot::channel();
        $self.home.spawn(async move {
            let claimed = async {
                let $lent = pool.lend().await?;
                let done = limited(async {
                    if owners::sweep_on(&$lent, lease).await? {
                        bell.ring();
                    }
                    $work.await
                });
                let done = done.await;
                $lent.finish(done)
            };
            let claimed = claimed.await;
            let _ = answer.send($parcel.fill(claimed));
        });
        answered.await.map_err(|_| unanswered())?.open()
    }};
}

#[async_trait]
impl Store for PostgresStore {
    async fn create(&self, execution: NewExecution) -> Result<Created, StoreError> {
        let is_anybodys = execution.owner.is_none();
        let queue = self.queue.clone();
        let created = self.home.run(async move { queue.create(execution).await }).await?;
        if is_anybodys {
            self.bell.ring();
        }
        Ok(created)
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>> {
        let is_release = append.progress.release;
        // From here on, its place is fixed.
        let answered = self.queue.append(append);
        let bell = self.bell.clone();
        async move {
            let appended = answered.await.unwrap_or_else(|_| Err(unanswered()))?;
            if is_release {
                bell.ring();
            }
            Ok(appended)
        }
        .boxed()
    }

    /// # Errors
    /// [`StoreError::NotExecuting`] for a visitor.
    async fn enter(&self) -> Result<Owner, StoreError> {
        if self.access == Access::Visit {
            return Err(StoreError::NotExecuting);
        }
        let guard = self.guard.clone();
        self.home.run(async move { guard.enter().await }).await
    }

    async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
        let guard = self.guard.clone();
        self.home.run(async move { guard.renew(owner).await }).await
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        let guard = self.guard.clone();
        self.home.run(async move { guard.leave(owner).await }).await
    }

    async fn claim(
        &self,
        owner: OwnerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Claimed, StoreError> {
        claim_on_pool!(self, owner, (lent, parcel, lost) =>
            claims::claim(&lent, (owner, parcel.claim()), now, limit, &lost))
    }

    async fn claim_one(
        &self,
        owner: OwnerId,
        execution: ExecutionId,
    ) -> Result<Option<Claim>, StoreError> {
        claim_on_pool!(self, owner, (lent, parcel, lost) =>
            claims::claim_one(&lent, (owner, parcel.claim()), execution, &lost))
    }

    async fn send(
        &self,
        execution: ExecutionId,
        message: Message,
        audit: Option<AuditEntry>,
    ) -> Result<Sent, StoreError> {
        let sent = match audit {
            None => on_pool!(self, lent => inbox::send(&lent, execution, &message))?,
            Some(entry) => {
                let (pool, chain) = (self.pool.clone(), self.told.clone());
                let send = async move {
                    // One at a time: each link follows one that is kept. Whoever waits has no
                    // connection.
                    let mut chain = chain.lock().await;
                    let lent = pool.lend().await?;
                    let mut grown = chain.clone();
                    let sent = inbox::send_noted(&lent, execution, &message, &entry, &mut grown);
                    let done = limited(sent).await;
                    // When it is not known what was kept, nothing follows it.
                    *chain = if done.is_ok() { grown } else { Chain::new() };
                    drop(chain);
                    lent.finish(done)
                };
                self.home.run(send).await?
            }
        };
        self.bell.ring();
        Ok(sent)
    }

    async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        on_pool!(self, lent => inbox::inbox(&lent, owner))
    }

    async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError> {
        on_pool!(self, lent => inbox::messages(&lent, execution))
    }

    fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
        on_pool!(self, lent => read::execution(&lent, id))
    }

    async fn executions(&self, query: &Query) -> Result<Vec<ExecutionRow>, StoreError> {
        let query = query.clone();
        on_pool!(self, lent => read::executions(&lent, &query))
    }

    async fn queued(&self, project: &ProjectId, at_most: usize) -> Result<usize, StoreError> {
        let project = project.clone();
        on_pool!(self, lent => read::queued(&lent, &project, at_most))
    }

    async fn gone_on(&self, known: &[(ExecutionId, u64)]) -> Result<Vec<ExecutionRow>, StoreError> {
        let known = known.to_vec();
        on_pool!(self, lent => read::gone_on(&lent, &known))
    }

    async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
        on_pool!(self, lent => read::load(&lent, id))
    }

    async fn segments(
        &self,
        id: ExecutionId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Segment>, StoreError> {
        on_pool!(self, lent => read::segments(&lent, id, after_seq, limit))
    }

    async fn blobs(&self, digests: &[Digest]) -> Result<Vec<Blob>, StoreError> {
        let digests = digests.to_vec();
        on_pool!(self, lent => read::blobs(&lent, &digests))
    }

    async fn definition(&self, digest: Digest) -> Result<Option<Arc<Definition>>, StoreError> {
        on_pool!(self, lent => read::definition(&lent, digest))
    }

    async fn logs(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, StoreError> {
        on_pool!(self, lent => read::logs(&lent, id, after, limit))
    }

    async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let retention = retention.clone();
        on_pool!(self, lent => prune::prune(&lent, &retention, now))
    }

    async fn prunable(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let retention = retention.clone();
        on_pool!(self, lent => prune::prunable(&lent, &retention, now))
    }

    fn metrics(&self) -> StoreMetrics {
        let (pool, counts) = (self.pool.status(), self.queue.counts());
        StoreMetrics {
            connections: self.settings.pool + BESIDE,
            in_use: pool.size.saturating_sub(pool.available),
            waiting: pool.waiting + counts.waiting.load(Ordering::Relaxed),
            commits: counts.commits.load(Ordering::Relaxed),
            appends: counts.appends.load(Ordering::Relaxed),
        }
    }
}
