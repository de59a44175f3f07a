//! What the tests share: tokio runtimes of both flavours, transcripts of events, and signals.

#[macro_use]
mod flavours;
mod nodes;
mod run;
mod signals;

pub(crate) use flavours::{
    advance, on_current_thread, on_multi_thread, paused, paused_with_one_thread, settle,
};
pub(crate) use nodes::{EXECUTIONS, kind, workflow};
pub(crate) use run::{Ran, collect, run, transcript, watch};
pub(crate) use signals::{Gate, Log, Running, Signal};
