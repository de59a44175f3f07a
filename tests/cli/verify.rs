//! `flowcli verify` through the binary: real effects are not repeated, and lies are named.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::support::flowcli;

/// A request: its path and its idempotency key.
type Request = (String, Option<String>);

/// A server that counts. `/numbered` answers with how often it was asked, `/keyed` with the same for
/// the same key.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let all = requests.clone();
        std::thread::spawn(move || {
            let mut keys = BTreeMap::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some((path, key)) = read(&stream) else { continue };
                all.lock().unwrap().push((path.clone(), key.clone()));
                let count = all.lock().unwrap().len();
                let number = match path.as_str() {
                    "/keyed" => *keys.entry(key).or_insert(count),
                    "/numbered" => count,
                    _ => 1,
                };
                answer(stream, &json!({ "number": number }).to_string());
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|(other, _)| other == path).count()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut key, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => key = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, key))
}

fn answer(mut stream: TcpStream, body: &str) {
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
}

fn write(folder: &Path, name: &str, workflow: &Json) {
    fs::write(folder.join(name), serde_json::to_string_pretty(workflow).unwrap()).unwrap();
}

/// The exit code, the report as JSON and the messages.
fn verify(folder: &Path, arguments: &[&str]) -> (Option<i32>, Json, String) {
    let all = ["verify", "workflow.json", "--output", "json"].iter().chain(arguments);
    let output = flowcli(folder, all).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), messages)
}

fn request(server: &Server, id: &str, method: &str, path: &str) -> Json {
    json!({ "id": id, "node_type": "http.request",
            "config": { "method": method, "url": format!("{}{path}", server.url) } })
}

fn chain(ids: &[&str]) -> Json {
    ids.windows(2).map(|pair| json!({ "from_node": pair[0], "to_node": pair[1] })).collect()
}

/// Twelve nodes: requests, computations, a loop over items, a wait and a retry.
fn twelve(server: &Server) -> Json {
    let mut charge = request(server, "charge", "POST", "/charge");
    charge["effect"] = json!("once");
    let compute = |id: &str, of: &str| {
        let (input, filter) = of.split_once(" | ").unwrap();
        let input = format!("{{{{ {input} }}}}");
        json!({ "id": id, "node_type": "transform.jq",
                "config": { "input": input, "filter": filter } })
    };
    let each = json!({ "id": "each", "node_type": "control.for_each", "config": {
        "items": "{{ [1, 2, 3] }}",
        "body": { "nodes": [request(server, "ship", "PUT", "/ship/{{ item }}")] } } });
    json!({ "id": "twelve", "nodes": [
        request(server, "order", "GET", "/order"),
        compute("price", "nodes.order.json.number | . * 40"),
        compute("tax", "nodes.price.output | . * 2"),
        compute("total", "[nodes.price.output, nodes.tax.output] | add"),
        charge,
        request(server, "book", "POST", "/book"),
        each,
        { "id": "pause", "node_type": "time.delay", "config": { "delay_ms": 20 } },
        compute("label", "nodes.total.output | \"order \\(.)\""),
        request(server, "mail", "POST", "/mail"),
        compute("done", "[nodes.label.output, nodes.mail.status] | map(tostring) | join(\" \")"),
        request(server, "close", "DELETE", "/order"),
    ], "connections": chain(&["order", "total", "charge", "book", "each", "pause", "label", "mail", "done", "close"]),
    "outputs": { "done": "{{ nodes.done.output }}" } })
}

#[test]
fn a_workflow_of_twelve_nodes_is_proved_and_every_request_is_made_once() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start());
    write(folder.path(), "workflow.json", &twelve(&server));
    let (code, report, messages) = verify(folder.path(), &[]);
    assert_eq!((code, &report["sound"]), (Some(0), &json!(true)), "{report:#}\n{messages}");
    let mut paths: Vec<String> = server.requests().into_iter().map(|(path, _)| path).collect();
    paths.sort();
    let expected =
        ["/book", "/charge", "/mail", "/order", "/order", "/ship/1", "/ship/2", "/ship/3"];
    assert_eq!(paths, expected, "{report:#}");
    let crashes = &report["crashes"];
    assert!(crashes["count"].as_u64().unwrap() > 100, "{crashes}");
    assert_eq!(crashes["points"], crashes["writes"]);
    // What may not start twice was cut off in some, and did not.
    assert!(crashes["outcome_unknown"]["charge"].as_u64().unwrap() > 0, "{crashes}");
    assert!(crashes["ran"].as_u64() > crashes["count"].as_u64(), "{crashes}");
    let nodes = report["nodes"].as_array().unwrap();
    let named = |recorded: bool| -> Vec<&str> {
        let nodes = nodes.iter().filter(|node| node["recorded"] == json!(recorded));
        nodes.map(|node| node["node"].as_str().unwrap()).collect()
    };
    assert_eq!(named(true), ["order", "charge", "book", "each.ship", "mail", "close"]);
    assert_eq!(named(false), ["price", "tax", "total", "label", "done"]);
}

