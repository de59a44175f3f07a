//! `docs/cli.md` names every verb, option, variable and exit code that the help has, and no others.

use std::collections::BTreeSet;
use std::fs;

use super::support::{flowcli, path};

fn help(arguments: &[&str]) -> String {
    let output = flowcli().args(arguments).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn page() -> String {
    fs::read_to_string(path("docs/cli.md")).unwrap()
}

fn verbs() -> Vec<String> {
    verbs_of(&[])
}

fn verbs_of(arguments: &[&str]) -> Vec<String> {
    let help = help(arguments);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let lines = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// Words that begin like this, made of lower-case letters and `-`, or capitals and `_`.
fn words(text: &str, start: &str) -> BTreeSet<String> {
    let places = text.match_indices(start).map(|(at, _)| &text[at..]);
    let word = |rest: &str| {
        let is_part = |c: char| c.is_ascii_alphabetic() || c == '-' || c == '_';
        rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())].to_owned()
    };
    places.map(word).filter(|word| word.len() > start.len() && !word.ends_with("--")).collect()
}

#[test]
fn verbs_are_listed() {
    let page = page();
    let table = page.split("\n## Verbs\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: Vec<&str> = rows.map(|row| row.split([' ', '`']).next().unwrap()).collect();
    assert_eq!(listed, verbs());
}

#[test]
fn options_and_variables_are_listed() {
    let (page, mut all) = (page(), help(&[]));
    // What `serve` is told, and its help, are the server's.
    for verb in verbs().iter().filter(|verb| !["help", "serve"].contains(&&***verb)) {
        all.push_str(&help(&[verb]));
    }
    for group in ["executions", "workflows", "schedules", "secrets", "tokens"] {
        for verb in verbs_of(&[group]).iter().filter(|verb| *verb != "help") {
            all.push_str(&help(&[group, verb]));
        }
    }
    assert_eq!(words(&page, "--"), words(&all, "--"));
    let variables = words(&all, "FLOW_");
    let named = words(&page, "FLOW_");
    let missing: Vec<_> = variables.difference(&named).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn exit_codes_are_listed() {
    let code = |line: &str| line.trim().split([' ', '|']).next().unwrap().parse::<u8>().ok();
    let help = help(&[]);
    let known: Vec<u8> =
        help.split("Exit codes:\n").nth(1).unwrap().lines().map_while(code).collect();
    let page = page();
    let table = page.split("\n## Exit codes\n").nth(1).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let listed: Vec<u8> = rows.filter_map(code).collect();
    assert!(known.len() > 5);
    assert_eq!(listed, known);
}
