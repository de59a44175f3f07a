//! Processes the messages of the benchmark with dataflow-rs, and prints what it took as JSON.
//!
//! `flow-bench-dataflow MESSAGES [--no-changes]`

#[path = "../../src/messages/drive.rs"]
mod drive;
#[path = "../../src/messages/orders.rs"]
mod orders;

use std::sync::Arc;

use dataflow_rs::datavalue::OwnedDataValue;
use dataflow_rs::run::RunStatus;
use dataflow_rs::{Engine, Message, RunOptions};
use serde_json::{Value as Json, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().and_then(|count| count.parse().ok());
    let count: usize = count.expect("the number of messages is given");
    let capture = arguments.next().is_none_or(|argument| argument != "--no-changes");
    let engine = Engine::builder().workflow_json(&rules()).build();
    let engine = Arc::new(engine.unwrap_or_else(|issues| panic!("{issues:#?}")));
    // The first run warms up.
    run(&engine, count, capture);
    let figures = run(&engine, count, capture);
    println!(
        "{}",
        json!({
            "nanos": figures.total.as_nanos() as u64,
            "p50_nanos": figures.latency(0.5).as_nanos() as u64,
            "p99_nanos": figures.latency(0.99).as_nanos() as u64,
        })
    );
}

fn run(engine: &Arc<Engine>, count: usize, capture: bool) -> drive::Figures {
    let messages: Vec<_> = (0..count as u64).map(message).collect();
    let engine = engine.clone();
    let (figures, done) = drive::drive(messages, move |mut message| {
        let engine = engine.clone();
        async move {
            let options = RunOptions::default().capture_changes(capture);
            let run = engine.run_with(&mut message, &options).await;
            assert!(matches!(run.status(), RunStatus::Completed), "{:?}", run.status());
            message
        }
    });
    for (number, message) in (0..).zip(&done) {
        assert!(message.errors().is_empty(), "{:?}", message.errors());
        assert_eq!(message.audit().len(), 10, "each task has run");
        let data = Json::from(message.context().data());
        assert_eq!(data["order"], orders::expected(number));
    }
    figures
}

fn message(number: u64) -> Message {
    let payload = OwnedDataValue::from(&json!(orders::text(number)));
    let metadata = OwnedDataValue::from(&json!({ "kind": orders::KIND }));
    Message::from_parts(payload, OwnedDataValue::Null, metadata)
}

/// One task to parse, six to map, three to check.
fn rules() -> Json {
    let order = |name: &str| json!({ "var": format!("data.order.{name}") });
    let is_large = json!({ ">=": [order("total"), 1_000] });
    let mappings = [
        ("total", json!({ "*": [order("quantity"), order("price")] })),
        ("discount", json!({ "if": [is_large, 100, 0] })),
        ("net", json!({ "-": [order("total"), order("discount")] })),
        ("name", json!({ "cat": [order("first"), " ", order("last")] })),
        ("size", json!({ "if": [is_large, "large", "small"] })),
        ("label", json!({ "cat": [order("name"), ": ", order("size")] })),
    ];
    let checks = [
        ("check_net", json!({ ">": [order("net"), 0] }), "nothing to pay"),
        ("check_quantity", json!({ "<=": [order("quantity"), 100] }), "too many"),
        (
            "check_country",
            json!({ "in": [order("country"), ["DE", "FR", "IT"]] }),
            "not sold there",
        ),
    ];
    let mut tasks = vec![json!({
        "id": "parse",
        "function": { "name": "parse_json", "input": { "source": "payload", "target": "order" } },
    })];
    tasks.extend(mappings.map(|(name, logic)| {
        let mapping = json!({ "path": format!("data.order.{name}"), "logic": logic });
        json!({ "id": name, "function": { "name": "map", "input": { "mappings": [mapping] } } })
    }));
    tasks.extend(checks.map(|(id, logic, message)| {
        let rule = json!({ "logic": logic, "message": message });
        json!({
            "id": id, "on_rejection": "halt",
            "function": { "name": "validation", "input": { "rules": [rule] } },
        })
    }));
    json!({
        "id": "orders",
        "condition": { "==": [{ "var": "metadata.kind" }, orders::KIND] },
        "tasks": tasks,
    })
}
