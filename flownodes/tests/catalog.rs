//! `docs/nodes.md` says what the node types say.
#![cfg(all(feature = "http", feature = "jq", feature = "sqlite", feature = "validate"))]

use std::path::Path;

use flowcore::NodeRegistry;

#[test]
fn the_node_reference_is_up_to_date() {
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    let expected = flownodes::catalog::markdown(&registry);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nodes.md");
    if std::env::var_os("FLOW_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
    assert!(
        found == expected,
        "docs/nodes.md is not what the node types say, from line {} on; \
         run `FLOW_UPDATE=1 cargo test -p flownodes --test catalog`",
        difference.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1,
    );
}
