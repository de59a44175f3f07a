//! Files that cannot run: each is refused by `run` and by `validate` with a code, a place and the
//! exit code 3, however large it is.

use std::fs;

use super::support::flowcli;

/// Nodes that do nothing, each with its id and with more keys.
fn nodes(ids: impl IntoIterator<Item = String>, more: &str) -> String {
    let node = |id| {
        format!(r#"{{"id": "{id}", "node_type": "debug.log", "config": {{"message": 1}}{more}}}"#)
    };
    let nodes: Vec<String> = ids.into_iter().map(node).collect();
    format!("{{\"nodes\": [{}]", nodes.join(",\n"))
}

fn abc() -> impl Iterator<Item = String> {
    ["a", "b", "c"].map(str::to_owned).into_iter()
}

/// With connections, each from one of `a`, `b` and `c` to another.
fn connected(pairs: &[&str]) -> String {
    let connection = |pair: &&str| {
        let (from, to) = pair.split_at(1);
        format!(r#"{{"from_node": "{from}", "to_node": "{to}"}}"#)
    };
    let connections: Vec<String> = pairs.iter().map(connection).collect();
    format!("{},\n\"connections\": [{}]}}", nodes(abc(), ""), connections.join(", "))
}

/// Checks the first thing that is wrong with a file: its code, its line and its column.
#[track_caller]
fn check(name: &str, content: impl AsRef<[u8]>, code: &str, place: (u64, u64)) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    let said = flowcli(folder.path(), ["run", name]).output().unwrap();
    let messages = String::from_utf8(said.stderr).unwrap();
    assert_eq!((said.status.code(), said.stdout), (Some(3), vec![]), "{name}: {messages}");
    let (line, column) = place;
    let expected = [format!("error[{code}]: "), format!(" --> {name}:{line}:{column}\n")];
    let first: String = messages.lines().take(2).map(|line| format!("{line}\n")).collect();
    assert!(expected.iter().all(|part| first.contains(part)), "{expected:?}: {messages}");
    let said = flowcli(folder.path(), ["validate", name, "--output", "json"]).output().unwrap();
    assert_eq!(said.status.code(), Some(3), "{name}");
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let found = &report[0]["diagnostics"][0];
    let found = (found["code"].as_str(), found["line"].as_u64(), found["column"].as_u64());
    assert_eq!(found, (Some(code), Some(line), Some(column)), "{name}");
}

#[test]
fn texts_that_are_no_json() {
    check("empty.json", "", "json.truncated", (1, 1));
    check("words.json", "hello", "json.syntax", (1, 1));
    check("truncated.json", "{\"nodes\": [\n  {\"id\": \"a", "json.truncated", (2, 12));
    check("comment.json", "{\n  // no\n}", "json.syntax", (2, 3));
    check("zeros.json", [0; 64], "json.syntax", (1, 1));
    let deep = format!("{{\"nodes\":\n{}{}}}", "[".repeat(200), "]".repeat(200));
    check("deep.json", deep, "json.too_deep", (2, 100));
    check("brackets.json", "[".repeat(10_000_000), "json.too_deep", (1, 101));
    check("brackets.yaml", "[".repeat(10_000_000), "yaml.too_deep", (1, 256));
}

#[test]
fn texts_that_are_no_workflow() {
    check("array.json", "[]", "workflow.wrong_type", (1, 1));
    check("nothing.yaml", "", "workflow.wrong_type", (1, 1));
    check("no-nodes.json", "{\"nodes\": []}", "workflow.no_nodes", (1, 11));
    let types = nodes(abc(), "") + ",\n\"settings\": [], \"connections\": 1}";
    check("types.json", types, "settings.wrong_type", (4, 13));
    let key = nodes(abc(), ",\n\"timeout\": 1") + "}";
    check("key.json", key, "node.unknown_key", (2, 1));
    let twice = nodes(abc(), ",\n\"id\": \"d\"") + "}";
    check("twice.json", twice, "json.duplicate_key", (2, 1));
    let large = nodes(abc(), ",\n\"timeout_ms\": 18446744073709551616") + "}";
    check("integer.json", large, "json.integer_too_large", (2, 15));
}

#[test]
fn workflows_that_cannot_run() {
    check("circle.json", connected(&["ab", "bc", "ca"]), "workflow.cycle", (1, 12));
    check("itself.json", connected(&["bb"]), "workflow.cycle", (2, 1));
    check("nobody.json", connected(&["ab", "xb"]), "connection.unknown_node", (4, 67));
    let same = nodes(abc().chain(abc()), "") + "}";
    check("same.json", same, "node.duplicate_id", (4, 8));
    let many = nodes((0..10_001).map(|index| format!("n{index}")), "") + "}";
    check("many.json", many, "workflow.too_many_nodes", (1, 11));
}

/// In one line, every problem is shown with its surroundings, and the last says how many are not.
#[test]
fn problems_beyond_the_first_thousand_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ids = (0..3_000).map(|index| format!("n{index}"));
    let text = (nodes(ids, ", \"zonk\": 1") + "}").replace('\n', " ");
    fs::write(folder.path().join("line.json"), text).unwrap();
    let said = flowcli(folder.path(), ["validate", "line.json"]).output().unwrap();
    assert_eq!(said.status.code(), Some(3));
    let messages = String::from_utf8(said.stderr).unwrap();
    assert_eq!(messages.matches("error[node.unknown_key]").count(), 1_000);
    assert_eq!(messages.matches("^^^^^^").count(), 1_000);
    assert!(messages.contains("2000 more problems are not listed"), "{messages}");
    let longest = messages.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(200), "{longest:?}");
}
