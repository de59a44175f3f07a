//! Stores that hand everything on to another one, but for what they change.

use std::sync::Arc;

use flowcore::value::Seal;
use flowcore::{Digest, ExecutionId, Timestamp, async_trait};
use flowruntime::store::{
    Append, Appended, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept, LogLine,
    Message, NewExecution, Owner, OwnerId, Pruned, Query, Retention, Segment, Sent, Store,
    StoreError, StoreMetrics,
};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// What is changed on the way to a store; nothing, unless said otherwise.
#[async_trait]
pub(crate) trait Twist: Send + Sync + 'static {
    async fn create(
        &self,
        inner: &Arc<dyn Store>,
        execution: NewExecution,
    ) -> Result<Created, StoreError> {
        inner.create(execution).await
    }

    fn append(
        &self,
        inner: &Arc<dyn Store>,
        append: Append,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        inner.append(append)
    }

    async fn load(
        &self,
        inner: &Arc<dyn Store>,
        id: ExecutionId,
    ) -> Result<Option<Kept>, StoreError> {
        inner.load(id).await
    }

    /// Before every other call that changes something.
    async fn before_change(&self) {}
}

/// A store with a twist.
pub(crate) struct Twisted<T> {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) twist: T,
}

impl<T> Twisted<T> {
    pub(crate) fn new(inner: Arc<dyn Store>, twist: T) -> Self {
        Self { inner, twist }
    }
}

#[async_trait]
impl<T: Twist> Store for Twisted<T> {
    async fn create(&self, execution: NewExecution) -> Result<Created, StoreError> {
        self.twist.create(&self.inner, execution).await
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>> {
        self.twist.append(&self.inner, append)
    }

    async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
        self.twist.load(&self.inner, id).await
    }

    async fn enter(&self) -> Result<Owner, StoreError> {
        self.inner.enter().await
    }

    async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
        self.inner.renew(owner).await
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.twist.before_change().await;
        self.inner.leave(owner).await
    }

    async fn claim(
        &self,
        owner: OwnerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Claimed, StoreError> {
        self.twist.before_change().await;
        self.inner.claim(owner, now, limit).await
    }

    async fn claim_one(
        &self,
        owner: OwnerId,
        execution: ExecutionId,
    ) -> Result<Option<Claim>, StoreError> {
        self.twist.before_change().await;
        self.inner.claim_one(owner, execution).await
    }

    async fn send(&self, execution: ExecutionId, message: Message) -> Result<Sent, StoreError> {
        self.twist.before_change().await;
        self.inner.send(execution, message).await
    }

    async fn prunable(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.inner.prunable(retention, now).await
    }

    async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.twist.before_change().await;
        self.inner.prune(retention, now).await
    }

    async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        self.inner.inbox(owner).await
    }

    async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError> {
        self.inner.messages(execution).await
    }

    fn bell(&self) -> watch::Receiver<u64> {
        self.inner.bell()
    }

    async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
        self.inner.execution(id).await
    }

    async fn executions(&self, query: &Query) -> Result<Vec<ExecutionRow>, StoreError> {
        self.inner.executions(query).await
    }

    async fn segments(
        &self,
        id: ExecutionId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Segment>, StoreError> {
        self.inner.segments(id, after_seq, limit).await
    }

    async fn blobs(&self, digests: &[Digest]) -> Result<Vec<Blob>, StoreError> {
        self.inner.blobs(digests).await
    }

    async fn definition(&self, digest: Digest) -> Result<Option<Arc<Definition>>, StoreError> {
        self.inner.definition(digest).await
    }

    async fn logs(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, StoreError> {
        self.inner.logs(id, after, limit).await
    }

    fn seal(&self) -> Option<Arc<dyn Seal>> {
        self.inner.seal()
    }

    fn metrics(&self) -> StoreMetrics {
        self.inner.metrics()
    }
}
