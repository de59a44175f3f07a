//! A store that writes each event by itself, so that a crash can leave any prefix of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flowcore::{ExecutionId, ExecutionStatus};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde_json::value::RawValue;

use super::Twist;
use crate::store::{Append, Appended, Progress, Store, StoreError};

type Last = Shared<BoxFuture<'static, ()>>;

/// Writes each event by itself, in order. Events that come with a message which was taken are left
/// together, as the message goes in the same step in which what it says is kept.
#[derive(Default)]
pub struct Splitting {
    /// The last append of each execution: the next one follows it.
    last: Mutex<HashMap<ExecutionId, Last>>,
}

/// The same events, one at a time. Only the last one carries what goes with them.
fn split(append: Append) -> Vec<Append> {
    if append.last_seq <= append.first_seq || !append.taken.is_empty() {
        return vec![append];
    }
    // What cannot be read is not split, and whoever loads it says so.
    let Ok(records) = serde_json::from_slice::<Vec<&RawValue>>(&append.segment) else {
        return vec![append];
    };
    let progress = Progress {
        status: ExecutionStatus::Running,
        release: false,
        error: None,
        ..append.progress.clone()
    };
    let rest = Append { segment: Vec::new(), logs: Vec::new(), ..append.clone() };
    let one = |(seq, record): (u64, &&RawValue)| Append {
        first_seq: seq,
        last_seq: seq,
        segment: format!("[{record}]").into_bytes(),
        progress: progress.clone(),
        ..rest.clone()
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
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
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
