//! `examples/first-answer`.

use serde_json::json;

use super::support::run;

#[test]
fn the_slower_branch_is_cancelled() {
    let result = run("examples/first-answer/workflow.json", &[]);
    assert_eq!(result["outputs"], json!({ "answer": "The near server answered." }));
    assert_eq!(result["nodes"]["far"]["status"], "Cancelled");
    assert!(result["duration_ms"].as_f64().unwrap() < 30_000.0, "nobody waits for the loser");
}
