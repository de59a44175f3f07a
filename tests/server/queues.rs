//! Executions that wait for their turn, and a server that is killed and stopped meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::site::Site;
use crate::workload::scale;

/// How many executions wait, unless `FLOW_QUEUED` says otherwise.
const QUEUED: usize = 1000;

/// Those of one key run one after another.
const KEYS: usize = 10;

const RESTARTS: usize = 10;

/// The most memory that the server may hold, in KiB.
const MOST_MEMORY: u64 = 256 << 10;

/// One at a time for each key, in the order of the starts. The first of each waits for a signal.
fn workflow(ledger: &Path) -> Json {
    json!({
        "id": "queued",
        "inputs": {"key": {"type": "integer"}, "n": {"type": "integer"}},
        "nodes": [
            {"id": "first", "node_type": "control.if", "config": {"condition": "inputs.n == 0"}},
            {"id": "open", "node_type": "wait.signal"},
            {"id": "note", "node_type": "file.write", "join": "any",
             "config": {"path": ledger, "mode": "append",
                        "content": "{{ inputs.key }} {{ inputs.n }}\n"}},
        ],
        "connections": [
            {"from_node": "first", "from_port": "true", "to_node": "open"},
            {"from_node": "first", "from_port": "false", "to_node": "note"},
            {"from_node": "open", "to_node": "note"},
        ],
        "settings": {"concurrency": {"key": "inputs.key", "limit": 1, "on_limit": "queue"}},
    })
}

/// Starts one after another, so that their order is known.
fn start_all(site: &Site, key: usize, count: usize) -> Vec<String> {
    (0..count).map(|n| site.execute("queued", json!({"key": key, "n": n}))).collect()
}

#[test]
fn f23_what_is_queued_survives_restarts_and_keeps_its_order() {
    let mut site = Site::new();
    let outside = site.outside();
    let arguments = ["--allow-dir", outside.to_str().unwrap()];
    site.kill();
    site.start(&arguments);
    let ledger = outside.join("ledger");
    site.post("/api/v1/workflows", &workflow(&ledger)).expect(201);
    let count = scale("FLOW_QUEUED", QUEUED) / KEYS;
    let ids: Vec<Vec<String>> = std::thread::scope(|scope| {
        let site = &site;
        let clients: Vec<_> =
            (0..KEYS).map(|key| scope.spawn(move || start_all(site, key, count))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(!ledger.exists(), "nothing has had its turn");
    let mut most_memory = 0;
    for restart in 0..RESTARTS {
        // All of them wait the first time; each time after, one more part of them has ended. So none
        // is cut off three times in a row, which would hold it.
        if restart > 0 {
            ids.iter()
                .for_each(|of_key| drop(site.end_of(&of_key[restart * count / (RESTARTS + 1)])));
        }
        most_memory = most_memory.max(site.most_memory());
        if restart % 2 == 0 {
            site.kill();
        } else {
            site.signal("TERM");
            let (status, log) = site.wait();
            assert_eq!(status.code(), Some(0), "{log}");
        }
        site.start(&arguments);
        if restart == 0 {
            for of_key in &ids {
                let path = format!("/api/v1/executions/{}/signals/open", of_key[0]);
                site.post(&path, &json!({})).expect(202);
            }
        }
    }
    for id in ids.iter().flatten() {
        assert_eq!(site.end_of(id)["status"], "Succeeded", "{id}");
    }
    most_memory = most_memory.max(site.most_memory());
    assert!(most_memory < MOST_MEMORY, "{most_memory} KiB");
    // A line that was written by an attempt that a crash cut off may stand there again.
    let mut order: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for line in std::fs::read_to_string(&ledger).unwrap().lines() {
        let (key, n) = line.split_once(' ').unwrap();
        let of_key = order.entry(key.parse().unwrap()).or_default();
        let n = n.parse().unwrap();
        if of_key.last() != Some(&n) {
            of_key.push(n);
        }
    }
    let expected: Vec<usize> = (0..count).collect();
    assert_eq!(order.len(), KEYS);
    assert!(order.values().all(|of_key| *of_key == expected), "{order:?}");
}
