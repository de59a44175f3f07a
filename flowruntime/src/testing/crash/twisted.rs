//! Stores that hand everything on to another one, but for what they change.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use flowcore::value::Seal;
use flowcore::{Digest, ExecutionId, ProjectId, Timestamp};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::store::{
    Append, Appended, AuditEntry, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept,
    LogLine, Message, NewExecution, Owner, OwnerId, Pruned, Query, Retention, Segment, Sent, Store,
    StoreError, StoreMetrics,
};

/// What is changed on the way to a store; nothing, unless said otherwise.
#[async_trait]
pub trait Twist: Send + Sync + 'static {
    /// As [`Store::create`] of the twisted store.
    async fn create(
        &self,
        inner: &Arc<dyn Store>,
        execution: NewExecution,
    ) -> Result<Created, StoreError> {
        inner.create(execution).await
    }

    /// As [`Store::append`] of the twisted store. The store may be asked as soon as this is called.
    fn append(
        &self,
        inner: &Arc<dyn Store>,
        append: Append,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        inner.append(append)
    }

    /// As [`Store::load`] of the twisted store.
    async fn load(
        &self,
        inner: &Arc<dyn Store>,
        id: ExecutionId,
    ) -> Result<Option<Kept>, StoreError> {
        inner.load(id).await
    }

    /// As [`Store::messages`] of the twisted store.
    async fn messages(
        &self,
        inner: &Arc<dyn Store>,
        id: ExecutionId,
    ) -> Result<Vec<Message>, StoreError> {
        inner.messages(id).await
    }

    /// Before every other call that changes something.
    async fn before_change(&self) {}

    /// What is held while a call is under way.
    fn during(&self) -> Option<Box<dyn Any + Send>> {
        None
    }
}

/// A store with a twist.
pub struct Twisted<T> {
    inner: Arc<dyn Store>,
    twist: T,
}

impl<T> Twisted<T> {
    /// This store, with this twist.
    pub fn new(inner: Arc<dyn Store>, twist: T) -> Self {
        Self { inner, twist }
    }

    /// The twist.
    pub fn twist(&self) -> &T {
        &self.twist
    }
}

#[async_trait]
impl<T: Twist> Store for Twisted<T> {
    async fn create(&self, execution: NewExecution) -> Result<Created, StoreError> {
        let _during = self.twist.during();
        self.twist.create(&self.inner, execution).await
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>> {
        let during = self.twist.during();
        let appended = self.twist.append(&self.inner, append);
        match during {
            Some(during) => appended.map(move |answer| (drop(during), answer).1).boxed(),
            None => appended,
        }
    }

    async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
        let _during = self.twist.during();
        self.twist.load(&self.inner, id).await
    }

    async fn enter(&self) -> Result<Owner, StoreError> {
        let _during = self.twist.during();
        self.inner.enter().await
    }

    async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
        let _during = self.twist.during();
        self.inner.renew(owner).await
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        let _during = self.twist.during();
        self.twist.before_change().await;
        self.inner.leave(owner).await
    }

    async fn claim(
        &self,
        owner: OwnerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Claimed, StoreError> {
        let _during = self.twist.during();
        self.twist.before_change().await;
        self.inner.claim(owner, now, limit).await
    }

    async fn claim_one(
        &self,
        owner: OwnerId,
        execution: ExecutionId,
    ) -> Result<Option<Claim>, StoreError> {
        let _during = self.twist.during();
        self.twist.before_change().await;
        self.inner.claim_one(owner, execution).await
    }

    async fn send(
        &self,
        execution: ExecutionId,
        message: Message,
        audit: Option<AuditEntry>,
    ) -> Result<Sent, StoreError> {
        let _during = self.twist.during();
        self.twist.before_change().await;
        self.inner.send(execution, message, audit).await
    }

    async fn prunable(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.inner.prunable(retention, now).await
    }

    async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let _during = self.twist.during();
        self.twist.before_change().await;
        self.inner.prune(retention, now).await
    }

    async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        let _during = self.twist.during();
        self.inner.inbox(owner).await
    }

    async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError> {
        let _during = self.twist.during();
        self.twist.messages(&self.inner, execution).await
    }

    fn bell(&self) -> watch::Receiver<u64> {
        self.inner.bell()
    }

    async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
        let _during = self.twist.during();
        self.inner.execution(id).await
    }

    async fn executions(&self, query: &Query) -> Result<Vec<ExecutionRow>, StoreError> {
        let _during = self.twist.during();
        self.inner.executions(query).await
    }

    async fn queued(&self, project: &ProjectId, at_most: usize) -> Result<usize, StoreError> {
        let _during = self.twist.during();
        self.inner.queued(project, at_most).await
    }

    async fn gone_on(&self, known: &[(ExecutionId, u64)]) -> Result<Vec<ExecutionRow>, StoreError> {
        let _during = self.twist.during();
        self.inner.gone_on(known).await
    }

    async fn segments(
        &self,
        id: ExecutionId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Segment>, StoreError> {
        let _during = self.twist.during();
        self.inner.segments(id, after_seq, limit).await
    }

    async fn blobs(&self, digests: &[Digest]) -> Result<Vec<Blob>, StoreError> {
        let _during = self.twist.during();
        self.inner.blobs(digests).await
    }

    async fn definition(&self, digest: Digest) -> Result<Option<Arc<Definition>>, StoreError> {
        let _during = self.twist.during();
        self.inner.definition(digest).await
    }

    async fn logs(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, StoreError> {
        let _during = self.twist.during();
        self.inner.logs(id, after, limit).await
    }

    fn seal(&self) -> Option<Arc<dyn Seal>> {
        self.inner.seal()
    }

    fn metrics(&self) -> StoreMetrics {
        self.inner.metrics()
    }
}
