//! `examples/fan-out-join`.

use serde_json::{Value as Json, json};

use super::support::{outputs, run};

const WORKFLOW: &str = "examples/fan-out-join/workflow.json";

#[test]
fn all_branches_reach_the_join() {
    assert_eq!(
        outputs(WORKFLOW, &["product=desk"]),
        json!({ "page": "Desk: 39.5 euros, 12 in stock, rated 4.4 of 5" })
    );
}

#[test]
fn the_branches_run_at_the_same_time() {
    let result = run(WORKFLOW, &[]);
    let started = |node: &str| -> f64 { micros(&result["nodes"][node]["started_at"]) };
    let ended = |node: &str| -> f64 {
        started(node) + 1000.0 * result["nodes"][node]["duration_ms"].as_f64().unwrap()
    };
    let branches = ["stock", "price", "reviews"];
    let last_start = branches.map(started).into_iter().fold(0.0, f64::max);
    let first_end = branches.map(ended).into_iter().fold(f64::MAX, f64::min);
    assert!(last_start < first_end, "{result:#}");
    assert!(started("page") >= branches.map(ended).into_iter().fold(0.0, f64::max) - 1000.0);
}

/// Microseconds since 1970.
fn micros(at: &Json) -> f64 {
    let at: flowcore::Timestamp = serde_json::from_value(at.clone()).unwrap();
    at.as_micros() as f64
}
