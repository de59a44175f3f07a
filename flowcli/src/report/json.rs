//! Documents for programs.

use serde::Serialize;

use crate::error::CliError;
use crate::output::Output;

/// Writes a document and a line break to standard output: for people when it is a terminal, else
/// compact.
pub(crate) fn write(output: &mut Output, document: &impl Serialize) -> Result<(), CliError> {
    let text = if output.is_terminal() {
        serde_json::to_string_pretty(document)
    } else {
        serde_json::to_string(document)
    };
    let text = text.expect("documents have string keys and finite numbers only");
    output.data(&text)?;
    output.data("\n")
}
