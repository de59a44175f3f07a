//! What the `flowcli` binary reads and writes, as transcripts: `tests/cli/data/*.transcript`.
//!
//! ```text
//! $ flowcli run hello.json -i name=Ada
//! < a line of standard input
//! > a line of standard output
//! ! a line of standard error
//! ? 3
//! ```
//!
//! `?` is the exit code, left out when it is 0; a last line of standard output without a line break
//! begins with `>~`. Other lines are comments. Each file runs in a copy of `tests/cli/data` of its
//! own, from top to bottom, and may change it.
//!
//! `FLOW_UPDATE=1 cargo test -p flowcli --test cli` writes what came out.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::support::{data, flowcli};

#[test]
fn transcripts() {
    let mut files: Vec<PathBuf> = fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "transcript"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let update = std::env::var_os("FLOW_UPDATE").is_some();
    let mut different = String::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let actual = replay(&expected);
        if update && actual != expected {
            fs::write(&file, &actual).unwrap();
        } else if actual != expected {
            write!(different, "{}", difference(&file, &expected, &actual)).unwrap();
        }
    }
    assert!(different.is_empty(), "{different}");
}

/// Runs every command of a transcript and writes the transcript anew.
fn replay(transcript: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&data(), folder.path());
    let mut actual = String::new();
    let mut lines = transcript.lines().peekable();
    while let Some(line) = lines.next() {
        let is_outcome = ["> ", ">", ">~", "! ", "!", "? "]
            .iter()
            .any(|mark| line == *mark || (line.starts_with(mark) && mark.len() > 1));
        if is_outcome {
            continue;
        }
        writeln!(actual, "{line}").unwrap();
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut input = String::new();
        while let Some(text) = lines.next_if(|line| line.starts_with("< ") || *line == "<") {
            writeln!(actual, "{text}").unwrap();
            writeln!(input, "{}", text.get(2..).unwrap_or_default()).unwrap();
        }
        run(command, &input, folder.path(), &mut actual);
    }
    actual
}

fn run(command: &str, input: &str, folder: &Path, actual: &mut String) {
    let mut words = split_words(command).into_iter().peekable();
    let mut variables = Vec::new();
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push((name.to_owned(), value.to_owned()));
        words.next();
    }
    assert_eq!(words.next().as_deref(), Some("flowcli"), "{command}");
    let mut child = flowcli(folder, words).envs(variables).spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let folder = folder.to_str().unwrap();
    write_lines(actual, '>', &output.stdout, folder);
    write_lines(actual, '!', &output.stderr, folder);
    match output.status.code() {
        Some(0) => {}
        Some(code) => writeln!(actual, "? {code}").unwrap(),
        None => writeln!(actual, "? {}", output.status).unwrap(),
    }
}

fn write_lines(actual: &mut String, mark: char, output: &[u8], folder: &str) {
    let text = normalize(&String::from_utf8_lossy(output).replace(folder, "[DIR]"));
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some("") => writeln!(actual, "{mark}").unwrap(),
            Some(line) => writeln!(actual, "{mark} {line}").unwrap(),
            None => writeln!(actual, "{mark}~{line}").unwrap(),
        }
    }
}

/// Replaces what differs from run to run: ids, moments and durations.
fn normalize(text: &str) -> String {
    let mut normal = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let is_start = !before.is_alphanumeric() && !".-".contains(before);
        let found = is_start.then(|| changing_part(rest, before)).flatten();
        let (length, replacement) = found.unwrap_or((first.len_utf8(), &rest[..first.len_utf8()]));
        normal.push_str(replacement);
        before = if found.is_some() { ' ' } else { first };
        rest = &rest[length..];
    }
    normal
}

/// What is quoted is given, and does not change.
fn changing_part(text: &str, before: char) -> Option<(usize, &'static str)> {
    let matches = |pattern: &str| {
        let bytes = text.as_bytes();
        (bytes.len() >= pattern.len()).then_some(())?;
        let same = pattern.bytes().zip(bytes).all(|(pattern, &byte)| match pattern {
            b'x' => byte.is_ascii_hexdigit(),
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        });
        same.then_some(pattern.len())
    };
    if let Some(length) = matches("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") {
        return Some((length, "[ID]"));
    }
    if let Some(length) = matches("0000-00-00T00:00:00.000Z") {
        return Some((length, "[TIME]"));
    }
    if let Some(length) = matches("0000-00-00T00:00:00.000000Z") {
        return Some((length, "[TIME]"));
    }
    for clock in ["0000-00-00 00:00", "00:00"] {
        if let Some(length) = matches(clock).filter(|_| before == ' ') {
            return Some((length, "[CLOCK]"));
        }
    }
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = ["ms", "µs", "s"].iter().find(|unit| {
        let rest = text[number..].strip_prefix(**unit);
        let is_quoted = "`\"".contains(before);
        number > 0
            && !is_quoted
            && rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    });
    if let Some(unit) = unit {
        return Some((number + unit.len(), "[DURATION]"));
    }
    // A signal that is given in advance comes before or after somebody waits for it.
    let counted = [" crashes", " writes", " events, succeeded"];
    if number > 0 && counted.iter().any(|what| text[number..].starts_with(what)) {
        return Some((number, "[COUNT]"));
    }
    let key = "\"duration_ms\":";
    let value = text.strip_prefix(key)?;
    let blank = value.len() - value.trim_start().len();
    let digits = value[blank..].find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some((key.len() + blank + digits, "\"duration_ms\":[MS]"))
}

/// Splits at blanks, but not within single quotes; `\n` within them is a line break.
fn split_words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_with(String::new);
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The first lines that differ.
fn difference(file: &Path, expected: &str, actual: &str) -> String {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut pairs = expected.lines().zip(actual.lines());
    let same = pairs.by_ref().take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.lines().skip(same).take(12).collect::<Vec<_>>().join("\n");
    format!(
        "\n{name}, line {}: expected\n{}\n--- but got\n{}\n",
        same + 1,
        part(expected),
        part(actual)
    )
}
