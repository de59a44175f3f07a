//! Approvals, asked for on the terminal.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::support::{data, flowcli};
use super::terminal::Terminal;

const PROMPT: &str = "and a reason if you like: ";

fn start(arguments: &[&str]) -> Terminal {
    let mut command = flowcli(&data(), ["run", "control/approval.json"].iter().chain(arguments));
    command.env("USER", "ada").env("NO_COLOR", "1");
    Terminal::start(command)
}

#[test]
fn somebody_approves() {
    let mut terminal = start(&["-q"]);
    let asked = terminal.wait_for(PROMPT);
    assert!(asked.contains("release: Ship version 3?"), "{asked}");
    terminal.type_line("perhaps");
    terminal.wait_for("please answer with `y` or `n`: ");
    terminal.type_line("yes, it was tested");
    let (code, written) = terminal.end();
    assert_eq!(code, Some(0), "{written}");
    let answer = ["\"by\": \"ada\"", "\"reason\": \"it was tested\"", "\"rejected\": null"];
    assert!(answer.iter().all(|part| written.contains(part)), "{written}");
}

#[test]
fn somebody_rejects() {
    let mut terminal = start(&[]);
    terminal.wait_for(PROMPT);
    terminal.type_line("n");
    let (code, written) = terminal.end();
    assert_eq!(code, Some(0), "{written}");
    assert!(written.contains("\"approved\": null"), "{written}");
    assert!(written.contains("✓ release"), "the picture comes back: {written}");
}

#[test]
fn nothing_is_written_while_somebody_types() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let input = format!("done={}", done.display());
    let mut terminal = start(&["-i", &input]);
    terminal.wait_for(PROMPT);
    // Meanwhile another node starts and ends, which the picture shows and a message says.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done.exists() {
        assert!(Instant::now() < deadline, "the other node never ran");
        thread::yield_now();
    }
    terminal.type_line("y");
    let (code, written) = terminal.end();
    assert_eq!(code, Some(0), "{written}");
    let (_, after) = written.split_once(PROMPT).unwrap();
    assert!(after.starts_with("y\r\n"), "{after:?}");
}

#[test]
fn ctrl_c_ends_a_question() {
    let mut terminal = start(&[]);
    terminal.wait_for(PROMPT);
    let id = terminal.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let (code, written) = terminal.end();
    assert_eq!(code, Some(130), "{written}");
    let (_, after) = written.split_once(PROMPT).unwrap();
    assert!(after.starts_with("\r\ncancelling; Ctrl-C again aborts at once"), "{after:?}");
    assert!(after.contains("⊘ release"), "{after}");
}

#[test]
fn an_approval_in_advance_is_not_asked_for() {
    let terminal = start(&["--signal", "release={\"approved\": true, \"by\": \"bob\"}"]);
    let (code, written) = terminal.end();
    assert_eq!(code, Some(0), "{written}");
    assert!(written.contains("\"by\": \"bob\"") && !written.contains(PROMPT), "{written}");
}
