//! Documents for programs.

use serde::Serialize;

use crate::error::CliError;
use crate::output::Output;

/// Writes a document and a line break to standard output: for people when it is a terminal, else
/// compact.
pub(crate) fn write(output: &mut Output, document: &impl Serialize) -> Result<(), CliError> {
    if output.is_terminal() {
        return write_pretty(output, document);
    }
    write_text(output, serde_json::to_string(document))
}

/// As [`write()`], always for people.
pub(crate) fn write_pretty(output: &mut Output, document: &impl Serialize) -> Result<(), CliError> {
    write_text(output, serde_json::to_string_pretty(document))
}

fn write_text(output: &mut Output, text: serde_json::Result<String>) -> Result<(), CliError> {
    let text = text.expect("documents have string keys and finite numbers only");
    output.data(&(text + "\n"))
}
