//! Who may do what, route by route.

use serde_json::json;

use crate::contract::{Operation, operations};
use crate::site::Site;

/// What everybody may ask for. A new one is written here, after some thought.
const OPEN: [&str; 9] = [
    "/",
    "/app.js",
    "/style.css",
    "/session",
    "/livez",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/hooks/{path}",
];

/// The last is that of the first token, which may also make projects.
const ROLES: [&str; 5] = ["viewer", "operator", "editor", "admin", "installation"];

fn ask(site: &Site, operation: &Operation) -> crate::client::Request {
    // Whatever has an id is not there: what is asked for changes nothing.
    let path = operation.path.replace("{id}", "00000000-0000-7000-8000-000000000000");
    let path = ["{name}", "{type}", "{workflow}", "{trigger}", "{path}"]
        .iter()
        .fold(path, |path, part| path.replace(part, "x"));
    // A stream without an end is not what is asked for.
    let path = if path == "/api/v1/events" { format!("{path}?after=x") } else { path };
    let request = site.bare(&operation.method, &path);
    if operation.has_body { request.json(&json!({"nonsense": true})) } else { request }
}

#[test]
fn s03_nothing_is_open_without_a_token_but_what_is_listed() {
    let site = Site::new();
    for operation in operations(&site) {
        let answer = ask(&site, &operation).send();
        if operation.path == "/hooks/{path}" {
            // Open are only those that are there, to who knows their addresses.
            assert_eq!((answer.status, &*answer.code()), (404, "webhook.not_found"));
            continue;
        }
        if OPEN.contains(&operation.path.as_str()) {
            assert!(matches!(answer.status, 200 | 204 | 422), "{operation:?}: {answer:?}");
            continue;
        }
        assert_eq!(answer.code(), "auth.unknown_token", "{operation:?}");
        assert_eq!((answer.status, &*answer.headers["www-authenticate"]), (401, "Bearer"));
    }
}

#[test]
fn s10_every_role_may_do_what_the_table_says_and_nothing_else() {
    let site = Site::new();
    let tokens = ROLES.map(|role| match role {
        "installation" => site.token(),
        role => site.token_of(role),
    });
    let mut cells = 0;
    for operation in operations(&site) {
        let Some(needs) = &operation.needs else { continue };
        let least = ROLES.iter().position(|role| role == needs).unwrap();
        for (rank, token) in tokens.iter().enumerate() {
            let answer = ask(&site, &operation).token(token).send();
            let is_refused = answer.status == 403;
            assert_eq!(is_refused, rank < least, "{} {operation:?}: {answer:?}", ROLES[rank]);
            assert_ne!(answer.status, 401, "{operation:?}");
            if is_refused {
                assert_eq!(answer.code(), "auth.forbidden");
            }
            cells += 1;
        }
    }
    assert!(cells >= 80, "{cells}");
}

#[test]
fn s04_tricks_with_the_path_open_nothing() {
    let site = Site::new();
    for path in [
        "/api/v1/executions/",
        "/api/v1//executions",
        "//api/v1/executions",
        "/./api/v1/executions",
        "/api/v1/./executions",
        "/api/v1/x/../executions",
        "/livez/../api/v1/executions",
        "/livez/..%2fapi/v1/executions",
        "/livez%2f..%2fapi/v1/executions",
        "/api/v1/executions;.js",
        "/api/v1/executions.json",
        "/api/v1/executions%00",
        "/api/v1/executions%20",
        "/api/v1/executions.",
        "/API/V1/EXECUTIONS",
        "/api/v1/%65xecutions",
        "/api/v1/executions/configs",
        "/api/v1/workflows/validate/configs",
        "/api/v1/tokens?x=/livez",
        "/api/v1/tokens#/livez",
        "/api%2fv1%2ftokens",
        "/api/v1/tokens/%2e%2e/nodes",
    ] {
        let answer = site.bare("GET", path).send();
        assert!(matches!(answer.status, 400 | 401 | 404), "{path}: {answer:?}");
    }
}

