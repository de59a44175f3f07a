//! `examples/checked-order`.

use serde_json::json;

use super::support::run;

const WORKFLOW: &str = "examples/checked-order/workflow.json";

#[test]
fn an_order_that_is_fine_is_booked() {
    let result = run(WORKFLOW, &[]);
    assert_eq!(result["nodes"]["refuse"]["status"], "Skipped");
    assert_eq!(result["outputs"], json!({ "answer": "Order A-1 is booked.", "errors": [] }));
}

#[test]
fn an_order_that_is_not_comes_back_with_all_that_is_wrong() {
    let order =
        json!({ "id": "A1", "customer": "ada", "lines": [{ "article": "rum", "amount": 0 }] });
    let result = run(WORKFLOW, &[&format!("order:={order}")]);
    assert_eq!(result["nodes"]["book"]["status"], "Skipped");
    assert_eq!(result["outputs"]["answer"], "The order has 4 problems.");
    let errors = result["outputs"]["errors"].as_array().unwrap();
    let places: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(places, ["/customer", "/id", "/lines/0/amount", "/lines/0/article"]);
}
