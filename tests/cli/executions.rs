//! Executions that are kept in a store, through the binary: they outlive their process, and others
//! look at them, tell them something, and go on with them.

use std::fs::{self, File};
use std::io::Write;

use serde_json::Value;

use super::site::{Process, Site, args};

/// Starts the steps, and waits until the second one runs.
fn start_steps(site: &Site) -> Process {
    let mut run = site.start(&args(&["run", "steps.json", "-v"]));
    run.wait_for("execution ");
    run.wait_for("ready");
    run
}

/// Lets the second step pass, as often as it was started.
fn open_pipe(site: &Site) -> File {
    // Open for both, it takes lines before anybody reads them.
    let mut pipe = File::options().read(true).write(true).open(site.path().join("pipe")).unwrap();
    pipe.write_all(b"passed\npassed\npassed\n").unwrap();
    pipe
}

#[test]
fn what_was_killed_goes_on_and_finished_nodes_do_not_run_again() {
    let site = Site::new();
    let run = start_steps(&site);
    let id = site.only_id();
    assert_eq!(site.list()[0]["is_executed"], true);
    run.signal("KILL");
    assert_eq!(run.end().code, None);
    let row = &site.list()[0];
    assert_eq!((&row["status"], &row["is_executed"]), (&"Running".into(), &false.into()));
    let said = site.check(&["executions", "list"], 0, &[]);
    assert!(said.out.contains("nobody executes it"), "{}", said.out);
    let other =
        site.check(&args(&["run", "hello.json"]), 0, &["1 execution in the store is unfin"]);
    assert!(other.err.contains(&format!("`flowcli executions resume {id}`")), "{}", other.err);
    let _pipe = open_pipe(&site);
    let said = site.check(&["executions", "resume", &id], 0, &["goes on here, 1 attempt cut off"]);
    assert_eq!(said.out, "{\"line\":\"ready\\npassed\"}\n");
    assert_eq!(site.count(), "abbc", "a ran once, and b was started again");
    let shown = site.json(&["executions", "show", &id, "--output", "json"]);
    assert_eq!(shown["status"], "Succeeded");
    assert_eq!(
        (&shown["nodes"]["a"]["attempts"], &shown["nodes"]["b"]["attempts"]),
        (&1.into(), &2.into())
    );
    let chart = site.check(&["executions", "show", &id], 0, &[]).out;
    assert!(
        chart.contains("✓ b") && chart.contains("2 attempts") && chart.contains("▚ cut off"),
        "{chart}"
    );
    site.check(&["executions", "resume", &id], 5, &["execution.finished"]);
}

#[test]
fn a_living_owner_is_looked_at_and_a_second_one_is_refused() {
    let site = Site::new();
    let run = start_steps(&site);
    let id = site.only_id();
    let chart = site.check(&["executions", "show", &id[..13]], 0, &[]).out;
    assert!(
        chart.contains("▶ b") && chart.contains("· c") && chart.contains("not started"),
        "{chart}"
    );
    let in_use = format!("in use by process {}", run.child.id());
    site.check(&args(&["run", "hello.json"]), 5, &["store.in_use", &in_use]);
    site.check(&["executions", "rerun", &id], 5, &["store.in_use"]);
    site.check(&["executions", "resume", &id], 0, &["is being executed, and is not paused"]);
    let logs = site.check(&["executions", "logs", &id], 0, &[]).out;
    assert_eq!(logs, "b: ready\n");
    let follower = site.start(&["executions", "logs", &id, "-f", "--node", "b"]);
    let exported = site.check(&["executions", "export", &id], 0, &[]).out;
    assert!(
        exported.starts_with(r#"{"format":{"name":"flow.execution","version":1}"#),
        "{exported}"
    );
    let _pipe = open_pipe(&site);
    let said = run.end();
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "{\"line\":\"ready\\npassed\"}\n"),
        "{}",
        said.err
    );
    let followed = follower.end();
    let expected = (Some(0), "b: ready\nb: passed\n");
    assert_eq!((followed.code, followed.out.as_str()), expected, "{}", followed.err);
}

