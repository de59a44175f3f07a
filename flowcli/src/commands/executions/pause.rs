//! `flowcli executions pause`.

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

use super::{asker, note_if_nobody};

const EXAMPLES: &str = "Examples:
  flowcli executions pause 019a2b3c";

/// Lets an execution start nothing more, whoever executes it; what runs goes on to its end.
///
/// Times and signals are noted, and the deadline goes on. `executions resume` goes on with it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Who asks for it; you, unless said otherwise.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let open = args.store.visit()?;
    let row = open.row(&args.id)?;
    let flow = open.runtime().build().expect("no limit is set");
    let by = asker(args.by.as_deref());
    open.tokio.block_on(flow.pause(row.id, Some(&by)))?;
    session.note(&format!("execution {} is being paused", row.id));
    note_if_nobody(session, &open, &row);
    Ok(ExitCode::Success)
}
