//! `flowcli validate`: everything that can be said about workflow files without running them.

use clap::{ArgAction, ValueEnum};
use flowcore::{Diagnostics, Format, Limits, NodeRegistry, Source, check_with, read_workflow};
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::{diagnostics, human, json};
use crate::server::{self, Ask, Found, Server};
use crate::session::Session;
use crate::settings::flag;
use crate::source::{STDIN, display_name, read_workflow_file};
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

const EXAMPLES: &str = "Examples:
  flowcli validate workflow.json
  flowcli validate --strict workflows/*.json
  flowcli validate workflow.json --output json | jq '.[].diagnostics[].message'";

/// Checks workflow files and shows every problem of each.
///
/// Checked are the form of the file, node types and their configs, connections and expressions, and
/// the workflows that it calls. Nothing runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!(
    "{EXAMPLES}\n\nWhen files end differently, the highest exit code counts."
))]
pub(crate) struct Args {
    /// Workflow files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// How to report: problems with their lines on standard error, or one JSON document.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,

    #[command(flatten)]
    workflows: WorkflowsArgs,

    /// Counts warnings as errors.
    #[arg(long, env = "FLOW_STRICT", value_parser = flag(), action = ArgAction::SetTrue)]
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Human,
    /// For programs: an array with an object per file.
    Json,
}

/// What came of one file, as the JSON report has it.
#[derive(Serialize)]
struct FileReport {
    file: String,
    valid: bool,
    diagnostics: Diagnostics,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FileError>,
}

#[derive(Serialize)]
struct FileError {
    code: String,
    message: String,
}

/// Checks every file; one that cannot be read does not hide the others.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    if args.files.iter().filter(|file| *file == STDIN).count() > 1 {
        return Err(CliError::StdinTwice);
    }
    let checker = match session.connect()? {
        Some(server) => Checker::There(Box::new(server)),
        None => Checker::Here(Box::new(session.registry())),
    };
    let mut worst = ExitCode::Success;
    let mut reports = Vec::new();
    for file in &args.files {
        let (report, code) = match read_workflow_file(file) {
            Ok(source) => check_file(args, session, &checker, &source)?,
            Err(error) => unreadable(args, session, file, &error),
        };
        worst = worst.max(code);
        reports.push(report);
    }
    match args.output {
        Form::Json => json::write(&mut session.output, &reports)?,
        Form::Human => {
            let first = reports.iter().flat_map(|report| report.diagnostics.iter()).next();
            session.say_where_codes_are_explained(first);
        }
    }
    Ok(worst)
}

/// What a server says of a workflow.
#[derive(Deserialize)]
struct Validation {
    diagnostics: Vec<Found>,
}

/// Who knows the node types, and the workflows that others call.
enum Checker {
    Here(Box<NodeRegistry>),
    There(Box<Server>),
}

/// Checks a file as the server would when it is saved there.
fn check_there(server: &Server, source: &Source) -> Result<Diagnostics, CliError> {
    let text = match (source.format(), read_workflow(source)) {
        (Format::Yaml, (None, found)) => return Ok(found),
        (Format::Yaml, (Some(_), found)) if found.has_errors() => return Ok(found),
        (_, (workflow, _)) => server::sent(source, workflow.as_ref()),
    };
    let answer = server.ask(Ask::post(["workflows", "validate"], text))?;
    let found: Validation = answer.read()?;
    Ok(server::diagnostics(&found.diagnostics, Some(source)))
}

fn check_file(
    args: &Args,
    session: &mut Session,
    checker: &Checker,
    source: &Source,
) -> Result<(FileReport, ExitCode), CliError> {
    let found = match checker {
        Checker::Here(registry) => {
            let files = WorkflowFiles::new(source, &args.workflows);
            check_with(source, registry, &Limits::default(), Some(&files)).diagnostics
        }
        Checker::There(server) => check_there(server, source)?,
    };
    let valid = if args.strict { found.is_empty() } else { !found.has_errors() };
    if args.output == Form::Human {
        session.show_diagnostics(source, &found);
        summarise(session, source, &found, valid)?;
    }
    let code = if valid { ExitCode::Success } else { ExitCode::Invalid };
    let file = source.name().to_owned();
    Ok((FileReport { file, valid, diagnostics: found, error: None }, code))
}

fn summarise(
    session: &mut Session,
    source: &Source,
    found: &Diagnostics,
    valid: bool,
) -> Result<(), CliError> {
    let name = human::clean(display_name(source.name()));
    let summary = diagnostics::summary(found);
    if valid {
        let extra = if summary.is_empty() { summary } else { format!(", {summary}") };
        session.output.text(&format!("{name}: ok{extra}\n"))?;
        // On a terminal it stands between the messages about the files before and after it.
        return session.output.flush();
    }
    session.output.message(&format!("{name}: {summary}\n"));
    Ok(())
}

fn unreadable(
    args: &Args,
    session: &mut Session,
    file: &str,
    error: &CliError,
) -> (FileReport, ExitCode) {
    if args.output == Form::Human {
        session.output.message(&human::error(error));
    }
    let report = FileReport {
        file: file.to_owned(),
        valid: false,
        diagnostics: Diagnostics::new(),
        error: Some(FileError { code: error.code().to_owned(), message: human::chain(error) }),
    };
    (report, error.exit_code())
}
