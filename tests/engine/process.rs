//! Messages find the workflows that are for them.

use flowcore::{ExecutionStatus, NodeError, NodeOutput, Object, Value, Workflow};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{kind, workflow};

/// A workflow that adds something to the message's trail.
fn rule(id: &str, when: &serde_json::Value, more: &serde_json::Value) -> Workflow {
    let mut file = json!({
        "id": id,
        "inputs": {
            "trail": {"type": "string", "default": ""},
            "amount": {"type": "integer", "default": 0}
        },
        "nodes": [{"id": "a", "node_type": "quick.inline"}],
        "outputs": {"trail": format!("{{{{ inputs.trail ~ '{id} ' }}}}")}
    });
    if !when.is_null() {
        file["when"] = when.clone();
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        file[key] = value.clone();
    }
    workflow(file)
}

fn message(json: serde_json::Value) -> Object {
    Value::from_json(json).unwrap().as_object().unwrap().clone()
}

fn names(processed: &flowruntime::Processed) -> Vec<&str> {
    processed.executions.iter().map(|(id, _)| id.as_str()).collect()
}

both_flavours! {
    async fn those_whose_when_holds_are_executed_in_order() {
        let runtime = Stage::new().runtime();
        let large = json!("inputs.amount > 100");
        let logic = json!({">": [{"var": "inputs.amount"}, 10]});
        for (id, when) in [("z", json!(null)), ("large", large), ("a", logic), ("b", json!(null))] {
            runtime.register(rule(id, &when, &json!(null))).unwrap();
        }
        let given = message(json!({"amount": 50, "customer": "c1"}));
        let processed = runtime.process(given).await.unwrap();
        assert_eq!(names(&processed), ["z", "a", "b"]);
        assert!(processed.is_success());
        let expected = json!({"amount": 50, "customer": "c1", "trail": "z a b "});
        assert_eq!(Value::Object(processed.message).to_json(), expected);
    }

    async fn a_workflow_sees_what_those_before_it_made_of_the_message() {
        let runtime = Stage::new().runtime();
        let doubles = json!({"outputs": {"amount": "{{ inputs.amount * 2 }}"}});
        runtime.register(rule("double", &json!(null), &doubles)).unwrap();
        runtime.register(rule("large", &json!("inputs.amount > 100"), &json!(null))).unwrap();
        let processed = runtime.process(message(json!({"amount": 60}))).await.unwrap();
        assert_eq!(names(&processed), ["double", "large"]);
        let processed = runtime.process(message(json!({"amount": 50}))).await.unwrap();
        assert_eq!(names(&processed), ["double"]);
    }

    async fn one_that_is_replaced_keeps_its_turn() {
        let runtime = Stage::new().runtime();
        for id in ["a", "b", "a"] {
            runtime.register(rule(id, &json!(null), &json!(null))).unwrap();
        }
        let processed = runtime.process(()).await.unwrap();
        assert_eq!(names(&processed), ["a", "b"]);
    }

    async fn a_message_that_nobody_wants_stays_as_it_is() {
        let runtime = Stage::new().runtime();
        // What is not given is null.
        let null = json!({"inputs": {"order": {"type": "object"}}, "outputs": null});
        runtime.register(rule("orders", &json!("inputs.order != none"), &null)).unwrap();
        let given = message(json!({"other": true}));
        let processed = runtime.process(given.clone()).await.unwrap();
        assert_eq!((processed.message, processed.executions.len()), (given, 0));
    }

    async fn an_execution_that_fails_is_the_last() {
        let mut stage = Stage::new();
        stage.registry.register_function(kind("fails", flowcore::Execution::Inline), |_| {
            Err::<NodeOutput, _>(NodeError::new("test.failed", "it failed"))
        });
        let runtime = stage.runtime();
        let fails = json!({"nodes": [{"id": "a", "node_type": "fails"}]});
        for (id, more) in [("a", json!(null)), ("b", fails), ("c", json!(null))] {
            runtime.register(rule(id, &json!(null), &more)).unwrap();
        }
        let processed = runtime.process(()).await.unwrap();
        assert!(!processed.is_success());
        assert_eq!(names(&processed), ["a", "b"]);
        assert_eq!(processed.executions[1].1.status, ExecutionStatus::Failed);
        assert_eq!(processed.message.get("trail"), Some(&Value::from("a ")));
    }

    async fn what_cannot_be_asked_or_given_is_an_error_that_loses_nothing() {
        for (when, amount, code) in [
            ("inputs.amount / 0 > 1", json!(1), "when.failed"),
            ("inputs.amount", json!(1), "when.failed"),
            ("true", json!("x"), "inputs.invalid"),
        ] {
            let runtime = Stage::new().runtime();
            let none = json!({"inputs": null, "outputs": {"seen": "yes"}});
            runtime.register(rule("first", &json!(null), &none)).unwrap();
            runtime.register(rule("second", &json!(when), &json!(null))).unwrap();
            let error = runtime.process(message(json!({"amount": amount}))).await.unwrap_err();
            assert_eq!(error.workflow.as_ref().unwrap().as_str(), "second");
            assert_eq!(error.reason.code(), code);
            assert_eq!(names(&error.before), ["first"]);
            assert_eq!(error.before.message.get("seen"), Some(&Value::from("yes")));
        }
    }
}
