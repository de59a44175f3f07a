//! dataflow-rs: a program of its own, because its dependencies cannot stand in one lock file with
//! Flow's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;

use super::section::Measured;
use crate::cli;

/// Builds the program, unless it is built; gives its path.
pub fn build() -> PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/dataflow/Cargo.toml");
    // It asks for a newer Rust on paper, and is built with that of Flow.
    let arguments = ["--ignore-rust-version", "--manifest-path", manifest];
    cli::build("flow-bench-dataflow", &arguments)
}

/// Processes this many messages in a process of its own.
pub fn run(program: &Path, count: usize, capture: bool) -> Measured {
    let mut command = Command::new(program);
    command.arg(count.to_string());
    if !capture {
        command.arg("--no-changes");
    }
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.expect("the program can be started");
    assert!(output.status.success(), "dataflow-rs failed; see above");
    let answer: Json = serde_json::from_slice(&output.stdout).expect("it answers JSON");
    let time = |name: &str| Duration::from_nanos(answer[name].as_u64().expect("a time"));
    Measured { total: time("nanos"), p50: time("p50_nanos"), p99: time("p99_nanos") }
}
