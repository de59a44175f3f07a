//! `flowcli run`: runs a workflow and waits for its end.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, ValueEnum};
use flowcore::{
    Diagnostics, ExecutionResult, ExecutionStatus, Limits, NodeRegistry, Object, Policy, Secrets,
    SharedPlan, Source, Workflow, check_with,
};
use flowruntime::{BlockingRuntime, FlowRuntime, PreparedExecution, StartError};

use crate::duration;
use crate::error::CliError;
use crate::execution::inputs::{self, InputArg, InputsError};
use crate::execution::signals::{self, GivenSignal, SignalArg};
use crate::execution::{self, Ended, Options, Outcome, only, secrets};
use crate::exit_code::ExitCode;
use crate::report::progress::{self, Detail, Givers, View, Watch};
use crate::report::{ending, human, json};
use crate::session::Session;
use crate::settings::{Verbosity, flag};
use crate::source::{STDIN, absolute, folder_of, read_workflow_file};
use crate::workflows::{WorkflowFiles, WorkflowsArgs};

const EXAMPLES: &str = "Examples:
  flowcli run hello.json -i name=Ada
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
    /// A workflow file; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: String,

    /// An input, converted as the workflow declares it, or given as JSON.
    #[arg(short, long = "input", value_name = "NAME=VALUE|NAME:=JSON", value_parser = inputs::parse_arg)]
    #[arg(help_heading = "Inputs")]
    inputs: Vec<InputArg>,

    /// A JSON object with inputs; `-` is standard input. `-i` goes before it.
    #[arg(long, value_name = "FILE", env = "FLOW_INPUTS_FILE", help_heading = "Inputs")]
    inputs_file: Option<String>,

    /// A signal or an approval, given in advance and kept until a node waits for it; what is no JSON
    /// is text. `NAME:KEY=JSON` is for the waiter with that key.
    #[arg(long = "signal", value_name = "NAME=JSON", value_parser = signals::parse_arg)]
    #[arg(help_heading = "Inputs")]
    signals: Vec<SignalArg>,

    /// A file with secrets, as a JSON object or as lines of `NAME=value`; FLOW_SECRET_<NAME> in the
    /// environment gives further ones.
    #[arg(long, value_name = "FILE", env = "FLOW_SECRETS_FILE", help_heading = "Inputs")]
    secrets_file: Option<String>,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", env = "FLOW_OUTPUT", default_value = "json")]
    output: Form,

    /// The longest that the execution may take, such as `30s` or `1h30m`.
    #[arg(long, value_name = "DURATION", env = "FLOW_TIMEOUT", value_parser = duration::parse_arg)]
    timeout: Option<duration::Given>,

    /// Where relative paths start; the folder of the workflow file unless given.
    #[arg(long, value_name = "DIR", env = "FLOW_WORKDIR")]
    workdir: Option<PathBuf>,

    #[command(flatten)]
    workflows: WorkflowsArgs,

    /// Runs this node and the nodes that it needs, and nothing else; gives its outputs.
    #[arg(long, value_name = "NODE")]
    only: Option<String>,

    /// Fails when a node has failed, also where the workflow goes on without it.
    #[arg(long, env = "FLOW_STRICT", value_parser = flag(), action = ArgAction::SetTrue)]
    strict: bool,

    /// Lets nodes touch nothing outside: no network, no program, no file.
    #[arg(long, env = "FLOW_UNTRUSTED", value_parser = flag(), action = ArgAction::SetTrue)]
    untrusted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The outputs of the workflow.
    Json,
    /// Every event, a line each.
    Ndjson,
    /// The whole result, whatever happened.
    Result,
    /// Nothing.
    None,
}

/// Runs the workflow.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    if args.file == STDIN && args.inputs_file.as_deref() == Some(STDIN) {
        return Err(CliError::StdinTwice);
    }
    let source = read_workflow_file(&args.file)?;
    let registry = session.registry();
    let files = WorkflowFiles::new(&source, &args.workflows).confined(args.untrusted);
    let Some((workflow, plan)) = check_workflow(session, &source, &registry, &files) else {
        return Ok(ExitCode::Invalid);
    };
    let workflow = match &args.only {
        Some(node) => only::reduce(&workflow, &plan, node)?,
        None => workflow,
    };
    let inputs = match inputs::collect(&workflow, args.inputs_file.as_deref(), &args.inputs) {
        Ok(inputs) => inputs,
        Err(InputsError::File(error)) => return Err(error),
        Err(InputsError::Content(bad)) => {
            let (file, diagnostic) = *bad;
            let mut found = Diagnostics::new();
            found.push(diagnostic);
            session.show_diagnostics(&file, &found);
            return Ok(ExitCode::Invalid);
        }
    };
    let secrets = secrets::load(args.secrets_file.as_deref())?;
    let runtime = runtime(registry, policy(args)?, secrets, files)?;
    let prepared = match prepare(args, &runtime, &workflow, inputs) {
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
    let outcome = execute(args, session, &runtime, prepared);
    execution::shut_down(runtime);
    outcome
}

/// Problems of inputs name the input; a pointer into them says nothing new.
fn unplaced(found: &Diagnostics) -> Diagnostics {
    let mut unplaced = Diagnostics::new();
    for diagnostic in found {
        let mut diagnostic = diagnostic.clone();
        diagnostic.pointer.clear();
        unplaced.push(diagnostic);
    }
    unplaced
}

