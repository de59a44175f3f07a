//! `flowcli --server`, against a server as people start it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value as Json, json};

use crate::site::Site;

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The command failed so, and says all of this.
    #[track_caller]
    fn fails(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "no {text:?} in:\n{}", self.err);
        }
    }
}

/// The program that the server's tests find beside it.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_flowserver")).with_file_name("flowcli");
    assert!(path.exists(), "{} is not built: `cargo build -p flowcli` does", path.display());
    path
}

/// The folder of the files of these tests.
fn folder(site: &Site) -> PathBuf {
    site.data().parent().unwrap().to_owned()
}

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLOW_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder(site)).env("NO_COLOR", "1");
    command.env("FLOW_SERVER", format!("http://{}", site.address()));
    command.env("FLOW_TOKEN_FILE", site.data().join("token"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) fn flowcli(site: &Site, arguments: &[&str]) -> Said {
    said(command(site, arguments).spawn().unwrap())
}

fn write(site: &Site, name: &str, text: &str) {
    std::fs::write(folder(site).join(name), text).unwrap();
}

/// An address that leads to a server which may be another one after a while.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let current = target.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // Where nobody is, the client is let go.
                let target = *current.lock().unwrap();
                let Ok(server) = TcpStream::connect(target) else { continue };
                pass(client.try_clone().unwrap(), server.try_clone().unwrap());
                pass(server, client);
            }
        });
        Self { address, target }
    }

    fn moves_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

/// Passes on what comes, and the end of it.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
}

const DOUBLE: &str = r#"
  { "inputs": { "n": { "type": "integer" } },
    "nodes": [
      { "id": "twice", "node_type": "debug.log", "config": { "message": "{{ inputs.n * 2 }}" } }
    ],
    "outputs": { "n": "{{ nodes.twice.message }}" } }
"#;

const WAITS: &str = r#"{ "id": "waits", "nodes": [
  { "id": "first", "node_type": "debug.log", "config": { "message": "1" } },
  { "id": "ask", "node_type": "wait.approval", "config": { "message": "go on?" } },
  { "id": "last", "node_type": "debug.log", "config": { "message": "2" } }
], "connections": [{ "from_node": "ask", "from_port": "approved", "to_node": "last" }],
  "outputs": { "done": "{{ nodes.last.message }}" } }"#;

/// The one execution of a site.
fn only_id(site: &Site) -> String {
    let list = site.get("/api/v1/executions").expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    list["items"][0]["id"].as_str().unwrap().to_owned()
}

/// Waits until an execution is there, and then until it waits for somebody.
fn waiting_id(site: &Site) -> String {
    let begun = std::time::Instant::now();
    while site.get("/api/v1/executions").json()["items"][0].is_null() {
        assert!(begun.elapsed().as_secs() < 60, "nothing was started");
        std::thread::yield_now();
    }
    let id = only_id(site);
    site.until(&id, "NodeWaiting");
    id
}

#[test]
fn a_file_runs_on_the_server_and_is_shown_as_if_it_ran_here() {
    let site = Site::new();
    write(&site, "double.json", DOUBLE);
    let said = flowcli(&site, &["run", "double.json", "-i", "n=21"]).ok();
    assert_eq!(said.json(), json!({"n": 42}));
    let id = only_id(&site);
    for text in [&*format!("execution {id} in http://"), "twice", "double: succeeded in"] {
        assert!(said.err.contains(text), "no {text:?} in:\n{}", said.err);
    }
    let found = site.get(&format!("/api/v1/executions/{id}")).expect(200).json();
    assert_eq!((&found["workflow_id"], &found["inputs"]["n"]), (&json!("double"), &json!(21)));
    // Every event, as the server's journal has them.
    let lines = flowcli(&site, &["run", "double.json", "-i", "n=1", "--output", "ndjson"]).ok();
    let events: Vec<Json> =
        lines.out.lines().map(|one| serde_json::from_str(one).unwrap()).collect();
    let other = events[0]["execution_id"].as_str().unwrap();
    let journal = site.get(&format!("/api/v1/executions/{other}/journal")).expect(200).json();
    let facts: Vec<Json> = events.iter().filter(|one| one.get("seq").is_some()).cloned().collect();
    assert_eq!(journal["items"], Json::from(facts));
    let result = flowcli(&site, &["-q", "run", "double.json", "-i", "n=2", "--output", "result"]);
    let result = result.ok();
    assert_eq!(result.err, "");
    assert_eq!(result.json()["outputs"], json!({"n": 4}));
    assert_eq!(result.json()["nodes"]["twice"]["status"], "Succeeded");
}

