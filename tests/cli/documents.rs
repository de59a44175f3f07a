//! What the binary says about itself: schema, man pages, completions.

use super::support::{data, flowcli};

const VERBS: [&str; 20] = [
    "run",
    "executions",
    "replay",
    "validate",
    "test",
    "verify",
    "graph",
    "nodes",
    "init",
    "import",
    "schema",
    "explain",
    "completions",
    "man",
    "workflows",
    "schedules",
    "secrets",
    "tokens",
    "audit",
    "serve",
];

fn output(arguments: &[&str]) -> String {
    let said = flowcli(&data(), arguments).output().unwrap();
    assert!(said.status.success(), "{arguments:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn the_schema_knows_the_configs_of_nodes() {
    let text = output(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(text.contains("max_response_bytes") && text.ends_with("}\n"));
}

#[test]
fn every_verb_has_a_man_page() {
    let program = output(&["man"]);
    assert!(program.contains("130  interrupted"), "{program}");
    for verb in VERBS {
        assert!(program.contains(&format!("flowcli\\-{verb}(1)")), "{verb}");
        assert!(output(&["man", verb]).contains(&format!(".TH flowcli-{verb} 1")), "{verb}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    output(&["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(pages).unwrap().count(), VERBS.len() + 1);
}

#[test]
fn every_shell_completes_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = output(&["completions", shell]);
        assert!(VERBS.iter().all(|verb| script.contains(verb)), "{shell}");
    }
}
