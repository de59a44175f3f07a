//! A store that writes each event by itself, so that a crash can leave any prefix of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowcore::value::Seal;
use flowcore::{Digest, ExecutionId, ExecutionStatus, Timestamp, async_trait};
use flowruntime::store::{
    Append, Appended, Blob, Claim, Claimed, Created, Definition, ExecutionRow, Kept, LogLine,
    Message, NewExecution, Owner, OwnerId, Progress, Query, Retention, Segment, Sent, Store,
    StoreError, StoreMetrics,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde_json::Value as Json;
use tokio::sync::watch;

type Last = Shared<BoxFuture<'static, ()>>;

pub(crate) struct Splitting {
    inner: Arc<dyn Store>,
    /// The last append of each execution: the next one follows it.
    last: Mutex<HashMap<ExecutionId, Last>>,
}

impl Splitting {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, last: Mutex::default() }
    }
}

/// The same events, one at a time. Only the last one carries what goes with them.
fn split(append: Append) -> Vec<Append> {
    // A message goes in the same step in which what it says is kept.
    if append.last_seq <= append.first_seq || !append.taken.is_empty() {
        return vec![append];
    }
    let records: Vec<Json> = serde_json::from_slice(&append.segment).unwrap();
    let one = |(seq, record): (u64, &Json)| Append {
        first_seq: seq,
        last_seq: seq,
        segment: format!("[{record}]").into_bytes(),
        logs: Vec::new(),
        progress: Progress {
            status: ExecutionStatus::Running,
            release: false,
            error: None,
            ..append.progress.clone()
        },
        ..append.clone()
    };
    let mut parts: Vec<Append> = (append.first_seq..).zip(&records).map(one).collect();
    if let Some(last) = parts.last_mut() {
        (last.logs, last.progress) = (append.logs, append.progress);
    }
    parts
}

forward_store! {
    impl Splitting {
        fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>> {
            let (inner, id) = (self.inner.clone(), append.execution);
            let mut last = self.last.lock().unwrap();
            let before = last.remove(&id);
            let (done, all) = tokio::sync::oneshot::channel();
            let parts = async move {
                if let Some(before) = before {
                    before.await;
                }
                let mut answer = Ok(Appended::Committed);
                for part in split(append) {
                    answer = inner.append(part).await;
                    if answer != Ok(Appended::Committed) {
                        break;
                    }
                }
                let _ = done.send(answer);
            };
            let parts = parts.boxed().shared();
            last.insert(id, parts.clone());
            tokio::spawn(parts);
            async move { all.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
        }

        async fn create(&self, execution: NewExecution) -> Result<Created, StoreError> {
            self.inner.create(execution).await
        }

        async fn enter(&self) -> Result<Owner, StoreError> {
            self.inner.enter().await
        }

        async fn claim(
            &self,
            owner: OwnerId,
            now: Timestamp,
            limit: usize,
        ) -> Result<Claimed, StoreError> {
            self.inner.claim(owner, now, limit).await
        }

        async fn claim_one(
            &self,
            owner: OwnerId,
            execution: ExecutionId,
        ) -> Result<Option<Claim>, StoreError> {
            self.inner.claim_one(owner, execution).await
        }

        async fn send(&self, execution: ExecutionId, message: Message) -> Result<Sent, StoreError> {
            self.inner.send(execution, message).await
        }

        async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
            self.inner.inbox(owner).await
        }

        async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError> {
            self.inner.execution(id).await
        }

        async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError> {
            self.inner.load(id).await
        }
    }
}
