//! Where executions are kept: what they run, what happened in them, who executes them, and what they
//! are still to be told.
//!
//! A [`Store`] keeps rows and bytes, and decides nothing about workflows: what the bytes
//! say is the business of the journal. Its promises are few and hard: what it says is committed is
//! flushed, each write of an owner is conditional on the *fence* of its execution, and each of its
//! calls may be repeated.

mod append;
mod audit;
mod error;
mod memory;
mod message;
mod owner;
mod query;
mod row;

use std::sync::Arc;

use async_trait::async_trait;
use flowcore::value::Seal;
use flowcore::{Digest, ExecutionId, ProjectId, Timestamp};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

pub use append::{Append, Appended, LogLine, Progress};
pub use audit::AuditEntry;
pub use error::StoreError;
pub use memory::MemoryStore;
pub use message::{MAX_WAITING, Message, MessageId, Sent};
pub use owner::{Claim, Claimed, Owner, OwnerId};
pub use query::{Cursor, Pruned, Query, Retention};
pub use row::{
    Blob, Created, Definition, ExecutionRow, KEY_LIFE, Kept, NewExecution, Segment, StartKey,
    StoreMetrics,
};

/// Keeps executions.
///
/// Every call may be repeated after an error: a repetition of what was done already changes nothing
/// and answers the same. Futures may be dropped at any time; what they asked for is then done or not,
/// never half. None blocks the thread that polls it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Accepts an execution. When this returns it is durable: it survives a crash of the process and
    /// of the machine. It belongs to the owner that is named, with fence 1, if that one lives; else to
    /// nobody, with fence 0: then anybody may claim it.
    ///
    /// With a start key that was used before in its project (and not yet forgotten) nothing is made,
    /// and the answer is the execution that it was used for. The same holds for an id that exists.
    ///
    /// # Errors
    /// [`StoreError::KeyConflict`] when the key was used for another start.
    async fn create(&self, execution: NewExecution) -> Result<Created, StoreError>;

    /// Adds to the journal of an execution, and changes its row, in one step. The order is that of
    /// the calls, not of their answers: a later one may be made before an earlier one is answered, and
    /// is committed only after it.
    ///
    /// Nothing is changed unless the fence is that of the execution, the execution has not ended, and
    /// the events follow those that are kept. When the answer is [`Appended::Committed`] everything
    /// is durable. An error means that the outcome is unknown.
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, StoreError>>;

    /// Enters a process as one that executes.
    async fn enter(&self) -> Result<Owner, StoreError>;

    /// Tells that an owner lives; due well within its lease. Gives `false` when the lease is over: it
    /// owns nothing any more, and what it still writes is refused once others have claimed it.
    async fn renew(&self, owner: OwnerId) -> Result<bool, StoreError>;

    /// An owner goes: what it has is anybody's, at once.
    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError>;

    /// Takes executions that nobody executes and that are due at `now`: those that were never
    /// started, those whose owner is dead, those whose time to wake has come, and those that were
    /// told something. The fence of each is one higher. At most `limit`, those due first before the
    /// others, and only those of a format that this version can read. An owner that has left, or whose
    /// lease is over, gets none.
    ///
    /// Atomic: no two callers get the same one with the same fence.
    async fn claim(
        &self,
        owner: OwnerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Claimed, StoreError>;

    /// As [`Store::claim`], for one execution, due or not; `None` when somebody who lives executes it,
    /// when it has ended, or when there is none.
    async fn claim_one(
        &self,
        owner: OwnerId,
        execution: ExecutionId,
    ) -> Result<Option<Claim>, StoreError>;

    /// Leaves a message for whoever executes the execution. When this returns it is durable, and is
    /// kept until an [`Append`] takes it. Rings the bell.
    ///
    /// The entry of the audit log is kept in the same transaction, by stores that have one; a message
    /// that is kept from an earlier call, or refused, leaves none.
    async fn send(
        &self,
        execution: ExecutionId,
        message: Message,
        audit: Option<AuditEntry>,
    ) -> Result<Sent, StoreError>;

    /// The messages for executions of this owner, the oldest first. They stay until they are taken.
    async fn inbox(&self, owner: OwnerId) -> Result<Vec<(ExecutionId, Message)>, StoreError>;

    /// The messages for an execution that were not taken yet, the oldest first.
    async fn messages(&self, execution: ExecutionId) -> Result<Vec<Message>, StoreError>;

    /// Changes when there may be something to claim or messages to take. It may change for nothing,
    /// and may fail to change when another process did something: look now and then without it.
    fn bell(&self) -> watch::Receiver<u64>;

    /// The row of an execution.
    async fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, StoreError>;

    /// The rows of executions of a project, the newest first.
    async fn executions(&self, query: &Query) -> Result<Vec<ExecutionRow>, StoreError>;

    /// How many executions of a project are accepted and have not begun. Somebody has each of them, or
    /// it is due: one that was released without a time to wake at may be left out. Counts no further
    /// than `at_most`, and costs no more than that.
    async fn queued(&self, project: &ProjectId, at_most: usize) -> Result<usize, StoreError>;

    /// The rows of those of these executions that have events after the number that is given with each,
    /// in any order.
    async fn gone_on(&self, known: &[(ExecutionId, u64)]) -> Result<Vec<ExecutionRow>, StoreError>;

    /// Everything that goes on with an execution needs, as of one moment.
    async fn load(&self, id: ExecutionId) -> Result<Option<Kept>, StoreError>;

    /// The journal of an execution: the segments that have events after this number, in order, at most
    /// `limit`.
    async fn segments(
        &self,
        id: ExecutionId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Segment>, StoreError>;

    /// Values that are kept apart; those that do not exist are left out.
    async fn blobs(&self, digests: &[Digest]) -> Result<Vec<Blob>, StoreError>;

    /// What an execution runs.
    async fn definition(&self, digest: Digest) -> Result<Option<Arc<Definition>>, StoreError>;

    /// What the nodes of an execution wrote, after this number, in order, at most `limit` lines.
    async fn logs(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, StoreError>;

    /// Forgets a few of the ended executions that need not be kept, with everything that only they
    /// have; gives what went. Others are never held up for long: call it again until it gives none.
    /// Whoever only looks at a store may call it, too.
    async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError>;

    /// What [`Store::prune`] would forget, called until nothing is left to forget. Goes over all of it:
    /// for people who ask, now and then.
    async fn prunable(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError>;

    /// What it brings for sealing what came from secrets.
    fn seal(&self) -> Option<Arc<dyn Seal>> {
        None
    }

    /// How busy the store is.
    fn metrics(&self) -> StoreMetrics;
}
