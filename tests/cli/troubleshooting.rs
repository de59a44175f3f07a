//! Every example of docs/troubleshooting.md gives the code of its section.

use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// What examples that are commands run.
const WORKFLOW: &str = r#"{ "nodes": [
  { "id": "a", "node_type": "transform.json_parse", "config": { "json": "1" } }
] }"#;

/// A fenced block: its language and its text.
fn blocks(body: &str) -> Vec<(&str, &str)> {
    let fenced = body.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

/// What the shell runs, with the files that it needs.
fn script(blocks: &[(&str, &str)], folder: &Path) -> Option<String> {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("workflow.json", WORKFLOW);
    write("picture.png", "");
    std::fs::write(folder.join("picture.png"), b"\x89PNG").unwrap();
    let command = |after: Option<&(&str, &str)>, file: &str| {
        let given = after.filter(|(language, _)| *language == "console");
        given
            .map_or_else(|| format!("flowcli run {file} --timeout 60s"), |(_, text)| (*text).into())
    };
    match blocks {
        [("json", text), rest @ ..] => {
            write("workflow.json", text);
            Some(command(rest.first(), "workflow.json"))
        }
        [("yaml", text), rest @ ..] => {
            write("workflow.yaml", text);
            Some(command(rest.first(), "workflow.yaml"))
        }
        [("console", text), ..] => Some((*text).to_owned()),
        _ => None,
    }
}

fn run(script: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_flowcli"));
    let old_path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{old_path}", binary.parent().unwrap().display());
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_example_gives_its_code() {
    let mut wrong = String::new();
    let mut examples = 0;
    for section in PAGE.split("\n## ").skip(1) {
        let (code, body) = section.split_once('\n').unwrap();
        let folder = tempfile::tempdir().unwrap();
        let Some(script) = script(&blocks(body), folder.path()) else { continue };
        examples += 1;
        let said = run(&script, folder.path());
        if !said.contains(&format!("[{code}]")) {
            wrong += &format!("\n--- {code}: {script}\n{said}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(examples > 100, "{examples}");
}
