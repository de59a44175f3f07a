//! A store that writes each event by itself, so that a crash can leave any prefix of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowcore::{ExecutionId, ExecutionStatus, async_trait};
use flowruntime::store::{Append, Appended, Progress, Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde_json::Value as Json;

use crate::forwarding::Twist;

type Last = Shared<BoxFuture<'static, ()>>;

#[derive(Default)]
pub(crate) struct Splitting {
    /// The last append of each execution: the next one follows it.
    last: Mutex<HashMap<ExecutionId, Last>>,
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
        first_line: append.first_line,
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

#[async_trait]
impl Twist for Splitting {
    fn append(
        &self,
        inner: &Arc<dyn Store>,
        append: Append,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        let (inner, id) = (inner.clone(), append.execution);
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
}
