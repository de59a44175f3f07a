//! The `flowcli` binary, as people and programs use it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_files;
#[cfg(unix)]
mod broken;
mod documents;
#[cfg(unix)]
mod executions;
#[cfg(unix)]
mod interrupts;
#[cfg(unix)]
mod kills;
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
mod transcripts;
#[cfg(target_os = "linux")]
mod troubleshooting;
