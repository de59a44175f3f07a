//! The `flowcli` binary, as people and programs use it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_files;
#[cfg(unix)]
mod broken;
mod documents;
#[cfg(unix)]
mod executions;
#[cfg(target_os = "linux")]
mod flushes;
#[cfg(unix)]
mod interrupts;
#[cfg(unix)]
mod kills;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(unix)]
mod prune;
#[cfg(unix)]
mod questions;
#[cfg(unix)]
mod site;
mod streams;
mod support;
#[cfg(unix)]
mod terminal;
mod trace;
mod transcripts;
#[cfg(target_os = "linux")]
mod troubleshooting;
#[cfg(unix)]
mod verify;