#[test]
fn yaml_and_saved_workflows_run_too_and_a_key_makes_a_start_once() {
    let site = Site::new();
    write(
        &site,
        "hello.yaml",
        "nodes:\n  - id: a\n    node_type: debug.log\n    config: {message: hi}\n",
    );
    flowcli(&site, &["run", "hello.yaml"]).ok();
    write(&site, "double.json", DOUBLE);
    let saved = flowcli(&site, &["workflows", "save", "double.json"]).ok();
    assert_eq!(saved.out, "double@1\n");
    let ids = [(), ()].map(|()| {
        let arguments =
            ["run", "double", "-i", "n=4", "--key", "order-7", "--output", "none", "--detach"];
        flowcli(&site, &arguments).ok().out
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(site.end_of(ids[0].trim())["outputs"], json!({"n": 8}));
    assert_eq!(flowcli(&site, &["run", "double@1", "-i", "n=1"]).ok().json(), json!({"n": 2}));
    flowcli(&site, &["run", "double@2", "-i", "n=1"]).fails(4, &["error[workflow.not_found]"]);
    let other = flowcli(&site, &["run", "double", "-i", "n=5", "--key", "order-7"]);
    other.fails(5, &["error[execution.key_conflict]"]);
}

#[test]
fn what_is_wrong_is_shown_with_its_place_in_the_file() {
    let site = Site::new();
    write(
        &site,
        "bad.json",
        "\n{ \"nodes\": [\n  { \"id\": \"a\", \"node_type\": \"debug.lag\" }\n] }",
    );
    write(&site, "bad.yaml", "nodes:\n  - id: a\n    node_type: debug.lag\n");
    for verb in [&["run"][..], &["validate"], &["workflows", "save"]] {
        for (file, place) in [("bad.json", "bad.json:3:29"), ("bad.yaml", "bad.yaml:3:16")] {
            let said = flowcli(&site, &[verb, &[file]].concat());
            let texts = ["error[node.unknown_type]", place, "did you mean `debug.log`?"];
            said.fails(3, &texts);
        }
    }
    write(&site, "double.json", DOUBLE);
    flowcli(&site, &["run", "double.json", "-i", "n=x"]).fails(3, &["error[", "`n`"]);
    assert_eq!(flowcli(&site, &["validate", "double.json"]).ok().out, "double.json: ok\n");
}

#[test]
fn an_execution_that_fails_is_told_as_here() {
    let site = Site::new();
    write(
        &site,
        "fails.json",
        r#"{ "nodes": [{ "id": "parse", "node_type": "transform.json_parse", "config": { "json": "{" } }] }"#,
    );
    let there = flowcli(&site, &["run", "fails.json"]);
    there.fails(1, &["node `parse` failed", "node type transform.json_parse, 1 attempt"]);
    assert_eq!(there.out, "");
    let here =
        said(command(&site, &["run", "fails.json"]).env_remove("FLOW_SERVER").spawn().unwrap());
    let error = |said: &Said| {
        let from = said.err.find("error[").unwrap();
        said.err[from..].lines().next().unwrap().to_owned()
    };
    assert_eq!(error(&there), error(&here));
    assert_eq!(here.code, there.code);
}

#[test]
fn executions_are_looked_at_and_told_things() {
    let site = Site::new();
    write(&site, "waits.json", WAITS);
    let id = flowcli(&site, &["run", "waits.json", "--detach"]).ok().out.trim().to_owned();
    site.until(&id, "NodeWaiting");
    let begin = &id[..13];
    let list = flowcli(&site, &["executions", "list", "--output", "json"]).ok().json();
    assert_eq!(list, json!({"items": site.get("/api/v1/executions").json()["items"]}));
    let shown = flowcli(&site, &["executions", "show", begin, "--output", "json"]).ok().json();
    assert_eq!(shown, site.get(&format!("/api/v1/executions/{id}")).json());
    let human = flowcli(&site, &["executions", "show", begin, "--full"]).ok().out;
    assert!(human.contains(&format!("{id} Waiting")) && human.contains("first"), "{human}");
    flowcli(&site, &["executions", "pause", begin]).ok();
    site.until(&id, "Paused");
    flowcli(&site, &["executions", "resume", begin]).ok();
    flowcli(&site, &["executions", "signal", begin, "nonsense"])
        .fails(2, &["error[signal.unknown_name]", "it waits for `ask`"]);
    flowcli(&site, &["executions", "signal", begin, "ask", "true"]).ok();
    assert_eq!(site.end_of(&id)["status"], "Succeeded");
    let logs = flowcli(&site, &["executions", "logs", begin, "--follow"]).ok();
    assert!(logs.out.contains("first: 1"), "{}", logs.out);
    let exported = flowcli(&site, &["executions", "export", begin]).ok();
    write(&site, "export.json", &exported.out);
    let replayed = flowcli(&site, &["replay", "export.json"]).ok();
    assert!(replayed.err.contains("Succeeded; nothing was run"), "{}", replayed.err);
    let again = flowcli(&site, &["executions", "rerun", begin, "--from", "last"]).ok();
    assert_eq!(again.json(), json!({"done": "2"}));
    let ended = flowcli(&site, &["executions", "cancel", begin]);
    ended.fails(5, &["error[execution.finished]"]);
    flowcli(&site, &["executions", "show", "ffffffff"]).fails(4, &["error[execution.not_found]"]);
    flowcli(&site, &["executions", "prune", "--keep", "1", "--yes"])
        .fails(2, &["error[cli.not_here]"]);
}

#[test]
fn long_lists_come_whole_and_go_on() {
    let site = Site::new();
    site.save("one", json!([{"id": "a", "node_type": "debug.log", "config": {"message": "x"}}]));
    let ids: Vec<String> = (0..7).map(|_| site.execute("one", json!({}))).collect();
    let part = |after: Option<&str>| {
        let mut arguments = vec!["executions", "list", "--limit", "3", "--output", "json"];
        arguments.extend(after.iter().flat_map(|cursor| ["--after", cursor]));
        flowcli(&site, &arguments).ok().json()
    };
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let list = part(cursor.as_deref());
        let items = list["items"].as_array().unwrap().clone();
        seen.extend(items.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        cursor = list["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, ids);
    let bad = flowcli(&site, &["executions", "list", "--after", "nonsense"]);
    bad.fails(3, &["error[request.bad_cursor]"]);
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn the_first_signal_cancels_on_the_server_too_and_a_time_limit_does() {
    let site = Site::new();
    write(&site, "waits.json", WAITS);
    let child = command(&site, &["run", "waits.json"]).spawn().unwrap();
    let id = waiting_id(&site);
    signal(&child, "INT");
    said(child).fails(130, &["cancelling; Ctrl-C again aborts at once", "waits: cancelled in"]);
    assert_eq!(site.end_of(&id)["status"], "Cancelled");
    let late = flowcli(&site, &["run", "waits.json", "--timeout", "100ms"]);
    late.fails(6, &["the execution took longer than `--timeout 100ms`"]);
}

#[test]
fn who_only_watches_ends_nothing() {
    let site = Site::new();
    write(&site, "waits.json", WAITS);
    let id = flowcli(&site, &["run", "waits.json", "--detach"]).ok().out.trim().to_owned();
    site.until(&id, "NodeWaiting");
    let mut child =
        command(&site, &["executions", "watch", &id, "--output", "none"]).spawn().unwrap();
    // It listens before it says what it watches.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains(&id), "{line}");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let status = site.get(&format!("/api/v1/executions/{id}")).json()["status"].clone();
    assert_eq!(status, "Waiting");
    let child = command(&site, &["executions", "watch", &id]).spawn().unwrap();
    flowcli(&site, &["executions", "signal", &id, "ask", "true"]).ok();
    let watched = said(child);
    assert_eq!(watched.code, Some(0), "{}", watched.err);
    assert_eq!(watched.json(), json!({"done": "2"}));
}

#[test]
fn a_server_that_restarts_is_waited_for_and_no_event_is_missing() {
    let mut site = Site::new();
    write(&site, "waits.json", WAITS);
    let relay = Relay::to(site.address());
    let mut command = command(&site, &["run", "waits.json", "--output", "ndjson"]);
    command.env("FLOW_SERVER", format!("http://{}", relay.address));
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // It listens to the server that goes.
    let mut seen: Vec<String> = Vec::new();
    while !seen.last().is_some_and(|line| line.contains("NodeWaiting")) {
        seen.push(lines.next().unwrap());
    }
    let id = only_id(&site);
    site.kill();
    site.start(&[]);
    relay.moves_to(site.address());
    flowcli(&site, &["executions", "signal", &id, "ask", "true"]).ok();
    seen.extend(lines);
    said(child).ok();
    let number = |line: &String| serde_json::from_str::<Json>(line).unwrap()["seq"].as_u64();
    let numbers: Vec<u64> = seen.iter().filter_map(number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{seen:?}");
    assert!(seen.last().unwrap().contains("WorkflowCompleted"), "{seen:?}");
}

#[test]
fn workflows_have_versions() {
    let site = Site::new();
    write(&site, "waits.json", WAITS);
    assert_eq!(flowcli(&site, &["workflows", "save", "waits.json"]).ok().out, "waits@1\n");
    assert_eq!(flowcli(&site, &["workflows", "save", "waits.json"]).ok().out, "waits@2\n");
    write(&site, "waits.json", &WAITS.replace("go on?", "really?"));
    let late = flowcli(&site, &["workflows", "save", "waits.json", "--if-version", "1"]);
    late.fails(5, &["error[workflow.version_conflict]", "the current version is 2"]);
    assert_eq!(flowcli(&site, &["workflows", "show", "waits"]).ok().out.trim(), WAITS);
    let list = flowcli(&site, &["workflows", "list"]).ok().out;
    assert!(list.starts_with("ID") && list.contains("waits  2"), "{list}");
    let versions = flowcli(&site, &["workflows", "versions", "waits", "--output", "json"]);
    assert_eq!(versions.ok().json()["items"][1]["version"], 1);
    flowcli(&site, &["workflows", "delete", "waits"]).ok();
    flowcli(&site, &["workflows", "show", "waits"]).fails(4, &["error[workflow.not_found]"]);
    assert_eq!(flowcli(&site, &["workflows", "save", "waits.json"]).ok().out, "waits@4\n");
}

#[test]
fn schedules_are_listed_and_switched() {
    let site = Site::new();
    let text = r#"{ "id": "nightly", "nodes": [{ "id": "a", "node_type": "debug.log", "config": { "message": "x" } }],
        "triggers": [{ "type": "cron", "id": "night", "expression": "0 3 * * *" }] }"#;
    write(&site, "nightly.json", text);
    flowcli(&site, &["workflows", "save", "nightly.json"]).ok();
    let list = || flowcli(&site, &["schedules", "list"]).ok().out;
    assert!(list().contains("nightly   night    0 3 * * *   UTC"), "{}", list());
    flowcli(&site, &["schedules", "disable", "nightly", "night"]).ok();
    assert!(list().contains("disabled"), "{}", list());
    flowcli(&site, &["schedules", "enable", "nightly", "night"]).ok();
    assert!(!list().contains("disabled"), "{}", list());
    let runs = flowcli(&site, &["schedules", "runs", "nightly", "night"]).ok();
    assert_eq!((&*runs.out, &*runs.err), ("", "there are none\n"));
    flowcli(&site, &["schedules", "runs", "nightly", "x"]).fails(4, &["error[schedule.not_found]"]);
}

#[test]
fn tokens_are_given_and_taken_back_and_the_audit_log_knows() {
    let site = Site::new();
    let given = flowcli(&site, &["tokens", "create", "looks", "--role", "viewer"]).ok();
    let token = given.out.trim();
    let with = |token: &str, arguments: &[&str]| {
        let mut command = command(&site, arguments);
        command.env_remove("FLOW_TOKEN_FILE").env("FLOW_TOKEN", token);
        said(command.spawn().unwrap())
    };
    with(token, &["executions", "list"]).ok();
    with(token, &["workflows", "delete", "x"]).fails(7, &["error[auth.forbidden]"]);
    let list = flowcli(&site, &["tokens", "list", "--output", "json"]).ok();
    assert!(!list.out.contains(token), "{}", list.out);
    let items = list.json()["items"].as_array().unwrap().clone();
    let one = items.iter().find(|one| one["name"] == "looks").unwrap();
    flowcli(&site, &["tokens", "revoke", one["id"].as_str().unwrap()]).ok();
    with(token, &["executions", "list"])
        .fails(7, &["error[auth.unknown_token]", "`--token-file FILE` or FLOW_TOKEN"]);
    let audit = flowcli(&site, &["audit"]).ok().out;
    assert!(audit.contains("token.create") && audit.contains("token.revoke"), "{audit}");
}

#[test]
fn node_types_and_the_schema_are_those_of_the_server() {
    let site = Site::new();
    let there = flowcli(&site, &["nodes", "--output", "json"]).ok().json();
    let listed = site.get("/api/v1/nodes").expect(200).json();
    assert_eq!(there, listed["items"]);
    flowcli(&site, &["nodes", "http.requast"]).fails(4, &["did you mean `http.request`?"]);
    assert!(flowcli(&site, &["schema"]).ok().out.contains("http.request"));
}

#[test]
fn who_asks_wrongly_is_told_what_to_do() {
    let site = Site::new();
    let ask = |change: &dyn Fn(&mut Command)| {
        let mut command = command(&site, &["executions", "list"]);
        change(&mut command);
        said(command.spawn().unwrap())
    };
    let nobody = ask(&|command| {
        command.env("FLOW_SERVER", "http://127.0.0.1:1");
    });
    nobody.fails(7, &["error[cli.server_unreachable]", "does not answer", "is it running?"]);
    let missing = ask(&|command| {
        command.env_remove("FLOW_TOKEN_FILE");
    });
    missing.fails(2, &["error[cli.no_token]", "`--token-file FILE`"]);
    let no_url = ask(&|command| {
        command.env("FLOW_SERVER", "localhost:8080");
    });
    no_url.fails(2, &["error[cli.bad_server]", "begins with `http://`"]);
    let elsewhere = ask(&|command| {
        command.env("FLOW_SERVER", format!("http://{}/api/v1", site.address()));
    });
    elsewhere.fails(4, &["error[request.no_such_path]"]);
    let unknown_host = ask(&|command| {
        command.env("FLOW_SERVER", format!("https://{}", site.address()));
    });
    unknown_host.fails(7, &["error[cli.server_unreachable]"]);
    let both = ask(&|command| {
        command.args(["--store", "sqlite://flow.db", "--server", "http://127.0.0.1:1"]);
    });
    both.fails(2, &["error[cli.store_and_server]"]);
    // What is written goes before the environment.
    let store = ask(&|command| {
        command.args(["--store", "sqlite://flow.db"]);
    });
    store.fails(4, &["error[cli.store_not_found]"]);
    let test = flowcli(&site, &["explain", "--server", "http://127.0.0.1:1"]);
    test.fails(2, &["error[cli.not_here]", "`--server` cannot be used"]);
    write(&site, "double.json", DOUBLE);
    let workdir = flowcli(&site, &["run", "double.json", "--workdir", "."]);
    workdir.fails(2, &["error[cli.not_here]", "`--workdir`"]);
}

/// A token that lies in the folder of the server is for servers of this machine.
#[test]
fn beside_the_servers_folder_nothing_has_to_be_said() {
    let site = Site::new();
    let mut command = command(&site, &["executions", "list"]);
    command.env_remove("FLOW_TOKEN_FILE").env("FLOW_DATA_DIR", site.data());
    let said = said(command.spawn().unwrap()).ok();
    assert_eq!(said.err, "there are no such executions\n");
}

/// Answers one request with a document; gives the request line and the body.
fn answer_one(listener: TcpListener, document: &'static str) -> JoinHandle<(String, String)> {
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        let length = document.len();
        write!(&stream, "{head}\r\ncontent-length: {length}\r\n\r\n{document}").unwrap();
        (first.trim().to_owned(), String::from_utf8(body).unwrap())
    })
}

#[test]
fn a_secret_is_read_from_standard_input_and_never_said() {
    let site = Site::new();
    let with = |text: &str, address: SocketAddr| {
        let mut command = command(&site, &["secrets", "set", "API_KEY"]);
        command.env("FLOW_SERVER", format!("http://{address}"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        said(child)
    };
    with("\n", site.address()).fails(2, &["error[cli.no_value]"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = answer_one(listener, r#"{"name": "API_KEY"}"#);
    let set = with("s3cret \n", address).ok();
    assert_eq!((&*set.out, &*set.err), ("", "the secret `API_KEY` is set\n"));
    let (first, body) = asked.join().unwrap();
    assert_eq!(first, "PUT /api/v1/secrets/API_KEY HTTP/1.1");
    assert_eq!(body, r#"{"value":"s3cret "}"#);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let one = r#"{"items": [{"name": "API_KEY", "version": 2, "updated_at": "2026-11-20T10:00:00Z",
        "fingerprint": "ab12"}], "next_cursor": null}"#;
    let asked = answer_one(listener, one);
    let mut command = command(&site, &["secrets", "list"]);
    let list = command.env("FLOW_SERVER", format!("http://{address}")).spawn().unwrap();
    let list = said(list).ok().out;
    assert!(list.contains("API_KEY  2") && list.contains("ab12"), "{list}");
    assert_eq!(asked.join().unwrap().0, "GET /api/v1/secrets?limit=500 HTTP/1.1");
}

#[test]
fn flowcli_serve_is_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLOW_")) {
        command.env_remove(name);
    }
    let data = folder.path().join("data");
    command.arg("serve").arg("--data-dir").arg(&data).args(["--check-config", "-q"]);
    let refused = command.output().unwrap();
    // `-q` is none of the server's options: all that follows `serve` is for the server.
    assert_eq!(refused.status.code(), Some(2));
    let mut command = Command::new(program());
    command.arg("serve").arg("--data-dir").arg(&data).arg("--check-config");
    let checked = command.output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && said == "the configuration is good\n", "{said}");
    let help = Command::new(program()).args(["serve", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("--data-dir <DIR>"));
}
