//! `flowcli executions signal`.

use flowcore::Value;
use flowcore::value::read_json;

use crate::error::CliError;
use crate::execution::signals;
use crate::exit_code::ExitCode;
use crate::place::executions;
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

use super::note_if_nobody;

const EXAMPLES: &str = "Examples:
  flowcli executions signal 019a2b3c paid '{\"amount\": 3}'
  flowcli executions signal 019a2b3c release true
  flowcli executions signal 019a2b3c paid --key 42";

/// Sends a signal or an approval to an execution, whoever executes it.
///
/// It is kept until a node waits for it. `true` and `false` answer an approval.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// The name that a node waits for.
    #[arg(value_name = "NAME")]
    name: String,

    /// What comes with it; what is no JSON is text. Null unless given.
    #[arg(value_name = "JSON")]
    payload: Option<String>,

    /// Only for the waiter with this key.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let place = executions(session, &args.store)?;
    let row = place.find(&args.id)?;
    let payload = match &args.payload {
        Some(text) => read_json(text).unwrap_or_else(|_| Value::from(text.as_str())),
        None => Value::Null,
    };
    let unknown = || CliError::UnknownExecution(row.id.to_string());
    let replay = place.replay(row.id, session)?.ok_or_else(unknown)?;
    let payload = signals::fit(replay.machine().plan(), &args.name, &payload)?;
    place.signal(row.id, &args.name, args.key.as_deref(), payload)?;
    note_if_nobody(session, &*place, &row);
    Ok(ExitCode::Success)
}
