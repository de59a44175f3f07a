//! `flowcli executions pause`.

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::session::Session;
use crate::store::{Address, IdArg, StoreArgs, parse_id};

use super::asker;

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
    let id = row.id;
    match row.owner {
        Some(_) => session.note(&format!("execution {id} is being paused")),
        None => {
            let command =
                Address::new(&session.program, &open.url).command(&format!("resume {id}"));
            session.note(&format!(
                "nobody executes {id}: it is paused as soon as somebody does, as with `{command}`"
            ));
        }
    }
    Ok(ExitCode::Success)
}
