//! `flowcli import`: workflows of other systems.

use std::path::PathBuf;

use clap::ValueEnum;
use flowcore::value::read_json;
use flowcore::{Location, Source, Value, check, read_workflow};

use super::init::write_file;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::import::{Imported, Note, dataflow, flowengine};
use crate::report::human::clean;
use crate::session::Session;
use crate::source::{display_name, read_text};

const EXAMPLES: &str = "Examples:
  flowcli import flowengine pipeline.json > workflow.json
  flowcli import dataflow rules.json -o workflow.json";

/// Turns a workflow of another system into one of Flow.
///
/// The workflow goes to standard output, and a report to standard error: what was carried over, what
/// was changed and what was left out, each with its place in the file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!(
    "{EXAMPLES}\n\nWhen the result is not valid yet, it is written all the same, its problems stand \
     in the report, and the exit code is 3."
))]
pub(crate) struct Args {
    /// The system that the file is of.
    #[arg(value_name = "SYSTEM")]
    system: System,

    /// The file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: String,

    /// Writes the workflow into this file instead.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrites the file of `--output`.
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum System {
    /// Workflows of flowengine.
    Flowengine,
    /// Rules of dataflow-rs 4, one or an array of them.
    Dataflow,
}

/// Reads, turns, checks and writes.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    // The reader for places takes JSON only.
    let source = Source::json(&args.file, read_text(&args.file)?);
    let Ok(tree) = read_json(source.text()) else {
        session.refuse(&source, &read_workflow(&source).1);
        return Ok(ExitCode::Invalid);
    };
    let registry = session.registry();
    let imported = match args.system {
        System::Flowengine => flowengine::import(&tree, &registry),
        System::Dataflow => dataflow::import(&tree),
    };
    let Imported { workflow, notes } = imported.map_err(|unrecognised| {
        let location = &source.locate(&[&unrecognised.pointer])[0];
        CliError::Unrecognised {
            name: display_name(&args.file).to_owned(),
            line: location.line,
            column: location.column,
            problem: unrecognised.problem,
        }
    })?;
    report(&source, notes, session);
    let text = to_text(&workflow);
    match &args.output {
        Some(path) => write_file(path, &text, args.force)?,
        None => session.output.data(&text)?,
    }
    let name = args.output.as_ref().map_or("<stdout>".into(), |path| path.display().to_string());
    let result = Source::json(name, text);
    let found = check(&result, &registry).diagnostics;
    if !found.has_errors() {
        return Ok(ExitCode::Success);
    }
    session.note("the result is not valid yet:");
    session.refuse(&result, &found);
    Ok(ExitCode::Invalid)
}

fn to_text(workflow: &Value) -> String {
    let text = serde_json::to_string_pretty(workflow);
    text.expect("a value has string keys and finite numbers only") + "\n"
}

/// A line for every note, in the order of the file.
fn report(source: &Source, notes: Vec<Note>, session: &Session) {
    let pointers: Vec<&str> = notes.iter().map(|note| note.pointer.as_str()).collect();
    let places = source.locate(&pointers);
    let mut lines: Vec<(Location, String)> = Vec::new();
    for (place, note) in places.into_iter().zip(&notes) {
        lines.push((place, format!("{}: {}", note.fate.word(), clean(&note.text))));
    }
    lines.sort_by_key(|(place, _)| place.range.start);
    let name = clean(display_name(source.name()));
    for (place, line) in lines {
        session.note(&format!("{name}:{}:{}: {line}", place.line, place.column));
    }
}
