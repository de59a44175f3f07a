//! Many clients at once: each gets the answers to its own questions.

use std::sync::Barrier;

use flowserver::documents::Execution;
use serde_json::json;

use crate::client::{Connection, Request};
use crate::site::Site;
use crate::workload::scale;

/// How many connections there are at once, unless `FLOW_CONNECTIONS` says otherwise.
const CONNECTIONS: usize = 100;

/// How many requests come over each.
const REQUESTS: usize = 10;

#[test]
fn many_connections_at_once_get_their_own_answers() {
    let site = Site::new();
    let workflow = json!({
        "id": "squares",
        "inputs": {"n": {"type": "integer"}},
        "nodes": [
            {"id": "each", "node_type": "control.for_each", "config": {
                "items": "{{ [inputs.n, inputs.n + 1] }}",
                "body": {
                    "nodes": [{"id": "square", "node_type": "debug.log",
                               "config": {"message": "{{ item * item }}"}}],
                    "outputs": "{{ nodes.square.message }}",
                },
            }},
            {"id": "wait", "node_type": "time.delay", "config": {"delay_ms": 1}},
        ],
        "connections": [{"from_node": "each", "to_node": "wait"}],
        "outputs": {"squares": "{{ nodes.each.results }}"},
    });
    site.post("/api/v1/workflows", &workflow).expect(201);
    let (address, token) = (site.address(), site.token());
    let connections = scale("FLOW_CONNECTIONS", CONNECTIONS);
    let all_are_there = Barrier::new(connections);
    std::thread::scope(|scope| {
        for client in 0..connections {
            let (all_are_there, token) = (&all_are_there, &token);
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                all_are_there.wait();
                for request in 0..REQUESTS {
                    let n = client * REQUESTS + request;
                    let path = "/api/v1/workflows/squares/execute?wait=60s";
                    let start = Request::new(address, "POST", path).token(token);
                    let answer = connection.send(start.json(&json!({"inputs": {"n": n}}))).unwrap();
                    let ended: Execution = answer.expect(200).read();
                    let squares = json!({"squares": [n * n, (n + 1) * (n + 1)]});
                    assert_eq!((&*ended.status, ended.outputs), ("Succeeded", squares));
                    let path = format!("/api/v1/executions/{}", ended.id);
                    let kept = Request::new(address, "GET", &path).token(token);
                    let kept: Execution = connection.send(kept).unwrap().expect(200).read();
                    assert_eq!((kept.id, kept.status), (ended.id, ended.status));
                }
            });
        }
    });
    let metrics = site.get("/metrics").expect(200).text();
    let answered = "flow_http_requests_total{method=\"POST\",route=\"/api/v1/workflows/{id}/execute\",status=\"200\"}";
    let line = metrics.lines().find_map(|line| line.strip_prefix(answered)).unwrap();
    assert_eq!(line.trim().parse::<usize>().unwrap(), connections * REQUESTS);
}
