//! `examples/webhook`, with a request and an event.

use flowcore::{ExecutionResult, Listener, Object, Workflow};
use flowruntime::FlowRuntime;
use serde_json::{Value as Json, json};

use super::support::{registry, value, workflow};

/// What the only trigger of a workflow makes of what comes; `None` when it is not for it.
fn given(workflow: &Workflow, came: Json) -> Option<Object> {
    let listener = Listener::new(workflow, &workflow.triggers[0]).unwrap();
    let came = value(&came).as_object().unwrap().clone();
    listener.wants(&came).unwrap().then(|| listener.inputs(&came).unwrap())
}

async fn run(workflow: &Workflow, inputs: Object) -> ExecutionResult {
    let runtime = FlowRuntime::builder().registry(registry()).build().unwrap();
    let prepared = runtime.prepare(workflow, inputs).unwrap().keep_outputs();
    prepared.start().await.unwrap().wait().await.unwrap()
}

#[tokio::test]
async fn an_order_is_answered_with_its_total() {
    let workflow = workflow("examples/webhook/workflow.json");
    let body = json!({"customer": "ada", "items": [{"price": 40, "count": 3}, {"price": 5}]});
    let inputs = given(&workflow, json!({"method": "POST", "body": body})).unwrap();
    let result = run(&workflow, inputs).await;
    assert_eq!(result.outputs.to_json(), json!({"total": 125, "is_published": false}));
    let answer = result.node("answer").unwrap().outputs.unwrap();
    let port = |name: &str| answer.get(name).unwrap().to_json();
    assert_eq!(port("status"), json!(201));
    assert_eq!(port("body"), json!({"customer": "ada", "total": 125}));
    let headers = json!({"cache-control": "no-store", "content-type": "application/json"});
    assert_eq!(port("headers"), headers);
}

#[tokio::test]
async fn only_large_orders_are_heard_of() {
    let workflow = workflow("examples/webhook/large-orders.json");
    let event = |total: i64| json!({"topic": "orders.taken", "data": {"customer": "ada", "total": total}, "id": "e1"});
    assert_eq!(given(&workflow, event(99)), None);
    let result = run(&workflow, given(&workflow, event(100)).unwrap()).await;
    assert_eq!(result.outputs.to_json(), json!({"said": "ada spends 100"}));
}
