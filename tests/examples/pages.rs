//! The pages for users: commands print what the pages say, drawings are those of `flowcli graph`, and
//! workflows are valid.
//!
//! A fence marked `console` is a session in a terminal: lines that begin with `$ ` are run, and what
//! follows is what then stands on the screen. Durations may differ.
//! `FLOW_UPDATE=1 cargo test -p flowcli --test examples` writes what came out.

use std::fs;
use std::path::{Path, PathBuf};

use flowcore::Workflow;

use super::support::{self, Beside};
use super::terminal;

/// The pages that are written by hand, and the folder in which their commands run.
pub(crate) fn pages() -> Vec<(PathBuf, PathBuf)> {
    let root = support::path("");
    let mut pages = vec![(root.join("README.md"), root.clone())];
    for folder in ["examples", "docs"] {
        let mut found = Vec::new();
        markdown_below(&root.join(folder), &mut found);
        pages.extend(found.into_iter().map(|page| {
            let is_tutorial = page.parent().unwrap().ends_with("tutorial");
            let folder = if is_tutorial { page.parent().unwrap() } else { &root };
            (page.clone(), folder.to_owned())
        }));
    }
    pages.retain(|(page, _)| {
        // Generated, and checked where they are made.
        !page.ends_with("docs/nodes.md") && !page.ends_with("docs/troubleshooting.md")
    });
    pages
}

