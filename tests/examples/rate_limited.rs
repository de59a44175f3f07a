//! `examples/rate-limited`.

use std::sync::Arc;

use flowcore::{Event, NodeRegistry};
use flowruntime::{FlowRuntime, MemoryJournal};
use serde_json::json;

use super::support::{outputs, workflow};

#[test]
fn every_item_is_updated() {
    let updates = [1, 2, 3, 4, 5, 6].map(|id| format!("update {id}"));
    assert_eq!(outputs("examples/rate-limited/workflow.json", &[]), json!({ "updates": updates }));
}

#[tokio::test(start_paused = true)]
async fn never_more_than_two_start_within_the_time() {
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    let runtime = FlowRuntime::builder().registry(registry).build().unwrap();
    let workflow = workflow("examples/rate-limited/workflow.json");
    let journal = Arc::new(MemoryJournal::new());
    let prepared = runtime.prepare(&workflow, ()).unwrap().journal(journal.clone());
    let result = prepared.start().await.unwrap().wait().await.unwrap();
    assert!(result.is_success(), "{result:?}");
    let events = journal.events();
    let starts = |node: &str| -> Vec<u128> {
        let started = events.iter().filter_map(|event| match event.event()? {
            Event::NodeCompleted { started_at, .. } if event.node_id()?.ends_with(node) => {
                Some(started_at.since(result.started_at).as_millis())
            }
            _ => None,
        });
        started.collect()
    };
    assert_eq!(starts(".read"), [0; 6]);
    let updates = starts(".update");
    assert_eq!(updates.len(), 6);
    assert!(updates.windows(3).all(|three| three[2] - three[0] >= 200), "{updates:?}");
    assert!(updates[5] < 450, "nobody waits longer than needed: {updates:?}");
}
