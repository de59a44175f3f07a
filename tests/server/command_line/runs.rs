//! Workflows that run on a server, and are watched from here.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use serde_json::{Value as Json, json};

use super::{DOUBLE, Relay, Said, WAITS, command, flowcli, only_id, said, waiting_id, write};
use crate::site::Site;

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
fn a_signal_is_given_in_advance_or_refused_before_anything_runs() {
    let site = Site::new();
    write(&site, "waits.json", WAITS);
    let unknown = flowcli(&site, &["run", "waits.json", "--signal", "paid=1"]);
    unknown.fails(2, &["error[signal.unknown_name]", "it waits for `ask`"]);
    assert_eq!(site.get("/api/v1/executions").json()["items"], json!([]));
    let said = flowcli(&site, &["run", "waits.json", "--signal", "ask=true"]).ok();
    assert_eq!(said.json(), json!({"done": "2"}));
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
