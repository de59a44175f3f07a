//! Flow: `process` with one registered workflow.

use flowcore::{NodeRegistry, Object, Value, Workflow};
use flowruntime::FlowRuntime;
use serde_json::{Value as Json, json};

use super::drive::{Figures, drive};
use super::orders;

/// A runtime that knows the rules.
pub fn load() -> FlowRuntime {
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    let runtime = FlowRuntime::builder().registry(registry).event_capacity(1).build();
    let runtime = runtime.expect("the settings are good");
    let workflow = Workflow::from_json(&rules().to_string()).expect("the file is good");
    runtime.register(workflow).expect("the workflow is good");
    runtime
}

/// Processes this many messages.
pub fn run(runtime: &FlowRuntime, count: usize) -> Figures {
    let runtime = runtime.clone();
    let messages = (0..count as u64).map(message).collect();
    let (figures, done) = drive(messages, move |message| {
        let runtime = runtime.clone();
        async move { runtime.process(message).await.expect("the message is good") }
    });
    for (number, processed) in (0..).zip(&done) {
        assert!(processed.is_success(), "{processed:?}");
        assert_eq!(processed.executions.len(), 1, "the rules are for this message");
        let order = processed.message.get("order").map(serde_json::to_value);
        let order = order.expect("there is one").expect("it is JSON");
        assert_eq!(order, orders::expected(number));
    }
    figures
}

fn message(number: u64) -> Object {
    let entries =
        [("kind", Value::from(orders::KIND)), ("payload", Value::from(orders::text(number)))];
    Object::from_entries(entries).expect("it is flat")
}

/// One node to parse, six to map, three to check, one after the other; what does not pass a check
/// fails.
fn rules() -> Json {
    let mappings = [
        ("total", "item.quantity * item.price"),
        ("discount", "100 if item.total >= 1000 else 0"),
        ("net", "item.total - item.discount"),
        ("name", "item.first ~ ' ' ~ item.last"),
        ("size", "'large' if item.total >= 1000 else 'small'"),
        ("label", "item.name ~ ': ' ~ item.size"),
    ];
    let checks = [
        ("check_net", "input.input.net > 0"),
        ("check_quantity", "input.input.quantity <= 100"),
        ("check_country", "input.input.country in ['DE', 'FR', 'IT']"),
    ];
    let mut nodes = vec![json!({
        "id": "parse", "node_type": "transform.json_parse", "config": { "json": "{{ inputs.payload }}" },
    })];
    let mut connections = Vec::new();
    let mut last = ("parse", "parsed");
    let mut connect = |to: &'static str, port| {
        connections.push(json!({
            "from_node": last.0, "from_port": last.1, "to_node": to, "to_port": "input",
        }));
        last = (to, port);
    };
    for (name, expression) in mappings {
        let config = json!({ "keep": true, "fields": { name: expression } });
        nodes.push(json!({ "id": name, "node_type": "transform.map", "config": config }));
        connect(name, "output");
    }
    for (id, condition) in checks {
        let config = json!({ "condition": condition });
        nodes.push(json!({ "id": id, "node_type": "control.if", "config": config }));
        connect(id, "true");
    }
    nodes.push(json!({
        "id": "reject", "node_type": "control.fail", "join": "any",
        "config": { "code": "order.rejected", "message": "a check was not passed" },
    }));
    connections.extend(
        checks.map(|(id, _)| json!({ "from_node": id, "from_port": "false", "to_node": "reject" })),
    );
    json!({
        "id": "orders",
        "when": format!("inputs.kind == '{}'", orders::KIND),
        "inputs": { "kind": { "type": "string" }, "payload": { "type": "string" } },
        "nodes": nodes,
        "connections": connections,
        "outputs": { "order": format!("{{{{ nodes.{}.{} }}}}", last.0, last.1) },
    })
}
