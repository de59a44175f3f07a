//! Schedules: the cron triggers of the workflows that are saved, and the executions that they start.
//!
//! Each due time is *claimed* in the store before its execution is started, in a transaction that
//! also finds the workflow unchanged. So one server starts it, and none goes by an older version.
//! A server that ends in between leaves its claim; another takes it over after a while, and the start
//! key, which names the due time, then finds the execution that was started, if there is one.

mod ask;
mod book;
mod decide;
mod schedule;
mod scheduler;
#[cfg(test)]
mod simulation;
mod state;
mod step;

pub(crate) use ask::ask;
pub(crate) use book::Schedules;
pub(crate) use schedule::Schedule;
pub(crate) use scheduler::Scheduler;
pub(crate) use state::{Run, State};

use flowruntime::store::StoreError;

/// How often a change is tried when others change the same.
const TRIES: usize = 10;

fn busy() -> StoreError {
    StoreError::Unavailable { message: "others change the schedule all the time".to_owned() }
}