#[test]
fn a_living_owner_is_paused_resumed_and_sent_a_signal() {
    let site = Site::new();
    let mut run = site.start(&args(&["run", "signal.json"]));
    run.wait_for("execution ");
    let hint = run.wait_for("waits for signal `paid`");
    let id = site.only_id();
    assert!(hint.contains(&format!("`flowcli executions signal {id} paid JSON`")), "{hint}");
    site.check(&["executions", "signal", &id, "pad", "1"], 2, &["signal.unknown_name", "paid"]);
    site.check(&["executions", "pause", &id, "--by", "Ada"], 0, &[]);
    run.wait_for("paused by Ada");
    assert_eq!(site.list()[0]["status"], "Paused");
    site.check(&["executions", "resume", &id, "--by", "Eve"], 0, &[]);
    run.wait_for("resumed by Eve");
    site.check(&["executions", "signal", &id, "paid", "{\"amount\": 3}"], 0, &[]);
    let said = run.end();
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("\"amount\":3"), "{}", said.out);
    site.check(&["executions", "cancel", &id], 5, &["execution.finished"]);
}

#[test]
fn what_nobody_executes_is_cancelled_when_somebody_goes_on_with_it() {
    let site = Site::new();
    let run = start_steps(&site);
    run.signal("KILL");
    run.end();
    let id = site.only_id();
    let hint = format!("`flowcli executions resume {id}`");
    site.check(&["executions", "cancel", &id], 0, &["nobody executes", &hint]);
    site.check(&["executions", "resume", &id], 130, &[]);
    assert_eq!(site.list()[0]["status"], "Cancelled");
    assert_eq!(site.count().matches('a').count(), 1);
}

#[test]
fn what_is_aborted_is_not_over() {
    let site = Site::new();
    let trap = "trap '' TERM; echo ready; while :; do sleep 600; done";
    site.write(
        "stubborn.json",
        &format!(
            r#"{{ "nodes": [{{ "id": "sleep", "node_type": "shell.exec", "config": {{
            "shell": true, "command": "{trap}", "kill_grace_ms": 60000 }} }}] }}"#
        ),
    );
    let mut run = site.start(&args(&["run", "stubborn.json", "-v"]));
    run.wait_for("ready");
    run.signal("INT");
    run.wait_for("cancelling");
    run.signal("INT");
    let said = run.end();
    let id = site.only_id();
    assert_eq!(said.code, Some(130));
    assert!(said.err.contains(&format!("`flowcli executions resume {id}`")), "{}", said.err);
    site.check(&["executions", "resume", &id], 130, &[]);
    assert_eq!(site.list()[0]["status"], "Cancelled");
}

#[test]
fn a_start_with_a_key_is_made_once() {
    let site = Site::new();
    let first = site.check(&args(&["run", "hello.json", "--key", "k"]), 0, &["execution "]);
    let again = ["run", "hello.json", "--key", "k"];
    let second = site.check(&args(&again), 0, &["the key stands for execution "]);
    assert_eq!(second.out, first.out);
    site.only_id();
    let other = ["run", "hello.json", "--key", "k", "-i", "name=Eve"];
    site.check(&args(&other), 5, &["execution.key_conflict"]);
    // One that was cut off goes on.
    let mut run = site.start(&args(&["run", "steps.json", "-v", "--key", "steps"]));
    run.wait_for("ready");
    run.signal("KILL");
    run.end();
    let _pipe = open_pipe(&site);
    site.check(&args(&["run", "steps.json", "--key", "steps"]), 0, &["the key stands for"]);
    assert_eq!(site.count(), "abbc");
}

