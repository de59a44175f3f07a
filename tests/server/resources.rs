//! Policies S14 to S31 over HTTP: what is too much is refused with a code, and what is odd has one form.

use serde_json::{Value as Json, json};

use crate::site::Site;

fn log(id: &str, message: &str) -> Json {
    json!({"id": id, "node_type": "debug.log", "config": {"message": message}})
}

/// Runs a workflow with these nodes and inputs to its end.
fn run(site: &Site, nodes: Json, inputs: Json) -> Json {
    let names = inputs.as_object().unwrap().keys();
    let declared: serde_json::Map<_, _> = names.map(|name| (name.clone(), json!({}))).collect();
    let workflow = json!({"inputs": declared, "nodes": nodes});
    let body = json!({"workflow": workflow, "inputs": inputs});
    site.post("/api/v1/executions?wait=60s", &body).expect(200).json()
}

#[test]
fn s14_no_site_is_told_that_it_may_read_answers() {
    let site = Site::new();
    for path in ["/api/v1/workflows", "/api/v1/events", "/livez", "/"] {
        let preflight = site.bare("OPTIONS", path).header("origin", "https://evil.test");
        let preflight = preflight.header("access-control-request-method", "POST").send();
        let read =
            site.request("GET", "/api/v1/nodes").header("origin", "https://evil.test").send();
        for answer in [preflight, read] {
            let mut names = answer.headers.keys();
            assert!(!names.any(|name| name.starts_with("access-control")), "{answer:?}");
        }
    }
}

#[test]
fn s15_the_headers_of_every_file_of_the_page_are_these() {
    let site = Site::new();
    for path in ["/", "/app.js", "/style.css"] {
        let headers = site.bare("GET", path).send().expect(200).headers;
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                 connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
    }
}

#[test]
fn s16_what_nodes_made_is_data_and_never_a_page() {
    let site = Site::new();
    let html = "<html><script>alert(1)</script></html>";
    site.save("page", json!([log("a_html", html)]));
    let id = site.execute("page", json!({}));
    site.end_of(&id);
    for suffix in ["?full=true", "/journal", "/logs", "/graph"] {
        let answer = site.get(&format!("/api/v1/executions/{id}{suffix}")).expect(200);
        assert_eq!(answer.headers["content-type"], "application/json", "{suffix}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'"));
    }
    let logs = site.get(&format!("/api/v1/executions/{id}/logs")).json();
    assert_eq!(logs["items"][0]["text"], html);
}

#[test]
fn s17_many_large_bodies_at_once_cost_little_memory() {
    let site = Site::new();
    let path = "/api/v1/executions/00000000-0000-7000-8000-000000000000/rerun";
    let body = "x".repeat((1 << 20) + 1);
    let send = || {
        let request = site.request("POST", path).header("content-type", "application/json");
        let answer = request.text(&body).try_send();
        // A connection that is closed on a body may take the answer with it.
        answer.map(|answer| (answer.status, answer.code()))
    };
    assert_eq!(send().unwrap(), (413, "request.too_large".to_owned()));
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", site.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().split(' ').next()?.parse::<u64>().ok()
    };
    let before = memory();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                if let Ok(answer) = send() {
                    assert_eq!(answer, (413, "request.too_large".to_owned()));
                }
            });
        }
    });
    if let (Some(before), Some(after)) = (before, memory()) {
        assert!(after.saturating_sub(before) < 32 << 10, "{before} KiB became {after} KiB");
    }
    site.bare("GET", "/livez").send().expect(200);
}

#[test]
fn s20_an_output_that_is_too_deep_fails_its_node_and_can_be_read() {
    let site = Site::new();
    let parse = |depth: usize| {
        let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        json!([{"id": "parse", "node_type": "transform.json_parse", "config": {"json": text}}])
    };
    assert_eq!(run(&site, parse(90), json!({}))["status"], "Succeeded");
    let ended = run(&site, parse(101), json!({}));
    assert_eq!(ended["status"], "Failed", "{ended}");
    let id = ended["id"].as_str().unwrap();
    let full = site.get(&format!("/api/v1/executions/{id}?full=true")).expect(200).json();
    assert_eq!(full["status"], "Failed");
    site.get(&format!("/api/v1/executions/{id}/journal")).expect(200);
}

