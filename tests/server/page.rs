//! The page of the server, and the page about it: what it says to type works.

use std::process::Command;

use serde_json::json;

use crate::site::Site;

const PAGE: &str = include_str!("../../docs/server.md");

#[test]
fn the_commands_with_curl_do_what_the_page_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        return testkit::skipped("curl");
    }
    let site = Site::new();
    let section = PAGE.split("\n## ").find(|section| section.starts_with("With curl\n")).unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    let script = script
        .replace("flow-data/token", site.data().join("token").to_str().unwrap())
        .replace("127.0.0.1:8080", &site.address().to_string());
    let output = Command::new("sh").args(["-e", "-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    for said in [
        r#""version":1"#,
        r#""outputs":{"n":42}"#,
        "event: NodeWaiting",
        "event: WorkflowCompleted",
        r#""outputs":{"n":200}"#,
    ] {
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }
}

#[test]
fn s15_the_page_is_whole_and_loads_nothing_from_elsewhere() {
    let site = Site::new();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = site.bare("GET", path).send().expect(200);
        assert_eq!(answer.headers["content-type"], content_type);
        assert!(answer.headers["content-security-policy"].contains("script-src 'self'"));
        let text = answer.text();
        // The name of a namespace is no address that anybody asks for.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for word in
            ["http:", "https:", "//cdn", "@import", "innerHTML", "onclick=", "<style", "eval("]
        {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
    let html = site.bare("GET", "/").send().text();
    assert!(html.contains(r#"<script src="/app.js">"#) && html.contains(r#"href="/style.css""#));
}

#[test]
fn s09_a_browser_signs_in_with_a_cookie_that_only_the_servers_own_pages_send() {
    let site = Site::new();
    let sign_in = |token: &str| site.bare("POST", "/session").json(&json!({"token": token})).send();
    assert_eq!(sign_in("nonsense").expect(401).code(), "auth.unknown_token");
    let answer = sign_in(&site.token()).expect(204);
    let set = &answer.headers["set-cookie"];
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap();
    let ask = |method: &str, path: &str| site.bare(method, path).header("cookie", cookie);
    ask("GET", "/api/v1/executions").send().expect(200);
    let save = || ask("POST", "/api/v1/workflows/validate").json(&json!({"nodes": []}));
    save().header("origin", &format!("http://{}", site.address())).send().expect(200);
    let foreign = save().header("origin", "https://evil.test").send().expect(403);
    assert_eq!(foreign.code(), "request.foreign_origin");
    let listens = ask("GET", "/api/v1/executions").header("accept", "text/event-stream");
    listens.header("origin", "https://evil.test").send().expect(403);
    let out = ask("DELETE", "/session").send().expect(204);
    assert!(out.headers["set-cookie"].starts_with("flow_session=;"));
}
