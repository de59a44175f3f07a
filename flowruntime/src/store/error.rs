//! What can go wrong with a store.

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, or the answer was lost: what was asked is done or not. It may be
    /// asked again.
    #[error("the store is out of reach: {message}")]
    Unavailable {
        /// A lowercase fragment.
        message: String,
    },
    /// There is no room. Nothing was changed; it may be asked again.
    #[error("the store is full: {message}")]
    Full {
        /// A lowercase fragment.
        message: String,
    },
    /// More was asked for than the store can take in. Nothing was changed; it may be asked again.
    #[error("the store is busy: {waiting} requests wait already")]
    Saturated {
        /// How many.
        waiting: usize,
    },
    /// The start key was used for another start.
    #[error("the key `{key}` was used for another start")]
    KeyConflict {
        /// The key.
        key: String,
    },
    /// Another process executes what is in this store.
    #[error("the store `{name}` is in use by {holder}")]
    InUse {
        /// The store.
        name: String,
        /// Who has it, as far as is known: `process 4711`.
        holder: String,
    },
    /// The store was made by a newer version of Flow.
    #[error("the store has format {found}, and this version of Flow knows formats up to {known}")]
    TooNew {
        /// The format of the store.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// What is kept cannot be read.
    #[error("the store is damaged: {message}")]
    Damaged {
        /// A lowercase fragment.
        message: String,
    },
    /// The URL does not name a store.
    #[error("`{url}` does not name a store: {message}")]
    BadUrl {
        /// The URL, without its password.
        url: String,
        /// A lowercase fragment.
        message: String,
    },
    /// A value that came from a secret cannot be kept, because there is nothing to seal it with.
    #[error("what comes from a secret cannot be kept: the store has no sealing key")]
    NoSealingKey,
    /// The store was opened to look at it, and nothing is executed from it here.
    #[error("the store was opened to look at it, not to execute")]
    NotExecuting,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "store.unavailable",
            Self::Full { .. } => "store.full",
            Self::Saturated { .. } => "store.saturated",
            Self::KeyConflict { .. } => "execution.key_conflict",
            Self::InUse { .. } => "store.in_use",
            Self::TooNew { .. } => "store.too_new",
            Self::Damaged { .. } => "store.damaged",
            Self::BadUrl { .. } => "store.bad_url",
            Self::NoSealingKey => "store.no_sealing_key",
            Self::NotExecuting => "store.not_executing",
            Self::Closed => "store.closed",
        }
    }

    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Full { .. } => Some("make room; executions go on by themselves"),
            Self::KeyConflict { .. } => Some("use one key for one start only"),
            Self::InUse { .. } => Some(
                "one process at a time executes from a SQLite file: wait for it, or use PostgreSQL",
            ),
            Self::TooNew { .. } => Some("use the version of Flow that made it, or a newer one"),
            Self::BadUrl { .. } => {
                Some("write `sqlite://flow.db`, or `postgres://user:password@host/database`")
            }
            Self::NoSealingKey => {
                Some("give it one: `flowcli --sealing-key FILE`, or `FlowRuntimeBuilder::sealing`")
            }
            Self::Unavailable { .. }
            | Self::Saturated { .. }
            | Self::Damaged { .. }
            | Self::NotExecuting
            | Self::Closed => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Full { .. } | Self::Saturated { .. } => true,
            Self::KeyConflict { .. }
            | Self::InUse { .. }
            | Self::TooNew { .. }
            | Self::Damaged { .. }
            | Self::BadUrl { .. }
            | Self::NoSealingKey
            | Self::NotExecuting
            | Self::Closed => false,
        }
    }
}
