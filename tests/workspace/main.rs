//! What ARCHITECTURE.md says of the crates and their tests, where manifests and files can show it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod dependencies;
mod files;
mod policies;

use std::path::{Path, PathBuf};

const CRATES: [&str; 7] =
    ["flowcore", "flowruntime", "flowstore", "flownodes", "flowcli", "flowserver", "testkit"];

/// A path of this repository.
fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(relative)
}

/// The sources in a folder and below it.
fn sources_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() {
            sources_below(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

fn read(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}
