//! Whether one more execution may be started.

use std::any::Any;

use async_trait::async_trait;
use flowcore::ProjectId;

use crate::runtime::StartError;

/// What an execution that was let in holds until it is accepted, or is not.
pub type Place = Box<dyn Any + Send>;

/// Decides whether one more execution may be started: a queue that is long enough, or a disk that is
/// nearly full, is a reason against it.
///
/// It is asked whoever starts it, before anything of it is kept; a start that repeats an earlier one by
/// its key is asked about as well. What was accepted before goes on, whatever it says: going on with an
/// execution, after a crash or a wait, is no start.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Lets an execution of this project in; what it gives is dropped once the execution is accepted,
    /// or was not. Cancel safe.
    ///
    /// # Errors
    /// Why not, such as [`StartError::Refused`].
    async fn admit(&self, project: &ProjectId) -> Result<Place, StartError>;
}
