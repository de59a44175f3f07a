//! `flowcli executions logs`: what the nodes of an execution wrote.

use std::time::Duration;

use anstyle::Style;
use clap::{ArgAction, ValueEnum};
use flowcore::ExecutionId;
use flowruntime::store::LogLine;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::{Executions, executions};
use crate::report::human::{BOLD, DIM, clean, paint};
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

const EXAMPLES: &str = "Examples:
  flowcli executions logs 019a2b3c
  flowcli executions logs 019a2b3c -f --node build";

/// How often new lines are looked for.
const PAUSE: Duration = Duration::from_millis(250);

/// Shows what the nodes of an execution wrote; 1 MiB of each attempt is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Waits for more until the execution ends.
    #[arg(short, long, action = ArgAction::SetTrue)]
    follow: bool,

    /// Only what this node wrote, such as `fetch` or `each[3].fetch`.
    #[arg(long, value_name = "PATH")]
    node: Option<String>,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The node and the text.
    Text,
    /// A JSON object a line, with the time, the attempt and the kind.
    Ndjson,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let place = executions(session, &args.store)?;
    let id = place.find(&args.id)?.id;
    let mut after = 0;
    loop {
        // Asked before the lines, so that none is missed at the end.
        let is_over = !args.follow || is_over(&*place, id)?;
        loop {
            let lines = place.logs(id, after)?;
            for line in &lines {
                after = line.number;
                if args.node.as_ref().is_none_or(|node| *node == line.node) {
                    write(args, session, line)?;
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        if is_over {
            return Ok(ExitCode::Success);
        }
        session.output.flush()?;
        place.sleep(PAUSE);
    }
}

fn is_over(place: &dyn Executions, id: ExecutionId) -> Result<bool, CliError> {
    Ok(place.execution(id)?.is_none_or(|row| row.status.is_terminal()))
}

fn write(args: &Args, session: &mut Session, line: &LogLine) -> Result<(), CliError> {
    if args.output == Form::Ndjson {
        let text = serde_json::to_string(line);
        return session.output.data(&(text.expect("it has string keys only") + "\n"));
    }
    let attempt = match line.attempt {
        1 => String::new(),
        attempt => paint(DIM, &format!(" (attempt {attempt})")),
    };
    let style = if line.kind == "stderr" { DIM } else { Style::new() };
    let text = paint(style, &clean(&line.text));
    session.output.text(&format!("{}{attempt}: {text}\n", paint(BOLD, &clean(&line.node))))
}
