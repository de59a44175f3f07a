//! Values of secrets are used in every way that there is, and then looked for everywhere.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use flowcore::NodeRegistry;
use flowruntime::FlowRuntime;
use flowstore::{Access, StoreUrl};
use serde_json::{Value as Json, json};

use crate::site::Site;

/// Goes into headers, and has nothing that any encoding changes but its case.
const PLAIN: &str = "cnry1-Vq8Zk3Wm7Tp5-Xh2Lr9Bd4Gs6";
/// Means something in URLs.
const URL: &str = "cnry2/Jf6+Nc1=Rv8&Yt3?Qw5 Mz7#Ke9";
/// Means something in JSON, HTML and scripts.
const TEXT: &str = "cnry3\"Hb4\\Pd6ÄUx9\nSg2'Oy5<Al8>";

const CANARIES: [&str; 3] = [PLAIN, URL, TEXT];

/// How a value may be seen although nobody wrote it so.
fn forms(canary: &str) -> Vec<(String, String)> {
    let bytes = canary.as_bytes();
    let middle = canary.char_indices().nth(canary.chars().count() / 2).unwrap().0;
    let (first, second) = canary.split_at(middle);
    let hex = |upper: bool| -> String {
        bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect()
    };
    let percent = |is_lower: bool, space: &str| -> String {
        let each = bytes.iter().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            b' ' => space.to_owned(),
            byte if is_lower => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        });
        each.collect()
    };
    let json = serde_json::to_string(canary).unwrap();
    let escaped = json[1..json.len() - 1].to_owned();
    let twice = serde_json::to_string(&escaped).unwrap();
    let reversed: String = canary.chars().rev().collect();
    let mut forms = vec![
        ("the first half".to_owned(), first.to_owned()),
        ("the second half".to_owned(), second.to_owned()),
        ("hex".to_owned(), hex(false)),
        ("HEX".to_owned(), hex(true)),
        ("percent".to_owned(), percent(false, "%20")),
        ("percent, lower".to_owned(), percent(true, "%20")),
        ("form".to_owned(), percent(false, "+")),
        ("JSON".to_owned(), escaped),
        ("JSON in JSON".to_owned(), twice[1..twice.len() - 1].to_owned()),
        ("upper".to_owned(), canary.to_uppercase()),
        ("lower".to_owned(), canary.to_lowercase()),
        ("reversed".to_owned(), reversed.clone()),
        ("halves reversed".to_owned(), format!("{second}{first}")),
        ("debug".to_owned(), format!("{canary:?}").trim_matches('"').to_owned()),
    ];
    for offset in 0..3 {
        // In the middle of something longer, only what is whole is known.
        let padded = [vec![0; offset], bytes.to_vec()].concat();
        for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            let encoded = engine.encode(&padded);
            forms.push((format!("{name} at {offset}"), encoded[4..encoded.len() - 4].to_owned()));
        }
    }
    forms
}

/// Where canaries were seen.
fn seen(places: &[(String, Vec<u8>)]) -> Vec<String> {
    let forms: Vec<_> = CANARIES
        .iter()
        .flat_map(|canary| forms(canary).into_iter().map(move |(name, form)| (canary, name, form)))
        .collect();
    let mut seen = Vec::new();
    for (place, bytes) in places {
        let text = String::from_utf8_lossy(bytes);
        for (canary, name, form) in &forms {
            if let Some(at) = text.find(form.as_str()) {
                let around: String = text[..at].chars().rev().take(200).collect();
                let around: String = around.chars().rev().collect();
                seen.push(format!("{place}: {:?} as {name}, after {around:?}", &canary[..5]));
            }
        }
    }
    seen
}

/// Answers requests, repeats nothing of them, and remembers all of them.
struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let memory = heard.clone();
        // It goes with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let memory = memory.clone();
                std::thread::spawn(move || answer(stream.unwrap(), &memory));
            }
        });
        Self { address, heard }
    }
}

fn answer(mut stream: TcpStream, heard: &Mutex<Vec<u8>>) {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    let is_whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
        request.len() >= head.len() + 4 + length.unwrap_or(0)
    };
    while !is_whole(&request) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(length) => request.extend(&part[..length]),
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    heard.lock().unwrap().extend(request);
    let (status, more) = if line.contains("/fails") {
        ("500 Internal Server Error", "")
    } else if line.contains("/moved") {
        ("302 Found", "location: /ok\r\n")
    } else {
        ("200 OK", "")
    };
    let _ = stream.write_all(
        format!(
            "HTTP/1.1 {status}\r\n{more}content-type: application/json\r\ncontent-length: 2\r\n\
             connection: close\r\n\r\n{{}}"
        )
        .as_bytes(),
    );
}

