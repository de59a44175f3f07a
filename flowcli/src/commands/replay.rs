//! `flowcli replay`: goes through an exported execution, event by event.

use clap::ValueEnum;
use flowcore::{ExecutionEvent, ExecutionStatus, NodeStatus, Timestamp};
use flowruntime::{Export, FlowRuntime, Replay};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::duration;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::history::{describe, gantt};
use crate::report::human::{BOLD, DIM, clean, count, paint};
use crate::report::{json, table};
use crate::session::Session;
use crate::source::read_text;

const EXAMPLES: &str = "Examples:
  flowcli replay execution.json
  flowcli replay execution.json --step 12
  flowcli executions export 019a2b3c | flowcli replay -";

/// Shows an exported execution, event by event. Nothing is run, and no store is needed.
///
/// The node types of the workflow must be known to this program.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What `flowcli executions export` wrote; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: String,

    /// Shows how all nodes stand after this event instead.
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line for each event, or for each node.
    Human,
    /// JSON: a line for each event, or one document with all nodes.
    Json,
}

/// Reads the file and goes through it.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let export = Export::from_json(&read_text(&args.file)?)?;
    let flow = FlowRuntime::builder().registry(session.registry()).build();
    let last = export.event_count() as u64;
    let mut replay = flow.expect("no limit is set").replay_export(export)?;
    match args.step {
        Some(number) if number > last => Err(CliError::NoSuchStep { last }),
        Some(number) => show_state(args, session, &mut replay, number),
        None => show_events(args, session, &mut replay),
    }
}

fn show_events(
    args: &Args,
    session: &mut Session,
    replay: &mut Replay,
) -> Result<ExitCode, CliError> {
    let (mut first, mut number) = (None, 0);
    while let Some(event) = replay.step()? {
        number += 1;
        if args.output == Form::Json {
            let text = serde_json::to_string(&event);
            session.output.data(&(text.expect("events have string keys only") + "\n"))?;
            continue;
        }
        let first = *first.get_or_insert(event.at());
        let line = line(&event, first);
        session.output.text(&(line + "\n"))?;
    }
    if args.output == Form::Human {
        let status = replay.machine().status();
        session.note(&format!("{}, {status}; nothing was run", count(number, "event")));
    }
    Ok(ExitCode::Success)
}

/// `  12  +1.2s   fetch  succeeds: …`
fn line(event: &ExecutionEvent, first: Timestamp) -> String {
    let number = event.seq().unwrap_or_default();
    let after = duration::show(event.at().since(first));
    let node = event.node_id().map_or_else(String::new, |node| paint(BOLD, &clean(node)) + "  ");
    let start = paint(DIM, &format!("{number:>5}  {:>8}", format!("+{after}")));
    format!("{start}  {node}{}", describe::describe(event))
}

#[derive(Serialize)]
struct State<'a> {
    seq: u64,
    status: ExecutionStatus,
    nodes: Nodes<'a>,
}

struct Nodes<'a>(&'a [(String, NodeStatus)]);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (address, status) in self.0 {
            map.serialize_entry(address, status)?;
        }
        map.end()
    }
}

fn show_state(
    args: &Args,
    session: &mut Session,
    replay: &mut Replay,
    number: u64,
) -> Result<ExitCode, CliError> {
    let (mut first, mut last) = (None, None);
    while replay.next_record().is_some_and(|record| record.seq <= number) {
        last = replay.step()?;
        first = first.or_else(|| last.as_ref().map(ExecutionEvent::at));
    }
    let machine = replay.machine();
    let nodes = machine.open_nodes().map(|(address, status)| (address, status.to_public()));
    let nodes: Vec<(String, NodeStatus)> = nodes.collect();
    if args.output == Form::Json {
        let state = State { seq: number, status: machine.status(), nodes: Nodes(&nodes) };
        json::write(&mut session.output, &state)?;
        return Ok(ExitCode::Success);
    }
    if let (Some(event), Some(first)) = (last, first) {
        session.output.text(&(line(&event, first) + "\n"))?;
    }
    session.output.text(&format!("the execution is {}\n", machine.status()))?;
    let rows: Vec<[String; 2]> = nodes
        .iter()
        .map(|(address, status)| {
            let (style, mark) = gantt::mark(*status);
            [format!("{} {}", paint(style, mark), clean(address)), status.to_string()]
        })
        .collect();
    for line in table::table(&rows, session.output.list_width()) {
        session.output.text(&(line + "\n"))?;
    }
    Ok(ExitCode::Success)
}
