//! What the server does not take on: too many requests, too many executions, more than the disk holds.

mod disk;
mod queue;
mod rate;
mod starts;

pub(crate) use disk::Disk;
pub(crate) use queue::Queue;
pub(crate) use rate::{Rate, Rates};
pub(crate) use starts::Starts;
