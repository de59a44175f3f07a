//! Ctrl-C, once and twice.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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

/// Its program does not end when it is asked to, is given a minute for it, and holds a pipe open for
/// as long as it lives.
fn stubborn(pipe: &Path) -> String {
    let script = "exec 3> $1; trap '' TERM; echo ready; while :; do sleep 600; done";
    format!(
        r#"{{ "nodes": [{{ "id": "sleep", "node_type": "shell.exec", "config": {{
             "shell": true, "command": "{script}", "args": ["{}"], "kill_grace_ms": 60000
        }} }}] }}"#,
        pipe.display()
    )
}

#[test]
fn the_second_signal_aborts_and_leaves_no_program_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut run = Run::start(&stubborn(&path));
    let mut pipe = File::open(&path).unwrap();
    run.wait_for("ready");
    run.signal("INT");
    run.wait_for("cancelling");
    run.signal("INT");
    let (code, lines) = run.end();
    assert_eq!(code, Some(130), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("error: aborted"));
    // Ends when nobody has the other side any more.
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(pipe.read_to_end(&mut Vec::new()).unwrap()));
    let deadline = Duration::from_secs(60);
    assert_eq!(is_done.recv_timeout(deadline), Ok(0), "the program is still there");
}
