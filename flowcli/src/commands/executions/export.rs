//! `flowcli executions export`: an execution as one file.

use std::path::PathBuf;

use crate::commands::init::write_file;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::executions;
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

const EXAMPLES: &str = "Examples:
  flowcli executions export 019a2b3c -o execution.json
  flowcli executions export 019a2b3c | flowcli replay -";

/// Writes an execution as one JSON document: the workflow, all events with their values, and what
/// nodes wrote.
///
/// `flowcli replay` shows it anywhere, without the store. What came from secrets is `•••` in it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Writes it into this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrites the file of `--output`.
    #[arg(long, requires = "output")]
    force: bool,

    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let place = executions(session, &args.store)?;
    let row = place.find(&args.id)?;
    let text = place.export(row.id)?;
    let text = text.ok_or_else(|| CliError::UnknownExecution(row.id.to_string()))? + "\n";
    match &args.output {
        Some(path) => write_file(path, &text, args.force)?,
        None => session.output.data(&text)?,
    }
    Ok(ExitCode::Success)
}