#[test]
fn s05_who_has_no_token_sends_no_body() {
    let site = Site::new();
    // What is announced never comes: an answer shows that nobody waited for it.
    let request = site.bare("POST", "/api/v1/workflows").header("content-length", "104857600");
    let answer = request.header("content-type", "application/json").send();
    assert_eq!((answer.status, &*answer.code()), (401, "auth.unknown_token"));
}

#[test]
fn s07_a_token_that_is_taken_back_is_worth_nothing_at_once() {
    let site = Site::new();
    let asked = json!({"name": "for a day", "role": "viewer", "expires_in_days": 1});
    let given = site.post("/api/v1/tokens", &asked).expect(201).json();
    let (id, token) = (given["id"].as_str().unwrap(), given["token"].as_str().unwrap());
    assert!(given["expires_at"].is_string());
    let ask = || site.bare("GET", "/api/v1/nodes").token(token).send().status;
    assert_eq!(ask(), 200);
    site.request("DELETE", &format!("/api/v1/tokens/{id}")).send().expect(204);
    assert_eq!(ask(), 401);
    site.request("DELETE", &format!("/api/v1/tokens/{id}")).send().expect(404);
}

#[test]
fn s08_many_wrong_tokens_have_to_wait_and_a_right_one_does_not() {
    let site = Site::new();
    let wrong = "flw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let codes: Vec<u16> =
        (0..30).map(|_| site.bare("GET", "/api/v1/nodes").token(wrong).send().status).collect();
    assert_eq!(codes[0], 401);
    let last = site.bare("GET", "/api/v1/nodes").token(wrong).send();
    assert_eq!((last.status, &*last.code()), (429, "auth.too_many_failures"), "{codes:?}");
    assert!(last.headers["retry-after"].parse::<u64>().unwrap() >= 1);
    site.get("/api/v1/nodes").expect(200);
}

#[test]
fn s12_other_hosts_and_other_sites_are_refused_on_loopback_too() {
    let site = Site::with(&["--allow-host", "flow.example.org"]);
    let nodes = || site.request("GET", "/api/v1/nodes");
    for host in ["evil.test", "127.0.0.1.evil.test:80", ""] {
        let answer = nodes().header("host", host).send();
        assert_eq!((answer.status, &*answer.code()), (421, "request.unknown_host"), "{host}");
    }
    nodes().header("host", "flow.example.org").send().expect(200);
    let own = format!("http://{}", site.address());
    let save = || site.request("POST", "/api/v1/workflows/validate").json(&json!({"nodes": []}));
    save().header("origin", &own).send().expect(200);
    for origin in ["https://evil.test", "null", "http://127.0.0.1:1"] {
        let answer = save().header("origin", origin).send();
        assert_eq!((answer.status, &*answer.code()), (403, "request.foreign_origin"), "{origin}");
        let listens = nodes().header("accept", "text/event-stream").header("origin", origin);
        assert_eq!(listens.send().status, 403, "{origin}");
    }
    // No site is told that it may read answers.
    let preflight = site.bare("OPTIONS", "/api/v1/workflows").header("origin", "https://evil.test");
    let answer = preflight.header("access-control-request-method", "POST").send();
    assert!(!answer.headers.keys().any(|name| name.starts_with("access-control")), "{answer:?}");
}

#[test]
fn s50_every_change_is_in_the_audit_log() {
    let site = Site::new();
    site.save("noted", json!([{"id": "a", "node_type": "debug.log", "config": {"message": 1}}]));
    let id = site.execute("noted", json!({}));
    let editor = site.token_of("editor");
    let delete = site.bare("DELETE", "/api/v1/workflows/noted").token(&editor);
    delete.send().expect(204);
    let log = site.get("/api/v1/audit").expect(200).json();
    let entries: Vec<(String, String, String)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |name: &str| row["entry"][name].as_str().unwrap().to_owned();
            (text("by"), text("action"), text("subject"))
        })
        .collect();
    let editor_id = entries[1].2.clone();
    let expected = [
        ("a editor".to_owned(), "workflow.delete".to_owned(), "noted".to_owned()),
        ("operator".to_owned(), "token.create".to_owned(), editor_id),
        ("operator".to_owned(), "execution.start".to_owned(), id),
        ("operator".to_owned(), "workflow.create".to_owned(), "noted".to_owned()),
    ];
    assert_eq!(entries, expected);
}
