//! Which files are tests, and which workflow each is about.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// The endings of test files.
const ENDINGS: [&str; 3] = [".test.json", ".test.yaml", ".test.yml"];

/// The test files that the command line names: files as they are, and those in folders, in the order
/// of their names; folders inside of them too, except hidden ones.
pub(crate) fn test_files(names: &[String]) -> Result<Vec<String>, CliError> {
    let mut found = Vec::new();
    for name in names {
        let path = Path::new(name);
        if path.is_dir() {
            let mut inside = Vec::new();
            search(path, &mut inside)?;
            if inside.is_empty() {
                return Err(CliError::NoTests(name.clone()));
            }
            let shown = |path: PathBuf| {
                path.strip_prefix(".").unwrap_or(&path).to_string_lossy().into_owned()
            };
            found.extend(inside.into_iter().map(shown));
        } else {
            found.push(name.clone());
        }
    }
    Ok(found)
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let unreadable = |source| CliError::Read { name: folder.display().to_string(), source };
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(unreadable)?.collect();
    let mut paths: Vec<PathBuf> =
        entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        // A link to a folder may lead back to where it stands.
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') {
            search(&path, found)?;
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

/// The file of the workflow of a test file: the one that it names, relative to itself, or the one
/// with its own name without `.test`.
pub(crate) fn workflow_of(test: &str, named: Option<&str>) -> String {
    let path = Path::new(test);
    if let Some(named) = named {
        let beside = path.parent().unwrap_or(Path::new("")).join(named);
        return beside.to_string_lossy().into_owned();
    }
    let stem = ENDINGS.iter().find_map(|ending| test.strip_suffix(ending));
    let stem = stem.unwrap_or_else(|| test.rsplit_once('.').map_or(test, |(stem, _)| stem));
    let files = ["json", "yaml", "yml"].map(|ending| format!("{stem}.{ending}"));
    let is_there = |file: &&String| **file != test && Path::new(file.as_str()).is_file();
    files.iter().find(is_there).unwrap_or(&files[0]).clone()
}
