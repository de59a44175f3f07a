//! `flowcli executions`: the executions of a store or of a server.

mod cancel;
mod export;
mod list;
mod logs;
mod pause;
mod prune;
mod rerun;
mod resume;
mod show;
mod signal;
mod tell;
mod watch;

use clap::Subcommand;
use flowruntime::store::ExecutionRow;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::Executions;
use crate::report::history::execution::is_abandoned;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli executions list --status running --status waiting
  flowcli executions show 019a2b3c
  flowcli executions resume 019a2b3c --store sqlite://flow.db";

/// Looks at the executions of a store or of a server, and goes on with them.
///
/// To look never holds up whoever executes. An execution is named by its id, or by enough of the
/// beginning of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::Args),
    Show(show::Args),
    Logs(logs::Args),
    Cancel(cancel::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Watch(watch::Args),
    Signal(signal::Args),
    Rerun(rerun::Args),
    Export(export::Args),
    Prune(prune::Args),
}

/// Does what is asked of the store.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    match &args.verb {
        Verb::List(args) => list::run(args, session),
        Verb::Show(args) => show::run(args, session),
        Verb::Logs(args) => logs::run(args, session),
        Verb::Cancel(args) => cancel::run(args, session),
        Verb::Pause(args) => pause::run(args, session),
        Verb::Resume(args) => resume::run(args, session),
        Verb::Watch(args) => watch::run(args, session),
        Verb::Signal(args) => signal::run(args, session),
        Verb::Rerun(args) => rerun::run(args, session),
        Verb::Export(args) => export::run(args, session),
        Verb::Prune(args) => prune::run(args, session),
    }
}

/// Says how a message is taken up that nobody may be there to take.
fn note_if_nobody(session: &Session, place: &dyn Executions, row: &ExecutionRow) {
    let Some(command) = place.resume_command(row, &session.program) else { return };
    let nobody = match is_abandoned(row) {
        true => "nobody executes it",
        false => "it waits in the store",
    };
    session.note(&format!(
        "{nobody}: whoever executes from the store next takes this up, or `{command}`"
    ));
}
