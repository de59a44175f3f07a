//! `examples/race`.

use serde_json::json;

use super::support::run;

#[test]
fn the_first_that_succeeds_wins_and_nobody_waits_for_the_others() {
    let result = run("examples/race/workflow.json", &[]);
    assert_eq!(result["outputs"], json!({ "file": "from the good mirror", "mirror": 1 }));
    assert!(result["duration_ms"].as_f64().unwrap() < 30_000.0, "{result:#}");
}
