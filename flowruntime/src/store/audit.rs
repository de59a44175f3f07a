//! What is written down of who did what.

use flowcore::{ProjectId, Timestamp};

/// An entry of the audit log: who did what, for those who look into it later. Stores on a disk keep
/// it, and nobody changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was done.
    pub at: Timestamp,
    /// The project that it was done in; `None` is the whole installation.
    pub project: Option<ProjectId>,
    /// What was done and by whom, as JSON. A store does not look into it.
    pub body: String,
}
