//! How busy the server is.

use serde_json::json;

use crate::site::Site;

const PAGE: &str = include_str!("../../docs/server.md");

/// The value of a metric with these labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("{name} is not in:\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn s52_metrics_need_a_token_and_count_what_happens() {
    let site = Site::new();
    site.bare("GET", "/metrics").send().expect(401);
    site.save("waits", json!([{"id": "paid", "node_type": "wait.signal"}]));
    let id = site.execute("waits", json!({}));
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
    assert!(!text.contains(&id) && !text.contains("waits"), "{text}");
}

#[test]
fn every_metric_that_the_page_names_is_there_and_the_other_way_round() {
    let site = Site::new();
    site.get("/api/v1/nodes").expect(200);
    site.get("/nowhere").expect(404);
    let text = site.get("/metrics").expect(200).text();
    let section = PAGE.split("\n### ").find(|section| section.starts_with("Metrics\n")).unwrap();
    let mut named: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `flow_"))
        .map(|line| line.split(['`', '{']).next().unwrap())
        .collect();
    let mut there: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE flow_"))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(named, there);
}