#[test]
fn a_node_is_really_run_twice_with_one_key() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start());
    let nodes = |path: &str| {
        let use_it = json!({ "id": "use", "node_type": "transform.jq",
            "config": { "input": "{{ nodes.charge.json.number }}", "filter": ". + 1" } });
        json!({ "nodes": [request(&server, "charge", "POST", path), use_it] })
    };
    write(folder.path(), "workflow.json", &nodes("/keyed"));
    let (code, report, messages) = verify(folder.path(), &["--twice", "charge", "--yes"]);
    assert_eq!(code, Some(0), "{report:#}\n{messages}");
    assert_eq!(report["twice"], json!({ "node": "charge", "attempts": 1, "differences": [] }));
    let keys: Vec<Option<String>> = server.requests().into_iter().map(|(_, key)| key).collect();
    assert!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "{keys:?}");

    write(folder.path(), "workflow.json", &nodes("/numbered"));
    let (code, report, _) = verify(folder.path(), &["--twice", "charge", "--yes"]);
    assert_eq!((code, &report["sound"]), (Some(1), &json!(false)), "{report:#}");
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["node"]),
        (&json!("verify.twice_differs"), &json!("charge"))
    );
    let difference = finding["differences"].to_string();
    assert!(difference.contains("expected 3, got 4"), "{difference}");
    assert_eq!(server.count("/numbered"), 2);
}

fn folder_with(workflow: &Json) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "workflow.json", workflow);
    folder
}

fn shell(id: &str, command: &str) -> Json {
    json!({ "id": id, "node_type": "shell.exec", "config": { "shell": true, "command": command } })
}

#[test]
fn what_fails_is_verified_too_with_attempts_undos_and_time_outs() {
    let mut flaky = shell("flaky", "echo x >> tries; test $(wc -l < tries) -gt 2");
    flaky["retry_policy"] = json!({ "max_attempts": 4, "delay_ms": 10 });
    let mut book = shell("book", "echo booked >> effects");
    book["undo"] = json!({ "node_type": "shell.exec",
        "config": { "shell": true, "command": "echo undone >> effects" } });
    let mut slow = shell("slow", "sleep 20");
    slow["timeout_ms"] = json!(50);
    let folder = folder_with(&json!({ "nodes": [flaky, book, slow],
        "connections": chain(&["flaky", "book", "slow"]) }));
    let (code, report, messages) = verify(folder.path(), &[]);
    assert_eq!(code, Some(0), "{report:#}\n{messages}");
    assert_eq!(report["run"]["error"], json!("node.timed_out"));
    assert_eq!(report["run"]["attempts"], json!(6));
    let effects = fs::read_to_string(folder.path().join("effects")).unwrap();
    assert_eq!(effects, "booked\nundone\n");
    assert_eq!(fs::read_to_string(folder.path().join("tries")).unwrap().lines().count(), 3);
}

#[test]
fn secrets_are_not_in_the_report() {
    let mut liar = shell("liar", "echo $$ $TOKEN");
    liar["effect"] = json!("pure");
    liar["config"]["env"] = json!({ "TOKEN": "{{ secrets.token }}" });
    let folder = folder_with(&json!({ "nodes": [liar] }));
    fs::write(folder.path().join("secrets.env"), "token=c4n4ry").unwrap();
    let (code, report, messages) = verify(folder.path(), &["--secrets-file", "secrets.env"]);
    assert_eq!((code, &report["findings"][0]["node"]), (Some(1), &json!("liar")), "{report:#}");
    assert!(!format!("{report}{messages}").contains("c4n4ry"), "{report:#}\n{messages}");
    let human =
        flowcli(folder.path(), ["verify", "workflow.json", "--secrets-file", "secrets.env"]);
    let output = { human }.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("liar") && text.contains("•••") && !text.contains("c4n4ry"), "{text}");
}
