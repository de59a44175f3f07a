//! Who may know whom, and that every test is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What would make flowcore depend on how it is run. The names of Cargo.lock; whatever is under an
/// optional feature or for another system counts as well.
const RUNTIMES: [&str; 14] = [
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-std",
    "compio",
    "futures-executor",
    "glommio",
    "hyper",
    "mio",
    "monoio",
    "polling",
    "smol",
    "socket2",
    "tokio",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The packages in the lock file, and the names of those on which each depends.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("Cargo.lock");
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        let mut lines = package.lines();
        let name = lines.find_map(|line| line.strip_prefix("name = \"")).unwrap();
        let needed = lines.filter_map(|line| line.trim().strip_prefix('"'));
        let needed = needed.map(|line| line.split([' ', '"']).next().unwrap().to_owned());
        packages.entry(name.trim_end_matches('"').to_owned()).or_default().extend(needed);
    }
    packages
}

/// What a crate names in its manifest, without what only its tests need.
fn named(krate: &str) -> BTreeSet<String> {
    let text = read(&format!("{krate}/Cargo.toml"));
    let section = text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().filter(|line| line.contains('='));
    lines.map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned()).collect()
}

/// A crate's whole dependency tree.
fn tree(krate: &str) -> BTreeSet<String> {
    let locked = locked();
    let mut tree = BTreeSet::new();
    let mut open: Vec<String> = named(krate).into_iter().collect();
    while let Some(name) = open.pop() {
        if tree.insert(name.clone()) {
            open.extend(locked[&name].iter().cloned());
        }
    }
    tree
}

#[test]
fn flowcore_has_no_async_runtime_in_its_dependency_tree() {
    let needed = tree("flowcore");
    assert!(needed.contains("minijinja") && needed.contains("itoa"), "not all: {needed:?}");
    let found: Vec<_> = RUNTIMES.iter().filter(|name| needed.contains(**name)).collect();
    assert!(found.is_empty(), "flowcore depends on {found:?}");
    assert!(tree("flowruntime").contains("tokio"), "the names are those of the lock file");
}

#[test]
fn crates_know_only_those_that_they_may_know() {
    let flow = |krate: &str| -> Vec<String> {
        named(krate).into_iter().filter(|name| name.starts_with("flow")).collect()
    };
    assert_eq!(flow("flowcore"), [""; 0]);
    assert_eq!(flow("flowruntime"), ["flowcore"]);
    assert_eq!(flow("flownodes"), ["flowcore"]);
}

/// Every folder of `tests` is a test of the crate whose manifest names it. A file that no manifest
/// and no module names would never run.
#[test]
fn no_test_is_forgotten() {
    let manifests = fs::read_dir(root())
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("Cargo.toml")).ok());
    let manifests: String = manifests.collect();
    let mut folders = 0;
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let path = format!("path = \"../tests/{name}/main.rs\"");
        assert!(manifests.contains(&path), "no manifest has a test with {path}");
        check_modules(&folder.join("main.rs"));
        folders += 1;
    }
    assert!(folders > 0);
}

/// Each file beside a file with modules is one of these modules, and so on inside of folders.
fn check_modules(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let folder = file.parent().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner = path.join("mod.rs");
        let is_module = inner.exists() || path.extension().is_some_and(|it| it == "rs");
        if !is_module || path == file {
            continue;
        }
        let is_named = text.lines().any(|line| {
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub ")
                == format!("mod {name};")
        });
        assert!(is_named, "{} has no module {name}", file.display());
        if inner.exists() {
            check_modules(&inner);
        }
    }
}
