//! Pages in which every workflow is executed, and gives what the page says.
//!
//! After a workflow come one or more blocks with what comes of it. The line before such a block says
//! what it was given, in words that are read here:
//!
//! - It gives: / With `{…}` it gives: / After the signal `name` with `{…}` it gives:
//! - It fails with: (and the same ways to begin; the block has some fields of the error)

use std::fs;

use flowcore::{ExecutionResult, Workflow};
use flowruntime::FlowRuntime;
use serde_json::{Value as Json, json};

use super::pages::fences;
use super::support::{self, value};

const PAGES: [&str; 2] = ["docs/control-flow.md", "docs/patterns.md"];

/// What a workflow is given, and what comes of it.
#[derive(Debug)]
struct Case {
    inputs: Json,
    /// Names and payloads, in order.
    signals: Vec<(String, Json)>,
    fails: bool,
    expected: Json,
}

/// A workflow of a page, and what it is executed with.
struct Shown {
    text: String,
    cases: Vec<Case>,
}

/// The parts of a line that stand in back-ticks, each with the text before it.
fn code_spans(line: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = line.split('`').collect();
    parts.chunks(2).filter(|pair| pair.len() == 2).map(|pair| (pair[0], pair[1])).collect()
}

#[track_caller]
fn read_json(place: &str, text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"))
}

/// Reads the line before a block with what comes of a workflow.
#[track_caller]
fn case(place: &str, line: &str, block: &str) -> Case {
    let fails = line.ends_with("fails with:");
    assert!(fails || line.ends_with("gives:"), "{place}: what is this block? {line}");
    let mut case =
        Case { inputs: json!({}), signals: Vec::new(), fails, expected: read_json(place, block) };
    for (before, code) in code_spans(line) {
        if before.ends_with("signal ") {
            case.signals.push((code.to_owned(), Json::Null));
            continue;
        }
        assert!(before.to_lowercase().ends_with("with "), "{place}: {line}");
        match case.signals.last_mut() {
            Some((_, payload)) => *payload = read_json(place, code),
            None => case.inputs = read_json(place, code),
        }
    }
    case
}

fn shown(page: &str) -> Vec<Shown> {
    let text = fs::read_to_string(support::path(page)).unwrap();
    let (texts, fences) = fences(&text);
    let mut shown: Vec<Shown> = Vec::new();
    for (fence, before) in fences.into_iter().zip(&texts) {
        if fence.kind != "json" {
            continue;
        }
        if fence.text.contains("\"node_type\"") {
            shown.push(Shown { text: fence.text, cases: Vec::new() });
            continue;
        }
        let lines: Vec<&str> = before.lines().filter(|line| !line.trim().is_empty()).collect();
        let line = lines[lines.len() - 2];
        let workflow =
            shown.last_mut().unwrap_or_else(|| panic!("{page}: a block of what? {line}"));
        workflow.cases.push(case(page, line, &fence.text));
    }
    shown
}

async fn run(runtime: &FlowRuntime, workflow: &Workflow, case: &Case) -> ExecutionResult {
    let inputs = value(&case.inputs).as_object().unwrap().clone();
    let execution = runtime.start(workflow, inputs).await.unwrap();
    for (name, payload) in &case.signals {
        execution.signal(name, value(payload)).await.unwrap();
    }
    execution.wait().await.unwrap()
}

#[track_caller]
fn check(place: &str, case: &Case, result: &ExecutionResult) {
    let result = serde_json::to_value(result).unwrap();
    if !case.fails {
        assert_eq!(result["status"], "Succeeded", "{place}: {result:#}");
        assert_eq!(result["outputs"], case.expected, "{place}: {:#}", result["outputs"]);
        return;
    }
    assert_eq!(result["status"], "Failed", "{place}: {result:#}");
    for (field, expected) in case.expected.as_object().unwrap() {
        assert_eq!(result["error"][field], *expected, "{place}: {:#}", result["error"]);
    }
}

async fn run_page(page: &str) {
    let runtime = FlowRuntime::builder().registry(support::registry()).build().unwrap();
    let shown = shown(page);
    let read = |text: &str| {
        Workflow::from_json(text).unwrap_or_else(|problem| panic!("{page}: {problem}\n{text}"))
    };
    let workflows: Vec<Workflow> = shown.iter().map(|shown| read(&shown.text)).collect();
    let called = workflows.iter().filter(|workflow| workflow.id.is_some());
    for workflow in called {
        runtime.register(workflow.clone()).unwrap();
    }
    assert!(workflows.len() > 10, "{page} has only {} workflows", workflows.len());
    for (shown, workflow) in shown.iter().zip(&workflows) {
        let place = format!("{page}\n{}", shown.text);
        assert!(!shown.cases.is_empty(), "{place}: nothing says what comes of it");
        for case in &shown.cases {
            check(&place, case, &run(&runtime, workflow, case).await);
        }
    }
}

/// Time stands still unless everything waits, so a wait of three days takes none.
#[tokio::test(start_paused = true)]
async fn workflows_give_what_the_pages_say() {
    for page in PAGES {
        run_page(page).await;
    }
}
