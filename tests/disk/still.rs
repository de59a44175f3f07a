//! A store on a disk under paused time: while it is asked, time stands still.

use std::any::Any;
use std::sync::mpsc;

use flowcore::async_trait;

use flowruntime::testing::crash::Twist;

/// Paused time moves on when tokio has nothing to do, and it knows nothing of the threads of a store:
/// a time-out would be over before the disk has answered. It does know of its own threads that block.
pub(crate) struct Still;

#[async_trait]
impl Twist for Still {
    fn during(&self) -> Option<Box<dyn Any + Send>> {
        let (asked, is_over) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || is_over.recv());
        Some(Box::new(asked))
    }
}
