//! How large the history of an execution is.

use std::collections::HashSet;

use flowcore::Digest;

/// Counts the bytes of a history: its events, and the values that stand apart from them, each once.
#[derive(Default)]
pub(crate) struct HistorySize {
    bytes: u64,
    /// The values that are counted. Each is of more than [`flowcore::value::MAX_INLINE`] bytes, so they
    /// are few.
    apart: HashSet<Digest>,
}

impl HistorySize {
    /// Counts events.
    pub(super) fn add_events(&mut self, text: &[u8]) {
        self.bytes += text.len() as u64;
    }

    /// Counts a value that stands apart.
    pub(super) fn add_apart(&mut self, digest: Digest, bytes: &[u8]) {
        if self.apart.insert(digest) {
            self.bytes += bytes.len() as u64;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
