//! Reading what the command line names.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flowcore::Source;

use crate::error::CliError;

/// How the command line names standard input.
pub(crate) const STDIN: &str = "-";

/// What messages call a file of the command line.
pub(crate) fn display_name(name: &str) -> &str {
    if name == STDIN { "<stdin>" } else { name }
}

/// The whole text of a file, or of standard input when it is called `-`.
pub(crate) fn read_text(name: &str) -> Result<String, CliError> {
    let unreadable = |source| CliError::Read { name: display_name(name).to_owned(), source };
    let bytes = if name == STDIN { read_stdin() } else { fs::read(name) }.map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| CliError::NotText {
        name: display_name(name).to_owned(),
        at: error.utf8_error().valid_up_to(),
    })
}

/// The folder in which a file stands, from the root of the file system: where relative paths start.
pub(crate) fn folder_of(name: &str) -> Result<PathBuf, CliError> {
    let folder = if name == STDIN { None } else { Path::new(name).parent() };
    absolute(folder.unwrap_or(Path::new("")))
}

/// A folder from the root of the file system. An empty path is the current folder.
pub(crate) fn absolute(folder: &Path) -> Result<PathBuf, CliError> {
    // `std` does not take an empty path.
    std::path::absolute(Path::new(".").join(folder)).map_err(CliError::Runtime)
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A workflow file, or standard input when it is called `-`.
pub(crate) fn read_workflow_file(name: &str) -> Result<Source, CliError> {
    let text = read_text(name)?;
    if name == STDIN && looks_like_yaml(&text) {
        return Ok(Source::yaml(name, text));
    }
    Ok(Source::from_path_name(name, text))
}

/// Standard input has no extension. A workflow in JSON begins with a brace, one in YAML hardly ever
/// does.
fn looks_like_yaml(text: &str) -> bool {
    let first = text.trim_start_matches('\u{feff}').trim_start().chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || "#-%$".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_told_from_json() {
        assert!(looks_like_yaml("# a comment\nnodes: []"));
        assert!(looks_like_yaml("---\nnodes: []"));
        for json in ["{}", " \n{", "[", "\"x\"", "", "1"] {
            assert!(!looks_like_yaml(json), "{json}");
        }
    }
}
