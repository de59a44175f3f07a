//! Processes that are killed, again and again: a ledger outside of Flow tells what nodes really did.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Value, json};

use super::support::flowcli;

/// How often processes are killed, unless `FLOW_KILLS` says otherwise.
const KILLS: usize = 100;

/// How often one execution is killed at most: the third time in a row without progress pauses it.
const KILLS_IN_A_ROW: usize = 2;

/// Each node writes its key into the ledger; some take a moment.
fn workflow() -> Value {
    let node = |id: &str, command: &str| {
        let command = format!("echo $FLOW_IDEMPOTENCY_KEY >> ledger{command}");
        json!({"id": id, "node_type": "shell.exec",
               "config": {"shell": true, "command": command}})
    };
    let edge =
        |from: &str, to: &str| json!({"from_node": from, "from_port": "success", "to_node": to});
    let each = json!({"items": [1, 2, 3], "body": {"nodes": [node("x", "")]}});
    json!({
        "id": "ledger",
        "nodes": [
            node("a", ""), node("b", "; sleep 0.01"), node("c", ""), node("d", "; sleep 0.01"),
            {"id": "each", "node_type": "control.for_each", "config": each}, node("end", ""),
        ],
        "connections": [
            edge("a", "b"), edge("b", "c"), edge("a", "d"), edge("c", "end"), edge("d", "end"),
            {"from_node": "c", "to_node": "each"},
        ],
        "outputs": {"each": "{{ nodes.each.results | length }}"},
    })
}

/// How often each key stands in the ledger.
fn ledger(folder: &Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(folder.join("ledger")).unwrap_or_default();
    let mut counts = BTreeMap::new();
    text.lines().for_each(|key| *counts.entry(key.to_owned()).or_default() += 1);
    counts
}

/// Runs a command, and kills it when it has said so many lines. Gives its first line, and whether it
/// was killed.
fn run_and_kill(folder: &Path, arguments: &[&str], lines: usize) -> (String, bool) {
    let mut child = flowcli(folder, arguments).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let first = said.next().unwrap_or_default();
    let is_over = said.by_ref().take(lines).count() < lines;
    child.kill().unwrap();
    said.for_each(drop);
    let status = child.wait().unwrap();
    (first, !is_over && status.code().is_none())
}

/// How an execution stands.
fn show(folder: &Path, id: &str) -> Value {
    let output = flowcli(folder, ["executions", "show", id, "--output", "json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The keys of the nodes whose results are kept.
fn finished(folder: &Path, id: &str) -> Vec<String> {
    let shown = show(folder, id);
    let nodes = shown["nodes"].as_object().unwrap().iter();
    let finished = nodes.filter(|(_, node)| node["status"] == "Succeeded");
    finished.map(|(path, _)| format!("{id}/1/{path}")).collect()
}

#[test]
fn killed_processes_lose_nothing_and_do_nothing_twice() {
    let wanted = std::env::var("FLOW_KILLS").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("ledger.json"), workflow().to_string()).unwrap();
    let store = ["--store", "sqlite://flow.db"];
    let (mut kills, mut number) = (0, 0_u64);
    while kills < wanted {
        // Every place in turn, in an order that has nothing to do with what happens there.
        number += 1;
        let lines = |salt: u64| usize::try_from((number * 7 + salt * 5) % 17).unwrap();
        let run = ["run", "ledger.json", store[0], store[1]];
        let (first, mut is_killed) = run_and_kill(folder, &run, lines(0));
        let id = first.split_whitespace().find(|word| word.len() == 36).unwrap().to_owned();
        let mut own_kills = usize::from(is_killed);
        let mut before = (finished(folder, &id), ledger(folder));
        for salt in 1..KILLS_IN_A_ROW as u64 {
            let resume = ["executions", "resume", &id];
            (_, is_killed) = run_and_kill(folder, &resume, lines(salt));
            own_kills += usize::from(is_killed);
            check_ledger(folder, &id, &before, own_kills);
            before = (finished(folder, &id), ledger(folder));
        }
        let output = flowcli(folder, ["executions", "resume", &id]).output().unwrap();
        let code = output.status.code();
        // One that ended before it was killed is over.
        assert!(code == Some(0) || code == Some(5), "{}", String::from_utf8_lossy(&output.stderr));
        check_ledger(folder, &id, &before, own_kills);
        let shown = show(folder, &id);
        assert_eq!(
            (&shown["status"], &shown["outputs"]),
            (&json!("Succeeded"), &json!({"each": 3}))
        );
        let all = ledger(folder).into_keys().filter(|key| key.starts_with(&id)).count();
        assert_eq!(all, 8, "every node was run, and no other");
        kills += own_kills;
    }
    let ledger = ledger(folder);
    let again: usize = ledger.values().map(|count| count - 1).sum();
    println!("{kills} kills of {number} executions: all ended, and of {} nodes", ledger.len());
    println!("{again} were cut off and run again, and none that was finished");
}

/// What was finished before was not done again, and nothing more often than there were crashes.
#[track_caller]
fn check_ledger(
    folder: &Path,
    id: &str,
    (finished, before): &(Vec<String>, BTreeMap<String, usize>),
    kills: usize,
) {
    let now = ledger(folder);
    for key in finished {
        assert_eq!(now.get(key), before.get(key), "{key} was finished, and is done again");
    }
    for (key, count) in now.iter().filter(|(key, _)| key.starts_with(id)) {
        assert!(*count <= kills + 1, "{key}: {count} times with {kills} kills");
    }
}
