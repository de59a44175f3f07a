//! `flowcli run`: runs a workflow and waits for its end.

mod there;

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::ArgAction;
use flowcore::{
    Diagnostics, Durability, Limits, NodeRegistry, Object, Policy, SharedPlan, Source, Workflow,
    check_with,
};
use flowruntime::{FlowRuntime, PreparedExecution, StartError};
use flowstore::{Access, StoreUrl};

use crate::error::CliError;
use crate::execution::inputs::{self, InputArg, InputsError};
use crate::execution::{Begin, only};
use crate::exit_code::ExitCode;
use crate::report::human;
use crate::sealing::SealingArgs;
use crate::session::Session;
use crate::source::{STDIN, absolute, folder_of, read_workflow_file};
use crate::store::{self, OpenStore};
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

use super::how::{HowArgs, Run};

const EXAMPLES: &str = "Examples:
  flowcli run hello.json -i name=Ada
  flowcli run report --server http://127.0.0.1:8080
  flowcli run report.json -i 'limit:=10' --output result | jq .nodes
  flowcli run - --timeout 5m < workflow.json";

/// Runs a workflow and waits for its end.
///
/// Standard output gets the outputs of the workflow as JSON, and nothing when it fails; progress
/// and messages go to standard error. The first Ctrl-C cancels and waits for what is running, the
/// second aborts.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", ExitCode::help()))]
pub(crate) struct Args {
    /// A workflow file; `-` is standard input. With `--server` also the id of a workflow that is
    /// saved there, or one version of it, such as `report@3`.
    #[arg(value_name = "FILE")]
    file: String,

    /// An input, converted as the workflow declares it, or given as JSON.
    #[arg(short, long = "input", value_name = "NAME=VALUE|NAME:=JSON", value_parser = inputs::parse_arg)]
    #[arg(help_heading = "Inputs")]
    inputs: Vec<InputArg>,

    /// A JSON object with inputs; `-` is standard input. `-i` goes before it.
    #[arg(long, value_name = "FILE", env = "FLOW_INPUTS_FILE", help_heading = "Inputs")]
    inputs_file: Option<String>,

    #[command(flatten)]
    how: HowArgs,

    /// Keeps the execution in this store, such as `sqlite://flow.db`, so that it can go on after a
    /// crash.
    #[arg(long, value_name = "URL", env = "FLOW_STORE", help_heading = "Store")]
    store: Option<String>,

    #[command(flatten)]
    sealing: SealingArgs,

    /// Makes the start repeatable: with the same key, the execution of the first start goes on, or
    /// its result is given again, for a week.
    #[arg(long, value_name = "KEY", help_heading = "Store")]
    key: Option<String>,

    /// Starts it on the server, says its id, and does not wait.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "timeout", help_heading = "Store")]
    detach: bool,

    /// Where relative paths start; the folder of the workflow file unless given.
    #[arg(long, value_name = "DIR", env = "FLOW_WORKDIR")]
    workdir: Option<PathBuf>,

    #[command(flatten)]
    workflows: WorkflowsArgs,

    /// Runs this node and the nodes that it needs, and nothing else; gives its outputs.
    #[arg(long, value_name = "NODE")]
    only: Option<String>,
}

/// Runs the workflow.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    if args.file == STDIN && args.inputs_file.as_deref() == Some(STDIN) {
        return Err(CliError::StdinTwice);
    }
    if session.server.is_some() {
        return there::run(args, session);
    }
    if args.detach {
        return Err(CliError::NoServer);
    }
    if args.key.is_some() && args.store.is_none() {
        return Err(CliError::KeyOfNothing);
    }
    let url = args.store.as_ref().map(|text| text.parse::<StoreUrl>()).transpose()?;
    let source = read_workflow_file(&args.file)?;
    let registry = session.registry();
    let files = WorkflowFiles::new(&source, &args.workflows).confined(args.how.untrusted);
    let Some((workflow, plan)) = check_workflow(session, &source, &registry, &files) else {
        return Ok(ExitCode::Invalid);
    };
    let workflow = match &args.only {
        Some(node) => only::reduce(&workflow, &plan, node)?,
        None => workflow,
    };
    let inputs = collect_inputs(session, &workflow, args.inputs_file.as_deref(), &args.inputs)?;
    let Some(inputs) = inputs else { return Ok(ExitCode::Invalid) };
    let builder = FlowRuntime::builder().registry(registry).workflows(files);
    let builder = builder.policy(policy(args)?).secrets(args.how.secrets()?);
    let store = open_store(session, url, &args.sealing, &workflow)?;
    let (tokio, builder, kept) = match store {
        None => (store::threads()?, builder, None),
        Some(open) => {
            let (tokio, builder, address) = open.execute(builder, &session.program);
            (tokio, builder, Some(address))
        }
    };
    let flow = builder.build().expect("no limit is set");
    let mut prepared = match flow.prepare(&workflow, inputs) {
        Ok(prepared) => prepared,
        Err(StartError::Inputs(found)) => {
            session.show_diagnostics(&source, &unplaced(&found));
            return Ok(ExitCode::Invalid);
        }
        Err(error) => return Err(error.into()),
    };
    if let Ok(false) = prepared.is_wanted() {
        session.note("`when` of the workflow does not hold for these inputs; it runs all the same");
    }
    if let Some(key) = &args.key {
        prepared = prepared.key(key);
    }
    let reads_stdin = args.file == STDIN || args.inputs_file.as_deref() == Some(STDIN);
    let run =
        Run { plan: prepared.plan().clone(), begin: new(prepared, &args.how), kept, reads_stdin };
    args.how.execute(session, tokio, flow, run)
}

