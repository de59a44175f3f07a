//! What is wrong has a status, a code and words, and changes nothing.

use serde_json::json;

use crate::site::Site;

#[test]
fn mistakes_of_http_have_codes() {
    let site = Site::new();
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "request.no_such_path"),
        ("GET", "/api/v1", 404, "request.no_such_path"),
        ("PUT", "/api/v1/executions", 405, "request.method_not_allowed"),
        ("DELETE", "/livez", 405, "request.method_not_allowed"),
        ("GET", "/api/v1/executions?limit=0", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?limit=501", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?limit=x", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?unknown=1", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?status=done", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?workflow=a%20b", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?created_from=yesterday", 400, "request.bad_query"),
        ("GET", "/api/v1/executions?cursor=x", 400, "request.bad_cursor"),
        ("GET", "/api/v1/executions/x", 404, "execution.not_found"),
        ("GET", "/api/v1/workflows/none", 404, "workflow.not_found"),
        ("GET", "/api/v1/workflows/none/versions", 404, "workflow.not_found"),
        ("GET", "/api/v1/nodes/http.requst", 404, "node.unknown_type"),
    ] {
        let answer = site.request(method, path).send();
        assert_eq!((answer.status, &*answer.code()), (status, code), "{method} {path}");
        assert!(!answer.headers["x-request-id"].is_empty());
    }
    let near = site.get("/api/v1/nodes/http.requst").json();
    assert_eq!(near["hint"], "did you mean `http.request`?");
}

#[test]
fn s13_s17_s18_s19_bodies_are_json_bounded_and_not_compressed() {
    let site = Site::new();
    let post = |path: &str| site.request("POST", path);
    let path = "/api/v1/workflows";
    let large = format!("{{\"x-\": \"{}\"}}", "a".repeat(16 << 20));
    let deep = "[".repeat(100_000);
    for (request, status, code) in [
        (post(path).text("{}"), 415, "request.content_type"),
        (post(path).text("a=1").header("content-type", "text/plain"), 415, "request.content_type"),
        (
            post(path).json(&json!({})).header("content-encoding", "gzip"),
            415,
            "request.content_type",
        ),
        (
            post(path).text(&large).header("content-type", "application/json"),
            413,
            "request.too_large",
        ),
        (
            post("/api/v1/executions/00000000-0000-7000-8000-000000000000/rerun")
                .text(&"x".repeat((1 << 20) + 1))
                .header("content-type", "application/json"),
            413,
            "request.too_large",
        ),
        (post(path).text("{").header("content-type", "application/json"), 422, "workflow.invalid"),
        (
            post(path).text(&deep).header("content-type", "application/json"),
            422,
            "workflow.invalid",
        ),
        (
            post("/api/v1/executions").text(&deep).header("content-type", "application/json"),
            400,
            "request.bad_json",
        ),
        (post("/api/v1/executions").json(&json!({"x": 1})), 422, "request.invalid"),
        (
            post("/api/v1/tokens").json(&json!({"name": "", "role": "viewer"})),
            422,
            "request.invalid",
        ),
        (post("/api/v1/tokens").json(&json!({"name": "x", "role": "god"})), 422, "request.invalid"),
    ] {
        let answer = request.send();
        assert_eq!((answer.status, &*answer.code()), (status, code));
    }
    assert_eq!(site.get("/api/v1/workflows").json()["items"], json!([]));
    assert_eq!(site.get("/api/v1/executions").json()["items"], json!([]));
}

#[test]
fn s51_problems_say_nothing_of_the_inside() {
    let site = Site::new();
    let answers = [
        site.get("/api/v1/executions/'%20OR%201=1--"),
        site.get("/api/v1/workflows/%00"),
        site.get("/api/v1/workflows?cursor='"),
        site.post("/api/v1/executions", &json!({"workflow": [], "inputs": 3})),
        site.post("/api/v1/workflows/validate", &json!({"nodes": [{"id": 1}]})),
    ];
    for answer in answers {
        assert!(answer.status < 500, "{answer:?}");
        let text = answer.text();
        for word in ["/src/", "SELECT", "panicked", ".rs:"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}

#[test]
fn a_request_is_named_as_it_asks_if_that_is_a_name() {
    let site = Site::new();
    let named = |id: &str| {
        let answer = site.bare("GET", "/livez").header("x-request-id", id).send();
        answer.headers["x-request-id"].clone()
    };
    assert_eq!(named("abc-1.2:3_4"), "abc-1.2:3_4");
    let long = "x".repeat(129);
    for bad in ["a b", "<script>", &long] {
        assert_eq!(named(bad).len(), 36, "{bad}");
    }
}

#[test]
fn s15_every_answer_tells_browsers_to_be_careful() {
    let site = Site::new();
    for path in ["/livez", "/nowhere", "/api/v1/executions", "/openapi.json"] {
        let headers = site.get(path).headers;
        assert!(headers["content-security-policy"].starts_with("default-src 'none'"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
    }
}
