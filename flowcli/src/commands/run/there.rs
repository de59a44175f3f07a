//! Running a workflow on a server.

use std::path::Path;

use flowcore::{Object, Source, Value, Workflow, WorkflowId, read_workflow};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Args, collect_inputs, unplaced};
use crate::commands::how::Accepted;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::server::{Ask, ServerError, placed, sent};
use crate::session::Session;
use crate::source::{STDIN, read_workflow_file};

/// A version of a workflow, as a server sends it.
#[derive(Deserialize)]
struct Saved {
    workflow: Box<RawValue>,
}

/// What is run.
enum What {
    /// A file of this machine.
    File(Source),
    /// A workflow that is saved on the server, perhaps in one version.
    Saved(WorkflowId, Option<u64>),
}

/// Runs the workflow on the server that is named.
pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    check_options(args, session)?;
    let what = match saved(&args.file) {
        Some((id, version)) => What::Saved(id, version),
        None => What::File(read_workflow_file(&args.file)?),
    };
    let server = session.server()?;
    let text = match &what {
        What::File(source) => source.clone(),
        What::Saved(id, version) => {
            let ask = Ask::get(["workflows", id.as_str()]);
            let ask = ask.query("version", version.map(|number| number.to_string()));
            let saved: Saved = server.ask(ask)?.read()?;
            Source::json(id.as_str(), saved.workflow.get())
        }
    };
    let (workflow, found) = read_workflow(&text);
    let Some(workflow) = workflow.filter(|_| !found.has_errors()) else {
        session.refuse(&text, &found);
        return Ok(ExitCode::Invalid);
    };
    let inputs = collect_inputs(session, &workflow, args.inputs_file.as_deref(), &args.inputs)?;
    let Some(inputs) = inputs else { return Ok(ExitCode::Invalid) };
    args.how.check_signals(session, &server, &text)?;
    let ask = match &what {
        What::File(source) => Ask::post(["executions"], new(source, &workflow, &inputs)),
        What::Saved(id, version) => {
            Ask::post(["workflows", id.as_str(), "execute"], again(*version, &inputs))
        }
    };
    let ask = match &args.key {
        Some(key) => ask.header("idempotency-key", key),
        None => ask,
    };
    // From here on a signal is heard: what was accepted is not left behind without a word.
    let mut interrupts = server.interrupts()?;
    let answered = server.tokio.block_on(async {
        tokio::select! {
            answer = server.api.send(ask) => Some(answer),
            _ = interrupts.next() => None,
        }
    });
    let Some(answered) = answered else {
        session.note("interrupted; the server may have started it");
        return Ok(ExitCode::Interrupted);
    };
    let accepted: Accepted = match answered {
        Ok(answer) => answer.read()?,
        Err(ServerError::Refused(problem)) if problem.errors.is_some() => {
            let is_about_inputs = problem.code == "inputs.invalid";
            let found = placed(&problem, &text);
            if is_about_inputs {
                session.show_diagnostics(&text, &unplaced(&found));
            } else {
                session.refuse(&text, &found);
            }
            return Ok(ExitCode::Invalid);
        }
        Err(error) => return Err(error.into()),
    };
    if args.detach {
        session.output.data(&format!("{}\n", accepted.id))?;
        return Ok(ExitCode::Success);
    }
    let reads_stdin = args.file == STDIN || args.inputs_file.as_deref() == Some(STDIN);
    args.how.follow(session, server, accepted.id, interrupts, reads_stdin)
}

/// What only means something where nodes are executed is refused, and not left out in silence.
fn check_options(args: &Args, session: &Session) -> Result<(), CliError> {
    args.how.check_for_server(session)?;
    for (option, is_given) in [
        ("--only", args.only.is_some()),
        ("--workdir", args.workdir.is_some()),
        ("--workflows", args.workflows.is_given()),
    ] {
        if is_given {
            session.only_without_server(option)?;
        }
    }
    Ok(())
}

/// A name that is no file and that a saved workflow may have.
fn saved(name: &str) -> Option<(WorkflowId, Option<u64>)> {
    if name == STDIN || Path::new(name).exists() {
        return None;
    }
    let (id, version) = match name.split_once('@') {
        Some((id, version)) => (id, Some(version.parse().ok()?)),
        None => (name, None),
    };
    Some((WorkflowId::new(id).ok()?, version))
}

fn new(source: &Source, workflow: &Workflow, inputs: &Object) -> String {
    let inputs = Value::from(inputs.clone()).to_json_text();
    let text = sent(source, Some(workflow));
    let name = Value::from(source.name()).to_json_text();
    format!("{{\"name\":{name},\"workflow\":{text},\"inputs\":{inputs}}}")
}

fn again(version: Option<u64>, inputs: &Object) -> String {
    let inputs = Value::from(inputs.clone()).to_json_text();
    let version = version.map_or_else(|| "null".to_owned(), |version| version.to_string());
    format!("{{\"version\":{version},\"inputs\":{inputs}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_saved_workflows_are_told_from_files() {
        let read = |name: &str| saved(name).map(|(id, version)| (id.to_string(), version));
        assert_eq!(read("report"), Some(("report".to_owned(), None)));
        assert_eq!(read("report@3"), Some(("report".to_owned(), Some(3))));
        for file in ["-", "report.json", "dir/report", "report@x", "@3", "Cargo.toml"] {
            assert_eq!(read(file), None, "{file}");
        }
    }
}
