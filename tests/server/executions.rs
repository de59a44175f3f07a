//! Executions: started, waited for, listed, and told things.

use flowserver::documents::{Accepted, Execution, ExecutionSummary, LogLine, Page};
use serde_json::{Value as Json, json};

use crate::site::Site;

/// Doubles a number.
fn double() -> Json {
    json!({
        "id": "double",
        "inputs": {"n": {"type": "integer"}},
        "nodes": [
            {"id": "log", "node_type": "debug.log", "config": {"message": "{{ inputs.n }}"}},
            {"id": "twice", "node_type": "debug.log", "config": {"message": "{{ nodes.log.message * 2 }}"}},
        ],
        "outputs": {"twice": "{{ nodes.twice.message }}"},
    })
}

/// Waits for an approval, and then for a signal.
fn waits() -> Json {
    json!([
        {"id": "asked", "node_type": "wait.approval", "config": {"name": "ship"}},
        {"id": "paid", "node_type": "wait.signal", "config": {"name": "paid"}, "when": "nodes.asked.approved is defined"},
    ])
}

#[test]
fn a_start_is_answered_at_once_or_waited_for() {
    let site = Site::new();
    site.post("/api/v1/workflows", &double()).expect(201);
    let path = "/api/v1/workflows/double/execute";
    let answer = site.post(path, &json!({"inputs": {"n": 4}})).expect(202);
    let accepted: Accepted = answer.read();
    assert_eq!((&*accepted.workflow_id, accepted.version), ("double", Some(1)));
    assert_eq!(answer.headers["location"], accepted.links.itself);
    assert_eq!(site.end_of(&accepted.id)["outputs"], json!({"twice": 8}));

    for (path, prefer) in [(format!("{path}?wait=60s"), ""), (path.to_owned(), "wait=60")] {
        let request = site.request("POST", &path).json(&json!({"inputs": {"n": 5}}));
        let request = if prefer.is_empty() { request } else { request.header("prefer", prefer) };
        let answer = request.send().expect(200);
        let ended: Execution = answer.read();
        assert_eq!((&*ended.status, &ended.outputs), ("Succeeded", &json!({"twice": 10})));
        assert_eq!(ended.nodes["twice"].attempts, 1);
        assert_eq!(ended.version, Some(1));
        let kept = site.get(&answer.headers["location"]).expect(200);
        assert_eq!(kept.json(), answer.json());
    }
}

#[test]
fn one_that_has_not_ended_in_time_is_accepted_all_the_same() {
    let site = Site::new();
    site.save("waits", waits());
    let answer = site.post("/api/v1/workflows/waits/execute?wait=1ms", &json!({})).expect(202);
    let accepted: Accepted = answer.read();
    site.post(&format!("/api/v1/executions/{}/cancel", accepted.id), &json!({})).expect(202);
    assert_eq!(site.end_of(&accepted.id)["status"], "Cancelled");
}

#[test]
fn a_failed_execution_is_a_good_answer() {
    let site = Site::new();
    let fails = json!([{"id": "stop", "node_type": "control.fail", "config": {"message": "no"}}]);
    site.save("fails", fails);
    let ended: Execution =
        site.post("/api/v1/workflows/fails/execute?wait=60s", &json!({})).expect(200).read();
    assert_eq!((&*ended.status, &ended.outputs), ("Failed", &Json::Null));
    assert!(ended.error.is_some() && ended.nodes["stop"].error.is_some());
}

