//! The catalog, call by call.

use async_trait::async_trait;
use flowcore::{ProjectId, Timestamp};
use flowruntime::store::{AuditEntry, StoreError};

use super::pool::limited;
use super::records;
use super::store::{PostgresStore, on_pool};
use crate::catalog::check;
use crate::chain::Chain;
use crate::{AuditCheck, AuditRow, Catalog, Change, Committed, Record, RecordKey};

#[async_trait]
impl Catalog for PostgresStore {
    async fn commit(
        &self,
        at: Timestamp,
        changes: Vec<Change>,
        audit: Vec<AuditEntry>,
    ) -> Result<Committed, StoreError> {
        check(&changes)?;
        let (pool, chain, bell) = (self.pool.clone(), self.chain.clone(), self.bell.clone());
        let commit = async move {
            // One at a time, also here: each link follows one that is kept. Whoever waits has no
            // connection.
            let mut chain = chain.lock().await;
            let lent = pool.lend().await?;
            let mut grown = chain.clone();
            let done = limited(records::commit(&lent, &mut grown, at, &changes, &audit)).await;
            // When it is not known what was kept, nothing follows it.
            *chain = if done.is_ok() { grown } else { Chain::new() };
            drop(chain);
            let (committed, is_news) = lent.finish(done)?;
            if is_news {
                bell.ring();
            }
            Ok(committed)
        };
        self.home.run(commit).await
    }

    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        on_pool!(self, lent => records::record(&lent, &key))
    }

    async fn record_version(
        &self,
        key: &RecordKey,
        version: u64,
    ) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        on_pool!(self, lent => records::record_version(&lent, &key, version))
    }

    async fn records(
        &self,
        project: Option<&ProjectId>,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (project, kind) = (project.cloned(), kind.to_owned());
        let after = after.map(str::to_owned);
        on_pool!(self, lent =>
            records::records(&lent, project.as_ref(), &kind, after.as_deref(), limit))
    }

    async fn record_versions(
        &self,
        key: &RecordKey,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let key = key.clone();
        on_pool!(self, lent => records::record_versions(&lent, &key, before, limit))
    }

    async fn changes_after(&self, change: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        on_pool!(self, lent => records::changes_after(&lent, change, limit))
    }

    async fn audit(
        &self,
        project: Option<&ProjectId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let project = project.cloned();
        on_pool!(self, lent => records::audit(&lent, project.as_ref(), before, limit))
    }

    async fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        let pool = self.pool.clone();
        let verify = async move {
            let lent = pool.lend().await?;
            let done = records::verify_audit(&lent).await;
            lent.finish(done)
        };
        self.home.run(verify).await
    }
}
