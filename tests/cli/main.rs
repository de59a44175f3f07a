//! The `flowcli` binary, as people and programs use it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_files;
mod documents;
#[cfg(unix)]
mod executions;
#[cfg(unix)]
mod interrupts;
#[cfg(unix)]
mod kills;
#[cfg(unix)]
mod questions;
mod streams;
mod support;
#[cfg(unix)]
mod terminal;
mod transcripts;
#[cfg(target_os = "linux")]
mod troubleshooting;
#[cfg(unix)]
mod verify;
