//! `flowcli executions cancel`.

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

use super::{asker, note_if_nobody};

const EXAMPLES: &str = "Examples:
  flowcli executions cancel 019a2b3c
  flowcli executions cancel 019a2b3c --by Ada";

/// Asks an execution to stop, whoever executes it.
///
/// What runs is told and has a grace period; what cleans up still runs. It will be cancelled when
/// this returns, also when nobody executes it now.
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
    open.tokio.block_on(flow.cancel(row.id, Some(&by)))?;
    session.note(&format!("execution {} is being cancelled", row.id));
    note_if_nobody(session, &open, &row);
    Ok(ExitCode::Success)
}
