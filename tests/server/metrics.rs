//! How busy the server is.

use serde_json::json;

use crate::client::Request;
use crate::site::Site;

const PAGE: &str = include_str!("../../docs/metrics.md");

/// The value of a metric with these labels.
pub(crate) fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("{name} is not in:\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn s52_metrics_need_a_token_and_count_what_happens() {
    let site = Site::new();
    site.bare("GET", "/metrics").send().expect(401);
    site.save("unpaid-order", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = site.execute("unpaid-order", json!({}));
    site.until(&id, "NodeWaiting");
    site.get("/nowhere").expect(404);
    site.get("/nowhere/else").expect(404);
    let text = site.get("/metrics").expect(200).text();
    let accepted = r#"flow_http_requests_total{method="POST",route="/api/v1/workflows/{id}/execute",status="202"}"#;
    assert_eq!(value(&text, accepted), 1.0);
    let unknown = r#"flow_http_requests_total{method="other",route="other",status="404"}"#;
    assert_eq!(value(&text, unknown), 2.0);
    assert!(value(&text, "flow_store_commits_total") >= 3.0);
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains(&id) && !text.contains("unpaid-order"), "{text}");
}

/// The metrics of a server, with their kinds.
pub(crate) fn names() -> Vec<(String, String)> {
    let site = Site::new();
    site.get("/api/v1/nodes").expect(200);
    site.get("/nowhere").expect(404);
    let text = site.get("/metrics").expect(200).text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types = types.map(|line| line.split_once(' ').unwrap());
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn every_metric_that_the_page_names_is_there_and_the_other_way_round() {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| row.starts_with("flow_") || row.starts_with("process_"));
    let mut named: Vec<(String, String)> = rows
        .map(|row| {
            let (name, rest) = row.split_once('`').unwrap();
            let kind = rest.trim_start_matches([' ', '|']).split(' ').next().unwrap();
            (name.split('{').next().unwrap().to_owned(), kind.to_owned())
        })
        .collect();
    let mut there = names();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
}

#[test]
fn what_happens_in_executions_is_counted() {
    let site = Site::new();
    let say = json!({"id": "say", "node_type": "debug.log", "config": {"message": "x"}});
    site.save("greets", json!([say]));
    let url = json!({"url": "http://127.0.0.1:1/"});
    site.save("breaks", json!([{"id": "ask", "node_type": "http.request", "config": url}]));
    for workflow in ["greets", "greets", "breaks"] {
        let id = site.execute(workflow, json!({}));
        site.end_of(&id);
    }
    let text = site.get("/metrics").expect(200).text();
    for (name, expected) in [
        ("flow_executions_started_total", 3.0),
        (r#"flow_executions_ended_total{status="succeeded"}"#, 2.0),
        (r#"flow_executions_ended_total{status="failed"}"#, 1.0),
        (r#"flow_executions_ended_total{status="cancelled"}"#, 0.0),
        ("flow_executions_recovered_total", 0.0),
        ("flow_execution_duration_seconds_count", 3.0),
        ("flow_execution_queue_seconds_count", 3.0),
        (r#"flow_node_attempts_ended_total{node_type="debug.log",status="succeeded"}"#, 2.0),
        (r#"flow_node_attempts_ended_total{node_type="http.request",status="failed"}"#, 1.0),
        (r#"flow_node_attempt_duration_seconds_count{node_type="debug.log"}"#, 2.0),
        ("flow_event_streams", 0.0),
        ("flow_spans_dropped_total", 0.0),
    ] {
        assert_eq!(value(&text, name), expected, "{name}");
    }
    assert!(value(&text, "flow_store_append_duration_seconds_count") >= 3.0);
    // Names of workflows and of nodes are no labels, and neither is a type that was not used.
    for word in ["greets", "breaks", "\"ask\"", "shell.exec"] {
        assert!(!text.contains(word), "{word} is in:\n{text}");
    }
}

#[test]
fn who_follows_events_is_counted() {
    let site = Site::new();
    site.save("waits", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = site.execute("waits", json!({}));
    let mut events = site.request("GET", &format!("/api/v1/executions/{id}/events")).listen();
    assert!(events.any(|event| event.name == "NodeWaiting"));
    let streams = || value(&site.get("/metrics").expect(200).text(), "flow_event_streams");
    assert_eq!(streams(), 1.0);
    site.post(&format!("/api/v1/executions/{id}/signals/paid"), &json!({})).expect(202);
    assert_eq!(events.last().unwrap().name, "WorkflowCompleted");
    // The end of a stream is heard a moment before the server has let go of it.
    let began = std::time::Instant::now();
    while streams() > 0.0 {
        assert!(began.elapsed() < std::time::Duration::from_secs(60));
        std::thread::yield_now();
    }
}

#[test]
fn s52_metrics_may_be_at_an_address_of_their_own_and_are_then_nowhere_else() {
    let mut site = Site::with(&["--metrics-bind", "127.0.0.1:0"]);
    let log = site.log();
    let (_, rest) = log.split_once("metrics are at http://").unwrap();
    let apart = rest.split('/').next().unwrap().parse().unwrap();
    assert_ne!(site.address(), apart);
    let ask = |path: &str| Request::new(apart, "GET", path);
    let text = ask("/metrics").send().expect(200).text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for path in ["/livez", "/healthz", "/readyz"] {
        ask(path).send().expect(200);
    }
    // Nothing else is there, with a token or without.
    for path in ["/", "/openapi.json", "/api/v1/executions", "/api/v1/nodes", "/session"] {
        assert_eq!(ask(path).send().expect(404).code(), "request.no_such_path", "{path}");
        ask(path).token(&site.token()).send().expect(404);
    }
    // Where everybody else asks, nothing is known of metrics.
    site.bare("GET", "/metrics").send().expect(404);
    assert_eq!(site.get("/metrics").expect(404).code(), "request.no_such_path");
    let document = site.bare("GET", "/openapi.json").send().expect(200).json();
    assert!(document["paths"].get("/metrics").is_none());
    // By whatever address, but by no name that is not the server's: a page cannot be tricked to ask.
    ask("/metrics").header("host", "10.1.2.3:9464").send().expect(200);
    let tricked = ask("/metrics").header("host", "evil.test").send().expect(421);
    assert_eq!(tricked.code(), "request.unknown_host");
    site.signal("TERM");
    let (status, log) = site.wait();
    assert!(status.success(), "{log}");
}