#[test]
fn a_workflow_that_is_not_saved_runs_too() {
    let site = Site::new();
    let body = json!({"workflow": double(), "inputs": {"n": 21}});
    let ended: Execution = site.post("/api/v1/executions?wait=60s", &body).expect(200).read();
    assert_eq!((ended.outputs, ended.version), (json!({"twice": 42}), None));
    let bad = site.post("/api/v1/executions", &json!({"workflow": {"nodes": [{}]}})).expect(422);
    assert_eq!(bad.code(), "workflow.invalid");
    let inputs = json!({"workflow": double(), "inputs": {"n": "x"}});
    let bad = site.post("/api/v1/executions", &inputs).expect(422);
    assert_eq!(bad.code(), "inputs.invalid");
    assert_eq!(site.get("/api/v1/executions").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn f40_the_same_key_is_the_same_execution() {
    let site = Site::new();
    site.post("/api/v1/workflows", &double()).expect(201);
    let start = |key: &str, n: u64| {
        let request = site.request("POST", "/api/v1/workflows/double/execute");
        request.header("idempotency-key", key).json(&json!({"inputs": {"n": n}})).send()
    };
    let ids: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..50).map(|_| scope.spawn(|| start("order-7", 1))).collect();
        let answers = starts.into_iter().map(|start| start.join().unwrap().expect(202));
        answers.map(|answer| answer.read::<Accepted>().id).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let other = start("order-7", 2);
    assert_eq!((other.status, &*other.code()), (422, "execution.key_conflict"));
    assert_ne!(start("order-8", 1).expect(202).read::<Accepted>().id, ids[0]);
    assert_eq!(start("", 1).expect(400).code(), "request.bad_key");
    assert_eq!(site.get("/api/v1/executions").json()["items"].as_array().unwrap().len(), 2);
}

#[test]
fn lists_are_filtered_and_come_part_by_part() {
    let site = Site::new();
    site.post("/api/v1/workflows", &double()).expect(201);
    site.save("waits", waits());
    let ids: Vec<String> = (0..5).map(|n| site.execute("double", json!({"n": n}))).collect();
    ids.iter().for_each(|id| drop(site.end_of(id)));
    let waiting = site.execute("waits", json!({}));
    site.until(&waiting, "NodeWaiting");
    let list = |query: &str| -> Vec<String> {
        let page: Page<ExecutionSummary> =
            site.get(&format!("/api/v1/executions?{query}")).expect(200).read();
        page.items.into_iter().map(|one| one.id).collect()
    };
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(list("workflow=double"), newest_first);
    assert_eq!(list("status=succeeded"), newest_first);
    assert_eq!(list("status=queued,running,waiting"), std::slice::from_ref(&waiting));
    assert_eq!(list("created_before=2001-01-01T00:00:00Z"), [""; 0]);
    assert_eq!(list("created_from=2001-01-01T00:00:00Z").len(), 6);
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Page<ExecutionSummary> =
            site.get(&format!("/api/v1/executions?limit=4{cursor}")).expect(200).read();
        all.extend(page.items.into_iter().map(|one| one.id));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((all.len(), &all[0]), (6, &waiting));
}

#[test]
fn approvals_and_signals_reach_those_who_wait() {
    let site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}");
    let unknown = site.post(&format!("{path}/signals/piad"), &json!({}));
    assert_eq!((unknown.status, &*unknown.code()), (422, "signal.unknown_name"));
    let approval = json!({"approved": true, "reason": "it is in stock"});
    site.post(&format!("{path}/approvals/ship"), &approval).expect(202);
    site.post(&format!("{path}/signals/paid"), &json!({"payload": {"amount": 7}})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    let known: Execution = site.get(&format!("{path}?full=true")).expect(200).read();
    let asked = known.nodes["asked"].outputs.clone().unwrap();
    let approval = json!({"by": "operator", "reason": "it is in stock"});
    assert_eq!(asked["approved"], approval);
    assert_eq!(known.nodes["paid"].outputs.clone().unwrap()["payload"], json!({"amount": 7}));
    let late = site.post(&format!("{path}/signals/paid"), &json!({}));
    assert_eq!((late.status, &*late.code()), (409, "execution.finished"));
    let late = site.post(&format!("{path}/cancel"), &json!({}));
    assert_eq!((late.status, &*late.code()), (409, "execution.finished"));
}

#[test]
fn a_paused_execution_goes_on_when_it_is_resumed() {
    let site = Site::new();
    site.save("waits", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}");
    site.post(&format!("{path}/pause"), &json!({})).expect(202);
    site.until(&id, "Paused");
    site.post(&format!("{path}/signals/paid"), &json!({})).expect(202);
    site.post(&format!("{path}/resume"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    let journal = site.get(&format!("{path}/journal")).expect(200).json();
    let paused = journal["items"].as_array().unwrap().iter().find(|one| one["type"] == "Paused");
    assert_eq!(paused.unwrap()["by"], "operator");
}

#[test]
fn an_ended_execution_runs_again_as_it_was_or_from_a_node() {
    let site = Site::new();
    site.post("/api/v1/workflows", &double()).expect(201);
    let id = site.execute("double", json!({"n": 3}));
    site.end_of(&id);
    let path = format!("/api/v1/executions/{id}/rerun?wait=60s");
    for (body, kept) in [(json!({}), false), (json!({"from": "twice"}), true)] {
        let again: Execution = site.post(&path, &body).expect(200).read();
        assert_eq!((&again.outputs, again.version), (&json!({"twice": 6}), Some(1)));
        assert_eq!(again.rerun_of.as_deref(), Some(&*id));
        assert_eq!(again.nodes["log"].attempts == 0, kept);
    }
    let unknown = site.post(&path, &json!({"from": "twcie"}));
    assert_eq!(unknown.status, 422, "{unknown:?}");
    site.save("waits", waits());
    let running = site.execute("waits", json!({}));
    let early = site.post(&format!("/api/v1/executions/{running}/rerun"), &json!({}));
    assert_eq!((early.status, &*early.code()), (409, "execution.not_ended"));
}

#[test]
fn the_journal_and_the_log_come_part_by_part() {
    let site = Site::new();
    site.post("/api/v1/workflows", &double()).expect(201);
    let id = site.execute("double", json!({"n": 3}));
    let last_seq = site.end_of(&id)["last_seq"].as_u64().unwrap();
    let (mut numbers, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/executions/{id}/journal?limit=2{cursor}");
        let page: Page<Json> = site.get(&path).expect(200).read();
        numbers.extend(page.items.iter().map(|event| event["seq"].as_u64().unwrap()));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(numbers, (1..=last_seq).collect::<Vec<_>>());
    let log: Page<LogLine> = site.get(&format!("/api/v1/executions/{id}/logs")).expect(200).read();
    let lines: Vec<_> = log.items.iter().map(|line| (&*line.node, &*line.text)).collect();
    assert_eq!(lines, [("log", "3"), ("twice", "6")]);
}

#[test]
fn s36_s37_programs_files_and_the_network_are_off_until_they_are_listed() {
    let site = Site::new();
    let runs = |site: &Site, node: Json| -> (String, Json) {
        let body = json!({"workflow": {"nodes": [node]}});
        let ended: Execution = site.post("/api/v1/executions?wait=60s", &body).expect(200).read();
        (ended.status, ended.error.map_or(Json::Null, |error| error.code.into()))
    };
    let shell = json!({"id": "x", "node_type": "shell.exec", "config": {"command": "true"}});
    let file = json!({"id": "x", "node_type": "file.read", "config": {"path": "token"}});
    let http = json!({"id": "x", "node_type": "http.request",
        "config": {"url": format!("http://{}/livez", site.address())}});
    for node in [shell.clone(), file, http] {
        let (status, code) = runs(&site, node.clone());
        assert!(
            status == "Failed" && code.as_str().unwrap().starts_with("policy."),
            "{node} {code}"
        );
    }
    let listed = Site::with(&["--allow-program", "true"]);
    assert_eq!(runs(&listed, shell).0, "Succeeded");
}
