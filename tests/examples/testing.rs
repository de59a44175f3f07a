//! The tests that stand beside the examples pass, and no node is left out.

use super::support::{flowcli, path};

#[test]
fn days_of_waiting_and_pinned_items_are_tested() {
    for (example, cases) in [("approval", 5), ("for-each", 3)] {
        let output = flowcli()
            .args(["test", "--output", "json"])
            .arg(path("examples").join(example))
            .output();
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{example}: {text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["passed"], cases, "{example}: {text}");
        assert_eq!(report["files"][0]["not_run"], serde_json::json!([]), "{example}: {text}");
    }
}
