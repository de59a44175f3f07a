//! Stopping and dying: what was accepted goes on.

use serde_json::json;

use crate::site::Site;

#[test]
fn f28_told_to_stop_it_stops_and_told_twice_at_once() {
    for signal in ["TERM", "INT"] {
        let mut site = Site::new();
        site.signal(signal);
        let (status, log) = site.wait();
        assert_eq!(status.code(), Some(0), "{signal}: {log}");
    }
}

#[test]
fn what_was_killed_goes_on_with_the_next_server() {
    let mut site = Site::with(&["--allow-program", "sleep", "--allow-program", "echo"]);
    let nodes = json!([
        {"id": "first", "node_type": "debug.log", "config": {"message": "once"}},
        {"id": "sleep", "node_type": "shell.exec", "config": {"command": "sleep", "args": ["600"]},
         "timeout_ms": 600_000},
    ]);
    site.save("sleeps", nodes);
    let id = site.execute("sleeps", json!({}));
    let mut events = site.request("GET", &format!("/api/v1/executions/{id}/events")).listen();
    assert!(events.any(|event| event.data["node_id"] == "sleep"));
    site.kill();
    site.start(&["--allow-program", "sleep"]);
    site.until(&id, "Recovered");
    let log = site.get(&format!("/api/v1/executions/{id}/logs")).expect(200).json();
    let once = log["items"].as_array().unwrap().iter().filter(|line| line["text"] == "once");
    assert_eq!(once.count(), 1);
    site.post(&format!("/api/v1/executions/{id}/cancel"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Cancelled");
}

/// How many executions are started while the server is told to stop.
const STARTS: usize = 200;

#[test]
fn f26_nothing_that_was_accepted_is_lost_when_the_server_stops() {
    let mut site = Site::new();
    let node = |id: &str| json!({"id": id, "node_type": "debug.log", "config": {"message": id}});
    let delay = json!({"id": "wait", "node_type": "time.delay", "config": {"delay_ms": 5}});
    site.save("steps", json!([node("a"), delay, node("b")]));
    let token = site.token();
    let accepted: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut accepted = Vec::new();
                    for _ in 0..STARTS / 4 {
                        let request = site.bare("POST", "/api/v1/workflows/steps/execute");
                        let request = request.token(&token).json(&json!({}));
                        // One that is not answered was not accepted, as far as anybody knows.
                        let Ok(answer) = request.try_send() else { break };
                        if answer.status == 202 {
                            accepted.push(answer.json()["id"].as_str().unwrap().to_owned());
                        }
                        if accepted.len() == STARTS / 8 {
                            site.signal("TERM");
                        }
                    }
                    accepted
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let (_, log) = site.wait();
    assert!(!accepted.is_empty(), "{log}");
    site.start(&[]);
    for id in &accepted {
        assert_eq!(site.end_of(id)["status"], "Succeeded", "{id}");
        let journal = site.get(&format!("/api/v1/executions/{id}/journal")).expect(200).json();
        let ends = journal["items"].as_array().unwrap().iter();
        let completed = |node: &str| {
            ends.clone().filter(|e| e["type"] == "NodeCompleted" && e["node_id"] == node).count()
        };
        assert_eq!((completed("a"), completed("b")), (1, 1), "{id}");
    }
}
