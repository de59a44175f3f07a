//! `flowcli executions show`: all that is known of an execution.

use clap::{ArgAction, ValueEnum};
use flowcore::nearest;
use flowruntime::history::{Detail, ExecutionReport};
use flowruntime::store::LogLine;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::{Executions, executions};
use crate::report::history::{execution, gantt, node};
use crate::report::json;
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

const EXAMPLES: &str = "Examples:
  flowcli executions show 019a2b3c
  flowcli executions show 019a2b3c --node 'each[3].fetch'
  flowcli executions show 019a2b3c --output json | jq .nodes";

/// How many of the last lines of a node are shown.
const LAST_LINES: usize = 10;

/// Shows an execution: how it stands, what it was given and gave, and a chart of what happened when.
///
/// The node types of the workflow must be known to this program.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Tells all about the node at this path instead, such as `fetch` or `each[3].fetch`; may be
    /// given often.
    #[arg(long = "node", value_name = "PATH")]
    nodes: Vec<String>,

    /// Shows every node instance, with what it was given and gave.
    #[arg(long, action = ArgAction::SetTrue)]
    full: bool,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A chart, and lines.
    Human,
    /// One JSON document; with `--full` it has the inputs and outputs of all nodes.
    Json,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let place = executions(session, &args.store)?;
    let id = place.find(&args.id)?.id;
    let unknown = || CliError::UnknownExecution(id.to_string());
    let replay = place.replay(id, session)?.ok_or_else(unknown)?;
    let row = place.execution(id)?.ok_or_else(unknown)?;
    let detail = if args.full { Detail::Full } else { Detail::Of(&args.nodes) };
    let known = ExecutionReport::of(row, replay, detail)?;
    if args.output == Form::Json {
        json::write(&mut session.output, &known)?;
        return Ok(ExitCode::Success);
    }
    let width = session.output.text_width();
    let mut lines = Vec::new();
    if args.nodes.is_empty() {
        lines.extend(execution::head(&known, width));
        lines.push(String::new());
        lines.extend(gantt::draw(&known.timeline, width, args.full));
    }
    lines.extend(details(args, &known, &*place)?);
    for line in lines {
        session.output.text(&(line + "\n"))?;
    }
    Ok(ExitCode::Success)
}

/// All about the nodes that are asked for.
fn details(
    args: &Args,
    known: &ExecutionReport,
    place: &dyn Executions,
) -> Result<Vec<String>, CliError> {
    let tracks = &known.timeline.tracks;
    let addresses = || tracks.iter().map(|track| track.address.as_str());
    for name in &args.nodes {
        if !addresses().any(|address| address == name) {
            let suggestion = nearest(name, addresses()).map(str::to_owned);
            return Err(CliError::UnknownPath { name: name.clone(), suggestion });
        }
    }
    if !args.full && args.nodes.is_empty() {
        return Ok(Vec::new());
    }
    let wanted =
        tracks.iter().filter(|track| args.nodes.is_empty() || args.nodes.contains(&track.address));
    let log = place.all_logs(known.row.id)?;
    let mut lines = Vec::new();
    for track in wanted {
        let own: Vec<LogLine> =
            log.iter().filter(|line| line.node == track.address).cloned().collect();
        let last = &own[own.len().saturating_sub(LAST_LINES)..];
        lines.push(String::new());
        lines.extend(node::describe(track, last));
    }
    let skipped = usize::from(!args.nodes.is_empty());
    Ok(lines.split_off(skipped.min(lines.len())))
}
