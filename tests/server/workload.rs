//! What servers are loaded with: executions with effects, loops and waits, and what must be true of
//! each of them in the end.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::client::Request;
use crate::site::Site;

/// How much of something a test does: a number that a variable may set.
pub(crate) fn scale(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// Notes its number in the ledger, goes through a list, waits for a moment, and then for a signal.
pub(crate) fn workflow(ledger: &Path) -> Json {
    let log = |id: &str, message: &str| json!({"id": id, "node_type": "debug.log", "config": {"message": message}});
    let edge = |from: &str, to: &str| json!({"from_node": from, "to_node": to});
    json!({
        "id": "load",
        "inputs": {"n": {"type": "integer"}},
        "nodes": [
            log("first", "{{ inputs.n }}"),
            {"id": "note", "node_type": "file.write",
             "config": {"path": ledger, "content": "{{ inputs.n }}\n", "mode": "append"}},
            {"id": "each", "node_type": "control.for_each",
             "config": {"items": [1, 2, 3], "body": {"nodes": [log("times", "{{ item * inputs.n }}")]}}},
            {"id": "moment", "node_type": "time.delay", "config": {"delay_ms": 5}},
            {"id": "told", "node_type": "wait.signal", "config": {"name": "go"}},
            log("last", "{{ nodes.told.payload + inputs.n }}"),
        ],
        "connections": [
            edge("first", "note"), edge("note", "each"), edge("each", "moment"), edge("moment", "told"),
        ],
        "outputs": {"sum": "{{ nodes.last.message }}"},
    })
}

/// How often each instance of a node has completed.
const COMPLETED: [&str; 9] = [
    "each",
    "each[0].times",
    "each[1].times",
    "each[2].times",
    "first",
    "last",
    "moment",
    "note",
    "told",
];

/// The start of an execution of the workflow.
pub(crate) fn start(request: Request, n: usize) -> Request {
    request.json(&json!({"inputs": {"n": n}}))
}

/// The path of a start.
pub(crate) const START: &str = "/api/v1/workflows/load/execute";

/// Gives an execution the signal that it waits for, or will wait for.
pub(crate) fn signal(site: &Site, id: &str) {
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({"payload": 1000}))
        .expect(202);
}

/// Waits until an execution waits for its signal.
pub(crate) fn until_it_waits(site: &Site, id: &str) {
    let mut events = site.request("GET", &format!("/api/v1/executions/{id}/events")).listen();
    assert!(events.any(|event| {
        assert_ne!(event.name, "Paused", "{id}");
        event.name == "NodeWaiting" && event.data["node_id"] == "told"
    }));
}

/// Follows an execution that was given its signal to its end. It has ended well, and once, and so has
/// each of its nodes, whatever happened to the servers meanwhile.
pub(crate) fn ended_once(site: &Site, id: &str, n: usize) {
    let events = site.request("GET", &format!("/api/v1/executions/{id}/events")).listen();
    // After three crashes in a row it would be held, and never end.
    let last = events.inspect(|event| assert_ne!(event.name, "Paused", "{id}")).last();
    assert_eq!(last.unwrap().name, "WorkflowCompleted");
    let ended = site.get(&format!("/api/v1/executions/{id}")).expect(200).json();
    assert_eq!(ended["status"], "Succeeded", "{ended}");
    assert_eq!(ended["outputs"], json!({"sum": 1000 + n}));
    let path = format!("/api/v1/executions/{id}/journal?limit=500");
    let journal = site.get(&path).expect(200).json();
    let events = journal["items"].as_array().unwrap();
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{id}");
    let ends = events.iter().filter(|event| event["type"] == "WorkflowCompleted").count();
    assert_eq!((ends, &events.last().unwrap()["type"]), (1, &json!("WorkflowCompleted")), "{id}");
    let mut completed: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] == "NodeCompleted") {
        *completed.entry(event["node_id"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(completed, COMPLETED.map(|node| (node, 1)).into(), "{id}");
}

/// The numbers in the ledger, each with how often it stands there. An attempt that was cut off may
/// have written its line, and another wrote it again.
pub(crate) fn ledger(path: &Path) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}
