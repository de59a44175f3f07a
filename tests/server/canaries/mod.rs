//! Values of secrets are used in every way that there is, and then looked for everywhere.

mod forms;
mod listener;
mod nodes;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowcore::NodeRegistry;
use flowruntime::FlowRuntime;
use flowstore::{Access, StoreUrl};
use serde_json::json;

use crate::site::Site;
use forms::{PLAIN, TEXT, URL, seen};
use listener::Listener;
use nodes::nodes;

/// All that the server tells of an execution.
fn told(site: &Site, id: &str, places: &mut Vec<(String, Vec<u8>)>) {
    let path = format!("/api/v1/executions/{id}");
    let events: String = site
        .request("GET", &format!("{path}/events"))
        .listen()
        .map(|event| format!("{} {}\n", event.name, event.data))
        .collect();
    places.push((format!("{path}/events"), events.into_bytes()));
    for more in ["", "?full=true", "/journal?limit=500", "/logs?limit=500", "/graph"] {
        let path = format!("{path}{more}");
        let answer = site.get(&path).expect(200);
        places.push((path, answer.body));
    }
}

/// What an execution is as a file, made beside the server.
fn exported(file: &Path, ids: &[String]) -> Vec<(String, Vec<u8>)> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async {
        let url = StoreUrl::Sqlite(file.to_owned());
        let home = flowstore::open_home(&url, Access::Visit).await.unwrap();
        let mut registry = NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let runtime = FlowRuntime::builder().registry(registry).store(home).build().unwrap();
        let mut all = Vec::new();
        for id in ids {
            let export = runtime.export(id.parse().unwrap()).await.unwrap().unwrap();
            all.push((format!("export of {id}"), serde_json::to_vec(&export).unwrap()));
        }
        all
    })
}

#[test]
fn s48_canaries_are_nowhere_but_where_they_were_sent() {
    let listener = Listener::new();
    let target = listener.address.to_string();
    let arguments =
        ["--allow-target", &*target, "--allow-program", "true", "--allow-program", "false"];
    let more = ["--allow-target", "127.0.0.1:1"];
    let arguments = [&arguments[..], &more[..]].concat();
    let mut site = Site::new();
    site.kill();
    site.start_with(&arguments, &[("FLOW_LOG", "debug")]);
    for (name, canary) in [("plain", PLAIN), ("url", URL), ("text", TEXT)] {
        site.give(name, canary);
    }
    let mut places = Vec::new();
    let called = json!({
        "id": "called",
        "inputs": {"n": {"type": "string"}},
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "{{ inputs.n }}"}}],
        "outputs": {"n": "{{ inputs.n }}"},
    });
    site.post("/api/v1/workflows", &called).expect(201);
    let (mut ids, mut ends) = (Vec::new(), std::collections::BTreeMap::new());
    for node in nodes(listener.address) {
        let body = json!({"workflow": {"nodes": [node]}});
        let answer = site.post("/api/v1/executions?wait=60s", &body);
        places.push((format!("the answer to {node}"), answer.body.clone()));
        if answer.status == 200 {
            let ended = answer.json();
            *ends.entry(ended["status"].as_str().unwrap().to_owned()).or_insert(0) += 1;
            ids.push(ended["id"].as_str().unwrap().to_owned());
        } else {
            // What can never run is refused with a problem.
            assert_eq!(answer.status, 422, "{node}: {answer:?}");
        }
        assert!(matches!(answer.status, 200 | 422), "{node}");
    }
    // Both happened a lot, or nothing is shown by this.
    assert!(ends["Succeeded"] > 100 && ends["Failed"] > 100, "{ends:?}");
    // One goes on after a crash with what it was given before.
    let waits = json!({"workflow": {"nodes": [
        {"id": "made", "node_type": "transform.base64", "config": {"input": "{{ secrets.plain }}"}},
        {"id": "ask", "node_type": "wait.approval", "config": {"message": "{{ secrets.text }}"},
         "when": "nodes.made.output is defined"},
        {"id": "send", "node_type": "http.request", "config": {
            "method": "POST", "url": format!("http://{target}/sealed"), "body": "{{ nodes.made.output }}"},
         "when": "nodes.ask.approved is defined"},
    ]}});
    let accepted = site.post("/api/v1/executions", &waits).expect(202).json();
    let id = accepted["id"].as_str().unwrap().to_owned();
    site.until(&id, "NodeWaiting");
    let path = format!("/api/v1/executions/{id}");
    site.post(&format!("{path}/pause"), &json!({})).expect(202);
    site.until(&id, "Paused");
    site.signal("KILL");
    let (_, log) = site.wait();
    places.push(("the log".to_owned(), log.into_bytes()));
    site.start_with(&arguments, &[("FLOW_LOG", "debug")]);
    site.post(&format!("{path}/resume"), &json!({})).expect(202);
    site.post(&format!("{path}/approvals/ask"), &json!({"approved": true})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    ids.push(id);
    // Again, from the start and from a node.
    for body in [json!({}), json!({"from": "x"})] {
        let path = format!("/api/v1/executions/{}/rerun?wait=60s", ids[0]);
        let answer = site.post(&path, &body).expect(200);
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        places.push((path, answer.body));
    }
    for id in &ids {
        told(&site, id, &mut places);
    }
    let mut paths = vec!["/api/v1/audit?all=true&limit=500".to_owned()];
    for path in ["metrics", "openapi.json", "readyz"] {
        paths.push(format!("/{path}"));
    }
    for path in [
        "executions?limit=500",
        "workflows",
        "workflows/called",
        "secrets",
        "projects",
        "tokens",
        "schedules",
        "nodes",
    ] {
        paths.push(format!("/api/v1/{path}"));
    }
    for path in paths {
        let answer = site.get(&path).expect(200);
        places.push((path, answer.body));
    }
    places.extend(exported(&site.data().join("flow.db"), &ids));
    // As they are while the server runs, and after it has ended.
    for moment in ["running", "ended"] {
        for file in std::fs::read_dir(site.data()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            places.push((format!("{} ({moment})", path.display()), bytes));
        }
        if moment == "running" {
            site.signal("TERM");
            let (_, log) = site.wait();
            places.push(("the second log".to_owned(), log.into_bytes()));
        }
    }
    // They were sent where they belong: what is looked for can be found.
    let heard = [("the listener".to_owned(), listener.heard.lock().unwrap().clone())];
    assert!(seen(&heard).len() > 8, "{:?}", seen(&heard));
    let sealed = STANDARD.encode(PLAIN);
    let heard = String::from_utf8_lossy(&heard[0].1).into_owned();
    let at = heard.find("POST /sealed").map(|at| heard[at..].contains(&sealed));
    assert_eq!(at, Some(true));
    let seen = seen(&places);
    let first: Vec<&str> = seen.iter().take(20).map(String::as_str).collect();
    assert!(seen.is_empty(), "{} times, such as\n{}", seen.len(), first.join("\n"));
}