fn check_workflow(
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
    let folder = match &args.workdir {
        Some(folder) => absolute(&existing(folder)?)?,
        None => folder_of(&args.file)?,
    };
    Ok(if args.untrusted {
        Policy::deny_all().directory(folder)
    } else {
        Policy::allow_all(folder)
    })
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

fn runtime(
    registry: NodeRegistry,
    policy: Policy,
    secrets: Secrets,
    files: WorkflowFiles,
) -> Result<BlockingRuntime, CliError> {
    let builder = FlowRuntime::builder().registry(registry).policy(policy).secrets(secrets);
    let flow = builder.workflows(files).build().expect("no limit is set");
    BlockingRuntime::builder(flow).build().map_err(CliError::Runtime)
}

fn prepare(
    args: &Args,
    runtime: &BlockingRuntime,
    workflow: &Workflow,
    inputs: Object,
) -> Result<PreparedExecution, StartError> {
    let prepared = runtime.flow().prepare(workflow, inputs)?;
    Ok(if args.output == Form::Result { prepared.keep_outputs() } else { prepared })
}

/// Runs what is prepared, shows it meanwhile, and tells how it ended.
fn execute(
    args: &Args,
    session: &mut Session,
    runtime: &BlockingRuntime,
    prepared: PreparedExecution,
) -> Result<ExitCode, CliError> {
    let plan = prepared.plan().clone();
    let verbosity = session.settings.verbosity;
    let signals = signals::resolve(&plan, &args.signals)?;
    let givers = givers(args, &signals);
    let watch = Watch::new(&plan, view(verbosity), detail(verbosity, plan.len()), givers);
    let options = Options {
        timeout: args.timeout.as_ref().map(|timeout| timeout.duration),
        writes_events: args.output == Form::Ndjson,
        watch: Arc::new(watch),
        signals,
        messages: session.output.messages().clone(),
    };
    let shown = progress::show(options.watch.clone(), options.messages.clone());
    let shown = shown.map_err(CliError::Runtime)?;
    let outcome = execution::run(runtime, prepared, &options);
    options.watch.finish();
    if let Some(shown) = shown {
        shown.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    let outcome = outcome?;
    let Ended::Result(result) = &outcome.ended else {
        session.output.message(&human::failure(None, "aborted", None));
        return Ok(ExitCode::Interrupted);
    };
    write_result(args, session, result)?;
    tell_ending(args, session, &options, &outcome, result, &plan);
    match outcome.written {
        Err(error) if !error.is_quiet() => Err(error),
        _ => Ok(exit_code(args, result, &options.watch)),
    }
}

/// Who gives the signals that nodes wait for. On a terminal somebody can be asked, unless its input
/// was the workflow or its inputs.
fn givers(args: &Args, signals: &[GivenSignal]) -> Givers {
    let is_read = args.file == STDIN || args.inputs_file.as_deref() == Some(STDIN);
    let can_ask = !is_read && io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut givers = Givers { can_ask, ..Givers::default() };
    for signal in signals {
        *givers.given.entry((signal.name.clone(), signal.key.clone())).or_default() += 1;
    }
    givers
}

fn view(verbosity: Verbosity) -> View {
    let moves = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
    match verbosity {
        Verbosity::Quiet => View::Nothing,
        _ if moves => View::Tree,
        _ => View::Lines,
    }
}

/// The most nodes of a workflow of which each has a line when it ends.
const MOST_STATUS_LINES: usize = 100;

fn detail(verbosity: Verbosity, nodes: usize) -> Detail {
    let is_verbose = verbosity > Verbosity::Normal;
    Detail {
        statuses: is_verbose || nodes <= MOST_STATUS_LINES,
        starts: is_verbose,
        messages: verbosity > Verbosity::Quiet,
        programs: is_verbose,
    }
}

fn write_result(
    args: &Args,
    session: &mut Session,
    result: &ExecutionResult,
) -> Result<(), CliError> {
    match args.output {
        Form::Json if result.is_success() => json::write(&mut session.output, &result.outputs),
        Form::Result => json::write(&mut session.output, result),
        Form::Json | Form::Ndjson | Form::None => Ok(()),
    }
}

fn tell_ending(
    args: &Args,
    session: &Session,
    options: &Options,
    outcome: &Outcome,
    result: &ExecutionResult,
    plan: &flowcore::Plan,
) {
    for text in ending::tolerated(result, &options.watch, args.strict) {
        // They are why the process fails.
        if args.strict { session.output.message(&text) } else { session.note(&text) }
    }
    result.warnings.iter().for_each(|text| session.note(&human::warning(text)));
    if let Some(error) = &result.error {
        let mut error = error.clone();
        if let Some(timeout) = args.timeout.as_ref().filter(|_| outcome.timed_out) {
            error.message = format!("the execution took longer than `--timeout {}`", timeout.text);
        }
        // Who pressed Ctrl-C or closed the pipe knows.
        let asked_for = outcome.interrupted || outcome.written.is_err();
        if !(asked_for && result.status == ExecutionStatus::Cancelled) {
            session.output.message(&ending::error(&error, result, plan, &options.watch));
        }
    }
    ending::not_undone(result).iter().for_each(|text| session.note(text));
    // The picture says it already.
    if options.watch.view() != View::Tree {
        let name = plan.workflow().name.as_deref().unwrap_or(plan.workflow_id().as_str());
        session.note(&ending::summary(name, result));
    }
}

fn exit_code(args: &Args, result: &ExecutionResult, watch: &Watch) -> ExitCode {
    match result.status {
        ExecutionStatus::Succeeded if args.strict && watch.has_tolerated_failures() => {
            ExitCode::Failed
        }
        ExecutionStatus::Succeeded => ExitCode::Success,
        ExecutionStatus::TimedOut => ExitCode::TimedOut,
        ExecutionStatus::Cancelled => ExitCode::Interrupted,
        ExecutionStatus::Failed
        | ExecutionStatus::Queued
        | ExecutionStatus::Running
        | ExecutionStatus::Waiting
        | ExecutionStatus::Paused => ExitCode::Failed,
    }
}
