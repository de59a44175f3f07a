//! The log, which says what each of its lines is about.

use serde_json::{Value as Json, json};

use crate::site::Site;

/// The lines of the log that are JSON, with these words.
fn lines(log: &str, message: &str) -> Vec<Json> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

#[test]
fn lines_say_which_request_execution_and_trace_they_are_of() {
    let mut site = Site::within(&[], &[("FLOW_LOG", "warn,flowserver=debug,flow::debug=info")]);
    site.save(
        "says",
        json!([{"id": "say", "node_type": "debug.log", "config": {"message": "hi"}}]),
    );
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = site.request("POST", "/api/v1/workflows/says/execute?wait=60s");
    let request = request.header("x-request-id", "mine-1").header("traceparent", parent);
    let execution = request.json(&json!({})).send().expect(200).json();
    site.request("GET", "/nowhere").header("host", "evil.test").send().expect(421);
    site.signal("TERM");
    let (_, log) = site.wait();

    let accepted = lines(&log, "an execution was accepted");
    let [accepted] = &accepted[..] else { panic!("{log}") };
    assert_eq!(accepted["execution_id"], execution["id"]);
    assert_eq!(accepted["span"]["request_id"], "mine-1");
    assert_eq!(accepted["span"]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let said = lines(&log, "hi");
    let [said] = &said[..] else { panic!("{log}") };
    assert_eq!(said["execution_id"], execution["id"]);
    assert_eq!(said["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    // Every line of a request, also of one that was refused, names it.
    let answered = lines(&log, "answered");
    assert_eq!(answered.len(), 3, "{log}");
    assert!(answered.iter().all(|line| line["span"]["request_id"].is_string()), "{log}");
    assert_eq!(answered[2]["status"], 421);
}

#[test]
fn whatever_the_level_lines_of_a_request_have_its_id() {
    let mut site = Site::within(&[], &[("FLOW_LOG", "error")]);
    let db = site.data().join("flow.db");
    site.save(
        "says",
        json!([{"id": "say", "node_type": "debug.log", "config": {"message": "hi"}}]),
    );
    let id = site.execute("says", json!({}));
    site.end_of(&id);
    // What the journal says makes no sense any more.
    let db = rusqlite::Connection::open(db).unwrap();
    let broken = db.execute("UPDATE segments SET bytes = x'00' WHERE first_seq > 0", []).unwrap();
    assert!(broken > 0);
    let path = format!("/api/v1/executions/{id}");
    let request = site.request("GET", &path).header("x-request-id", "mine-2");
    request.send().expect(500);
    site.signal("TERM");
    let (_, log) = site.wait();
    let failed = lines(&log, "a request failed");
    let [failed] = &failed[..] else { panic!("{log}") };
    assert_eq!(failed["span"]["request_id"], "mine-2");
}
