//! What a file may have instead of a workflow: each has a code and a place, and exit code 3. Nothing
//! of it runs, and nothing of it takes long or much memory.

use std::fmt::Write as _;
use std::fs;

use super::support::flowcli;

/// Runs and validates a file; each first error is `code line:column`.
#[track_caller]
fn check(text: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.json"), text).unwrap();
    for verb in ["run", "validate"] {
        let output = flowcli(folder.path(), [verb, "bad.json"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{verb}: {said}");
        assert!(output.stdout.is_empty(), "{verb}");
        let mut lines = said.lines();
        let mut found = String::new();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("error[") {
                let place = lines.next().and_then(|line| line.trim().strip_prefix("--> bad.json:"));
                let code = rest.split(']').next().unwrap();
                write!(found, ", {code} {}", place.expect("it has a place")).unwrap();
            }
        }
        assert_eq!(found.trim_start_matches(", "), expected, "{verb}: {said}");
    }
}

/// A workflow of so many nodes, each connected to the next, and the last to the first.
fn circle(nodes: usize) -> String {
    let names: Vec<String> = (0..nodes).map(|node| format!("n{node}")).collect();
    let mut text = "{\"nodes\": [\n".to_owned();
    for name in &names {
        writeln!(text, " {{\"id\": \"{name}\", \"node_type\": \"debug.log\"}},").unwrap();
    }
    text.truncate(text.len() - 2);
    text.push_str("],\n\"connections\": [\n");
    for (from, to) in names.iter().zip(names.iter().cycle().skip(1)) {
        let ports = "\"from_port\": \"message\", \"to_port\": \"message\"";
        writeln!(text, " {{\"from_node\": \"{from}\", \"to_node\": \"{to}\", {ports}}},").unwrap();
    }
    text.truncate(text.len() - 2);
    text + "]}\n"
}

/// A workflow of one node that shows this.
fn shows(message: &str) -> String {
    format!(
        "{{\"nodes\": [{{\"id\": \"a\", \"node_type\": \"debug.log\",\n\"config\": {{\"message\": {message}}}}}]}}"
    )
}

#[test]
fn what_is_not_json() {
    check("hello", "json.syntax 1:1");
    check("", "json.truncated 1:1");
    check("{\"nodes\": [\n {\"id\": \"a\", \"node", "json.truncated 2:19");
}

#[test]
fn what_is_too_deep() {
    check(&shows(&("[".repeat(200) + &"]".repeat(200))), "json.too_deep 2:119");
    check(&"[".repeat(10_000_000), "json.too_deep 1:101");
}

#[test]
fn what_is_beyond_64_bits() {
    check(&shows("18446744073709551616"), "json.integer_too_large 2:23");
    check(&shows("-9223372036854775809"), "json.integer_too_large 2:23");
    check(&shows("1e999"), "json.number_too_large 2:23");
}

#[test]
fn keys_that_stand_twice_or_are_unknown() {
    let twice = "{\"nodes\": [{\"id\": \"a\", \"node_type\": \"debug.log\",\n\"config\": {\"message\": 1},\n\"id\": \"b\"}]}";
    check(twice, "json.duplicate_key 3:1");
    let unknown = "{\"nodez\": [],\n\"nodes\": [{\"id\": \"a\", \"node_type\": \"debug.log\",\n\"confg\": {}, \"config\": {\"message\": 1}}]}";
    check(unknown, "workflow.unknown_key 1:2, node.unknown_key 3:1");
}

#[test]
fn values_of_the_wrong_type() {
    check("{\"nodes\": {}}", "workflow.wrong_type 1:11");
    check("[]", "workflow.wrong_type 1:1");
    let node = "{\"nodes\": [{\"id\": 7,\n\"node_type\": \"debug.log\",\n\"timeout_ms\": \"5\",\n\"config\": []}]}";
    check(node, "node.wrong_type 1:19, node.wrong_type 3:15, node.wrong_type 4:11");
}

#[test]
fn nodes_that_wait_for_each_other() {
    check(&circle(3), "workflow.cycle 2:2");
    check(&circle(1), "workflow.cycle 2:2");
}

#[test]
fn more_nodes_than_there_may_be() {
    let mut text = circle(10_001);
    text.truncate(text.find(",\n\"connections\"").unwrap());
    check(&(text + "}"), "workflow.too_many_nodes 1:11");
}
