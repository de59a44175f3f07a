//! What `docs/control-flow.md` says of endings, waits and events, where no workflow of the page can
//! show it: what happens, and when, told by the events.

use std::task::{Context, Poll, Waker};

use flowcore::Workflow;
use flowruntime::{ExecutionHandle, FlowRuntime, Received, TellError};
use serde_json::{Value as Json, json};

use super::support;

/// The events of an execution in their flat form; `on_event` may act on the execution.
async fn events(flow: &Json, mut on_event: impl FnMut(&Json, &ExecutionHandle)) -> Vec<Json> {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let workflow = Workflow::from_json(&flow.to_string()).unwrap();
    let prepared = runtime.prepare(&workflow, ()).unwrap();
    let mut subscription = prepared.events();
    let execution = prepared.start().await.unwrap();
    let mut events = Vec::new();
    while let Some(Received::Event(event)) = subscription.next().await {
        if event.seq().is_some() {
            let event = serde_json::to_value(&event).unwrap();
            on_event(&event, &execution);
            events.push(event);
        }
    }
    events
}

fn at(event: &Json) -> i64 {
    let at: flowcore::Timestamp = serde_json::from_value(event["at"].clone()).unwrap();
    at.as_micros() / 1000
}

/// One line for each event: milliseconds since the start, kind, node, and how an execution ended.
fn lines(events: &[Json]) -> String {
    let start = at(&events[0]);
    let line = |event: &Json| {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let line =
            format!("{} {} {}{}", at(event) - start, text("type"), text("node_id"), text("status"));
        line.trim_end().to_owned() + "\n"
    };
    let shown = |event: &&Json| {
        !matches!(
            event["type"].as_str(),
            Some("WorkflowStarted" | "NodeStarted" | "ScopeOpened" | "ScopeClosed")
        )
    };
    events.iter().filter(shown).map(line).collect()
}

/// Cancels the execution whenever one of these nodes begins to wait.
async fn check(flow: &Json, cancel_at: &[&str], expected: &[&str]) {
    let events = events(flow, |event, execution| {
        let waits = event["type"] == "NodeWaiting";
        if waits && cancel_at.iter().any(|node| event["node_id"] == *node) {
            execution.cancel();
        }
    });
    let lines = lines(&events.await);
    assert_eq!(lines, expected.iter().map(|line| format!("{line}\n")).collect::<String>());
}

fn delay(id: &str, millis: u64) -> Json {
    json!({ "id": id, "node_type": "time.delay", "config": { "delay_ms": millis } })
}

/// A `control.try` whose body takes a second, and whose `finally` takes 50 ms.
fn trial() -> Json {
    json!({ "id": "try", "node_type": "control.try", "config": {
        "body": { "nodes": [delay("work", 1000)] },
        "catch": { "nodes": [delay("caught", 1)] },
        "finally": { "nodes": [delay("clean", 50)] },
    } })
}

