//! The events of all executions, as somebody hears them over HTTP.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::client::{Events, Sse};
use crate::site::Site;

/// Two steps, the second after a signal.
fn waits() -> Json {
    json!([
        {"id": "paid", "node_type": "wait.signal", "config": {"name": "paid"}},
        {"id": "last", "node_type": "debug.log", "config": {"message": "{{ nodes.paid.payload }}"}},
    ])
}

fn says() -> Json {
    json!([{"id": "say", "node_type": "debug.log", "config": {"message": "x"}}])
}

/// Listens to all, from now on.
pub(crate) fn listen(site: &Site, query: &str) -> Events {
    let mut events = site.request("GET", &format!("/api/v1/events{query}")).listen();
    let first = events.next().unwrap();
    assert_eq!((&*first.name, first.cursor.is_some()), ("Listening", true));
    events
}

/// Listens until so many executions have ended.
pub(crate) fn until_ends(events: &mut Events, ends: usize) -> Vec<Sse> {
    let mut heard = Vec::new();
    let mut left = ends;
    while left > 0 {
        let event = events.next().unwrap();
        left -= usize::from(event.name == "WorkflowCompleted");
        heard.push(event);
    }
    heard
}

/// The events of each execution, as its journal would have them.
pub(crate) fn by_execution(events: &[Sse]) -> BTreeMap<String, Vec<Json>> {
    let mut all: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.name != "Listening") {
        let mut data = event.data.clone();
        let members = data.as_object_mut().unwrap();
        assert_eq!(members.remove("cursor").unwrap(), event.cursor.clone().unwrap());
        if members["seq"] != 1 {
            members.remove("workflow_id").unwrap();
        }
        all.entry(members["execution_id"].as_str().unwrap().to_owned()).or_default().push(data);
    }
    all
}

pub(crate) fn journal(site: &Site, id: &str) -> Vec<Json> {
    let page = site.get(&format!("/api/v1/executions/{id}/journal")).expect(200).json();
    page["items"].as_array().unwrap().clone()
}

#[test]
fn events_of_all_executions_come_as_they_happen() {
    let site = Site::new();
    site.save("waits", waits());
    site.save("says", says());
    let mut all = listen(&site, "");
    let mut ends = listen(&site, "?types=WorkflowCompleted,Paused&workflow=says");
    let first = site.execute("waits", json!({}));
    let second = site.execute("says", json!({}));
    site.until(&first, "NodeWaiting");
    site.post(&format!("/api/v1/executions/{first}/signals/paid"), &json!({})).expect(202);
    let heard = by_execution(&until_ends(&mut all, 2));
    assert_eq!(heard.len(), 2);
    for id in [&first, &second] {
        assert_eq!(heard[id], journal(&site, id));
    }
    let end = ends.next().unwrap();
    assert_eq!((&end.data["execution_id"], &*end.name), (&json!(second), "WorkflowCompleted"));
    assert_eq!(end.data["workflow_id"], "says");
}

#[test]
fn who_comes_again_hears_what_it_missed() {
    let mut site = Site::new();
    site.save("waits", waits());
    site.save("says", says());
    let waiting = site.execute("waits", json!({}));
    let mut events = listen(&site, "");
    let seen = site.execute("says", json!({}));
    let mut heard = until_ends(&mut events, 1);
    let cursor = heard.last().unwrap().cursor.clone().unwrap();
    drop(events);
    let missed: Vec<_> = (0..5).map(|_| site.execute("says", json!({}))).collect();
    missed.iter().for_each(|id| drop(site.end_of(id)));
    // Another server goes on where the first one was.
    site.signal("TERM");
    site.wait();
    site.start(&[]);
    site.post(&format!("/api/v1/executions/{waiting}/signals/paid"), &json!({})).expect(202);
    site.end_of(&waiting);
    let again = || site.request("GET", "/api/v1/events");
    let mut events = again().header("last-event-id", &cursor).listen();
    loop {
        let event = events.next().unwrap();
        let is_last = event.name == "Listening";
        heard.push(event);
        if is_last {
            break;
        }
    }
    // Some may come twice, and none is missing.
    let mut heard = by_execution(&heard);
    for events in heard.values_mut() {
        events.sort_by_key(|event| event["seq"].as_u64());
        events.dedup();
    }
    for id in missed.iter().chain([&waiting, &seen]) {
        assert_eq!(heard[id], journal(&site, id), "{id}");
    }
    let mut same = site.request("GET", &format!("/api/v1/events?after={cursor}")).listen();
    assert_ne!(same.next().unwrap().name, "Listening");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let site = Site::new();
    for (query, code) in [
        ("?after=7", "request.bad_cursor"),
        ("?workflow=a%20b", "request.bad_query"),
        ("?types=a%20b", "request.bad_query"),
        ("?types=", "request.bad_query"),
        ("?from=7", "request.bad_query"),
    ] {
        for path in ["/api/v1/events", "/api/v1/events/ws"] {
            let request = site.request("GET", &format!("{path}{query}"));
            let answer = crate::websocket::handshake(request).send();
            assert_eq!((answer.status, &*answer.code()), (400, code), "{path}{query}");
        }
    }
}
