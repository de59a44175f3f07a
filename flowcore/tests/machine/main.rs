//! The machine, case by case; and against a naive interpreter, over random workflows and everything
//! that may happen to them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod generate;
mod nested;
mod nodes;
mod play;
mod properties;
mod reference;
mod runner;
mod script;
mod stage;
mod state;
mod view;
