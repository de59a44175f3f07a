//! A store that hands everything on, for those that change one thing.

/// A `Store` that hands calls on to `self.inner`, but for those that are given.
macro_rules! forward_store {
    (impl $name:ident { $($own:tt)* }) => {
        #[async_trait]
        impl Store for $name {
        $($own)*

        async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError> {
            self.inner.renew(owner).await
        }

        async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
            self.inner.leave(owner).await
        }

        async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError> {
            self.inner.messages(execution).await
        }

        fn bell(&self) -> watch::Receiver<u64> {
            self.inner.bell()
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

        async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<usize, StoreError> {
            self.inner.prune(retention, now).await
        }

        fn seal(&self) -> Option<Arc<dyn Seal>> {
            self.inner.seal()
        }

        fn metrics(&self) -> StoreMetrics {
            self.inner.metrics()
        }
        }
    };
}
