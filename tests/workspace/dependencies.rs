//! Who knows whom.

use std::collections::BTreeSet;
use std::process::Command;

use super::{CRATES, path, read};

/// What a crate of the workspace depends on, without what only its tests need.
fn dependencies(krate: &str) -> BTreeSet<String> {
    let manifest = read(&format!("{krate}/Cargo.toml"));
    let is_dependencies = |section: &&str| {
        let name = section.split(']').next().unwrap();
        name.ends_with("dependencies") && !name.ends_with("dev-dependencies")
    };
    let sections = manifest.split("\n[").filter(is_dependencies);
    let lines = sections.flat_map(|section| section.lines().skip(1));
    let lines = lines.filter(|line| line.contains('=') && !line.starts_with('#'));
    lines.map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned()).collect()
}

/// Everything that a crate is built from, as cargo resolves it.
fn tree(krate: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--all-features", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}", "--package", krate])
        .current_dir(path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn flowcore_has_no_async_runtime_no_network_and_no_randomness() {
    let tree = tree("flowcore");
    assert!(tree.contains("serde_json") && tree.contains("memchr"), "{tree:?}");
    for name in [
        "async-executor",
        "async-io",
        "async-std",
        "fastrand",
        "futures-executor",
        "getrandom",
        "mio",
        "polling",
        "rand",
        "rand_core",
        "reqwest",
        "smol",
        "socket2",
        "tokio",
    ] {
        assert!(!tree.contains(name), "flowcore is built from {name}");
    }
}

#[test]
fn crates_know_only_whom_they_may() {
    for (krate, known) in [
        ("flowcore", &[][..]),
        ("flowruntime", &["flowcore"]),
        ("flowstore", &["flowcore", "flowruntime"]),
        ("flownodes", &["flowcore"]),
        ("flowcli", &["flowcore", "flowruntime", "flowstore", "flownodes", "flowserver"]),
        ("flowserver", &["flowcore", "flowruntime", "flowstore", "flownodes"]),
        ("testkit", &[]),
    ] {
        let dependencies = dependencies(krate);
        let own: Vec<&str> =
            CRATES.into_iter().filter(|name| dependencies.contains(*name)).collect();
        assert_eq!(own, known, "{krate}");
    }
    // Only with the feature `serve`: it takes as long to build as all the rest.
    let optional = "flowserver = { workspace = true, optional = true }";
    let manifest = read("flowcli/Cargo.toml");
    assert!(manifest.contains(optional) && !manifest.contains("default ="), "{manifest}");
}
