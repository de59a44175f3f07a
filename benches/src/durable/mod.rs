//! Executions that are kept: how fast they are committed beside bare SQLite, and how fast they go on
//! after a crash.

mod bare;
mod executions;
mod home;
#[cfg(feature = "postgres")]
mod postgres;
mod recovery;
mod section;
mod steps;
mod waiting;

#[cfg(feature = "postgres")]
pub use postgres::run as run_postgres;
pub use section::{child, run};
