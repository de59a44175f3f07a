//! `flowcli executions pause`.

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::Wish;
use crate::session::Session;

use super::tell::TellArgs;

const EXAMPLES: &str = "Examples:
  flowcli executions pause 019a2b3c";

/// Lets an execution start nothing more, whoever executes it; what runs goes on to its end.
///
/// Times and signals are noted, and the deadline goes on. `executions resume` goes on with it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    tell: TellArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    args.tell.tell_and_say(session, Wish::Pause, "paused")
}