#[test]
fn an_execution_runs_again_as_it_was() {
    let site = Site::new();
    site.check(&args(&["run", "hello.json", "-i", "name=Eve"]), 0, &[]);
    let first = site.only_id();
    site.write("hello.json", "{}");
    let said = site.check(&["executions", "rerun", &first], 0, &[]);
    assert!(said.out.contains("Hello Eve"), "{}", said.out);
    let list = site.list();
    assert_eq!((list.len(), &list[0]["rerun_of"]), (2, &first.as_str().into()));
}

#[test]
fn an_execution_runs_again_from_a_node() {
    let site = Site::new();
    let _pipe = open_pipe(&site);
    site.check(&args(&["run", "steps.json"]), 0, &[]);
    let first = site.only_id();
    site.check(&["executions", "rerun", &first, "--from", "c"], 0, &["a: succeeded", "kept"]);
    assert_eq!(site.count(), "abcc");
    let again = site.list()[0]["id"].as_str().unwrap().to_owned();
    let chart = site.check(&["executions", "show", &again], 0, &[]).out;
    assert!(chart.contains("✓ a") && chart.contains("kept"), "{chart}");
    let unknown = ["executions", "rerun", &first, "--from", "cc"];
    site.check(&unknown, 4, &["rerun.unknown_node"]);
}

