//! Workflows whose executions are kept nowhere.

use serde_json::{Value as Json, json};

use crate::site::Site;

fn fast(nodes: Json) -> Json {
    json!({
        "id": "fast",
        "inputs": {"n": {"type": "integer"}},
        "nodes": nodes,
        "outputs": {"n": "{{ inputs.n + 1 }}"},
        "settings": {"durability": "none"},
    })
}

const RUN: &str = "/api/v1/workflows/fast/execute";

#[test]
fn they_are_refused_unless_the_operator_allows_them() {
    let site = Site::new();
    let workflow = fast(json!([{"id": "a", "node_type": "debug.log", "config": {"message": "x"}}]));
    let refused = site.post("/api/v1/workflows", &workflow).expect(422);
    assert_eq!(refused.code(), "execution.not_durable");
    assert!(refused.text().contains("--allow-in-memory"));
    let inline = json!({"workflow": workflow, "inputs": {"n": 1}});
    let refused = site.post("/api/v1/executions?wait=30s", &inline).expect(422);
    assert_eq!(refused.code(), "execution.not_durable");
    assert_eq!(site.get("/api/v1/workflows").json()["items"], json!([]));
}

#[test]
fn they_answer_whoever_waits_and_leave_nothing_behind() {
    let site = Site::with(&["--allow-in-memory"]);
    let workflow = fast(json!([{"id": "a", "node_type": "debug.log", "config": {"message": "x"}}]));
    site.post("/api/v1/workflows", &workflow).expect(201);
    let answer = site.post(&format!("{RUN}?wait=30s"), &json!({"inputs": {"n": 1}})).expect(200);
    let execution = answer.json();
    assert_eq!(
        (&execution["status"], &execution["outputs"]),
        (&json!("Succeeded"), &json!({"n": 2}))
    );
    assert_eq!(execution["nodes"]["a"]["status"], "Succeeded");
    assert_eq!((&execution["version"], &execution["last_seq"]), (&json!(1), &json!(3)));
    assert!(execution["ended_at"].is_string());
    assert!(!answer.headers.contains_key("location"));
    let id = execution["id"].as_str().unwrap();
    site.get(&format!("/api/v1/executions/{id}")).expect(404);
    assert_eq!(site.get("/api/v1/executions").json()["items"], json!([]));

    // There would be no way to hear of it.
    let inputs = json!({"inputs": {"n": 1}});
    let refused = site.post(RUN, &inputs).expect(422);
    assert_eq!(refused.code(), "execution.must_be_waited_for");
    let keyed = site.request("POST", &format!("{RUN}?wait=30s")).header("idempotency-key", "k");
    assert_eq!(keyed.json(&inputs).send().expect(422).code(), "execution.must_be_waited_for");
}

#[test]
fn they_end_with_the_request_that_waits() {
    let site = Site::with(&["--allow-in-memory"]);
    let hour = json!([{"id": "a", "node_type": "time.delay", "config": {"delay_ms": 3_600_000}}]);
    site.post("/api/v1/workflows", &fast(hour)).expect(201);
    let inputs = json!({"inputs": {"n": 1}});
    let ended = site.post(&format!("{RUN}?wait=1ms"), &inputs).expect(200).json();
    assert_eq!(ended["status"], "TimedOut");

    let in_memory = || {
        let metrics = site.get("/metrics").expect(200).text();
        let gauge = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse::<u64>().unwrap()
        };
        gauge("flow_executions_running ") + gauge("flow_executions_waiting ")
    };
    assert_eq!(in_memory(), 0);
    let client = site.request("POST", &format!("{RUN}?wait=60s")).json(&inputs).begin();
    while in_memory() == 0 {}
    drop(client);
    while in_memory() > 0 {}
}
