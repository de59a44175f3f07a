//! A store in memory: durable as long as the process lives.

mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flowcore::value::Seal;
use flowcore::{Digest, ExecutionId, ExecutionStatus, ProjectId, Timestamp};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::{
    Append, Appended, AuditEntry, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept,
    LogLine, Message, NewExecution, Owner, OwnerId, Pruned, Query, Retention, Segment, Sent, Store,
    StoreError, StoreMetrics,
};
use tables::Tables;

/// Keeps executions in memory.
///
/// What a store on disk promises holds here as long as the process lives, so that everything which
/// stands on a store can be tested, and crashed, without one. An owner lives until it leaves.
pub struct MemoryStore {
    tables: Mutex<Tables>,
    bell: watch::Sender<u64>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { tables: Mutex::default(), bell: watch::Sender::new(0) }
    }

    /// For tests: every process that has entered counts as dead, and what it has is anybody's.
    pub fn kill_owners(&self) {
        self.tables().kill_owners();
        self.ring();
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.bell.send_modify(|rung| *rung += 1);
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(&self, execution: NewExecution) -> Result<Created, StoreError> {
        let mut tables = self.tables();
        let is_anybodys = execution.owner.is_none_or(|owner| !tables.lives(owner));
        let created = tables.create(execution)?;
        drop(tables);
        if is_anybodys {
            self.ring();
        }
        Ok(created)
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>> {
        let is_release = append.progress.release;
        let appended = self.tables().append(append);
        if is_release {
            self.ring();
        }
        ready(Ok(appended)).boxed()
    }

    async fn enter(&self) -> Result<Owner, StoreError> {
        let id = OwnerId::new();
        self.tables().enter(id);
        Ok(Owner { id, lease: None })
    }

    async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
        Ok(self.tables().lives(owner))
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.tables().leave(owner);
        self.ring();
        Ok(())
    }

    async fn claim(
        &self,
        owner: OwnerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Claimed, StoreError> {
        Ok(self.tables().claim(owner, now, limit))
    }

    async fn claim_one(
        &self,
        owner: OwnerId,
        execution: ExecutionId,
    ) -> Result<Option<Claim>, StoreError> {
        Ok(self.tables().claim_one(owner, execution))
    }

    async fn send(
        &self,
        execution: ExecutionId,
        message: Message,
        _: Option<AuditEntry>,
    ) -> Result<Sent, StoreError> {
        let sent = self.tables().send(execution, message);
        self.ring();
        Ok(sent)
    }

    async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        Ok(self.tables().inbox(owner))
    }

    async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError> {
        Ok(self.tables().messages(execution))
    }

    fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
        Ok(self.tables().row(id))
    }

    async fn executions(&self, query: &Query) -> Result<Vec<ExecutionRow>, StoreError> {
        Ok(self.tables().list(query))
    }

    async fn queued(&self, project: &ProjectId, at_most: usize) -> Result<usize, StoreError> {
        let of = Query {
            project: project.clone(),
            statuses: vec![ExecutionStatus::Queued],
            limit: at_most,
            ..Query::default()
        };
        Ok(self.tables().list(&of).len())
    }

    async fn gone_on(&self, known: &[(ExecutionId, u64)]) -> Result<Vec<ExecutionRow>, StoreError> {
        let tables = self.tables();
        let has_more =
            |(id, seq): &(ExecutionId, u64)| tables.row(*id).filter(|row| row.last_seq > *seq);
        Ok(known.iter().filter_map(has_more).collect())
    }

    async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
        Ok(self.tables().load(id))
    }

    async fn segments(
        &self,
        id: ExecutionId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Segment>, StoreError> {
        Ok(self.tables().segments(id, after_seq, limit))
    }

    async fn blobs(&self, digests: &[Digest]) -> Result<Vec<Blob>, StoreError> {
        Ok(self.tables().blobs(digests))
    }

    async fn definition(&self, digest: Digest) -> Result<Option<Arc<Definition>>, StoreError> {
        Ok(self.tables().definition(digest))
    }

    async fn logs(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, StoreError> {
        Ok(self.tables().logs(id, after, limit))
    }

    async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        Ok(self.tables().prune(retention, now))
    }

    async fn prunable(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        Ok(self.tables().prunable(retention, now))
    }

    fn seal(&self) -> Option<Arc<dyn Seal>> {
        Some(Arc::new(InMemory))
    }

    fn metrics(&self) -> StoreMetrics {
        self.tables().metrics()
    }
}

/// What is in memory is as safe as the secret itself, which is there too.
struct InMemory;

impl Seal for InMemory {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        plain.to_vec()
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        Some(sealed.to_vec())
    }
}
