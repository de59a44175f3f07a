//! `flowcli executions resume`: goes on with an execution.

use flowcore::{ExecutionStatus, SignalError};
use flowruntime::store::StoreError;
use flowruntime::{FlowRuntime, TellError};

use crate::commands::how::{HowArgs, Run};
use crate::error::CliError;
use crate::execution::Begin;
use crate::exit_code::ExitCode;
use crate::place::{Executions, Wish};
use crate::session::Session;
use crate::source::absolute;

use super::tell::TellArgs;

const EXAMPLES: &str = "Examples:
  flowcli executions resume 019a2b3c
  flowcli executions resume 019a2b3c --output result --timeout 10m";

/// Goes on with an execution that is paused, or that nobody executes any more.
///
/// When another process executes it, it is told to go on. When nobody does, it goes on here, in the
/// foreground, as with `run`: nodes that have finished are not run again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    tell: TellArgs,

    #[command(flatten)]
    how: HowArgs,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let (place, row) = args.tell.find(session)?;
    if row.status.is_terminal() {
        return Err(TellError::from(SignalError::Finished).into());
    }
    let is_paused = row.status == ExecutionStatus::Paused;
    let tell = |place: &dyn Executions| place.tell(row.id, Wish::Resume, &args.tell.asker());
    if session.server.is_some() || row.owner.is_some() {
        if is_paused {
            tell(&*place)?;
            session.note(&format!("execution {} goes on where it is executed", row.id));
        } else {
            session.note(&format!("execution {} is being executed, and is not paused", row.id));
        }
        return Ok(ExitCode::Success);
    }
    drop(place);
    let open = args.tell.store.visit()?;
    let here = match open.to_execute() {
        // Paused, it is in nobody's memory; whoever executes from the store takes it up again.
        Err(CliError::Store(StoreError::InUse { holder, .. })) if is_paused => {
            tell(&open)?;
            session.note(&format!("execution {} is to go on; {holder} executes here", row.id));
            return Ok(ExitCode::Success);
        }
        here => here?,
    };
    drop(open);
    let (tokio, builder, address) = here.execute(FlowRuntime::builder(), &session.program);
    // Relative paths start where they did, which the store knows.
    let policy = args.how.policy(&absolute(std::path::Path::new(""))?);
    let builder = builder.registry(session.registry()).policy(policy);
    let flow = builder.secrets(args.how.secrets()?).build().expect("no limit is set");
    let unknown = || CliError::UnknownExecution(row.id.to_string());
    let (row, replay) = tokio.block_on(flow.replay(row.id))?.ok_or_else(unknown)?;
    let by = is_paused.then(|| args.tell.asker());
    let begin = Begin::Kept { id: row.id, resumed_by: by };
    let plan = replay.machine().plan().clone();
    drop(replay);
    let run = Run { begin, plan, kept: Some(address), reads_stdin: false };
    args.how.execute(session, tokio, flow, run)
}
