//! Case by case, as tables.

mod cached;
mod control;
mod endings;
mod facts;
mod failures;
mod history;
mod joins;
mod limited;
mod pausing;
mod races;
mod recovery;
mod rerun;
mod retries;
mod undo;
mod values;
mod when;
