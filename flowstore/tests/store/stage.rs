//! What the cases are made of.

use std::sync::Arc;

use flowcore::{
    Digest, EVENT_FORMAT, ExecutionId, ExecutionStatus, ProjectId, Timestamp, Value, WorkflowId,
};
use flowruntime::store::{
    Append, Appended, AuditEntry, Blob, Created, Definition, ExecutionRow, LogLine, Message,
    MessageId, NewExecution, OwnerId, Progress, StartKey, Store,
};
use flowstore::Access;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use flowstore::{Change, Expect, RecordKey};
use uuid::Uuid;

use crate::kinds::Place;

/// An empty store.
pub(crate) struct Stage {
    pub(crate) store: Arc<dyn Store>,
    place: Place,
}

impl Stage {
    pub(crate) async fn new(place: Place) -> Self {
        Self { store: (place.open)(Access::Execute).await, place }
    }

    /// Closes everything, and opens it again.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) async fn reopen(self) -> Self {
        let Self { store, place } = self;
        assert_eq!(Arc::strong_count(&store), 1, "somebody has it open");
        drop(store);
        Self::new(place).await
    }

    /// Opens it once more, to look.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) async fn visit(&self) -> Arc<dyn Store> {
        (self.place.open)(Access::Visit).await
    }

    /// An owner that has entered.
    pub(crate) async fn owner(&self) -> OwnerId {
        self.store.enter().await.unwrap().id
    }

    /// Accepts [`new`] for an owner.
    pub(crate) async fn owned(&self, number: u64, owner: OwnerId) -> ExecutionId {
        let execution = NewExecution { owner: Some(owner), ..new(number) };
        assert_eq!(self.store.create(execution).await, Ok(Created::New));
        id(number)
    }

    pub(crate) async fn row(&self, id: ExecutionId) -> ExecutionRow {
        self.store.execution(id).await.unwrap().unwrap()
    }

    /// Makes an append that must be committed.
    #[track_caller]
    pub(crate) fn commit(&self, append: Append) -> impl Future<Output = ()> + use<> {
        let appended = self.store.append(append.clone());
        async move { assert_eq!(appended.await, Ok(Appended::Committed), "{append:?}") }
    }

    /// Everything that can be read of an execution.
    pub(crate) async fn all(&self, id: ExecutionId) -> impl PartialEq + std::fmt::Debug + use<> {
        let kept = self.store.load(id).await.unwrap();
        let messages = self.store.messages(id).await.unwrap();
        (kept, messages, self.store.logs(id, 0, usize::MAX).await.unwrap())
    }
}

/// So many seconds after the beginning of these tests.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

/// Later numbers are greater.
pub(crate) fn id(number: u64) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::from_u64_pair(0x0190_0000_0000_7000, number))
}

pub(crate) fn digest(text: &str) -> Digest {
    Digest::of(&Value::from(text))
}

pub(crate) fn definition(text: &str) -> Arc<Definition> {
    Arc::new(Definition { digest: digest(text), text: text.to_owned() })
}

pub(crate) fn blob(text: &str) -> Blob {
    Blob { digest: digest(text), bytes: Arc::from(text.as_bytes()) }
}

pub(crate) fn key(key: &str, fingerprint: &str) -> Option<StartKey> {
    Some(StartKey { key: key.to_owned(), fingerprint: digest(fingerprint) })
}

pub(crate) fn workflow_id(text: &str) -> WorkflowId {
    WorkflowId::new(text).unwrap()
}

pub(crate) fn project(text: &str) -> ProjectId {
    ProjectId::new(text).unwrap()
}

/// An execution that nobody has, accepted at that second.
pub(crate) fn new(number: u64) -> NewExecution {
    NewExecution {
        id: id(number),
        project: ProjectId::default(),
        workflow_id: workflow_id("orders"),
        version: None,
        definition: definition("{}"),
        start: format!("start of {number}").into_bytes(),
        blobs: Vec::new(),
        key: None,
        owner: None,
        rerun_of: None,
        created_at: at(i64::try_from(number).unwrap()),
        format: EVENT_FORMAT,
        audit: None,
    }
}

/// An execution that runs on.
pub(crate) fn running() -> Progress {
    Progress {
        status: ExecutionStatus::Running,
        started_at: Some(at(50)),
        at: at(51),
        wake_at: None,
        release: false,
        error: None,
    }
}

/// One that is let go.
pub(crate) fn released(wake_at: Option<Timestamp>) -> Progress {
    Progress { status: ExecutionStatus::Waiting, wake_at, release: true, ..running() }
}

/// One that has ended.
pub(crate) fn ended(seconds: i64) -> Progress {
    Progress { status: ExecutionStatus::Succeeded, at: at(seconds), ..running() }
}

/// So many events, of an execution with its first fence.
pub(crate) fn append(execution: ExecutionId, first_seq: u64, count: u64) -> Append {
    let last_seq = first_seq.saturating_add(count).saturating_sub(1);
    Append {
        execution,
        fence: 1,
        first_seq,
        last_seq,
        segment: if count == 0 { Vec::new() } else { segment(first_seq, last_seq) },
        blobs: Vec::new(),
        taken: Vec::new(),
        first_line: 1,
        logs: Vec::new(),
        progress: running(),
    }
}

pub(crate) fn segment(first_seq: u64, last_seq: u64) -> Vec<u8> {
    format!("events {first_seq} to {last_seq}").into_bytes()
}

pub(crate) fn message(number: u64) -> Message {
    Message {
        id: MessageId(Uuid::from_u64_pair(1, number)),
        at: at(i64::try_from(number).unwrap()),
        body: format!("message {number}").into_bytes(),
    }
}

pub(crate) fn line(text: &str) -> LogLine {
    LogLine {
        number: 0,
        at: at(60),
        node: "each[3].fetch".to_owned(),
        attempt: 2,
        kind: "stdout".to_owned(),
        text: text.to_owned(),
    }
}

/// An entry of the audit log.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn entry(seconds: i64, of: Option<&str>, text: &str) -> AuditEntry {
    let body = format!("{{\"text\": \"{text}\"}}");
    AuditEntry { at: at(seconds), project: of.map(project), body }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn key_of(of: &str, kind: &str, id: &str) -> RecordKey {
    RecordKey { project: Some(project(of)), kind: kind.to_owned(), id: id.to_owned() }
}

/// A change that keeps earlier versions.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn put(key: &RecordKey, expect: Expect, body: &str) -> Change {
    Change { key: key.clone(), expect, body: Some(body.into()), keeps_earlier: true }
}