/// Odd values, as they are sent, and as they are kept; `None` is refused.
pub(crate) fn odd_values(site: &Site) {
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    for (sent, kept) in [
        (r#""a\u0000b""#, Some(r#""a\u0000b""#)),
        ("18446744073709551615", Some("18446744073709551615")),
        ("9223372036854775807", Some("9223372036854775807")),
        ("-9223372036854775808", Some("-9223372036854775808")),
        ("1e-400", Some("0.0")),
        ("-0.0", Some("-0.0")),
        ("0.1", Some("0.1")),
        (r#""\ud83d\ude00""#, Some(r#""😀""#)),
        (r#"{"": 1, "__proto__": 2}"#, Some(r#"{"": 1, "__proto__": 2}"#)),
        (r#""\ud800""#, None),
        ("1e400", None),
        ("NaN", None),
        (r#"{"a": 1, "a": 2}"#, Some(r#"{"a": 2}"#)),
        (deep.as_str(), None),
    ] {
        let body = format!(
            r#"{{"workflow": {{"inputs": {{"v": {{}}}}, "nodes": [{}], "outputs": {{"v": "{{{{ inputs.v }}}}"}}}}, "inputs": {{"v": {sent}}}}}"#,
            log("say", "x")
        );
        let request = site.request("POST", "/api/v1/executions?wait=60s").text(&body);
        let answer = request.header("content-type", "application/json").send();
        let Some(kept) = kept else {
            assert!(matches!(answer.status, 400 | 422), "{sent}: {answer:?}");
            continue;
        };
        let ended = answer.expect(200).json();
        let id = ended["id"].as_str().unwrap();
        let kept: Json = serde_json::from_str(kept).unwrap();
        let report = site.get(&format!("/api/v1/executions/{id}")).expect(200).json();
        assert_eq!(report["outputs"]["v"].to_string(), kept.to_string(), "{sent}");
    }
}

#[test]
fn s21_odd_values_have_one_form_or_are_refused() {
    odd_values(&Site::new());
}

#[test]
fn s25_workflows_that_are_too_large_or_have_odd_ids_are_refused_with_a_place() {
    let site = Site::new();
    let validate = |workflow: &Json| {
        let path = "/api/v1/workflows/validate";
        let answer = site.post(path, workflow).expect(200).json();
        assert_eq!(answer["valid"], false, "{answer}");
        answer.to_string()
    };
    let many: Vec<Json> = (0..10_001).map(|n| log(&format!("n{n}"), "x")).collect();
    let text = validate(&json!({"nodes": many}));
    assert!(text.contains("10,000") || text.contains("10000"), "{text}");
    for id in ["", "../x", "a b", &"x".repeat(129)] {
        let text = validate(&json!({"nodes": [log(id, "x")]}));
        assert!(text.contains("/nodes/0/id"), "{id}: {text}");
    }
    assert_eq!(site.get("/api/v1/workflows").json()["items"], json!([]));
}

#[test]
fn s26_what_fans_out_or_calls_itself_without_end_fails_with_a_code() {
    let site = Site::new();
    let each = json!([{
        "id": "each",
        "node_type": "control.for_each",
        "config": {"items": "{{ range(10001) }}", "body": {"nodes": [log("say", "x")]}},
    }]);
    let ended = run(&site, each, json!({}));
    assert_eq!(ended["error"]["code"], "for_each.too_many_items", "{ended}");
    let itself =
        json!([{"id": "again", "node_type": "workflow.call", "config": {"workflow": "itself"}}]);
    let saved = site.post("/api/v1/workflows", &json!({"id": "itself", "nodes": itself}));
    // Saved or not, it does not run for ever.
    if saved.status == 201 {
        let path = "/api/v1/workflows/itself/execute?wait=60s";
        let answer = site.post(path, &json!({}));
        assert!(answer.text().contains("call."), "{}", answer.text());
        assert!(answer.status == 422 || answer.json()["status"] == "Failed", "{}", answer.text());
    } else {
        assert_eq!(saved.status, 422, "{}", saved.text());
    }
    site.bare("GET", "/livez").send().expect(200);
}

#[test]
fn s29_what_a_node_writes_without_end_is_cut() {
    let site = Site::with(&["--allow-program", "sh"]);
    let script = "yes 'a line of a program that does not end' | head -n 200000";
    let config = json!({"command": "sh", "args": ["-c", script], "max_output_bytes": 16 << 20});
    let nodes = json!([{"id": "yes", "node_type": "shell.exec", "config": config}]);
    let workflow = json!({"nodes": nodes});
    let body = json!({"workflow": workflow});
    let answer = site.post("/api/v1/executions?wait=60s", &body);
    let ended = answer.json();
    let id = ended["id"].as_str().unwrap_or_else(|| panic!("{ended}"));
    let (mut bytes, mut last, mut cursor) = (0, String::new(), String::new());
    loop {
        let path = format!("/api/v1/executions/{id}/logs?limit=500{cursor}");
        let page = site.get(&path).expect(200).json();
        for line in page["items"].as_array().unwrap() {
            last = line["text"].as_str().unwrap().to_owned();
            bytes += last.len();
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    // It writes 7 MiB; what comes faster than it is kept is left out before it counts.
    assert!(bytes <= (1 << 20) + 100, "{bytes}");
    assert!(bytes < 1 << 20 || last.contains("1 MiB is full"), "{last}: {bytes} bytes");
}

#[test]
fn s31_hostile_expressions_end_with_an_error_and_the_server_goes_on() {
    let site = Site::new();
    for hostile in [
        format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{}true", "not ".repeat(100_000)),
        format!("1{}", "+1".repeat(200_000)),
        "'a' * 1000000000".to_owned(),
        "range(100000000)".to_owned(),
        format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000)),
    ] {
        let nodes = json!([log("say", &format!("{{{{ {hostile} }}}}"))]);
        let answer =
            site.post("/api/v1/executions?wait=60s", &json!({"workflow": {"nodes": nodes}}));
        let short: String = answer.text().chars().take(300).collect();
        match answer.status {
            422 => assert!(!answer.code().is_empty()),
            200 => assert_eq!(answer.json()["status"], "Failed", "{short}"),
            status => panic!("{status}: {short}"),
        }
        site.bare("GET", "/livez").send().expect(200);
    }
}

#[test]
fn s44_to_check_a_workflow_does_nothing() {
    let site = Site::with(&["--allow-program", "touch", "--allow-dir", "/"]);
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let file = site.data().join("trap");
    let url = format!("http://{}/", trap.local_addr().unwrap());
    let workflow = json!({"id": "trap", "nodes": [
        {"id": "touch", "node_type": "shell.exec", "config": {"command": "touch", "args": [file]}},
        {"id": "write", "node_type": "file.write", "config": {"path": file, "content": "x"}},
        {"id": "get", "node_type": "http.request", "config": {"url": url}},
    ]});
    for _ in 0..20 {
        site.post("/api/v1/workflows/validate", &workflow).expect(200);
    }
    // To save it does nothing either.
    let saved = site.post("/api/v1/workflows", &workflow);
    assert!(matches!(saved.status, 201 | 422), "{}", saved.text());
    assert!(!file.exists());
    assert!(trap.accept().is_err(), "somebody came");
    assert_eq!(site.get("/api/v1/executions").json()["items"], json!([]));
}

#[test]
fn s40_expressions_reach_nothing_but_what_they_are_given() {
    let site = Site::new();
    for reaches in [
        "env.PATH",
        "env('PATH')",
        "now()",
        "random()",
        "inputs.__class__",
        "''.__class__.__mro__",
        "self._TemplateReference__context",
        "import('os')",
        "open('/etc/passwd')",
        "secrets",
    ] {
        let nodes = json!([log("say", &format!("{{{{ {reaches} }}}}"))]);
        let answer =
            site.post("/api/v1/executions?wait=60s", &json!({"workflow": {"nodes": nodes}}));
        let text = answer.text();
        let is_refused = answer.status == 422 || answer.json()["status"] == "Failed";
        assert!(is_refused, "{reaches}: {text}");
        assert!(!text.contains("/usr/bin") && !text.contains("root:"), "{reaches}: {text}");
    }
}
