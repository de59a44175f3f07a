//! `flowcli executions list`: the executions of a store, the newest first.

use clap::ValueEnum;
use flowcore::{ExecutionId, ExecutionStatus, Timestamp, WorkflowId};
use flowruntime::history::ExecutionSummary;
use flowruntime::store::{Cursor, ExecutionRow, Query};
use serde::Serialize;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::moment;
use crate::report::history::execution;
use crate::report::human::{DIM, paint};
use crate::report::{json, table};
use crate::session::Session;
use crate::store::{StoreArgs, cursor};

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
    #[arg(long, value_name = "CURSOR", value_parser = parse_cursor)]
    after: Option<CursorArg>,

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

/// A place in the list: when the execution was accepted, and its id.
#[derive(Debug, Clone, Copy)]
struct CursorArg(Cursor);

fn parse_cursor(text: &str) -> Result<CursorArg, String> {
    let read = || {
        let (micros, id) = text.split_once('-')?;
        let created_at = Timestamp::from_micros(micros.parse().ok()?);
        let id: ExecutionId = id.parse().ok()?;
        Some(CursorArg(Cursor { created_at, id }))
    };
    read().ok_or_else(|| "expected what a list says at its end".to_owned())
}

fn show_cursor(row: &ExecutionRow) -> String {
    let Cursor { created_at, id } = cursor(row);
    format!("{}-{id}", created_at.as_micros())
}

#[derive(Serialize)]
struct List<'a> {
    items: Vec<ExecutionSummary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let open = args.store.visit()?;
    let limit = usize::from(args.limit);
    let query = Query {
        workflow_id: args.workflow.clone(),
        statuses: args.statuses.iter().map(|status| (*status).into()).collect(),
        created_from: args.since,
        created_before: args.before,
        after: args.after.map(|cursor| cursor.0),
        // One more says whether there are more.
        limit: limit + 1,
        ..Query::default()
    };
    let mut rows = open.tokio.block_on(open.store.executions(&query))?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(show_cursor);
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
