//! Events say what nodes changed, where the workflow asks for it.

use flowcore::{Execution, NodeOutput, Secrets, Value};
use serde_json::{Value as Json, json};

use crate::stage::Stage;
use crate::support::{kind, watch, workflow};

/// What each event `NodeCompleted` says, by node.
async fn changes(record: bool) -> Vec<(String, Json)> {
    let mut stage = Stage::new();
    let halves = kind("halves", Execution::Inline).input(flowcore::Port::new("input"));
    let halves = halves.input(flowcore::Port::new("other")).output(flowcore::Port::new("output"));
    stage.registry.register_function(halves.effect(flowcore::Effect::Read), |ctx| {
        let mut order = ctx.input("input").unwrap().as_object().unwrap().clone();
        let total = order.get("total").and_then(Value::as_u64).unwrap();
        order.insert("total", total / 2).unwrap();
        order.insert("halved", true).unwrap();
        ctx.state()?.set("last", total).unwrap();
        Ok(NodeOutput::of("output", order))
    });
    let workflow = workflow(json!({
        "settings": {"record_changes": record},
        "inputs": {"order": {"type": "object"}},
        "nodes": [
            {"id": "a", "node_type": "halves", "config": {"input": "{{ inputs.order }}"}},
            {"id": "b", "node_type": "halves"},
            {"id": "c", "node_type": "quick.inline"},
            {"id": "each", "node_type": "control.for_each", "config": {
                "items": "{{ [nodes.b.output] }}",
                "body": {"nodes": [{"id": "d", "node_type": "halves", "config": {"input": "{{ item }}"}}]}
            }}
        ],
        "connections": [{"from_node": "a", "from_port": "output", "to_node": "b", "to_port": "input"}]
    }));
    let order = json!({"order": {"total": 8, "lines": [1, 2]}});
    let order = Value::from_json(order).unwrap().as_object().unwrap().clone();
    let (handle, journal) = watch(&stage.runtime(), &workflow, order).await;
    assert!(handle.wait().await.unwrap().is_success());
    let events = journal.events().into_iter().map(|event| serde_json::to_value(&event).unwrap());
    let completed = events.filter(|event| event["type"] == "NodeCompleted");
    completed
        .map(|event| (event["node_id"].as_str().unwrap().to_owned(), event["changes"].clone()))
        .collect()
}

both_flavours! {
    async fn events_say_what_a_node_changed() {
        let found = changes(true).await;
        let of = |node: &str| &found.iter().find(|(id, _)| id == node).unwrap().1;
        assert_eq!(*of("a"), json!([
            {"path": "/output/total", "old_value": 8, "new_value": 4},
            {"path": "/output/halved", "new_value": true},
            {"path": "/state/last", "new_value": 8},
        ]));
        assert_eq!(*of("b"), json!([
            {"path": "/output/total", "old_value": 4, "new_value": 2},
            {"path": "/state/last", "old_value": 8, "new_value": 4},
        ]));
        assert_eq!(*of("c"), json!([]));
        assert_eq!(of("each[0].d")[0], json!(
            {"path": "/output/total", "old_value": 2, "new_value": 1}
        ));
    }

    /// What a pure node makes of a secret is a secret as a whole.
    async fn nothing_is_seen_of_a_secret() {
        let mut stage = Stage::new();
        let signs = kind("signs", Execution::Inline).input(flowcore::Port::new("input"));
        stage.registry.register_function(
            signs.output(flowcore::Port::new("output")).effect(flowcore::Effect::Pure),
            |ctx| {
                let mut signed = ctx.input("input").unwrap().as_object().unwrap().clone();
                let key = signed.get("key").and_then(Value::as_str).unwrap();
                signed.insert("signature", format!("signed with {key}")).unwrap();
                Ok(NodeOutput::of("output", signed))
            },
        );
        let workflow = workflow(json!({
            "settings": {"record_changes": true},
            "nodes": [
                {"id": "a", "node_type": "signs", "config": {"input": {"key": "{{ secrets.key }}"}}},
                {"id": "b", "node_type": "signs"}
            ],
            "connections": [
                {"from_node": "a", "from_port": "output", "to_node": "b", "to_port": "input"}
            ]
        }));
        let secrets = Secrets::new([("key".to_owned(), Value::from("s3cret"))]);
        let runtime = stage.builder().secrets(secrets).build().unwrap();
        let (handle, journal) = watch(&runtime, &workflow, ()).await;
        assert!(handle.wait().await.unwrap().is_success());
        let events = serde_json::to_string(&journal.events()).unwrap();
        assert!(events.contains("\"changes\"") && !events.contains("s3cret"), "{events}");
    }

    async fn without_the_setting_they_say_nothing() {
        assert!(changes(false).await.iter().all(|(_, changes)| changes.is_null()));
    }
}
