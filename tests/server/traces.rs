//! Traces: who led to what.

use serde_json::{Value as Json, json};

use crate::collector::Collector;
use crate::site::Site;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// A workflow that asks the collector, says something and, twice, asks for what is not there.
fn asks(collector: &Collector) -> Json {
    let ask = |id: &str, path: &str| {
        let config = json!({"url": format!("{}{path}", collector.url())});
        json!({"id": id, "node_type": "http.request", "config": config})
    };
    let mut missing = ask("missing", "/missing");
    missing["on_error"] = json!("ContinueOnError");
    let say = json!({
        "id": "say",
        "node_type": "debug.log",
        "config": {"message": "canary-{{ nodes.seen.body }}"},
    });
    json!({"id": "asks", "nodes": [ask("seen", "/seen"), say, missing]})
}

/// Starts it, as part of a trace or of none, and waits for its end.
fn run(site: &Site, traceparent: Option<&str>) -> Json {
    let request = site.request("POST", "/api/v1/workflows/asks/execute?wait=60s");
    let request = request.json(&json!({}));
    let request = match traceparent {
        Some(parent) => request.header("traceparent", parent).header("tracestate", "a=b"),
        None => request,
    };
    request.send().expect(200).json()
}

#[test]
fn spans_lead_from_the_caller_to_whom_nodes_ask() {
    let collector = Collector::start();
    let arguments = ["--otlp-endpoint", &collector.url(), "--allow-target", &collector.target()];
    let variables = [("OTEL_SERVICE_NAME", "flow-here"), ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=k")];
    let mut site = Site::within(&arguments, &variables);
    site.post("/api/v1/workflows", &asks(&collector)).expect(201);
    let execution = run(&site, Some(&parent("01")));
    let id = execution["id"].as_str().unwrap();
    // The last spans are sent when it stops.
    site.signal("TERM");
    let (status, log) = site.wait();
    assert!(status.success(), "{log}");

    let request = collector.span("POST /api/v1/workflows/{id}/execute");
    assert_eq!((&*request.trace, &*request.parent), (TRACE, CALLER));
    assert!(request.is_server && request.failure.is_none(), "{request:?}");
    assert_eq!(request.attribute("http.response.status_code"), "200");

    let root = collector.span("execute asks");
    assert_eq!((&root.trace, &root.parent), (&request.trace, &request.id));
    assert_eq!(root.attribute("flow.execution.id"), id);
    assert_eq!(root.attribute("flow.workflow.version"), "1");
    assert_eq!(root.attribute("flow.status"), "Succeeded");
    assert!(request.from <= root.to && root.from < root.to, "{root:?}");

    let seen = collector.span("http.request seen");
    assert_eq!((&seen.trace, &seen.parent), (&root.trace, &root.id));
    assert_eq!(seen.attribute("flow.attempt"), "1");
    assert!(root.from <= seen.from && seen.to <= root.to, "{seen:?}");
    let say = collector.span("debug.log say");
    assert_eq!((&say.trace, &say.parent), (&root.trace, &root.id));
    let missing = collector.span("http.request missing");
    assert_eq!((&missing.trace, &missing.parent), (&root.trace, &root.id));
    assert_eq!(missing.failure.as_deref(), Some("http.status"));
    assert_eq!(missing.attribute("error.type"), "http.status");

    let told = (Some(format!("00-{TRACE}-{}-01", seen.id)), Some("a=b".to_owned()));
    assert_eq!(collector.asked(), [told]);

    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.service == "flow-here"), "{spans:?}");
    collector.until("headers", |got| (got.headers["x-key"] == "k").then_some(()));
    // Nothing that a workflow works with is in a span, and each span is there once.
    assert!(!format!("{spans:?}").contains("canary"), "{spans:?}");
    let mut ids: Vec<&String> = spans.iter().map(|span| &span.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn without_a_caller_a_request_begins_a_trace_and_what_is_not_sampled_is_not_sent() {
    let collector = Collector::start();
    let arguments = ["--allow-target", &collector.target()];
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url())];
    let site = Site::within(&arguments, &variables);
    site.post("/api/v1/workflows", &asks(&collector)).expect(201);
    run(&site, Some(&parent("00")));
    run(&site, Some("nonsense"));
    let root = collector.span("execute asks");
    let request = collector.span("POST /api/v1/workflows/{id}/execute");
    assert_eq!((&root.trace, &root.parent), (&request.trace, &request.id));
    assert_eq!(request.parent, "");
    assert_ne!(request.trace, TRACE);
    assert_eq!(root.service, "flowserver");
    // The one that is not sampled was first.
    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace != TRACE), "{spans:?}");
    let [(Some(unsampled), _), (Some(sampled), None)] = &collector.asked()[..] else {
        panic!("{:?}", collector.asked());
    };
    assert!(unsampled.starts_with(&format!("00-{TRACE}-")) && unsampled.ends_with("-00"));
    assert!(sampled.starts_with(&format!("00-{}-", root.trace)), "{sampled}");
    assert!(site.get("/livez").status == 200);
}