#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_enter_catch_but_finally() {
    let flow = json!({ "nodes": [trial()] });
    check(
        &flow,
        &["try.body.work"],
        &[
            "0 NodeWaiting try.body.work",
            "0 CancelRequested",
            "0 NodeCancelled try.body.work",
            "0 CleanupStarted",
            "0 NodeWaiting try.finally.clean",
            "50 NodeCompleted try.finally.clean",
            "50 NodeCancelled try",
            "50 WorkflowCompleted Cancelled",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_cancel_ends_what_cleans_up() {
    let flow = json!({ "nodes": [trial()] });
    check(
        &flow,
        &["try.body.work", "try.finally.clean"],
        &[
            "0 NodeWaiting try.body.work",
            "0 CancelRequested",
            "0 NodeCancelled try.body.work",
            "0 CleanupStarted",
            "0 NodeWaiting try.finally.clean",
            "0 CancelRequested",
            "0 NodeCancelled try.finally.clean",
            "0 NodeCancelled try",
            "0 WorkflowCompleted Cancelled",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn cleaning_up_has_its_own_time() {
    let settings = json!({ "max_execution_time_ms": 10, "cleanup_time_ms": 20 });
    let flow = json!({ "settings": settings, "nodes": [trial()] });
    check(
        &flow,
        &[],
        &[
            "0 NodeWaiting try.body.work",
            "10 CancelRequested",
            "10 NodeCancelled try.body.work",
            "10 CleanupStarted",
            "10 NodeWaiting try.finally.clean",
            "30 CancelRequested",
            "30 NodeCancelled try.finally.clean",
            "30 NodeCancelled try",
            "30 WorkflowCompleted TimedOut",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_control_node_bounds_what_is_inside() {
    let mut flow = json!({ "nodes": [trial()] });
    flow["nodes"][0]["timeout_ms"] = json!(10);
    check(
        &flow,
        &[],
        &[
            "0 NodeWaiting try.body.work",
            "10 CancelRequested try",
            "10 NodeCancelled try.body.work",
            "10 NodeWaiting try.finally.clean",
            "60 NodeCompleted try.finally.clean",
            "60 NodeFailed try",
            "60 WorkflowCompleted Failed",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn losers_of_a_race_are_awaited_and_clean_up() {
    let branches = json!([{ "nodes": [trial()] }, { "nodes": [delay("fast", 5)] }]);
    let race = json!({ "id": "race", "node_type": "control.parallel_race", "config": { "branches": branches } });
    check(
        &json!({ "nodes": [race] }),
        &[],
        &[
            "0 NodeWaiting race[1].fast",
            "0 NodeWaiting race[0].try.body.work",
            "5 NodeCompleted race[1].fast",
            "5 NodeCancelled race[0].try.body.work",
            "5 NodeWaiting race[0].try.finally.clean",
            "55 NodeCompleted race[0].try.finally.clean",
            "55 NodeCancelled race[0].try",
            "55 NodeCompleted race",
            "55 WorkflowCompleted Succeeded",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_and_a_new_round_do_not_enter_catch_but_finally() {
    let fail =
        json!({ "id": "fail", "node_type": "control.fail", "config": { "message": "elsewhere" } });
    let late = json!([{ "from_node": "late", "to_node": "fail" }]);
    let mut flow = json!({ "nodes": [trial(), delay("late", 10), fail], "connections": late });
    let round = |start: u64| {
        let line = |after: u64, text: &str| format!("{} {text}", start + after);
        vec![
            line(0, "NodeWaiting late"),
            line(0, "NodeWaiting try.body.work"),
            line(10, "NodeCompleted late"),
            line(10, "NodeFailed fail"),
            line(10, "NodeCancelled try.body.work"),
            line(10, "CleanupStarted"),
            line(10, "NodeWaiting try.finally.clean"),
            line(60, "NodeCompleted try.finally.clean"),
            line(60, "NodeCancelled try"),
        ]
    };
    let failed = "60 WorkflowCompleted Failed".to_owned();
    let expected: Vec<String> = round(0).into_iter().chain([failed]).collect();
    check(&flow, &[], &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    flow["settings"] = json!({ "on_error": { "RetryWorkflow": { "max_attempts": 2 } } });
    let shown = lines(&events(&flow, |_, _| {}).await);
    let first: String = round(0).iter().map(|line| format!("{line}\n")).collect();
    let again = shown.strip_prefix(&(first + "60 RoundStarted\n"));
    let again = again.unwrap_or_else(|| panic!("{shown}"));
    assert!(again.contains("70 NodeWaiting try.finally.clean"), "{again}");
    assert!(again.ends_with("120 WorkflowCompleted Failed\n"), "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_enter_catch_but_finally() {
    let stop = json!({ "id": "stop", "node_type": "control.stop" });
    let late = json!([{ "from_node": "late", "to_node": "stop" }]);
    check(
        &json!({ "nodes": [trial(), delay("late", 10), stop], "connections": late }),
        &[],
        &[
            "0 NodeWaiting late",
            "0 NodeWaiting try.body.work",
            "10 NodeCompleted late",
            "10 StopRequested stop",
            "10 NodeCancelled try.body.work",
            "10 CleanupStarted",
            "10 NodeWaiting try.finally.clean",
            "60 NodeCompleted try.finally.clean",
            "60 NodeCancelled try",
            "60 WorkflowCompleted Succeeded",
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn waits_hold_no_place() {
    let log =
        json!({ "id": "log", "node_type": "debug.log", "config": { "message": "meanwhile" } });
    let nodes = json!([delay("a", 100), delay("b", 100), log]);
    check(
        &json!({ "settings": { "max_parallel_nodes": 1 }, "nodes": nodes }),
        &[],
        &[
            "0 NodeWaiting a",
            "0 NodeWaiting b",
            "0 NodeCompleted log",
            "100 NodeCompleted a",
            "100 NodeCompleted b",
            "100 WorkflowCompleted Succeeded",
        ],
    )
    .await;
}

/// A wait for each of these keys, in items of their own.
fn keyed() -> Json {
    let wait = json!({ "id": "go", "node_type": "wait.signal", "config": { "key": "{{ item }}" } });
    let config = json!({ "items": ["x", "y"], "body": { "nodes": [wait] } });
    json!({ "nodes": [{ "id": "each", "node_type": "control.for_each", "config": config }] })
}

/// Without a store, an execution is told at once.
#[track_caller]
fn told(signal: impl Future<Output = Result<(), TellError>>) {
    let polled = std::pin::pin!(signal).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(()))));
}

#[tokio::test(start_paused = true)]
async fn a_signal_with_a_key_wakes_the_waiter_with_that_key() {
    let events = events(&keyed(), |event, execution| {
        if event["node_id"] == "each[1].go" && event["type"] == "NodeWaiting" {
            // Nobody waits without a key; the second waiter is woken first.
            told(execution.signal("go", "nobody"));
            told(execution.signal_to("go", Some("y"), 2));
            told(execution.signal_to("go", Some("x"), 1));
        }
    })
    .await;
    let received: Vec<_> =
        events.iter().filter(|event| event["type"] == "SignalReceived").collect();
    let woken: Vec<_> = received.iter().map(|event| event["node_id"].as_str()).collect();
    assert_eq!(woken, [None, Some("each[1].go"), Some("each[0].go")]);
    let outputs = &events.last().unwrap()["outputs"]["each"]["results"];
    assert_eq!(*outputs, json!([{ "go": { "payload": 1 } }, { "go": { "payload": 2 } }]));
}

/// The fields of the first event of a kind.
#[track_caller]
fn fields(events: &[Json], kind: &str) -> Json {
    let event = events.iter().find(|event| event["type"] == kind);
    let mut event = event.unwrap_or_else(|| panic!("no {kind}")).clone();
    let common = ["seq", "at", "execution_id", "type"];
    event.as_object_mut().unwrap().retain(|field, _| !common.contains(&field.as_str()));
    event
}

#[tokio::test(start_paused = true)]
async fn events_have_the_fields_that_the_page_lists() {
    let events = events(&keyed(), |event, execution| {
        if event["type"] == "NodeWaiting" {
            let key = event["wait"]["signal"]["key"].as_str();
            told(execution.signal_to("go", key, "now"));
        }
    })
    .await;
    let started = json!({ "node_id": "each", "attempt": 1, "items": 2 });
    assert_eq!(fields(&events, "NodeStarted"), started);
    let opened = json!({ "node_id": "each", "scope": 1, "part": { "item": 0 } });
    assert_eq!(fields(&events, "ScopeOpened"), opened);
    let wait = json!({ "signal": { "name": "go", "key": "x" } });
    let waiting = json!({ "node_id": "each[0].go", "attempt": 1, "wait": wait });
    assert_eq!(fields(&events, "NodeWaiting"), waiting);
    let received = json!({ "node_id": "each[0].go", "name": "go", "key": "x", "payload": "now" });
    assert_eq!(fields(&events, "SignalReceived"), received);
    let end = json!({ "succeeded": { "go": { "payload": "now" } } });
    assert_eq!(fields(&events, "ScopeClosed"), json!({ "scope": 1, "end": end }));
}
