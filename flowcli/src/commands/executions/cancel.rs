//! `flowcli executions cancel`.

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::Wish;
use crate::session::Session;

use super::tell::TellArgs;

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
    #[command(flatten)]
    tell: TellArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    args.tell.tell_and_say(session, Wish::Cancel, "cancelled")
}
