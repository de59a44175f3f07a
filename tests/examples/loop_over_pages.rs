//! `examples/loop-over-pages`.

use serde_json::json;

use super::support::{outputs, run};

const WORKFLOW: &str = "examples/loop-over-pages/workflow.json";

#[test]
fn all_pages_are_fetched() {
    let expected = json!({ "pages": 3, "orders": 5, "total": 96 });
    assert_eq!(outputs(WORKFLOW, &[]), expected);
    let expected = json!({ "pages": 1, "orders": 1, "total": 41 });
    assert_eq!(outputs(WORKFLOW, &["first=3"]), expected);
}

#[test]
fn a_page_that_is_missing_fails_the_loop() {
    let result = run(WORKFLOW, &["first=4"]);
    assert_eq!(result["error"]["code"], "shell.exit");
    assert_eq!(result["error"]["node"], "pages[0].get");
    assert_eq!(result["error"]["attempts"], 3);
}
