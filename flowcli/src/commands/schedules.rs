//! `flowcli schedules`: what becomes of the cron triggers of a server.

use clap::Subcommand;
use flowcore::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::clean;
use crate::report::listing::{self, Form, when};
use crate::server::Ask;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli schedules list
  flowcli schedules runs report nightly
  flowcli schedules disable report nightly";

/// Looks at the schedules of a server, which start workflows, and switches them on and off.
///
/// A schedule is a cron trigger of a workflow that is saved: it is named by the id of the workflow
/// and that of the trigger.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists schedules: when they are due, and what became of the last due time.
    List {
        /// Only those of this workflow.
        #[arg(long, value_name = "ID")]
        workflow: Option<String>,
        /// What goes to standard output.
        #[arg(long, value_name = "FORM", default_value = "table")]
        output: Form,
    },
    /// Lists what became of the last due times of a schedule, the newest first.
    Runs {
        #[command(flatten)]
        name: Name,
        /// What goes to standard output.
        #[arg(long, value_name = "FORM", default_value = "table")]
        output: Form,
    },
    /// Lets a schedule start executions, whatever the file says; it counts from now on.
    Enable(Name),
    /// Lets a schedule start nothing more, whatever the file says.
    Disable(Name),
}

/// A schedule.
#[derive(Debug, clap::Args)]
struct Name {
    /// The workflow.
    #[arg(value_name = "WORKFLOW")]
    workflow: String,
    /// The trigger: its id, or its place among the triggers, from 0.
    #[arg(value_name = "TRIGGER")]
    trigger: String,
}

#[derive(Deserialize)]
struct Schedule {
    workflow_id: String,
    trigger: String,
    expression: String,
    timezone: String,
    is_enabled: bool,
    next_at: Option<Timestamp>,
    last: Option<Run>,
}

/// What became of a due time.
#[derive(Deserialize)]
struct Run {
    due_at: Timestamp,
    outcome: String,
    reason: Option<String>,
    execution_id: Option<String>,
}

/// How many schedules are listed.
const MOST: usize = 10_000;

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let server = session.server()?;
    match &args.verb {
        Verb::List { workflow, output } => {
            let ask = || Ask::get(["schedules"]).query("workflow", workflow.clone());
            let (items, _) = server.list::<Json>(MOST, ask)?;
            let titles = ["WORKFLOW", "TRIGGER", "EXPRESSION", "ZONE", "NEXT", "LAST"];
            listing::show(session, *output, &items, titles, |one: Schedule| {
                let last =
                    one.last.map(|run| format!("{}: {}", when(Some(run.due_at)), run.outcome));
                let next = if one.is_enabled { when(one.next_at) } else { "disabled".to_owned() };
                let texts = [&one.workflow_id, &one.trigger, &one.expression, &one.timezone];
                let [workflow, trigger, expression, zone] = texts.map(|text| clean(text));
                [workflow, trigger, expression, zone, next, clean(&last.unwrap_or_default())]
            })?;
        }
        Verb::Runs { name, output } => {
            let ask = || Ask::get(["schedules", &name.workflow, &name.trigger, "runs"]);
            let (items, _) = server.list::<Json>(MOST, ask)?;
            let titles = ["DUE", "OUTCOME", "EXECUTION", ""];
            listing::show(session, *output, &items, titles, |run: Run| {
                let execution = run.execution_id.unwrap_or_default();
                let reason = run.reason.unwrap_or_default();
                [when(Some(run.due_at)), clean(&run.outcome), clean(&execution), clean(&reason)]
            })?;
        }
        Verb::Enable(name) => {
            server.ask(name.ask("enable"))?;
            session.note(&format!("{} starts executions", name.shown()));
        }
        Verb::Disable(name) => {
            server.ask(name.ask("disable"))?;
            session.note(&format!("{} starts nothing more", name.shown()));
        }
    }
    Ok(ExitCode::Success)
}

impl Name {
    fn ask(&self, verb: &str) -> Ask {
        Ask::post(["schedules", &self.workflow, &self.trigger, verb], "{}".to_owned())
    }

    fn shown(&self) -> String {
        format!("the schedule `{}` of `{}`", self.trigger, self.workflow)
    }
}
