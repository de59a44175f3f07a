//! The machine, case by case.

mod cases;
mod nodes;
mod stage;
