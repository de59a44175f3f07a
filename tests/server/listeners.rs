//! F25: many who listen and never read. Executions go on as without them, and so does the server.

use serde_json::{Value as Json, json};

use crate::client::Events;
use crate::site::Site;
use crate::websocket::WebSocket;

/// How many listen in each way; `FLOW_LISTENERS=200` for more.
fn listeners() -> usize {
    std::env::var("FLOW_LISTENERS").map_or(20, |text| text.parse().unwrap())
}

/// How much of its memory a listener may cost, in KiB: it follows the execution, which holds some 3 MB,
/// and has no backlog. What the kernel holds is not counted.
const MOST_EACH: u64 = 4096;

/// Events that are more than the sockets of a listener hold: each round says some kilobytes.
fn talks() -> Json {
    json!([
        {"id": "go", "node_type": "wait.signal", "config": {"name": "go"}},
        {
            "id": "each",
            "node_type": "control.for_each",
            "config": {
                "items": "{{ range(100) }}",
                "body": {"nodes": [
                    {"id": "say", "node_type": "debug.log", "config": {"message": "{{ 'x' * 30000 }}"}},
                ]},
            },
            "when": "nodes.go.payload is defined",
        },
    ])
}

/// How often each type of event is in the journal, and what came of it.
fn outcome(site: &Site, id: &str) -> (Json, usize) {
    let ended = site.end_of(id);
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/executions/{id}/journal?limit=500{cursor}");
        let page = site.get(&path).expect(200).json();
        count += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    (json!([ended["status"], ended["outputs"], ended["error"]]), count)
}

/// The memory of the server, in KiB.
fn memory(site: &Site) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

fn run(site: &Site) -> (String, Json, usize) {
    let id = site.execute("talks", json!({}));
    site.until(&id, "NodeWaiting");
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({"payload": 1})).expect(202);
    let (outcome, count) = outcome(site, &id);
    (id, outcome, count)
}

fn numbers(events: Events) -> Vec<u64> {
    events.filter_map(|event| event.id).collect()
}

#[test]
fn f25_listeners_that_never_read_change_nothing() {
    let site = Site::new();
    site.save("talks", talks());
    let (_, without, events_without) = run(&site);
    assert_eq!(without[0], "Succeeded", "{without}");
    let before = memory(&site);
    let id = site.execute("talks", json!({}));
    site.until(&id, "NodeWaiting");
    let path = format!("/api/v1/executions/{id}/events");
    let mut of_one: Vec<Events> = Vec::new();
    let mut of_all: Vec<Events> = Vec::new();
    let mut sockets: Vec<WebSocket> = Vec::new();
    for number in 0..listeners() {
        match number % 3 {
            0 => of_one.push(site.request("GET", &path).listen()),
            1 => of_all.push(site.request("GET", "/api/v1/events").listen()),
            _ => {
                let ws = site.request("GET", &format!("{path}/ws"));
                sockets.push(WebSocket::open(ws).unwrap_or_else(|answer| panic!("{answer:?}")));
            }
        }
    }
    site.post(&format!("/api/v1/executions/{id}/signals/go"), &json!({"payload": 1})).expect(202);
    assert_eq!(outcome(&site, &id), (without.clone(), events_without));
    let (_, second, events) = run(&site);
    assert_eq!((second, events), (without, events_without));
    if let (Some(before), Some(after)) = (before, memory(&site)) {
        let most = MOST_EACH * listeners() as u64 + (64 << 10);
        assert!(after.saturating_sub(before) < most, "{before} KiB became {after} KiB");
    }
    // Each who comes again hears the rest.
    let all: Vec<u64> = (1..=events_without as u64).collect();
    for mut listener in of_one {
        let mut heard: Vec<u64> = listener.by_ref().take(3).filter_map(|event| event.id).collect();
        drop(listener);
        let last = heard.last().unwrap().to_string();
        let again = site.request("GET", &path).header("last-event-id", &last);
        heard.extend(numbers(again.listen()));
        assert_eq!(heard, all);
    }
    for socket in sockets {
        let numbers = |messages: &[Json]| -> Vec<u64> {
            messages.iter().filter_map(|one| one["seq"].as_u64()).collect()
        };
        let (messages, mut code) = socket.rest();
        let mut heard = numbers(&messages);
        if code == 0 {
            // On a slow machine it was given up before it read.
            let after = heard.last().copied().unwrap_or(0);
            let again = site.request("GET", &format!("{path}/ws?after={after}"));
            let again = WebSocket::open(again).unwrap_or_else(|answer| panic!("{answer:?}"));
            let (messages, ended) = again.rest();
            heard.extend(numbers(&messages));
            code = ended;
        }
        assert_eq!((heard, code), (all.clone(), 1000));
    }
    for mut listener in of_all {
        let first = listener.next().unwrap();
        drop(listener);
        let cursor = first.cursor.unwrap();
        let again = site.request("GET", "/api/v1/events").header("last-event-id", &cursor);
        let of_it = again.listen().take_while(|event| event.name != "Listening");
        let mut heard: Vec<u64> = of_it
            .filter(|event| event.data["execution_id"] == *id)
            .map(|event| event.data["seq"].as_u64().unwrap())
            .filter(|seq| *seq > 0)
            .collect();
        heard.sort_unstable();
        heard.dedup();
        assert_eq!(heard, all);
    }
}

#[test]
fn f25_dead_listeners_give_their_places_back() {
    let site = Site::with(&["--max-connections", "12"]);
    site.save("talks", talks());
    let id = site.execute("talks", json!({}));
    site.until(&id, "NodeWaiting");
    // Ten at a time, ten times: more than there is room for, if one stayed.
    for _ in 0..10 {
        let listeners: Vec<_> = (0..10)
            .map(|number| {
                let path = match number % 2 {
                    0 => format!("/api/v1/executions/{id}/events"),
                    _ => "/api/v1/events".to_owned(),
                };
                site.request("GET", &path).listen()
            })
            .collect();
        drop(listeners);
        crate::limits::soon("there is room again", || {
            let text = site.request("GET", "/metrics").try_send();
            let text = text.map(|answer| answer.text()).unwrap_or_default();
            text.lines().any(|line| {
                let count = line.strip_prefix("flow_http_connections ");
                count.and_then(|count| count.parse().ok()).is_some_and(|count: u32| count <= 2)
            })
        });
    }
}
