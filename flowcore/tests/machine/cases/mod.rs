//! Case by case, as tables.

mod control;
mod endings;
mod facts;
mod failures;
mod joins;
mod races;
mod retries;
mod undo;
mod values;
mod when;