/// The inputs of the command line; nothing when they make no sense, which was shown.
pub(super) fn collect_inputs(
    session: &Session,
    workflow: &Workflow,
    file: Option<&str>,
    args: &[InputArg],
) -> Result<Option<Object>, CliError> {
    match inputs::collect(workflow, file, args) {
        Ok(inputs) => Ok(Some(inputs)),
        Err(InputsError::File(error)) => Err(error),
        Err(InputsError::Content(bad)) => {
            let (file, diagnostic) = *bad;
            let mut found = Diagnostics::new();
            found.push(diagnostic);
            session.show_diagnostics(&file, &found);
            Ok(None)
        }
    }
}

fn new(prepared: PreparedExecution, how: &HowArgs) -> Begin {
    Begin::New(Box::new(how.prepare(prepared)))
}

/// Opens the store to execute from it, unless the workflow is not to be kept.
fn open_store(
    session: &Session,
    url: Option<StoreUrl>,
    sealing: &SealingArgs,
    workflow: &Workflow,
) -> Result<Option<OpenStore>, CliError> {
    let Some(url) = url else { return Ok(None) };
    if workflow.settings.durability == Some(Durability::None) {
        session.note(&human::warning(
            "the workflow has the setting `durability: none`: the store does not keep it",
        ));
        return Ok(None);
    }
    let store = store::open(url, Access::Execute, sealing)?;
    let (first, count) = store.abandoned()?;
    if let Some(first) = first {
        let address = store.address(&session.program);
        let command = match count {
            1 => address.command(&format!("resume {first}")),
            _ => address.command("list"),
        };
        let (are, what) =
            if count == 1 { ("is", "goes on with it") } else { ("are", "shows them") };
        session.note(&format!(
            "{} in the store {are} unfinished, and nobody executes {}: `{command}` {what}",
            human::count(count, "execution"),
            if count == 1 { "it" } else { "them" },
        ));
    }
    Ok(Some(store))
}

/// Problems of inputs name the input; a pointer into them says nothing new.
pub(super) fn unplaced(found: &Diagnostics) -> Diagnostics {
    let mut unplaced = Diagnostics::new();
    for diagnostic in found {
        let mut diagnostic = diagnostic.clone();
        diagnostic.pointer.clear();
        unplaced.push(diagnostic);
    }
    unplaced
}

pub(super) fn check_workflow(
    session: &Session,
    source: &Source,
    registry: &NodeRegistry,
    files: &WorkflowFiles,
) -> Option<(Workflow, SharedPlan)> {
    let checked = check_with(source, registry, &Limits::default(), Some(files));
    if !checked.is_ok() {
        session.refuse(source, &checked.diagnostics);
        return None;
    }
    session.show_diagnostics(source, &checked.diagnostics);
    checked.workflow.zip(checked.plan)
}

fn policy(args: &Args) -> Result<Policy, CliError> {
    Ok(args.how.policy(&folder(&args.file, args.workdir.as_deref())?))
}

/// Where relative paths start.
pub(super) fn folder(file: &str, workdir: Option<&Path>) -> Result<PathBuf, CliError> {
    match workdir {
        Some(folder) => absolute(&existing(folder)?),
        None => folder_of(file),
    }
}

/// A folder that is there: a misspelt one would be noticed by the first node that needs it, if at
/// all.
fn existing(folder: &Path) -> Result<PathBuf, CliError> {
    let is_folder = fs::metadata(folder).map(|found| found.is_dir());
    let found = is_folder.and_then(|is_folder| match is_folder {
        true => Ok(folder.to_owned()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    let unreadable = |source| CliError::Read { name: folder.display().to_string(), source };
    found.map_err(unreadable)
}
