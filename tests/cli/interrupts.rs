//! Ctrl-C, once and twice.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, Command};
use std::time::{Duration, Instant};

use super::support::{data, flowcli};

/// A run that says what it does, and the lines that it says.
struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Run {
    fn start(workflow: &str) -> Self {
        let mut child = flowcli(&data(), ["run", "-", "-v"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(workflow.as_bytes()).unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut run = Self { child, lines };
        run.wait_for("started");
        run
    }

    /// Reads up to the first line that holds a text.
    fn wait_for(&mut self, text: &str) -> String {
        let found = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("it never said {text:?}"))
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the end: the exit code, and all lines that were left.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), rest)
    }
}

const SLEEP: &str = r#"{ "nodes": [
  { "id": "sleep", "node_type": "shell.exec", "config": { "command": "sleep", "args": ["600"] } }
] }"#;

#[test]
fn the_first_signal_cancels_and_waits() {
    for signal in ["INT", "TERM", "HUP"] {
        let run = Run::start(SLEEP);
        run.signal(signal);
        let (code, lines) = run.end();
        assert_eq!(code, Some(130), "{signal}: {lines:?}");
        assert_eq!(lines[0], "cancelling; Ctrl-C again aborts at once", "{signal}");
        assert_eq!(lines[1], "sleep: cancelled (requested)", "{signal}");
        assert!(lines[2].starts_with("workflow: cancelled in"), "{signal}: {lines:?}");
    }
}

/// Its program does not end when it is asked to, and is given a minute for it.
const STUBBORN: &str = r#"{ "nodes": [
  { "id": "sleep", "node_type": "shell.exec", "config": {
      "shell": true, "command": "trap '' TERM; echo $$; while :; do sleep 600; done",
      "kill_grace_ms": 60000 } }
] }"#;

#[test]
fn the_second_signal_aborts_and_leaves_no_program_behind() {
    let mut run = Run::start(STUBBORN);
    let line = run.wait_for("sleep: ");
    let program = line.trim_start_matches("sleep: ").to_owned();
    run.signal("INT");
    run.wait_for("cancelling");
    run.signal("INT");
    let (code, lines) = run.end();
    assert_eq!(code, Some(130), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("error: aborted"));
    wait_until_gone(&program);
}

/// Waits until a process runs no more; one that only waits for its parent to hear of it is gone.
fn wait_until_gone(process: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while runs(process) {
        assert!(Instant::now() < deadline, "program {process} is still there");
        std::thread::yield_now();
    }
}

fn runs(process: &str) -> bool {
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        return !status.contains("State:\tZ");
    }
    let has_proc = std::path::Path::new("/proc/self/status").exists();
    !has_proc && Command::new("kill").args(["-s", "0", process]).status().unwrap().success()
}
