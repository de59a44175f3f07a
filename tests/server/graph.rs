//! What executions and workflows look like.

use serde_json::json;

use crate::site::Site;

/// A site with a workflow of two nodes, the first of which has this name.
fn two(name: &str) -> Site {
    let site = Site::new();
    site.save(
        "two",
        json!([
            {"id": "a", "name": name, "node_type": "debug.log", "config": {"message": "x"}},
            {"id": "b", "node_type": "debug.log", "config": {"message": "{{ nodes.a.message }}"}},
        ]),
    );
    site
}

#[test]
fn a_graph_is_data_and_in_several_forms_a_picture() {
    let site = two("First");
    let id = site.execute("two", json!({}));
    let paths = [format!("/api/v1/executions/{id}/graph"), "/api/v1/workflows/two/graph".into()];
    for path in &paths {
        let graph = site.get(path).expect(200).json();
        let node = |id: &str, name: Option<&str>| json!({"id": id, "name": name, "node_type": "debug.log"});
        let nodes = [node("a", Some("First")), node("b", None)];
        assert_eq!(graph, json!({"nodes": nodes, "edges": [[0, 1]]}));
        for (form, content_type, begin) in [
            ("svg", "image/svg+xml", "<svg "),
            ("mermaid", "text/vnd.mermaid", "flowchart LR\n"),
            ("dot", "text/vnd.graphviz", "digraph "),
        ] {
            let asked = site.get(&format!("{path}?format={form}")).expect(200);
            assert_eq!(asked.headers["content-type"], content_type);
            let text = asked.text();
            assert!(text.starts_with(begin) && text.contains("First"), "{text}");
            let accept = format!("text/x-unknown, {content_type};q=0.9, */*");
            let accepted = site.request("GET", path).header("accept", &accept).send().expect(200);
            assert_eq!(accepted.text(), text);
        }
    }
    let unknown = site.get("/api/v1/workflows/two/graph?format=gif").expect(400);
    assert_eq!(unknown.code(), "request.bad_query");
    assert_eq!(site.get("/api/v1/workflows/none/graph").expect(404).code(), "workflow.not_found");
    site.get("/api/v1/workflows/two/graph?version=2").expect(404);
}

#[test]
fn s16_a_picture_runs_nothing_whatever_stands_in_it() {
    let site = two("</text><script>alert(1)</script>");
    let svg = site.get("/api/v1/workflows/two/graph?format=svg").expect(200);
    let policy = &svg.headers["content-security-policy"];
    assert_eq!(policy, "default-src 'none'; style-src 'unsafe-inline'; sandbox");
    assert_eq!(svg.headers["x-content-type-options"], "nosniff");
    let text = svg.text();
    assert!(text.contains("alert(1)") && !text.contains("<script"), "{text}");
}

#[test]
fn a_picture_that_takes_too_long_is_refused() {
    let site = Site::new();
    let node = |index: usize| json!({"id": format!("n{index}"), "node_type": "debug.log", "config": {"message": "x"}});
    site.save("many", (0..5_001).map(node).collect());
    let refused = site.get("/api/v1/workflows/many/graph?format=svg").expect(422);
    assert_eq!(refused.code(), "graph.too_large");
    let nodes = site.get("/api/v1/workflows/many/graph").expect(200).json();
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 5_001);
}