fn markdown_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.ends_with("target") {
            markdown_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// A fenced block of a page.
pub(crate) struct Fence {
    /// What stands after the back-ticks.
    pub(crate) kind: String,
    /// The line before it, if it is a comment.
    comment: Option<String>,
    pub(crate) text: String,
}

/// Takes a page apart: texts and, between them, fences.
pub(crate) fn fences(page: &str) -> (Vec<String>, Vec<Fence>) {
    let (mut texts, mut fences) = (vec![String::new()], Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let between = texts.last_mut().unwrap();
        let before = between.trim_end().lines().last().map(str::to_owned);
        between.push_str(line);
        between.push('\n');
        let Some(kind) = line.strip_prefix("```") else { continue };
        let comment = before
            .filter(|line| line.starts_with("<!-- "))
            .map(|line| line.trim_start_matches("<!-- ").trim_end_matches(" -->").to_owned());
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = inside.iter().map(|line| format!("{line}\n")).collect();
        fences.push(Fence { kind: kind.to_owned(), comment, text });
        texts.push("```\n".to_owned());
    }
    (texts, fences)
}

#[test]
fn sessions_and_drawings_are_true() {
    let update = std::env::var_os("FLOW_UPDATE").is_some();
    let mut wrong = String::new();
    for (page, folder) in pages() {
        let old = fs::read_to_string(&page).unwrap();
        let (texts, fences) = fences(&old);
        let mut new = texts[0].clone();
        for (fence, text) in fences.iter().zip(&texts[1..]) {
            new.push_str(&with_old_durations(&actual(fence, &folder), &fence.text));
            new.push_str(text);
        }
        if update {
            fs::write(&page, &new).unwrap();
        } else if new != old {
            wrong.push_str(&difference(&page, &old, &new));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The text with the lines of the old one where only durations differ.
fn with_old_durations(new: &str, old: &str) -> String {
    let line = |new: &str| {
        let normal = without_durations(new);
        let same = old.lines().find(|old| without_durations(old) == normal);
        format!("{}\n", same.unwrap_or(new))
    };
    new.lines().map(line).collect()
}

/// What the fence should hold.
fn actual(fence: &Fence, folder: &Path) -> String {
    match (fence.kind.as_str(), &fence.comment) {
        ("console", _) => replay(&fence.text, folder),
        ("mermaid", Some(command)) => run(command, folder).0,
        ("json", Some(comment)) if comment.starts_with("part of ") => part(comment, folder),
        (_, Some(comment)) if comment.starts_with("file ") => {
            fs::read_to_string(folder.join(&comment["file ".len()..])).unwrap()
        }
        _ => fence.text.clone(),
    }
}

/// A part of a JSON file, which a comment names: `part of report.json: /records`.
fn part(comment: &str, folder: &Path) -> String {
    let (file, pointer) = comment.trim_start_matches("part of ").split_once(": ").unwrap();
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let value = flowcore::value::read_json(&text).unwrap();
    let part = value.pointer(pointer).unwrap_or_else(|| panic!("{comment}: no such part"));
    serde_json::to_string_pretty(part).unwrap() + "\n"
}

fn replay(session: &str, folder: &Path) -> String {
    let mut actual = String::new();
    let mut last_code = 0;
    for command in session.lines().filter_map(|line| line.strip_prefix("$ ")) {
        actual.push_str(&format!("$ {command}\n"));
        if command == "echo $?" {
            actual.push_str(&format!("{last_code}\n"));
            continue;
        }
        let (text, code) = run(command, folder);
        last_code = code;
        actual.push_str(&text);
    }
    actual
}

/// What a command shows in a terminal, and its exit code.
fn run(command: &str, folder: &Path) -> (String, i32) {
    let mut words = split_words(command).into_iter();
    assert_eq!(words.next().as_deref(), Some("flowcli"), "{command}");
    let mut process = support::flowcli();
    process.args(words).current_dir(folder);
    terminal::run(process)
}

/// Splits at blanks, but not within single quotes.
fn split_words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (part, text) in command.split('\'').enumerate() {
        if part % 2 == 1 {
            words.last_mut().unwrap().push_str(text);
            continue;
        }
        let mut pieces = text.split(' ');
        words.last_mut().unwrap().push_str(pieces.next().unwrap());
        words.extend(pieces.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text with every `12 ms`, `1.5s` and the like turned into `_`.
fn without_durations(text: &str) -> String {
    let mut normal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = &rest[start..];
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let unit = number[end..].trim_start_matches(' ');
        let blanks = number[end..].len() - unit.len();
        let unit = ["ms", "µs", "s"].iter().find(|name| {
            let after = unit.strip_prefix(**name);
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
        });
        normal.push_str(&rest[..start]);
        let length = match unit.filter(|_| blanks <= 1) {
            Some(unit) => {
                // Columns are as wide as their longest duration.
                normal.truncate(normal.trim_end_matches(' ').len());
                normal.push('_');
                end + blanks + unit.len()
            }
            None => {
                normal.push_str(&number[..end]);
                end
            }
        };
        rest = &number[length..];
    }
    normal + rest
}

/// The first lines that differ.
fn difference(page: &Path, expected: &str, actual: &str) -> String {
    let same = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.lines().skip(same).take(12).collect::<Vec<_>>().join("\n");
    format!(
        "\n{}, line {}: the page says\n{}\n--- but it is\n{}\n",
        page.display(),
        same + 1,
        part(expected),
        part(actual)
    )
}

#[test]
fn workflows_in_pages_are_valid() {
    for (page, _) in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let fences = fences(&text).1;
        let called = fences.iter().filter(|fence| fence.kind == "json");
        let called = called.filter_map(|fence| Workflow::from_json(&fence.text).ok());
        let beside = Beside { page: called.collect(), ..Beside::default() };
        for fence in fences {
            let name = match fence.kind.as_str() {
                "json" => "page.json",
                "yaml" => "page.yaml",
                _ => continue,
            };
            if fence.text.contains("node_type") {
                support::check_valid(&page.display().to_string(), name, &fence.text, &beside);
            }
        }
    }
}

#[test]
fn tutorials_show_their_files_whole() {
    let folder = support::path("docs/tutorial");
    let mut pages = Vec::new();
    markdown_below(&folder, &mut pages);
    let text: String = pages.iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    let shown = fences(&text).1;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let content = fs::read_to_string(&path).unwrap();
            let is_shown = shown.iter().any(|fence| fence.text == content);
            assert!(is_shown, "no page of the tutorial shows {}", path.display());
            // Whoever types it in has to know what to call it.
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(text.contains(&format!("`{name}`")), "no page of the tutorial names {name}");
        }
    }
}
