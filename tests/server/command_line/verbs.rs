//! What a server is asked for and told, and what people are told when it goes wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use serde_json::json;

use super::{DOUBLE, WAITS, command, flowcli, program, said, write};
use crate::site::Site;

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
    elsewhere.fails(4, &["error[request.no_such_path]", "without `/api/v1`"]);
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
    assert!(checked.status.success() && said.ends_with("the configuration is good\n"), "{said}");
    let help = Command::new(program()).args(["serve", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("--data-dir <DIR>"));
}
