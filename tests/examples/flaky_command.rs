//! `examples/flaky-command`.

use serde_json::json;

use super::support::run;

const WORKFLOW: &str = "examples/flaky-command/workflow.json";

#[test]
fn a_command_that_fails_twice_succeeds_with_the_third_attempt() {
    let result = run(WORKFLOW, &[]);
    assert_eq!(result["status"], "Succeeded");
    assert_eq!(result["nodes"]["download"]["attempts"], 3);
    assert_eq!(result["nodes"]["yesterday"]["status"], "Skipped");
    assert_eq!(result["outputs"], json!({ "copy": "The copy is fresh, on attempt 3" }));
}

#[test]
fn a_command_that_always_fails_takes_the_error_branch() {
    let result = run(WORKFLOW, &["failures:=9"]);
    assert_eq!(result["status"], "Succeeded", "a connected `error` port handles the failure");
    assert_eq!(result["nodes"]["download"]["status"], "Failed");
    assert_eq!(result["nodes"]["download"]["attempts"], 3);
    assert_eq!(result["nodes"]["download"]["error"]["code"], "shell.exit");
    let expected = "The copy is from yesterday, because the script exited with code 1";
    let copy = result["outputs"]["copy"].as_str().unwrap();
    assert!(copy.starts_with(expected), "{copy}");
}

#[test]
fn a_command_that_works_is_tried_once() {
    let result = run(WORKFLOW, &["failures:=0"]);
    assert_eq!(result["nodes"]["download"]["attempts"], 1);
    assert_eq!(result["outputs"], json!({ "copy": "The copy is fresh, on attempt 1" }));
}
