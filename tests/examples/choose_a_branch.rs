//! `examples/choose-a-branch`.

use serde_json::json;

use super::support::run;

const WORKFLOW: &str = "examples/choose-a-branch/workflow.yaml";

#[track_caller]
fn check(kilograms: &str, taken: &str, skipped: &str, answer: &str) {
    let result = run(WORKFLOW, &[&format!("kilograms:={kilograms}")]);
    assert_eq!(result["nodes"][taken]["status"], "Succeeded");
    assert_eq!(result["nodes"][skipped]["status"], "Skipped");
    assert_eq!(result["outputs"], json!({ "answer": answer }));
}

#[test]
fn one_branch_runs_and_the_other_is_skipped() {
    check("3", "parcel", "freight", "Shipped by parcel, for 8 euros.");
    check("30", "parcel", "freight", "Shipped by parcel, for 35 euros.");
    check("200", "freight", "parcel", "Shipped by freight, for 60.0 euros.");
}