#[test]
fn what_failed_is_shown_with_attempts_errors_and_logs() {
    let site = Site::new();
    site.check(&args(&["run", "failing.json"]), 1, &["shell.exit"]);
    let shown = site.check(&["executions", "show", "0", "--node", "fail"], 0, &[]).out;
    for text in ["Failed", "attempt 1 failed", "attempt 2 failed", "[shell.exit]", "so it goes"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let full = site.json(&["executions", "show", "0", "--full", "--output", "json"]);
    assert_eq!(full["error"]["code"], "shell.exit");
    assert_eq!(full["nodes"]["say"]["outputs"]["stdout"], "first\nsecond\n");
    assert_eq!(full["nodes"]["fail"]["attempts"], 2);
    let logs = site.check(&["executions", "logs", "0"], 0, &[]).out;
    assert_eq!(logs, "say: first\nsay: second\nfail: so it goes\nfail (attempt 2): so it goes\n");
    site.check(&["executions", "show", "0", "--node", "fall"], 4, &["cli.unknown_path", "`fail`"]);
    // What a node was given is found from what those before it gave.
    site.check(&args(&["run", "hello.json"]), 0, &[]);
    let id = site.list()[0]["id"].as_str().unwrap().to_owned();
    let hello = site.check(&["executions", "show", &id, "--node", "greet"], 0, &[]).out;
    assert!(hello.contains("Hello Ada"), "{hello}");
}

#[test]
fn an_export_is_replayed_without_the_store() {
    let site = Site::new();
    site.check(&args(&["run", "failing.json"]), 1, &[]);
    site.check(&["executions", "export", "0", "-o", "e.json"], 0, &[]);
    site.check(&["executions", "export", "0", "-o", "e.json"], 5, &["cli.file_exists"]);
    let elsewhere = Site::new();
    fs::copy(site.path().join("e.json"), elsewhere.path().join("e.json")).unwrap();
    let lines = elsewhere.check(&["replay", "e.json"], 0, &["nothing was run"]).out;
    assert!(lines.lines().next().unwrap().contains("the execution starts with {}"), "{lines}");
    assert!(lines.lines().last().unwrap().contains("the execution ends as Failed"), "{lines}");
    assert!(!elsewhere.path().join("flow.db").exists());
    let events = elsewhere.check(&["replay", "e.json", "--output", "json"], 0, &[]).out;
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().zip(1_u64..).all(|(event, seq)| event["seq"] == seq), "{events:?}");
    let state = elsewhere.json(&["replay", "e.json", "--step", "2", "--output", "json"]);
    assert_eq!(
        (&state["nodes"]["say"], &state["nodes"]["fail"]),
        (&"Running".into(), &"Pending".into())
    );
    let last = events.len().to_string();
    let state = elsewhere.check(&["replay", "e.json", "--step", &last], 0, &[]).out;
    assert!(state.contains("the execution is Failed") && state.contains("✗ fail"), "{state}");
    elsewhere.check(&["replay", "e.json", "--step", "99"], 4, &["cli.no_such_step"]);
    elsewhere.check(&["replay", "hello.json"], 3, &["execution.unreadable"]);
    elsewhere.write("newer.json", r#"{"format": {"name": "flow.execution", "version": 9}}"#);
    elsewhere.check(&["replay", "newer.json"], 3, &["execution.unreadable", "version 9"]);
    elsewhere.check(&["replay", "nothing.json"], 4, &["cli.file_not_found"]);
}

#[test]
fn lists_are_filtered_and_go_on() {
    let site = Site::new();
    for _ in 0..3 {
        site.check(&args(&["run", "hello.json"]), 0, &[]);
    }
    site.check(&args(&["run", "failing.json"]), 1, &[]);
    let ids = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let list = |more: &[&str]| {
        let first = ["executions", "list", "--output", "json"];
        site.json(&first.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let all = ids(&list(&[]));
    assert_eq!(all.len(), 4);
    assert_eq!(ids(&list(&["--status", "failed"])), all[..1]);
    assert_eq!(ids(&list(&["--status", "SUCCEEDED", "--workflow", "hello"])), all[1..]);
    assert_eq!(ids(&list(&["--since", "1h"])), all);
    assert!(ids(&list(&["--before", "1h"])).is_empty());
    let first = list(&["--limit", "3"]);
    assert_eq!(ids(&first), all[..3]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = list(&["--limit", "3", "--after", cursor]);
    assert_eq!(ids(&rest), all[3..]);
    assert!(rest.get("next_cursor").is_none());
}

#[test]
fn what_cannot_be_found_is_said() {
    let site = Site::new();
    site.check(&["executions", "list"], 4, &["cli.no_store", "--store"]);
    site.check(&args(&["executions", "list"]), 4, &["cli.store_not_found"]);
    assert!(!site.path().join("flow.db").exists(), "to look makes no store");
    site.check(&["executions", "list", "--store", "mysql://x"], 2, &["store.bad_url"]);
    if !cfg!(feature = "postgres") {
        let elsewhere = ["executions", "list", "--store", "postgres://localhost/x"];
        site.check(&elsewhere, 2, &["store.bad_url"]);
    }
    site.check(
        &["run", "hello.json", "--store", "flow.db"],
        2,
        &["store.bad_url", "sqlite://flow.db"],
    );
    site.write("text.db", &"this is no database ".repeat(100));
    let said = site.say(&["executions", "list", "--store", "sqlite://text.db"]);
    assert!(matches!(said.code, Some(2 | 7)) && said.err.contains("[store."), "{}", said.err);
    site.check(&args(&["run", "hello.json"]), 0, &[]);
    site.check(&args(&["run", "hello.json"]), 0, &[]);
    site.check(&["executions", "show", "xyz"], 2, &["expected the id of an execution"]);
    site.check(&["executions", "show", "0"], 2, &["cli.ambiguous_id"]);
    let unknown = "00000000-0000-7000-8000-000000000000";
    for verb in ["show", "logs", "cancel", "pause", "resume", "rerun", "export"] {
        site.check(&["executions", verb, unknown], 4, &["execution.not_found", unknown]);
        site.check(&["executions", verb, "ffff"], 4, &["execution.not_found"]);
    }
    site.write(
        "memory.json",
        r#"{ "settings": { "durability": "none" },
            "nodes": [{ "id": "log", "node_type": "debug.log", "config": { "message": 1 } }] }"#,
    );
    site.check(&args(&["run", "memory.json"]), 0, &["durability: none"]);
    assert_eq!(site.list().len(), 2);
}
