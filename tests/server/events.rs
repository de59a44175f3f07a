//! Live events: none is missed, and none comes twice.

use serde_json::{Value as Json, json};

use crate::site::Site;

fn waits() -> Json {
    json!([
        {"id": "first", "node_type": "debug.log", "config": {"message": "1"}},
        {"id": "paid", "node_type": "wait.signal", "config": {"name": "paid"}},
        {"id": "last", "node_type": "debug.log", "config": {"message": "{{ nodes.paid.payload }}"}},
    ])
}

fn ids(events: impl Iterator<Item = crate::client::Sse>) -> Vec<u64> {
    events.filter_map(|event| event.id).collect()
}

#[test]
fn events_come_from_the_journal_and_then_live() {
    let site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}/events");
    let mut early = site.request("GET", &path).listen();
    let mut seen = Vec::new();
    for event in early.by_ref() {
        let is_waiting = event.name == "NodeWaiting";
        seen.push(event);
        if is_waiting {
            break;
        }
    }
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({"payload": "p"}))
        .expect(202);
    seen.extend(early);
    let facts: Vec<_> = seen.iter().filter(|event| event.id.is_some()).collect();
    let numbers: Vec<u64> = facts.iter().filter_map(|event| event.id).collect();
    let last = *numbers.last().unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    let journal = site.get(&format!("/api/v1/executions/{id}/journal")).expect(200).json();
    let data: Vec<Json> = facts.iter().map(|event| event.data.clone()).collect();
    assert_eq!(journal["items"], Json::from(data));
    for event in &facts {
        assert_eq!(event.data["type"], *event.name);
    }
    // Again, after the end, from anywhere.
    let after = site.request("GET", &format!("{path}?after=3")).listen();
    assert_eq!(ids(after), (4..=last).collect::<Vec<_>>());
    let resumed = site.request("GET", &path).header("last-event-id", &(last - 1).to_string());
    assert_eq!(ids(resumed.listen()), [last]);
    let over = site.request("GET", &path).header("last-event-id", &last.to_string());
    assert_eq!(ids(over.listen()), [0; 0]);
}

#[test]
fn f25_readers_that_never_read_hold_nobody_up() {
    let site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}/events");
    let sleepers: Vec<_> = (0..20).map(|_| site.request("GET", &path).listen()).collect();
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    for sleeper in sleepers {
        let numbers = ids(sleeper);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_stream_ends_when_the_server_stops_and_goes_on_at_the_next() {
    let mut site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}/events");
    site.until(&id, "NodeWaiting");
    let stream = site.request("GET", &path).listen();
    site.signal("TERM");
    let before = ids(stream);
    let (status, log) = site.wait();
    assert!(status.success(), "{log}");
    site.start(&[]);
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    let last = before.last().copied().unwrap_or(0);
    let rest = site.request("GET", &path).header("last-event-id", &last.to_string()).listen();
    let all: Vec<u64> = before.into_iter().chain(ids(rest)).collect();
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
}

#[test]
fn records_are_those_of_an_export() {
    let site = Site::new();
    site.save("waits", waits());
    let id = site.execute("waits", json!({}));
    let path = format!("/api/v1/executions/{id}/events?records=true");
    site.until(&id, "NodeWaiting");
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    let heard = site.request("GET", &path).listen().filter(|event| event.id.is_some());
    let heard: Vec<Json> = heard.map(|event| event.data).collect();
    let export = site.get(&format!("/api/v1/executions/{id}/export")).expect(200).json();
    assert_eq!(export["format"]["name"], "flow.execution");
    assert_eq!(export["events"], Json::from(heard));
    let none = site.get("/api/v1/executions/00000000-0000-7000-8000-000000000000/export");
    assert_eq!(none.expect(404).code(), "execution.not_found");
}
