//! `flowcli schema`: what editors need to complete and check workflow files.

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::json;
use crate::session::Session;
use crate::testing::schema;

const EXAMPLES: &str = "Examples:
  flowcli schema > workflow.schema.json
  flowcli schema --test > workflow-test.schema.json
  and as the first key of a workflow: \"$schema\": \"./workflow.schema.json\"";

/// Prints the JSON Schema of workflow files, the configs of all node types included.
///
/// Editors that know it complete keys, show what they mean and underline mistakes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Prints that of test files instead.
    #[arg(long)]
    test: bool,
}

/// Prints the schema.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let schema = match args.test {
        true => schema::schema(),
        false => flowcore::workflow_schema(&session.node_types()?),
    };
    // Whoever keeps it in a file wants to read it, and to see what changed.
    json::write_pretty(&mut session.output, &schema)?;
    Ok(ExitCode::Success)
}
