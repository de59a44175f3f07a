//! How an execution is run and shown, by `run` and by all that go on with one.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, ValueEnum};
use flowcore::{
    ExecutionId, ExecutionResult, ExecutionStatus, Limits, Plan, Policy, Secrets, SharedPlan,
    Source, TraceContext, check_with,
};
use flowruntime::{BlockingRuntime, FlowRuntime, PreparedExecution};
use serde::Deserialize;

use crate::duration;
use crate::error::CliError;
use crate::execution::interrupts::Interrupts;
use crate::execution::signals::{self, GivenSignal, SignalArg};
use crate::execution::{self, Begin, Ended, Kept, Options, Outcome, secrets};
use crate::exit_code::ExitCode;
use crate::report::progress::{self, Detail, Givers, View, Watch};
use crate::report::{ending, human, json};
use crate::server::{Following, Server};
use crate::session::Session;
use crate::settings::{Verbosity, flag};
use crate::store::Address;

/// How an execution is run and shown.
#[derive(Debug, clap::Args)]
pub(crate) struct HowArgs {
    /// A signal or an approval, given in advance and kept until a node waits for it; what is no JSON
    /// is text. `NAME:KEY=JSON` is for the waiter with that key.
    #[arg(long = "signal", value_name = "NAME=JSON", value_parser = signals::parse_arg)]
    #[arg(help_heading = "Inputs")]
    signals: Vec<SignalArg>,

    /// A file with secrets, as a JSON object or as lines of `NAME=value`; FLOW_SECRET_<NAME> in the
    /// environment gives further ones.
    #[arg(long, value_name = "FILE", env = "FLOW_SECRETS_FILE", help_heading = "Inputs")]
    secrets_file: Option<String>,

    #[command(flatten)]
    pub(crate) show: ShowArgs,

    /// The longest that the execution may take, such as `30s` or `1h30m`.
    #[arg(long, value_name = "DURATION", env = "FLOW_TIMEOUT", value_parser = duration::parse_arg)]
    timeout: Option<duration::Given>,

    /// Lets nodes touch nothing outside: no network, no program, no file.
    #[arg(long, env = "FLOW_UNTRUSTED", value_parser = flag(), action = ArgAction::SetTrue)]
    pub(crate) untrusted: bool,
}

/// What is shown of an execution.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShowArgs {
    /// What goes to standard output.
    #[arg(long, value_name = "FORM", env = "FLOW_OUTPUT", default_value = "json")]
    output: Form,

    /// Fails when a node has failed, also where the workflow goes on without it.
    #[arg(long, env = "FLOW_STRICT", value_parser = flag(), action = ArgAction::SetTrue)]
    strict: bool,
}

/// What a server answers to a start.
#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) id: ExecutionId,
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

impl ShowArgs {
    /// Watches an execution of a server to its end; whoever watches does not end it.
    pub(crate) fn watch(
        &self,
        session: &mut Session,
        server: Server,
        id: ExecutionId,
    ) -> Result<ExitCode, CliError> {
        let how = HowArgs {
            signals: Vec::new(),
            secrets_file: None,
            show: self.clone(),
            timeout: None,
            untrusted: false,
        };
        let interrupts = server.interrupts()?;
        how.follow_so(session, server, id, interrupts, false, true)
    }
}

/// An execution that is to be run and shown.
pub(crate) struct Run {
    pub(crate) begin: Begin,
    pub(crate) plan: SharedPlan,
    /// The store that keeps it, if one does.
    pub(crate) kept: Option<Address>,
    /// Whether standard input is read for something else than answers.
    pub(crate) reads_stdin: bool,
}

/// The span that this command is run in, in variables named as the headers are. What cannot be read is
/// none, as in a request.
fn caller() -> Option<TraceContext> {
    let parent = std::env::var("TRACEPARENT").ok()?;
    let state = std::env::var("TRACESTATE").ok();
    TraceContext::read(&parent, state.as_deref()).ok()
}

impl HowArgs {
    pub(crate) fn secrets(&self) -> Result<Secrets, CliError> {
        secrets::load(self.secrets_file.as_deref())
    }

    /// What nodes may touch; relative paths start in the folder.
    pub(crate) fn policy(&self, folder: &Path) -> Policy {
        match self.untrusted {
            true => Policy::deny_all().directory(folder),
            false => Policy::allow_all(folder),
        }
    }

