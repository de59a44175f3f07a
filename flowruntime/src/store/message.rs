//! What executions are told from outside.

use std::fmt;

use flowcore::Timestamp;
use uuid::Uuid;

/// The id of a message: who sends it chooses it, and may send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub Uuid);

impl MessageId {
    /// A new id; later ones are greater.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message on its way to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id; an execution gets each once.
    pub id: MessageId,
    /// When it was sent.
    pub at: Timestamp,
    /// What it says, encoded.
    pub body: Vec<u8>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is kept, perhaps from an earlier call. One that was taken up is not remembered: sending it
    /// again is a new message.
    Kept,
    /// The execution has ended.
    Finished,
    /// There is no such execution.
    NotFound,
    /// As many messages wait for the execution as may.
    TooMany,
}

/// How many messages may wait for one execution.
///
/// A signal that nobody waits for yet is taken up at once, so only an execution that does not run at
/// all has many.
pub const MAX_WAITING: usize = 1000;
