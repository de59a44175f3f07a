//! `examples/try-catch-finally`, in a folder that is looked at afterwards.

use serde_json::{Value as Json, json};

use super::support::{flowcli, path};

/// Runs a script in the folder of its own; gives the execution. The folder must be gone.
#[track_caller]
fn run(script: Option<&str>, more: &[&str]) -> Json {
    let folder = tempfile::tempdir().unwrap();
    let mut process = flowcli();
    process.arg("run").arg(path("examples/try-catch-finally/workflow.json"));
    process.args(["--output", "result", "--workdir"]).arg(folder.path()).args(more);
    process.args(script.map(|script| format!("-iscript={script}")));
    let output = process.output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}\n{messages}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{messages}"))
}

#[test]
fn what_the_body_gives_is_the_output() {
    let result = run(None, &[]);
    assert_eq!(result["outputs"], json!({ "result": "42", "caught": false }));
}

#[test]
fn a_failure_is_caught() {
    let result = run(Some("exit 3"), &[]);
    assert_eq!(result["status"], "Succeeded");
    let expected = "nothing, because build.body.work failed with shell.exit";
    assert_eq!(result["outputs"], json!({ "result": expected, "caught": true }));
}

#[test]
fn the_folder_is_removed_when_the_time_is_over() {
    let result = run(Some("sleep 60"), &["--timeout", "300ms"]);
    assert_eq!(result["status"], "TimedOut");
    assert_eq!(result["nodes"]["build"]["status"], "Cancelled");
}