/// Nodes that use secrets, each in a workflow of its own.
fn nodes(listener: SocketAddr) -> Vec<Json> {
    let mut all = Vec::new();
    let mut node = |node_type: &str, config: Json| {
        all.push(json!({"id": "x", "node_type": node_type, "config": config}));
    };
    let templates = [
        "{{ S }}",
        "before {{ S }} after",
        "{{ S | upper }}",
        "{{ S | lower }}",
        "{{ S | base64 }}",
        "{{ S | replace('8', '9') }}",
        "{{ S | replace('cnry', '') }}",
        "{{ S | json }}",
        "{{ S | urlencode }}",
        "{{ S[::-1] }}",
        "{{ S[:16] }}",
        "{{ S[16:] }}",
        "{{ S ~ S }}",
        "{{ [S, {'k': S}] }}",
        "{{ {'a': S} | json }}",
        "{{ {S: 1} }}",
        "{{ S | list }}",
        "{{ S | bytes }}",
        "{{ S | length }}",
        "{{ S | string }}",
        "{{ S | title }}",
        "{{ S | split('-') }}",
        "{{ [S] | join(',') }}",
        "{{ S if S else 1 }}",
        "{{ S | escape }}",
        "{{ S | indent(2) }}",
        "{{ S | default('x') }}",
        "{{ '%s' | format(S) }}",
        "{{ inputs.none | default(S) }}",
        // These fail, and say why.
        "{{ S | int }}",
        "{{ S | float }}",
        "{{ S | bool }}",
        "{{ S | from_json }}",
        "{{ S | base64_decode }}",
        "{{ S + 1 }}",
        "{{ S.x.y }}",
        "{{ S | round }}",
        "{{ S < 1 }}",
        "{{ S % 2 }}",
        "{{ -S }}",
        "{{ S * S }}",
        "{{ {'a': 1}[S] }}",
        "{{ [1][S] }}",
        "{{ {'a': 1} | attr(S) }}",
        "{{ S | attr('x') }}",
        "{{ S | dictsort }}",
        "{{ 1 in S }}",
        "{{ S | groupby('x') }}",
        "{{ S | map('x') | list }}",
        "{{ [S] | sum }}",
        "{{ S(1) }}",
        "{{ [S] | map(S) | list }}",
        "{{ S | replace(1, 2) }}",
        "{{ S | batch(S) }}",
    ];
    for name in ["plain", "url", "text"] {
        let secret = format!("secrets.{name}");
        for template in templates {
            node("debug.log", json!({"message": template.replace('S', &secret)}));
        }
        let s = format!("{{{{ {secret} }}}}");
        for (node_type, config) in [
            ("transform.json_parse", json!({"json": s})),
            ("transform.json_parse", json!({"json": format!("{{\"a\": {s}}}")})),
            ("transform.csv_parse", json!({"csv": format!("a,b\n{s}")})),
            ("transform.xml_parse", json!({"xml": format!("<a>{s}</b>")})),
            ("transform.base64", json!({"input": s})),
            ("transform.base64", json!({"input": s, "mode": "decode"})),
            ("transform.json_stringify", json!({"value": {"k": s}})),
            ("transform.hash", json!({"input": s, "format": "base64"})),
            ("crypto.hmac", json!({"message": "m", "key": s, "key_format": "hex"})),
            ("crypto.hmac", json!({"message": s, "key": s})),
            ("crypto.hmac", json!({"message": s, "key": s, "mode": "verify", "signature": s})),
            ("transform.validate", json!({"input": s, "schema": {"type": "integer"}})),
            ("transform.validate", json!({"input": s, "schema": {"enum": ["x"]}})),
            (
                "transform.validate",
                json!({"input": {"a": s}, "on_invalid": "report",
                "schema": {"properties": {"a": {"pattern": "^x$"}}, "additionalProperties": false}}),
            ),
            ("transform.jq", json!({"input": s, "filter": "error"})),
            ("transform.jq", json!({"input": s, "filter": "tonumber"})),
            (
                "transform.jq",
                json!({"input": {"a": s}, "filter": ".a | @base64, ascii_upcase", "results": "all"}),
            ),
            ("transform.jq", json!({"input": {"a": s}, "filter": ".a + 1"})),
            ("transform.jq", json!({"input": {"a": s}, "filter": "{(.a): 1} | keys"})),
            (
                "transform.jsonlogic",
                json!({"input": {"a": s}, "logic": {"cat": [{"var": "a"}, "!"]}}),
            ),
            ("transform.jsonlogic", json!({"input": {"a": s}, "logic": {"throw": {"var": "a"}}})),
            ("transform.jsonlogic", json!({"input": {"a": s}, "logic": {"+": [{"var": "a"}, 1]}})),
            (
                "transform.template",
                json!({"values": {"v": s}, "template": "{{ v }}-{{ v | upper }}"}),
            ),
            ("transform.template", json!({"values": {"v": s}, "template": "{{ v | int }}"})),
            (
                "transform.template",
                json!({"values": {"v": s}, "template": "{{ v.x.y }}{{ v + 1 }}"}),
            ),
            ("transform.map", json!({"input": [s], "expression": "item ~ '!'"})),
            ("transform.map", json!({"input": [s], "expression": "item + 1"})),
            ("transform.map", json!({"input": [s], "fields": {"k": "item"}})),
            ("transform.filter", json!({"input": [s], "condition": "item"})),
            ("transform.sort", json!({"input": [s, 1]})),
            ("control.fail", json!({"message": s})),
            ("control.fail", json!({"message": format!("it failed with {s}"), "code": "own.code"})),
            ("control.stop", json!({"reason": s})),
            ("wait.signal", json!({"key": s})),
            ("wait.approval", json!({"key": s, "message": s})),
            (
                "control.for_each",
                json!({"items": [s, s], "body": {
                "nodes": [{"id": "y", "node_type": "debug.log", "config": {"message": "{{ item }}"}}],
                "outputs": "{{ nodes.y.message }}"}}),
            ),
            (
                "control.for_each",
                json!({"items": [s], "on_item_error": "collect", "body": {
                "nodes": [{"id": "y", "node_type": "control.fail", "config": {"message": "{{ item }}"}}]}}),
            ),
            (
                "control.for_each",
                json!({"items": s, "body": {
                "nodes": [{"id": "y", "node_type": "debug.log", "config": {"message": 1}}]}}),
            ),
            (
                "control.loop",
                json!({"state": s, "max_iterations": 2, "until": "index == 1", "body": {
                "nodes": [{"id": "y", "node_type": "debug.log", "config": {"message": "{{ state }}"}}],
                "outputs": "{{ nodes.y.message }}"}}),
            ),
            (
                "control.try",
                json!({
                "body": {"nodes": [{"id": "y", "node_type": "control.fail", "config": {"message": s}}]},
                "catch": {"nodes": [{"id": "z", "node_type": "debug.log",
                    "config": {"message": "{{ error.message }}"}}], "outputs": "{{ error }}"}}),
            ),
            ("control.if", json!({"condition": format!("{secret} == 'x'"), "input": s})),
            ("control.if", json!({"condition": format!("{secret} < 1")})),
            ("control.if", json!({"condition": secret})),
            (
                "control.switch",
                json!({"input": s,
                "cases": [{"port": "a", "when": format!("{secret} == 'x'")}]}),
            ),
            ("workflow.call", json!({"workflow": "called", "inputs": {"n": s}})),
            ("time.until", json!({"at": s})),
            ("shell.exec", json!({"command": s})),
            ("shell.exec", json!({"command": "true", "args": [s], "env": {"K": s}, "stdin": s})),
            ("shell.exec", json!({"command": "false", "args": [s]})),
            ("shell.exec", json!({"command": "true", "workdir": s})),
            ("shell.exec", json!({"command": "true", "env": {"K=": s}})),
            ("file.read", json!({"path": s})),
            ("file.write", json!({"path": s, "content": s})),
            ("file.list", json!({"path": s})),
            ("sql.query", json!({"database": s, "query": "SELECT 1"})),
            ("sql.query", json!({"database": format!("sqlite://{s}"), "query": "SELECT 1"})),
            (
                "sql.query",
                json!({"database": format!("postgres://u:{s}@127.0.0.1:1/db"), "query": "SELECT 1"}),
            ),
            ("sql.query", json!({"database": "sqlite://:memory:", "query": s})),
        ] {
            node(node_type, config);
        }
        let at = format!("http://{listener}");
        for (url, more) in [
            (format!("{at}/ok"), json!({"method": "POST", "body": s})),
            (format!("{at}/ok"), json!({"method": "POST", "body": {"k": [s]}})),
            (format!("{at}/ok"), json!({"headers": {"authorization": format!("Bearer {s}")}})),
            (format!("{at}/ok"), json!({"headers": {"x-key": s, "x": "y"}})),
            (format!("{at}/ok"), json!({"query": {"key": s}})),
            (format!("{at}/ok?key={s}"), json!({})),
            (format!("{at}/ok?key={{{{ {secret} | urlencode }}}}"), json!({})),
            (format!("{at}/{{{{ {secret} | urlencode }}}}"), json!({})),
            (format!("http://user:{{{{ {secret} | urlencode }}}}@{listener}/ok"), json!({})),
            (format!("http://user:{{{{ {secret} | urlencode }}}}@{listener}/fails"), json!({})),
            (format!("{at}/fails?key={{{{ {secret} | urlencode }}}}"), json!({})),
            (format!("{at}/fails"), json!({"query": {"key": s}, "headers": {"x-key": s}})),
            (format!("{at}/moved?key={{{{ {secret} | urlencode }}}}"), json!({})),
            // Nobody listens, or it is not allowed to go there, or it is no URL.
            (format!("http://user:{{{{ {secret} | urlencode }}}}@127.0.0.1:1/?k={s}"), json!({})),
            (format!("http://{s}.invalid/"), json!({})),
            (format!("http://10.0.0.1/{{{{ {secret} | urlencode }}}}"), json!({})),
            (
                format!("https://{listener}/{{{{ {secret} | urlencode }}}}"),
                json!({"timeout_ms": 2000}),
            ),
            (s.clone(), json!({})),
            (format!("{s}://host/"), json!({})),
            (format!("{at}/ok"), json!({"method": s})),
            (format!("{at}/ok"), json!({"headers": {"x-key": format!("a\r\n{s}")}})),
        ] {
            let mut config = more;
            config["url"] = url.into();
            node("http.request", config);
        }
    }
    all
}

