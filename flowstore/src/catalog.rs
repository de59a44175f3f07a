//! Records beside executions, such as workflows that are saved: named, with versions, and changed
//! many at once or not at all; and who did what.

use std::sync::Arc;

use async_trait::async_trait;
use flowcore::{Digest, ProjectId, Timestamp};
use flowruntime::store::{AuditEntry, Store, StoreError};
use uuid::Uuid;

/// How long the kind and the id of a record may be together, in bytes: both stand in an index.
pub const MAX_RECORD_KEY: usize = 1024;

/// What names a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The project that it belongs to; `None` is the whole installation.
    pub project: Option<ProjectId>,
    /// What kind of record it is, such as `workflow`.
    pub kind: String,
    /// Its id among those of its kind.
    pub id: String,
}

/// A version of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What names it.
    pub key: RecordKey,
    /// Counts the versions of the record from 1, deletions as well. No number is used again, also when
    /// a record is made anew after it was deleted.
    pub version: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Counts the changes of all records, in the order in which they were committed. Not every number
    /// has to be there.
    pub change: u64,
    /// What it says; `None` when the record was deleted.
    pub body: Option<Arc<[u8]>>,
}

/// What a change finds, or it is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    Anything,
    /// No record, or one that was deleted.
    Absent,
    /// A record, in any version.
    Present,
    /// A record in this version.
    Version(u64),
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which record.
    pub key: RecordKey,
    /// What has to be there.
    pub expect: Expect,
    /// What it says from now on; `None` deletes it. To delete what is not there changes nothing.
    pub body: Option<Vec<u8>>,
    /// Whether earlier versions can still be read; else all of them are forgotten.
    pub keeps_earlier: bool,
}

/// What became of some changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// All are made, and durable; perhaps by an earlier call. These are the versions of their records
    /// now, in the order of the changes; 0 for one that never was.
    Done(Vec<u64>),
    /// None is made: a record is not as was expected.
    Conflict {
        /// The place of the first such change.
        position: usize,
        /// The version of the record; `None` when there is none.
        found: Option<u64>,
    },
}

/// An entry of the audit log, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Where it stands in the list: later ones have greater numbers.
    pub position: u64,
    /// The chain that it is a link of.
    pub chain: Uuid,
    /// Counts the links of the chain, from 1 and without gaps.
    pub number: u64,
    /// The entry.
    pub entry: AuditEntry,
    /// The hash of this link and, through that of the one before it, of all before it.
    pub hash: Digest,
}

/// What going through all chains came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditCheck {
    /// How many chains were seen.
    pub chains: u64,
    /// How many of their links are whole.
    pub rows: u64,
    /// The first link that is missing or was changed; what comes after it was not looked at.
    pub broken: Option<BrokenLink>,
}

/// A link of a chain that is missing or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenLink {
    /// The chain.
    pub chain: Uuid,
    /// The number of the link.
    pub number: u64,
}

/// Keeps records and an audit log, in the same file or database as executions.
///
/// Calls may be repeated after an error. Futures may be dropped at any time; what they asked for is
/// then done or not, never half. None blocks the thread that polls it. Whatever is committed rings
/// [`Store::bell`], here and in other processes that execute, when it changed a record.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Makes all changes and keeps all audit entries, or does nothing, in one transaction, which is
    /// durable when this returns.
    ///
    /// A change that was made already counts as made, so a call may be repeated as it was: the record
    /// is in the version after the one that was expected (the first, when none was), or was made at
    /// this very time, and says the same. When all changes were made before, so were the entries.
    /// Entries without any change are kept each time.
    ///
    /// A record may be changed several times, in order; such a call may not be repeated.
    ///
    /// # Errors
    /// [`StoreError::Full`] when a key is longer than [`MAX_RECORD_KEY`], or there is no room.
    async fn commit(
        &self,
        at: Timestamp,
        changes: Vec<Change>,
        audit: Vec<AuditEntry>,
    ) -> Result<Committed, StoreError>;

    /// A record as it is now; `None` when there is none, or it was deleted.
    async fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// A version of a record, the newest or one that was kept; a deletion is one too, without a body.
    async fn record_version(
        &self,
        key: &RecordKey,
        version: u64,
    ) -> Result<Option<Record>, StoreError>;

    /// The records of a kind as they are now, by id (in the order of its bytes), those after `after`,
    /// at most `limit`; of a project, or, with `None`, of the whole installation.
    async fn records(
        &self,
        project: Option<&ProjectId>,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// The versions of a record that can be read, deletions included, the newest first, those before
    /// `before`, at most `limit`.
    async fn record_versions(
        &self,
        key: &RecordKey,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// The newest version of each record that changed after this change, deletions included, in the
    /// order of their changes, at most `limit`. A record that changed several times comes once, as it
    /// is now. Whoever goes on from the last one misses nothing: no change with a lower number is
    /// committed later.
    async fn changes_after(&self, change: u64, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// The audit log, the newest first, those before this position, at most `limit`; of a project, or,
    /// with `None`, of all projects and the installation.
    async fn audit(
        &self,
        project: Option<&ProjectId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, StoreError>;

    /// Goes through every chain of the audit log, as of one moment, and names the first link that is
    /// missing or was changed.
    ///
    /// What cannot be seen from inside: that the last links of a chain, or all of it, were removed, and
    /// that somebody who may write into the store made all hashes anew from some link on. Against
    /// that, keep a copy of the log elsewhere.
    async fn verify_audit(&self) -> Result<AuditCheck, StoreError>;
}

/// A store with a catalog: all that a server keeps.
pub trait Home: Store + Catalog {}

impl<T: Store + Catalog> Home for T {}

/// The newest version of a record, as far as a change depends on it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) struct Newest {
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    pub(crate) body: Option<Vec<u8>>,
}

/// What is to be done for a change.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The record is not as expected, but in this version.
    Conflict(Option<u64>),
    /// Nothing: it is so already, in this version.
    Made(u64),
    /// This version is to be made.
    Make(u64),
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Change {
    /// What is to be done for it at this time.
    pub(crate) fn judge(&self, at: Timestamp, newest: Option<&Newest>) -> Verdict {
        let version = newest.map_or(0, |newest| newest.version);
        let present = newest.filter(|newest| newest.body.is_some()).map(|newest| newest.version);
        let is_repeated = newest.is_some_and(|newest| {
            let follows = match self.expect {
                Expect::Version(expected) => expected.checked_add(1) == Some(version),
                Expect::Absent => version == 1,
                Expect::Anything | Expect::Present => false,
            };
            newest.body == self.body && (follows || newest.at == at)
        });
        let is_expected = match self.expect {
            Expect::Anything => true,
            Expect::Absent => present.is_none(),
            Expect::Present => present.is_some(),
            Expect::Version(expected) => present == Some(expected),
        };
        match (is_repeated, is_expected) {
            (true, _) => Verdict::Made(version),
            (false, false) => Verdict::Conflict(present),
            (false, true) if self.body.is_none() && present.is_none() => Verdict::Made(version),
            (false, true) => Verdict::Make(version + 1),
        }
    }
}

/// Checks what databases would refuse each in its own way.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn check(changes: &[Change]) -> Result<(), StoreError> {
    let is_long = |change: &Change| change.key.kind.len() + change.key.id.len() > MAX_RECORD_KEY;
    if changes.iter().any(is_long) {
        let message = format!("the key of a record has more than {MAX_RECORD_KEY} bytes");
        return Err(StoreError::Full { message });
    }
    Ok(())
}

/// What stands in the column for the project of a record.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn project_column(project: Option<&ProjectId>) -> &str {
    project.map_or("", ProjectId::as_str)
}
