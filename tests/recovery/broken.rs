//! The checker, checked: stores that break one promise each, and every one is caught.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::{ExecutionId, ExecutionStatus, async_trait};
use flowruntime::store::{Append, Appended, Created, Kept, NewExecution, Store, StoreError};
use flowruntime::testing::crash::{Fault, Finding, Twist, Twisted};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde_json::Value as Json;

use crate::every_commit::undisturbed;
use crate::site::{Site, Writes};
use crate::workloads;

/// The promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    /// A start is answered, and was never kept.
    StartLost,
    /// What is committed is gone after a crash: it was never flushed.
    NotFlushed,
    /// An event is left out of what is kept.
    EventDropped,
    /// A value is another one when it is read again.
    ValueChanged,
    /// The last event is kept twice.
    EndedTwice,
    /// The row does not follow the events.
    RowBehind,
    /// The events are given out of order.
    OutOfOrder,
    /// Messages stay after they were taken.
    MessagesStay,
    /// What is loaded lacks the last segment, which was committed.
    TailCut,
    /// Whoever writes is taken for the owner.
    FenceIgnored,
}

const BREACHES: [Breach; 10] = [
    Breach::StartLost,
    Breach::NotFlushed,
    Breach::EventDropped,
    Breach::ValueChanged,
    Breach::EndedTwice,
    Breach::RowBehind,
    Breach::OutOfOrder,
    Breach::MessagesStay,
    Breach::TailCut,
    Breach::FenceIgnored,
];

struct Broken {
    breach: Breach,
    appends: AtomicUsize,
}

/// Changes the events of a segment.
fn edit(segment: &[u8], change: impl FnOnce(&mut Vec<Json>)) -> Vec<u8> {
    let mut records: Vec<Json> = serde_json::from_slice(segment).unwrap();
    change(&mut records);
    serde_json::to_vec(&records).unwrap()
}

#[async_trait]
impl Twist for Broken {
    async fn create(
        &self,
        inner: &Arc<dyn Store>,
        execution: NewExecution,
    ) -> Result<Created, StoreError> {
        match self.breach {
            Breach::StartLost => Ok(Created::New),
            _ => inner.create(execution).await,
        }
    }

    fn append(
        &self,
        inner: &Arc<dyn Store>,
        mut append: Append,
    ) -> BoxFuture<'static, Result<Appended, StoreError>> {
        let number = self.appends.fetch_add(1, Ordering::SeqCst);
        match self.breach {
            Breach::NotFlushed if number >= 3 => {
                return ready(Ok(Appended::Committed)).boxed();
            }
            Breach::EventDropped if number == 3 && append.has_events() => {
                append.segment = edit(&append.segment, |records| drop(records.pop()));
            }
            Breach::EndedTwice if append.progress.status.is_terminal() => {
                append.last_seq += 1;
                let last_seq = append.last_seq;
                append.segment = edit(&append.segment, |records| {
                    let mut last = records.last().unwrap().clone();
                    last["seq"] = Json::from(last_seq);
                    records.push(last);
                });
            }
            Breach::RowBehind if append.progress.status.is_terminal() => {
                append.progress.status = ExecutionStatus::Running;
            }
            Breach::MessagesStay => append.taken.clear(),
            Breach::FenceIgnored => {
                let row = inner.execution(append.execution).now_or_never();
                if let Some(Ok(Some(row))) = row {
                    append.fence = row.fence;
                    append.first_seq = row.last_seq + 1;
                    append.last_seq = append.last_seq.max(row.last_seq);
                }
            }
            _ => {}
        }
        inner.append(append)
    }

    async fn load(
        &self,
        inner: &Arc<dyn Store>,
        id: ExecutionId,
    ) -> Result<Option<Kept>, StoreError> {
        let Some(mut kept) = inner.load(id).await? else { return Ok(None) };
        match self.breach {
            Breach::ValueChanged => {
                for segment in &mut kept.segments {
                    let text = String::from_utf8(segment.bytes.clone()).unwrap();
                    segment.bytes = text.replace(r#""told":"a "#, r#""told":"b "#).into_bytes();
                }
            }
            Breach::OutOfOrder => kept.segments.reverse(),
            Breach::TailCut => drop(kept.segments.pop()),
            _ => {}
        }
        Ok(Some(kept))
    }
}

/// Crashes workloads on a store with this breach until the checker finds something.
fn caught(breach: Breach) -> Option<Finding> {
    let wanted = ["diamond", "signals", "retries"];
    let workloads = workloads::all();
    for workload in workloads.iter().filter(|workload| wanted.contains(&workload.name)) {
        let (expected, writes) = undisturbed(workload, Writes::Split);
        for at in 1..=writes {
            let site = Site::new(workload, &move |inner| {
                Arc::new(Twisted::new(inner, Broken { breach, appends: AtomicUsize::new(0) }))
            });
            let site = site.broken();
            let found = match breach {
                Breach::FenceIgnored => site.zombie(at, &expected).err(),
                _ => site.crash(Writes::Split, Fault::DieAfter, at, &expected).err(),
            };
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

#[test]
fn every_broken_store_is_caught() {
    for breach in BREACHES {
        assert!(caught(breach).is_some(), "{breach:?} is not found");
    }
}

/// Processes that are taken for dead, and live.
#[test]
fn a_zombie_changes_nothing() {
    for workload in &workloads::all() {
        let (expected, writes) = undisturbed(workload, Writes::Split);
        for at in 1..=writes {
            let site = Site::new(workload, &|store| store);
            if let Err(finding) = site.zombie(at, &expected) {
                panic!("{}, after write {at} of {writes}: {finding:#?}", workload.name);
            }
        }
    }
}
