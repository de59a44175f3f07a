//! Stopping and dying: what was accepted goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::site::Site;
use crate::workload::{self, scale};

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

/// How often the server is stopped under load, unless `FLOW_STOPS` says otherwise.
const STOPS: usize = 3;

/// How many starts are accepted before it is told to stop, unless `FLOW_STARTS_PER_STOP` says
/// otherwise. They come as fast as the clients and the server can.
const STARTS: usize = 60;

const CLIENTS: usize = 4;

#[test]
fn f26_nothing_that_was_accepted_is_lost_when_the_server_stops() {
    let starts = scale("FLOW_STARTS_PER_STOP", STARTS);
    let mut site = Site::new();
    let outside = site.outside();
    let arguments = ["--allow-dir", outside.to_str().unwrap()];
    site.kill();
    site.start(&arguments);
    let ledger = outside.join("ledger");
    site.post("/api/v1/workflows", &workload::workflow(&ledger)).expect(201);
    let numbers = AtomicUsize::new(0);
    for _ in 0..scale("FLOW_STOPS", STOPS) {
        let accepted = Mutex::new(Vec::new());
        let token = site.token();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let n = numbers.fetch_add(1, Ordering::Relaxed);
                        let request = site.bare("POST", workload::START).token(&token);
                        // One that is not answered was not accepted, as far as anybody knows.
                        let Ok(answer) = workload::start(request, n).try_send() else { break };
                        let id = answer.expect(202).json()["id"].as_str().unwrap().to_owned();
                        // Half of them go on by themselves while the server stops.
                        let is_told = n.is_multiple_of(2) && {
                            let path = format!("/api/v1/executions/{id}/signals/go");
                            let signal = site.bare("POST", &path).token(&token);
                            let signal = signal.json(&json!({"payload": 1000})).try_send();
                            signal.is_ok_and(|answer| answer.status == 202)
                        };
                        accepted.lock().unwrap().push((id, n, is_told));
                        if accepted.lock().unwrap().len() == starts {
                            site.signal("TERM");
                        }
                    }
                });
            }
        });
        let (status, log) = site.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        let accepted = accepted.into_inner().unwrap();
        assert!(accepted.len() >= starts, "{log}");
        eprintln!("{} starts accepted in {:?}", accepted.len(), began.elapsed());
        site.start(&arguments);
        for (id, _, is_told) in &accepted {
            if !is_told {
                workload::signal(&site, id);
            }
        }
        accepted.iter().for_each(|(id, n, _)| workload::ended_once(&site, id, *n));
        let noted = workload::ledger(&ledger);
        assert!(accepted.iter().all(|(_, n, _)| noted.contains_key(n)), "{noted:?}");
    }
}

#[test]
fn f26_told_twice_it_does_not_wait_for_what_is_under_way() {
    let mut site = Site::new();
    site.save("waits", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = site.execute("waits", json!({}));
    site.until(&id, "NodeWaiting");
    // A request whose body does not come keeps the server from ending.
    let mut slow = TcpStream::connect(site.address()).unwrap();
    let head = format!(
        "POST /api/v1/workflows HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n",
        site.address(),
        site.token(),
    );
    slow.write_all(head.as_bytes()).unwrap();
    // It asks for the body, so it is in the middle of the request.
    let mut asked = [0; 12];
    slow.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    site.signal("TERM");
    site.until_it_says("the server was told to stop, and finishes what it does");
    site.signal("TERM");
    let (status, log) = site.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("told to stop twice"), "{log}");
    site.start(&[]);
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
}
