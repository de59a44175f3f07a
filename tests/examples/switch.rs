//! `examples/switch`.

use serde_json::json;

use super::support::run;

#[track_caller]
fn check(message: &str, node: &str, sent: &str) {
    let result = run("examples/switch/workflow.json", &[&format!("message={message}")]);
    assert_eq!(result["outputs"], json!({ "sent": sent }), "{result:#}");
    for way in ["bill", "ship", "read"] {
        let expected = if way == node { "Succeeded" } else { "Skipped" };
        assert_eq!(result["nodes"][way]["status"], expected, "{message}: {way}");
    }
}

#[test]
fn each_message_goes_one_way() {
    check("A refund, please", "bill", "to billing: a refund, please");
    check("Where is my parcel?", "ship", "to shipping: where is my parcel?");
    check("A refund for a parcel", "bill", "to billing: a refund for a parcel");
    check("Hello", "read", "to somebody who reads it: hello");
}
