//! Whether one more execution may be started, whoever starts it: a request, a schedule, another
//! execution.

use async_trait::async_trait;
use flowcore::ProjectId;
use flowruntime::{Admission, Place, StartError};

use super::{Disk, Queue};

/// Lets executions in while there is room for them.
pub(crate) struct Starts {
    pub(crate) queue: Queue,
    /// `None` is a store that is not on a disk of this machine, or a limit that is off.
    pub(crate) disk: Option<Disk>,
}

#[async_trait]
impl Admission for Starts {
    async fn admit(&self, project: &ProjectId) -> Result<Place, StartError> {
        if let Some(disk) = &self.disk {
            disk.check().await?;
        }
        self.queue.admit(project).await
    }
}
