//! Where the secrets of executions come from.

use flowcore::{ProjectId, Secrets};

/// Gives the secrets of each project.
///
/// It is asked when an execution starts, when one goes on after a crash or a wait, and when one is
/// looked at; an execution that is under way keeps what it was given. It answers at once, from memory:
/// it is asked on threads of the runtime.
pub trait SecretSource: Send + Sync + 'static {
    /// The secrets that executions of this project may read.
    fn secrets_of(&self, project: &ProjectId) -> Secrets;
}

/// The same for all projects.
impl SecretSource for Secrets {
    fn secrets_of(&self, _: &ProjectId) -> Secrets {
        self.clone()
    }
}
