//! `flowcli executions list`: the executions of a store or of a server, the newest first.

use clap::ValueEnum;
use flowcore::{ExecutionStatus, Timestamp, WorkflowId};
use flowruntime::history::ExecutionSummary;
use flowruntime::store::Query;
use serde::Serialize;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::moment;
use crate::place::executions;
use crate::report::history::execution;
use crate::report::human::{DIM, paint};
use crate::report::{json, table};
use crate::session::Session;
use crate::store::StoreArgs;

const EXAMPLES: &str = "Examples:
  flowcli executions list --limit 20
  flowcli executions list --workflow orders --status failed --since 2h
  flowcli executions list --output json | jq -r '.items[].id'";

/// Lists executions, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// Only those of this workflow.
    #[arg(long, value_name = "ID", value_parser = parse_workflow)]
    workflow: Option<WorkflowId>,

    /// Only those that stand so; may be given often.
    #[arg(long = "status", value_name = "STATUS", ignore_case = true)]
    statuses: Vec<StatusArg>,

    /// Only those that were accepted then or later: `2026-11-20`, `2026-11-20T10:00:00Z`, or `2h`
    /// ago.
    #[arg(long, value_name = "TIME", value_parser = moment::parse_arg)]
    since: Option<Timestamp>,

    /// Only those that were accepted before.
    #[arg(long, value_name = "TIME", value_parser = moment::parse_arg)]
    before: Option<Timestamp>,

    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value = "50")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,

    /// Goes on after the last one of a list, as it says.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line for each.
    Table,
    /// One JSON document.
    Json,
}

/// How an execution stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusArg {
    /// Accepted, not started.
    Queued,
    /// Under way.
    Running,
    /// For a time or a signal.
    Waiting,
    /// Until it is resumed.
    Paused,
    /// Ended well.
    Succeeded,
    /// Ended because a node failed.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended because it took too long.
    #[value(name = "timed-out", alias = "timedout")]
    TimedOut,
}

impl From<StatusArg> for ExecutionStatus {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Queued => Self::Queued,
            StatusArg::Running => Self::Running,
            StatusArg::Waiting => Self::Waiting,
            StatusArg::Paused => Self::Paused,
            StatusArg::Succeeded => Self::Succeeded,
            StatusArg::Failed => Self::Failed,
            StatusArg::Cancelled => Self::Cancelled,
            StatusArg::TimedOut => Self::TimedOut,
        }
    }
}

fn parse_workflow(text: &str) -> Result<WorkflowId, String> {
    WorkflowId::new(text).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct List<'a> {
    items: Vec<ExecutionSummary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let place = executions(session, &args.store)?;
    let query = Query {
        workflow_id: args.workflow.clone(),
        statuses: args.statuses.iter().map(|status| (*status).into()).collect(),
        created_from: args.since,
        created_before: args.before,
        limit: usize::from(args.limit),
        ..Query::default()
    };
    let (rows, next_cursor) = place.list(&query, args.after.as_deref())?;
    if args.output == Form::Json {
        let items = rows.iter().map(ExecutionSummary::from).collect();
        json::write(&mut session.output, &List { items, next_cursor })?;
        return Ok(ExitCode::Success);
    }
    let mut cells = vec![["ID", "WORKFLOW", "STATUS", "ACCEPTED", "TOOK", ""].map(str::to_owned)];
    cells[0].iter_mut().for_each(|title| *title = paint(DIM, title));
    cells.extend(rows.iter().map(execution::cells));
    if rows.is_empty() {
        session.note("there are no such executions");
        return Ok(ExitCode::Success);
    }
    let width = session.output.list_width();
    for line in table::table(&cells, width) {
        session.output.text(&(line + "\n"))?;
    }
    if let Some(cursor) = next_cursor {
        session.note(&format!("there are more: `--after {cursor}` goes on"));
    }
    Ok(ExitCode::Success)
}
