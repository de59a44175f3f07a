//! `flowcli executions watch`: an execution of a server, to its end.

use crate::commands::how::ShowArgs;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::Executions;
use crate::session::Session;
use crate::store::{IdArg, parse_id};

const EXAMPLES: &str = "Examples:
  flowcli executions watch 019a2b3c --server http://127.0.0.1:8080
  flowcli executions watch 019a2b3c --output result | jq .status";

/// Shows an execution of a server as it goes on, to its end, as `run` does.
///
/// Ctrl-C ends the watching; the execution goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    #[command(flatten)]
    show: ShowArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let server = session.server()?;
    let place: &dyn Executions = &server;
    let id = place.find(&args.id)?.id;
    args.show.watch(session, server, id)
}