/// All that the server tells of an execution.
fn told(site: &Site, id: &str, places: &mut Vec<(String, Vec<u8>)>) {
    let path = format!("/api/v1/executions/{id}");
    let events: String = site
        .request("GET", &format!("{path}/events"))
        .listen()
        .map(|event| format!("{} {}\n", event.name, event.data))
        .collect();
    places.push((format!("{path}/events"), events.into_bytes()));
    for more in ["", "?full=true", "/journal?limit=500", "/logs?limit=500", "/graph"] {
        let path = format!("{path}{more}");
        let answer = site.get(&path).expect(200);
        places.push((path, answer.body));
    }
}

/// What an execution is as a file, made beside the server.
fn exported(file: &Path, ids: &[String]) -> Vec<(String, Vec<u8>)> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async {
        let url = StoreUrl::Sqlite(file.to_owned());
        let home = flowstore::open_home(&url, Access::Visit).await.unwrap();
        let mut registry = NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let runtime = FlowRuntime::builder().registry(registry).store(home).build().unwrap();
        let mut all = Vec::new();
        for id in ids {
            let export = runtime.export(id.parse().unwrap()).await.unwrap().unwrap();
            all.push((format!("export of {id}"), serde_json::to_vec(&export).unwrap()));
        }
        all
    })
}

