//! `examples/approval`, with somebody who answers.

use flowcore::{ExecutionResult, Value};
use flowruntime::FlowRuntime;
use serde_json::{Value as Json, json};

use super::support::{registry, value, workflow};

/// Runs the workflow; the signals come in advance.
async fn run(euros: i64, signals: &[(&str, Json)]) -> ExecutionResult {
    let runtime = FlowRuntime::builder().registry(registry()).build().unwrap();
    let workflow = workflow("examples/approval/workflow.json");
    let execution = runtime.start(&workflow, [("euros", Value::from(euros))]).await.unwrap();
    for (name, payload) in signals {
        execution.signal(name, value(payload)).await.unwrap();
    }
    execution.wait().await.unwrap()
}

#[track_caller]
fn check(result: &ExecutionResult, outputs: &Json) {
    assert_eq!(result.outputs.to_json(), *outputs, "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_refund_waits_for_a_person_and_the_bank() {
    let booked = ("booked", json!({ "receipt": 7 }));
    let approved = ("ask", json!({ "approved": true, "by": "ada" }));
    let result = run(120, &[approved, booked.clone()]).await;
    check(&result, &json!({ "receipt": 7, "refused": null }));
    let result = run(20, &[booked]).await;
    check(&result, &json!({ "receipt": 7, "refused": null }));
    assert_eq!(result.node("ask").unwrap().status.to_string(), "Skipped");
}

#[tokio::test(start_paused = true)]
async fn who_rejects_says_why() {
    let rejected = json!({ "approved": false, "by": "bob", "reason": "no receipt" });
    let result = run(120, &[("ask", rejected)]).await;
    check(&result, &json!({ "receipt": null, "refused": "bob: no receipt" }));
    assert_eq!(result.node("booked").unwrap().status.to_string(), "Skipped");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_two_days() {
    let result = run(120, &[]).await;
    check(&result, &json!({ "receipt": null, "refused": "nobody answered in two days" }));
    assert_eq!(result.duration().as_secs(), 2 * 24 * 60 * 60);
}
