//! `tests/` belongs to no package: what no manifest and no module names would never run.

use std::fs;
use std::path::Path;

use super::{CRATES, path, read, sources_below};

/// Whether a manifest names the file as a test of its crate.
fn is_target(file: &Path) -> bool {
    let relative = file.strip_prefix(path("")).unwrap().to_str().unwrap();
    let line = format!("path = \"../{relative}\"");
    CRATES.iter().any(|krate| read(&format!("{krate}/Cargo.toml")).contains(&line))
}

/// Whether the file that a module of this name belongs to says that there is one.
fn is_module(file: &Path) -> bool {
    let is_folder = file.ends_with("mod.rs");
    let module = if is_folder { file.parent().unwrap() } else { file };
    let declaration = format!("mod {};", module.file_stem().unwrap().to_str().unwrap());
    let folder = module.parent().unwrap();
    ["main.rs", "mod.rs"].iter().any(|parent| {
        let parent = fs::read_to_string(folder.join(parent)).unwrap_or_default();
        parent.lines().any(|line| line.ends_with(&declaration) && !line.starts_with("//"))
    })
}

#[test]
fn every_test_file_runs() {
    let mut files = Vec::new();
    sources_below(&path("tests"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let runs = if file.ends_with("main.rs") { is_target(&file) } else { is_module(&file) };
        assert!(runs, "nothing names {}", file.display());
    }
}