#[test]
fn a_server_that_sends_no_spans_passes_on_what_it_was_given_and_nothing_else() {
    let collector = Collector::start();
    let site = Site::with(&["--allow-target", &collector.target()]);
    site.post("/api/v1/workflows", &asks(&collector)).expect(201);
    run(&site, Some(&parent("01")));
    run(&site, None);
    let told = (Some(parent("01")), Some("a=b".to_owned()));
    assert_eq!(collector.asked(), [told, (None, None)]);
    assert_eq!(collector.spans(), []);
}

#[test]
fn spans_that_nobody_takes_are_dropped_and_counted() {
    // Nobody listens there.
    let site = Site::with(&["--otlp-endpoint", "http://127.0.0.1:1"]);
    let say = json!({"id": "say", "node_type": "debug.log", "config": {"message": "x"}});
    site.post("/api/v1/workflows", &json!({"id": "asks", "nodes": [say]})).expect(201);
    assert_eq!(run(&site, None)["status"], "Succeeded");
    let counted =
        |name: &str| crate::metrics::value(&site.get("/metrics").expect(200).text(), name);
    let began = std::time::Instant::now();
    // Two requests, the execution and its attempt.
    while counted("flow_spans_dropped_total") < 4.0 {
        assert!(began.elapsed() < std::time::Duration::from_secs(60));
        std::thread::yield_now();
    }
    assert!(counted("flow_span_exports_failed_total") >= 1.0);
    assert_eq!(counted("flow_spans_exported_total"), 0.0);
    assert_eq!(run(&site, None)["status"], "Succeeded");
    assert!(site.log().contains("spans cannot be sent"), "{}", site.log());
}

#[cfg(feature = "postgres")]
#[test]
fn in_a_cluster_spans_have_the_same_parents_whoever_goes_on_with_an_execution() {
    let collector = Collector::start();
    let arguments = ["--otlp-endpoint", &collector.url(), "--allow-target", &collector.target()];
    let sites = crate::cluster::two_with("flow_traced", &arguments);
    let Some([mut one, other]) = sites else { return };
    let say = json!({"id": "say", "node_type": "debug.log", "config": {"message": "x"}});
    let url = format!("{}/held", collector.url());
    let held = json!({
        "id": "held",
        "node_type": "http.request",
        "config": {"url": url, "timeout_ms": 600_000, "method": "{{ nodes.say.message and 'GET' }}"},
    });
    one.save("moves", json!([say, held]));
    let path = "/api/v1/workflows/moves/execute";
    let request = one.request("POST", path).header("traceparent", &parent("01"));
    let accepted = request.json(&json!({})).send().expect(202).json();
    let id = accepted["id"].as_str().unwrap();
    let started = collector.span("POST /api/v1/workflows/{id}/execute");
    let say = collector.span("debug.log say");
    collector.until("the first attempt", |got| (got.asked.len() == 1).then_some(()));
    one.signal("KILL");
    one.wait();
    assert_eq!(other.end_of(id)["status"], "Succeeded");

    let root = collector.span("execute moves");
    let held = collector.until("both attempts", |got| {
        let held = got.named("http.request held");
        (held.len() == 2).then_some(held)
    });
    let of = |attempt: &str| {
        let found = held.iter().find(|span| span.attribute("flow.attempt") == attempt);
        found.unwrap_or_else(|| panic!("{held:?}")).clone()
    };
    let (first, second) = (of("1"), of("2"));
    assert_eq!(first.attribute("flow.status"), "interrupted");
    assert_eq!(second.attribute("flow.status"), "succeeded");
    // One server began, the other went on.
    assert_eq!(started.process, say.process);
    assert_ne!(started.process, root.process);
    assert!(first.process == root.process && second.process == root.process);
    // All of it is one trace.
    assert_eq!((&*root.trace, &root.parent), (TRACE, &started.id));
    for span in [&say, &first, &second] {
        assert_eq!((&*span.trace, &span.parent), (TRACE, &root.id), "{span:?}");
    }
    let told = [&first, &second].map(|span| Some(format!("00-{TRACE}-{}-01", span.id)));
    let asked: Vec<_> = collector.asked().into_iter().map(|(parent, _)| parent).collect();
    assert_eq!(asked, told);
}
