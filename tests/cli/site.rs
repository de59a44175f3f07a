//! A folder with a store, and the binary in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command};

use serde_json::Value;
use tempfile::TempDir;

use super::support::flowcli;

pub(super) const STORE: [&str; 2] = ["--store", "sqlite://flow.db"];

/// A folder of its own, with the workflows of these tests.
pub(super) struct Site {
    pub(super) folder: TempDir,
}

/// What a command said.
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Site {
    pub(super) fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.write(
            "hello.json",
            r#"{ "id": "hello", "inputs": { "name": { "type": "string", "default": "Ada" } },
            "nodes": [{ "id": "greet", "node_type": "transform.template",
                        "config": { "template": "Hello {{ name }}" } }] }"#,
        );
        site.write(
            "signal.json",
            r#"{ "id": "paying", "nodes": [
            { "id": "paid", "node_type": "wait.signal", "config": { "name": "paid" } }] }"#,
        );
        site.write("failing.json", r#"{ "id": "failing", "nodes": [
            { "id": "say", "node_type": "shell.exec", "config": { "shell": true, "command": "echo first; echo second" } },
            { "id": "fail", "node_type": "shell.exec",
              "config": { "shell": true, "command": "echo so it goes; exit 3", "fail_on_error": true },
              "retry_policy": { "max_attempts": 2, "delay_ms": 1 } }],
            "connections": [{ "from_node": "say", "from_port": "success", "to_node": "fail" }] }"#);
        // The second node waits for a line in a pipe.
        let steps = r#"{ "id": "steps", "nodes": [
            { "id": "a", "node_type": "shell.exec", "config": { "shell": true, "command": "echo a >> count" } },
            { "id": "b", "node_type": "shell.exec", "config": { "shell": true,
              "command": "echo b >> count; echo ready; read line < pipe; echo $line" } },
            { "id": "c", "node_type": "shell.exec", "config": { "shell": true, "command": "echo c >> count" } }],
            "connections": [{ "from_node": "a", "from_port": "success", "to_node": "b" },
                            { "from_node": "b", "from_port": "success", "to_node": "c" }],
            "outputs": { "line": "{{ nodes.b.output }}" } }"#;
        site.write("steps.json", steps);
        let made = Command::new("mkfifo").arg(site.path().join("pipe")).status().unwrap();
        assert!(made.success());
        site
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(super) fn count(&self) -> String {
        fs::read_to_string(self.path().join("count")).unwrap().replace('\n', "")
    }

    /// Runs a command to its end.
    pub(super) fn say(&self, arguments: &[&str]) -> Said {
        let output = flowcli(self.path(), arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub(super) fn check(&self, arguments: &[&str], code: i32, err: &[&str]) -> Said {
        let said = self.say(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}{}", said.out, said.err);
        for text in err {
            assert!(said.err.contains(text), "{arguments:?}: {text:?} is not in {}", said.err);
        }
        said
    }

    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.check(arguments, 0, &[]);
        serde_json::from_str(&said.out).unwrap()
    }

    /// The executions in the store, the newest first.
    #[track_caller]
    pub(super) fn list(&self) -> Vec<Value> {
        let list = self.json(&["executions", "list", "--output", "json"]);
        list["items"].as_array().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn only_id(&self) -> String {
        let list = self.list();
        assert_eq!(list.len(), 1, "{list:?}");
        list[0]["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Process {
        let mut child = flowcli(self.path(), arguments).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Process { child, lines }
    }
}

/// A command that runs, and what it says on standard error.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Reads up to the first line that holds a text.
    #[track_caller]
    pub(super) fn wait_for(&mut self, text: &str) -> String {
        let mut before = String::new();
        for line in self.lines.by_ref().map(Result::unwrap) {
            if line.contains(text) {
                return line;
            }
            before.push_str(&format!("{line}\n"));
        }
        panic!("it never said {text:?}, but {before}")
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(super) fn end(mut self) -> Said {
        let err: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        let output = self.child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        Said { code: output.status.code(), out, err: err.join("\n") }
    }
}

pub(super) fn args<'a>(first: &[&'a str]) -> Vec<&'a str> {
    first.iter().copied().chain(STORE).collect()
}