#[test]
fn s48_canaries_are_nowhere_but_where_they_were_sent() {
    let listener = Listener::new();
    let target = listener.address.to_string();
    let arguments =
        ["--allow-target", &*target, "--allow-program", "true", "--allow-program", "false"];
    let more = ["--allow-target", "127.0.0.1:1"];
    let arguments = [&arguments[..], &more[..]].concat();
    let mut site = Site::new();
    site.kill();
    site.start_with(&arguments, &[("FLOW_LOG", "debug")]);
    for (name, canary) in [("plain", PLAIN), ("url", URL), ("text", TEXT)] {
        site.give(name, canary);
    }
    let mut places = Vec::new();
    let called = json!({
        "id": "called",
        "inputs": {"n": {"type": "string"}},
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "{{ inputs.n }}"}}],
        "outputs": {"n": "{{ inputs.n }}"},
    });
    site.post("/api/v1/workflows", &called).expect(201);
    let (mut ids, mut ends) = (Vec::new(), std::collections::BTreeMap::new());
    for node in nodes(listener.address) {
        let body = json!({"workflow": {"nodes": [node]}});
        let answer = site.post("/api/v1/executions?wait=60s", &body);
        places.push((format!("the answer to {node}"), answer.body.clone()));
        if answer.status == 200 {
            let ended = answer.json();
            *ends.entry(ended["status"].as_str().unwrap().to_owned()).or_insert(0) += 1;
            ids.push(ended["id"].as_str().unwrap().to_owned());
        } else {
            // What can never run is refused with a problem.
            assert_eq!(answer.status, 422, "{node}: {answer:?}");
        }
        assert!(matches!(answer.status, 200 | 422), "{node}");
    }
    // Both happened a lot, or nothing is shown by this.
    assert!(ends["Succeeded"] > 100 && ends["Failed"] > 100, "{ends:?}");
    // One goes on after a crash with what it was given before.
    let waits = json!({"workflow": {"nodes": [
        {"id": "made", "node_type": "transform.base64", "config": {"input": "{{ secrets.plain }}"}},
        {"id": "ask", "node_type": "wait.approval", "config": {"message": "{{ secrets.text }}"},
         "when": "nodes.made.output is defined"},
        {"id": "send", "node_type": "http.request", "config": {
            "method": "POST", "url": format!("http://{target}/sealed"), "body": "{{ nodes.made.output }}"},
         "when": "nodes.ask.approved is defined"},
    ]}});
    let accepted = site.post("/api/v1/executions", &waits).expect(202).json();
    let id = accepted["id"].as_str().unwrap().to_owned();
    site.until(&id, "NodeWaiting");
    let path = format!("/api/v1/executions/{id}");
    site.post(&format!("{path}/pause"), &json!({})).expect(202);
    site.until(&id, "Paused");
    site.signal("KILL");
    let (_, log) = site.wait();
    places.push(("the log".to_owned(), log.into_bytes()));
    site.start_with(&arguments, &[("FLOW_LOG", "debug")]);
    site.post(&format!("{path}/resume"), &json!({})).expect(202);
    site.post(&format!("{path}/approvals/ask"), &json!({"approved": true})).expect(202);
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    ids.push(id);
    // Again, from the start and from a node.
    for body in [json!({}), json!({"from": "x"})] {
        let path = format!("/api/v1/executions/{}/rerun?wait=60s", ids[0]);
        let answer = site.post(&path, &body).expect(200);
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        places.push((path, answer.body));
    }
    for id in &ids {
        told(&site, id, &mut places);
    }
    let mut paths = vec!["/api/v1/audit?all=true&limit=500".to_owned()];
    for path in ["metrics", "openapi.json", "readyz"] {
        paths.push(format!("/{path}"));
    }
    for path in [
        "executions?limit=500",
        "workflows",
        "workflows/called",
        "secrets",
        "projects",
        "tokens",
        "schedules",
        "nodes",
    ] {
        paths.push(format!("/api/v1/{path}"));
    }
    for path in paths {
        let answer = site.get(&path).expect(200);
        places.push((path, answer.body));
    }
    places.extend(exported(&site.data().join("flow.db"), &ids));
    // As they are while the server runs, and after it has ended.
    for moment in ["running", "ended"] {
        for file in std::fs::read_dir(site.data()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            places.push((format!("{} ({moment})", path.display()), bytes));
        }
        if moment == "running" {
            site.signal("TERM");
            let (_, log) = site.wait();
            places.push(("the second log".to_owned(), log.into_bytes()));
        }
    }
    // They were sent where they belong: what is looked for can be found.
    let heard = [("the listener".to_owned(), listener.heard.lock().unwrap().clone())];
    assert!(seen(&heard).len() > 8, "{:?}", seen(&heard));
    let sealed = STANDARD.encode(PLAIN);
    let heard = String::from_utf8_lossy(&heard[0].1).into_owned();
    let at = heard.find("POST /sealed").map(|at| heard[at..].contains(&sealed));
    assert_eq!(at, Some(true));
    let seen = seen(&places);
    let first: Vec<&str> = seen.iter().take(20).map(String::as_str).collect();
    assert!(seen.is_empty(), "{} times, such as\n{}", seen.len(), first.join("\n"));
}
