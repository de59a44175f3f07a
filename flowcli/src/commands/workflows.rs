//! `flowcli workflows`: the workflows that are saved on a server.

use clap::Subcommand;
use flowcore::{Timestamp, WorkflowId, read_workflow};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::clean;
use crate::report::listing::{self, Form, when};
use crate::server::{Ask, Server, ServerError, placed, sent};
use crate::session::Session;
use crate::source::read_workflow_file;

const EXAMPLES: &str = "Examples:
  flowcli workflows save report.json
  flowcli workflows show report > report.json
  flowcli workflows versions report";

/// Saves workflows on a server, lists and shows them.
///
/// Every save is a version; no version is ever changed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the workflows, by id.
    List {
        /// What goes to standard output.
        #[arg(long, value_name = "FORM", default_value = "table")]
        output: Form,
    },
    /// Prints a workflow as it was saved.
    Show {
        /// The workflow.
        #[arg(value_name = "ID")]
        id: WorkflowId,
        /// The version; the current one unless given.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u64>,
    },
    /// Saves a workflow: a new one, or a new version. Prints what it is called, such as `report@3`.
    Save {
        /// A workflow file; `-` is standard input.
        #[arg(value_name = "FILE")]
        file: String,
        /// Only if this is the current version; 0 is none.
        #[arg(long, value_name = "NUMBER")]
        if_version: Option<u64>,
    },
    /// Deletes a workflow; its versions and executions stay.
    Delete {
        /// The workflow.
        #[arg(value_name = "ID")]
        id: WorkflowId,
        /// Only if this is the current version.
        #[arg(long, value_name = "NUMBER")]
        if_version: Option<u64>,
    },
    /// Lists the versions of a workflow, the newest first.
    Versions {
        /// The workflow.
        #[arg(value_name = "ID")]
        id: WorkflowId,
        /// What goes to standard output.
        #[arg(long, value_name = "FORM", default_value = "table")]
        output: Form,
    },
}

#[derive(Deserialize)]
struct Summary {
    id: String,
    version: u64,
    name: Option<String>,
    saved_at: Timestamp,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
    saved_at: Timestamp,
    is_deleted: bool,
}

#[derive(Deserialize)]
struct Saved {
    id: String,
    version: u64,
    workflow: Box<RawValue>,
}

/// How many workflows, or versions of one, are listed.
const MOST: usize = 100_000;

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    match &args.verb {
        Verb::List { output } => {
            let (items, _) = session.server()?.list::<Json>(MOST, || Ask::get(["workflows"]))?;
            let titles = ["ID", "VERSION", "SAVED", "NAME"];
            listing::show(session, *output, &items, titles, |one: Summary| {
                let name = clean(&one.name.unwrap_or_default());
                [clean(&one.id), one.version.to_string(), when(Some(one.saved_at)), name]
            })?;
        }
        Verb::Show { id, version } => {
            let ask = Ask::get(["workflows", id.as_str()]);
            let ask = ask.query("version", version.map(|number| number.to_string()));
            let saved: Saved = session.server()?.ask(ask)?.read()?;
            session.output.data(&format!("{}\n", saved.workflow.get()))?;
        }
        Verb::Save { file, if_version } => return save(session, file, *if_version),
        Verb::Delete { id, if_version } => {
            let ask = Ask::delete(["workflows", id.as_str()]);
            let ask = match if_version {
                Some(version) => ask.header("if-match", &format!("\"{version}\"")),
                None => ask,
            };
            session.server()?.ask(ask)?;
            session.note(&format!("the workflow `{id}` is deleted; its versions stay"));
        }
        Verb::Versions { id, output } => {
            let ask = || Ask::get(["workflows", id.as_str(), "versions"]);
            let (items, _) = session.server()?.list::<Json>(MOST, ask)?;
            listing::show(session, *output, &items, ["VERSION", "SAVED", ""], |one: Version| {
                let note = if one.is_deleted { "deleted" } else { "" };
                [one.version.to_string(), when(Some(one.saved_at)), note.to_owned()]
            })?;
        }
    }
    Ok(ExitCode::Success)
}

fn save(session: &mut Session, file: &str, if_version: Option<u64>) -> Result<ExitCode, CliError> {
    let source = read_workflow_file(file)?;
    let (workflow, found) = read_workflow(&source);
    let Some(workflow) = workflow.filter(|_| !found.has_errors()) else {
        session.refuse(&source, &found);
        return Ok(ExitCode::Invalid);
    };
    let id = workflow.id.clone().or_else(|| source.default_id());
    let id = id.ok_or(CliError::NoWorkflowId)?;
    let server = session.server()?;
    let version = match if_version {
        Some(version) => version,
        None => current(&server, &id)?,
    };
    let ask = Ask::put(["workflows", id.as_str()], sent(&source, Some(&workflow)));
    let ask = match version {
        0 => ask.header("if-none-match", "*"),
        version => ask.header("if-match", &format!("\"{version}\"")),
    };
    match server.tokio.block_on(server.api.send(ask)) {
        Ok(answer) => {
            let saved: Saved = answer.read()?;
            session.output.data(&format!("{}@{}\n", saved.id, saved.version))?;
            Ok(ExitCode::Success)
        }
        Err(ServerError::Refused(problem)) if problem.errors.is_some() => {
            session.refuse(&source, &placed(&problem, &source));
            Ok(ExitCode::Invalid)
        }
        Err(error) => Err(error.into()),
    }
}

/// The current version; 0 is none.
fn current(server: &Server, id: &WorkflowId) -> Result<u64, CliError> {
    match server.tokio.block_on(server.api.send(Ask::get(["workflows", id.as_str()]))) {
        Ok(answer) => Ok(answer.read::<Saved>()?.version),
        Err(ServerError::Refused(problem)) if problem.code == "workflow.not_found" => Ok(0),
        Err(error) => Err(error.into()),
    }
}