    /// What the form of the output asks of a new execution, and the trace that this command is part of.
    pub(crate) fn prepare(&self, mut prepared: PreparedExecution) -> PreparedExecution {
        if let Some(caller) = caller() {
            prepared = prepared.caller(caller);
        }
        if self.show.output == Form::Result { prepared.keep_outputs() } else { prepared }
    }

    /// Refuses what only means something where nodes are executed.
    pub(crate) fn check_for_server(&self, session: &Session) -> Result<(), CliError> {
        if self.secrets_file.is_some() {
            session.only_without_server("--secrets-file")?;
        }
        if self.untrusted {
            session.only_without_server("--untrusted")?;
        }
        Ok(())
    }

    /// Refuses signals that no node waits for, as far as the workflow is known here: what it calls on
    /// the server is known only there, and then they are refused after the start.
    pub(crate) fn check_signals(
        &self,
        session: &Session,
        server: &Server,
        source: &Source,
    ) -> Result<(), CliError> {
        if self.signals.is_empty() {
            return Ok(());
        }
        let registry = server.registry(&session.registry())?;
        match check_with(source, &registry, &Limits::default(), None).plan {
            Some(plan) => signals::resolve(&plan, &self.signals).map(drop),
            None => Ok(()),
        }
    }

    /// Follows an execution of a server to its end, and shows it as if it ran here.
    pub(crate) fn follow(
        &self,
        session: &mut Session,
        server: Server,
        id: ExecutionId,
        interrupts: Interrupts,
        reads_stdin: bool,
    ) -> Result<ExitCode, CliError> {
        self.follow_so(session, server, id, interrupts, reads_stdin, false)
    }

    fn follow_so(
        &self,
        session: &mut Session,
        server: Server,
        id: ExecutionId,
        interrupts: Interrupts,
        reads_stdin: bool,
        is_watched: bool,
    ) -> Result<ExitCode, CliError> {
        let begun = server.runtime(&session.registry()).and_then(|flow| {
            let following = Following::new(server.api.clone(), id, &flow);
            let following = server.tokio.block_on(following)?;
            signals::resolve(following.plan(), &self.signals)?;
            Ok((following, flow))
        });
        let (following, flow) = begun.inspect_err(|_| {
            let command = server.address(&session.program).to_the_end(id);
            session.note(&format!("execution {id} goes on: `{command}` follows it"));
        })?;
        let following = Box::new(following);
        let plan = following.plan().clone();
        let kept = Some(server.address(&session.program));
        let Server { api, tokio } = server;
        let begin = Begin::There { api, following, interrupts: Some(interrupts), is_watched };
        self.execute(session, tokio, flow, Run { begin, plan, kept, reads_stdin })
    }

    /// Runs an execution, shows it meanwhile, tells how it ended, and ends all that still runs.
    pub(crate) fn execute(
        &self,
        session: &mut Session,
        tokio: BlockingRuntime,
        flow: FlowRuntime,
        run: Run,
    ) -> Result<ExitCode, CliError> {
        let outcome = self.run(session, &tokio, &flow, run);
        execution::shut_down(tokio);
        // It closes the store.
        drop(flow);
        outcome
    }

    fn run(
        &self,
        session: &mut Session,
        tokio: &BlockingRuntime,
        flow: &FlowRuntime,
        run: Run,
    ) -> Result<ExitCode, CliError> {
        let Run { begin, plan, kept, reads_stdin } = run;
        let signals = signals::resolve(&plan, &self.signals)?;
        let shown = Shown {
            timeout: self.timeout.as_ref().map(|timeout| timeout.duration),
            writes_events: self.show.output == Form::Ndjson,
            kept,
            reads_stdin,
        };
        let (outcome, options) = run_and_show(session, tokio, flow, begin, &plan, signals, shown)?;
        let result = match &outcome.ended {
            Ended::Result(result) => result,
            Ended::Aborted(id) => {
                let command = options.kept.as_ref().map(|kept| kept.address.to_the_end(*id));
                let hint = command.map(|command| {
                    format!("it was asked to end and has not yet: `{command}` sees it to its end")
                });
                session.output.message(&human::failure(None, "aborted", hint.as_deref()));
                return Ok(ExitCode::Interrupted);
            }
            Ended::Left => return Ok(ExitCode::Interrupted),
        };
        self.write_result(session, result)?;
        self.tell_ending(session, &options, &outcome, result, &plan);
        match outcome.written {
            Err(error) if !error.is_quiet() => Err(error),
            _ => Ok(self.exit_code(result, &outcome, &options.watch)),
        }
    }

