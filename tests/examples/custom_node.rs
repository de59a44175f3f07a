//! `examples/custom-node`, which is a crate of its own: its node is compiled into this test as well,
//! its own tests included. `.ci/run` builds and runs the crate itself.

#[path = "../../examples/custom-node/src/slugify.rs"]
mod slugify;

use std::fs;

use serde_json::json;

use super::support;

#[test]
fn a_workflow_uses_the_node() {
    let file = "examples/custom-node/workflow.json";
    let result = support::run_with(file, &["title=Hello, World!"], |registry| {
        registry.register(slugify::SlugifyFactory);
    });
    assert_eq!(result["outputs"], json!({ "address": "https://example.org/posts/hello-world" }));
}

#[test]
fn the_program_is_short() {
    let main = fs::read_to_string(support::path("examples/custom-node/src/main.rs")).unwrap();
    assert!(main.lines().count() <= 10, "{main}");
}
