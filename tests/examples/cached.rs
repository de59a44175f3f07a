//! `examples/cached`.

use std::sync::Arc;

use flowcore::{CacheUse, Event, NodeRegistry};
use flowruntime::{FlowRuntime, MemoryJournal};
use serde_json::json;

use super::support::{outputs, workflow};

#[test]
fn every_order_has_its_distance() {
    let expected = json!({"orders": [
        {"order": 1, "km": 12}, {"order": 2, "km": 463}, {"order": 3, "km": 12}, {"order": 4, "km": 12}
    ]});
    assert_eq!(outputs("examples/cached/workflow.json", &[]), expected);
}

#[tokio::test]
async fn each_city_is_looked_up_once_in_all_executions() {
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    let runtime = FlowRuntime::builder().registry(registry).build().unwrap();
    let workflow = workflow("examples/cached/workflow.json");
    for expected in [["miss", "miss", "hit", "hit"], ["hit", "hit", "hit", "hit"]] {
        let journal = Arc::new(MemoryJournal::new());
        let prepared = runtime.prepare(&workflow, ()).unwrap().journal(journal.clone());
        let result = prepared.start().await.unwrap().wait().await.unwrap();
        assert!(result.is_success(), "{result:?}");
        let events = journal.events();
        let uses = events.iter().filter_map(|event| match event.event()? {
            Event::NodeCompleted { cache, .. } => Some(match (*cache)? {
                CacheUse::Hit => "hit",
                CacheUse::Miss => "miss",
            }),
            _ => None,
        });
        assert_eq!(uses.collect::<Vec<_>>(), expected);
    }
}
