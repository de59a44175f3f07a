//! `examples/saga`: what was booked is given back, the last first.

use serde_json::{Value as Json, json};

use super::support::{flowcli, path};

/// The events of a run with this card, one object each.
fn events(card: &str) -> Vec<Json> {
    let mut process = flowcli();
    process.arg("run").arg(path("examples/saga/workflow.json"));
    process.args(["--output", "ndjson", &format!("-icard={card}")]);
    let output = process.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The nodes that succeeded, in order, and what they wrote.
fn done(events: &[Json]) -> Vec<String> {
    let done = events.iter().filter(|event| event["type"] == "NodeCompleted");
    let text = |value: &Json| value.as_str().unwrap().trim_end().to_owned();
    done.map(|event| format!("{} {}", text(&event["node_id"]), text(&event["outputs"]["stdout"])))
        .collect()
}

#[test]
fn what_was_booked_is_given_back() {
    let events = events("stolen");
    assert_eq!(
        done(&events),
        [
            "flight seat 12A",
            "hotel room 7",
            "hotel~undo room 7 is free again",
            "flight~undo seat 12A is free again",
        ]
    );
    let undoes: Vec<&Json> =
        events.iter().filter(|e| e["type"] == "UndoStarted").map(|e| &e["undoes"]).collect();
    assert_eq!(undoes, ["hotel", "flight"]);
    let last = events.last().unwrap();
    assert_eq!((&last["status"], &last["not_undone"]), (&json!("Failed"), &Json::Null));
}

#[test]
fn nothing_is_undone_after_a_success() {
    let events = events("good");
    assert_eq!(done(&events), ["flight seat 12A", "hotel room 7", "charge "]);
    assert_eq!(events.last().unwrap()["status"], "Succeeded");
}
