//! Executions that are kept: how fast they are committed beside bare SQLite, and how fast they go on
//! after a crash.

mod bare;
mod executions;
mod home;
mod recovery;
mod section;
mod steps;
mod waiting;

pub use section::{child, run};
