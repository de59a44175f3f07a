//! `docs/status.md`: every capability that works names a test, and the test exists.

use std::fs;
use std::path::PathBuf;

use super::support;

/// Where the page's short paths lead.
fn file(short: &str) -> PathBuf {
    let (first, rest) = short.split_once('/').unwrap();
    let folder = match first {
        "engine" | "random" | "cli" | "examples" | "server" => format!("tests/{first}"),
        "machine" => "flowcore/tests/machine".to_owned(),
        "core" => "flowcore/src".to_owned(),
        "nodes" if rest.starts_with("tests/") => "flownodes".to_owned(),
        "nodes" => "flownodes/src".to_owned(),
        "flowcli" => "flowcli/src".to_owned(),
        "custom-node" => "examples/custom-node".to_owned(),
        other => other.to_owned(),
    };
    support::path(&format!("{folder}/{rest}"))
}

#[test]
fn what_works_names_a_test_that_exists() {
    let page = fs::read_to_string(support::path("docs/status.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.contains("| State |"));
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, state, shown] = cells[..] else { panic!("{row}") };
        let word = state.split([':', ';']).next().unwrap();
        assert!(matches!(word, "works" | "partly" | "planned"), "{row}");
        assert_eq!(shown.is_empty(), word == "planned", "{row}");
        if shown.is_empty() {
            continue;
        }
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            let (path, test) = name.split_once("::").unwrap_or((name, ""));
            let text = fs::read_to_string(file(path)).unwrap_or_else(|_| panic!("no file: {row}"));
            let exists = test.is_empty() || text.contains(&format!("fn {test}("));
            assert!(exists, "no test {name}: {row}");
        }
    }
}
