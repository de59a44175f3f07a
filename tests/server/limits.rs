//! What the server does not take on: connections, requests and executions beyond a number.

use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::client::Answer;
use crate::site::Site;

/// Asks until something holds; it has to hold soon, also on a busy machine.
#[track_caller]
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::yield_now();
    }
}

fn says() -> Json {
    json!([{"id": "say", "node_type": "debug.log", "config": {"message": "x"}}])
}

/// One runs at a time; others wait for their turn.
fn one_at_a_time() -> Json {
    json!({
        "id": "lane",
        "settings": {"concurrency": {"limit": 1}},
        "nodes": [{"id": "go", "node_type": "wait.signal", "config": {"name": "go"}}],
    })
}

fn metric(site: &Site, name: &str) -> f64 {
    let text = site.get("/metrics").expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

#[test]
fn s22_one_connection_too_many_is_told_so() {
    let site = Site::with(&["--max-connections", "3"]);
    let held: Vec<_> = (0..3).map(|_| TcpStream::connect(site.address()).unwrap()).collect();
    let answer = site.get("/livez").expect(503);
    assert_eq!(answer.code(), "server.too_many_connections");
    assert!(answer.json()["hint"].as_str().unwrap().contains("--max-connections"));
    assert_eq!(answer.headers["retry-after"], "1");
    drop(held);
    soon("there is room again", || {
        site.bare("GET", "/livez").try_send().is_ok_and(|a| a.status == 200)
    });
    let refused = "flow_http_connections_refused_total{reason=\"too_many\"}";
    assert!(metric(&site, refused) >= 1.0);
    assert!(metric(&site, "flow_http_connections ") >= 1.0);
}

#[test]
fn s23_only_http_1_is_spoken() {
    let site = Site::new();
    let mut stream = TcpStream::connect(site.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut answer = Vec::new();
    // The end comes at once, with an answer of HTTP/1.1 or without one.
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    site.bare("GET", "/livez").send().expect(200);
}

#[test]
fn s24_a_token_that_asks_too_often_has_to_wait() {
    let site = Site::with(&["--rate-limit", "100/s"]);
    site.save("says", says());
    let (token, began) = (site.token_of("operator"), Instant::now());
    let asked = AtomicUsize::new(0);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while asked.fetch_add(1, Ordering::Relaxed) < 1000 {
                        let start = site.bare("POST", "/api/v1/workflows/says/execute");
                        answers.push(start.token(&token).json(&json!({})).send());
                    }
                    answers
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let took = began.elapsed();
    assert_eq!(answers.len(), 1000);
    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 202);
    // Twice the rate at once, and what the time since then has brought.
    let most = 200 + usize::try_from(took.as_millis() / 10 + 1).unwrap();
    assert!((200..=most).contains(&accepted.len()), "{} in {took:?}", accepted.len());
    for answer in &refused {
        assert_eq!((answer.status, &*answer.code()), (429, "request.too_many"));
        assert!(answer.headers["retry-after"].parse::<u64>().unwrap() >= 1);
    }
    // Others are not held up, and nothing that was accepted is lost.
    let admin = site.token();
    for answer in &accepted {
        let path = format!("{}/events", answer.headers["location"]);
        let end = loop {
            let events = site.bare("GET", &path).token(&admin);
            match events.try_listen() {
                Ok(events) => break events.last().unwrap().name,
                Err(refused) => assert_eq!(refused.status, 429),
            }
        };
        assert_eq!(end, "WorkflowCompleted");
    }
}

#[test]
fn s24_there_is_no_rate_unless_somebody_says_so() {
    let site = Site::new();
    for _ in 0..300 {
        site.get("/api/v1/tokens").expect(200);
    }
    for bad in ["0", "x", "10/m"] {
        let mut command = crate::site::command(&site.data());
        let output = command.args(["--rate-limit", bad]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("100/s"));
    }
}

#[test]
fn s28_a_queue_that_is_full_takes_no_more() {
    let site = Site::with(&["--max-queued", "3"]);
    site.post("/api/v1/workflows", &one_at_a_time()).expect(201);
    let runs = site.execute("lane", json!({}));
    site.until(&runs, "NodeWaiting");
    let queued: Vec<String> = (0..3).map(|_| site.execute("lane", json!({}))).collect();
    let start = || site.post("/api/v1/workflows/lane/execute", &json!({}));
    let listed = || site.get("/api/v1/executions").expect(200).json()["items"].clone();
    let before = listed();
    assert_eq!(before.as_array().unwrap().len(), 4);
    for _ in 0..5 {
        let answer = start().expect(429);
        assert_eq!(answer.code(), "execution.queue_full");
        assert!(answer.json()["hint"].as_str().unwrap().contains("--max-queued"));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    // A workflow that is not saved is no way around it.
    let inline = json!({"workflow": {"nodes": says()}});
    let answer = site.post("/api/v1/executions", &inline).expect(429);
    assert_eq!(answer.code(), "execution.queue_full");
    assert_eq!(listed(), before);
    assert!(metric(&site, "flow_http_problems_total{code=\"execution.queue_full\"}") >= 6.0);
    site.post(&format!("/api/v1/executions/{}/cancel", queued[0]), &json!({})).expect(202);
    site.end_of(&queued[0]);
    let mut one_more = None;
    soon("there is room again", || {
        let answer = start();
        one_more = answer.headers.get("location").cloned();
        answer.status == 202
    });
    let one_more = one_more.unwrap();
    assert_eq!(listed().as_array().unwrap().len(), 5);
    // All that were accepted have their turn.
    let one_more = one_more.rsplit('/').next().unwrap();
    for id in [&runs, &queued[1], &queued[2], one_more] {
        site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({})).expect(202);
        assert_eq!(site.end_of(id)["status"], "Succeeded");
    }
}