    fn write_result(
        &self,
        session: &mut Session,
        result: &ExecutionResult,
    ) -> Result<(), CliError> {
        match self.show.output {
            Form::Json if result.is_success() => json::write(&mut session.output, &result.outputs),
            Form::Result => json::write(&mut session.output, result),
            Form::Json | Form::Ndjson | Form::None => Ok(()),
        }
    }

    fn tell_ending(
        &self,
        session: &Session,
        options: &Options,
        outcome: &Outcome,
        result: &ExecutionResult,
        plan: &Plan,
    ) {
        for text in ending::tolerated(result, &options.watch, self.show.strict) {
            // They are why the process fails.
            if self.show.strict { session.output.message(&text) } else { session.note(&text) }
        }
        result.warnings.iter().for_each(|text| session.note(&human::warning(text)));
        if let Some(error) = &result.error {
            let mut error = error.clone();
            if let Some(timeout) = self.timeout.as_ref().filter(|_| outcome.timed_out) {
                error.message =
                    format!("the execution took longer than `--timeout {}`", timeout.text);
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

    fn exit_code(&self, result: &ExecutionResult, outcome: &Outcome, watch: &Watch) -> ExitCode {
        match result.status {
            ExecutionStatus::Succeeded if self.show.strict && watch.has_tolerated_failures() => {
                ExitCode::Failed
            }
            ExecutionStatus::Succeeded => ExitCode::Success,
            ExecutionStatus::TimedOut => ExitCode::TimedOut,
            // A server is only asked to cancel it.
            ExecutionStatus::Cancelled if outcome.timed_out => ExitCode::TimedOut,
            ExecutionStatus::Cancelled => ExitCode::Interrupted,
            ExecutionStatus::Failed
            | ExecutionStatus::Queued
            | ExecutionStatus::Running
            | ExecutionStatus::Waiting
            | ExecutionStatus::Paused => ExitCode::Failed,
        }
    }
}

/// How an execution is shown while it runs, and what else it is told.
pub(crate) struct Shown {
    /// The longest it may take.
    pub(crate) timeout: Option<Duration>,
    /// Whether every event goes to standard output.
    pub(crate) writes_events: bool,
    /// The store that keeps it, if one does.
    pub(crate) kept: Option<Address>,
    /// Whether standard input is read for something else than answers.
    pub(crate) reads_stdin: bool,
}

/// Runs an execution to its end, and shows it meanwhile.
pub(crate) fn run_and_show(
    session: &Session,
    tokio: &BlockingRuntime,
    flow: &FlowRuntime,
    begin: Begin,
    plan: &Plan,
    signals: Vec<GivenSignal>,
    shown: Shown,
) -> Result<(Outcome, Options), CliError> {
    let verbosity = session.settings.verbosity;
    let givers = givers(shown.reads_stdin, &signals);
    let watch = Watch::new(plan, view(verbosity), detail(verbosity, plan.len()), givers);
    let is_told = verbosity > Verbosity::Quiet;
    let options = Options {
        timeout: shown.timeout,
        writes_events: shown.writes_events,
        watch: Arc::new(watch),
        signals,
        messages: session.output.messages().clone(),
        kept: shown.kept.map(|address| Kept { address, is_told }),
    };
    let showing = progress::show(options.watch.clone(), options.messages.clone());
    let showing = showing.map_err(CliError::Runtime)?;
    let outcome = execution::run(tokio, flow, begin, &options);
    options.watch.finish();
    if let Some(showing) = showing {
        showing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    Ok((outcome?, options))
}

/// Whether somebody at the terminal can be asked.
pub(crate) fn can_ask(reads_stdin: bool) -> bool {
    !reads_stdin && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Who gives the signals that nodes wait for. On a terminal somebody can be asked, unless its input
/// was the workflow or its inputs.
fn givers(reads_stdin: bool, signals: &[GivenSignal]) -> Givers {
    let can_ask = can_ask(reads_stdin);
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
