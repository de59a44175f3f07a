//! The command line: its definition, and from there to the verbs.

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use flowcore::{NodeFactory, NodeRegistrations, NodeRegistry};

use crate::commands::{
    audit, completions, executions, explain, graph, import, init, man, nodes, replay, run,
    schedules, schema, secrets, serve, test, tokens, validate, verify, workflows,
};
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::output::Output;
use crate::report::{human, logs};
use crate::session::Session;
use crate::settings;

/// A command line with a set of node types.
///
/// Nothing is registered until a verb needs it, so `--version` and the like stay quick.
#[derive(Default)]
pub struct Cli {
    registrations: NodeRegistrations,
}

impl Cli {
    /// A command line without any node type.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the node types that a function registers, such as `flownodes::register_all`.
    #[must_use]
    pub fn nodes(mut self, register: impl Fn(&mut NodeRegistry) + Send + Sync + 'static) -> Self {
        self.registrations.add(register);
        self
    }

    /// Adds one node type; one of the same name is replaced.
    #[must_use]
    pub fn node(mut self, factory: impl NodeFactory + 'static) -> Self {
        self.registrations.add_node(factory);
        self
    }

    /// Does what the arguments of this process ask for, and says how the process should end.
    ///
    /// Standard output carries only data, standard error everything else. A panic is reported as a
    /// bug in Flow.
    pub fn main(self) -> std::process::ExitCode {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(&arguments)));
        outcome.unwrap_or_else(|_| report_bug().into())
    }

    fn execute(self, arguments: &[OsString]) -> std::process::ExitCode {
        let program = program_name(arguments);
        let parsed = match parse(&program, arguments) {
            Ok(parsed) => parsed,
            Err(error) => return stop_parsing(&error).into(),
        };
        let Parsed { arguments: Arguments { global, verb }, places } = parsed;
        let settings = global.resolve();
        let output = Output::new(settings.color);
        let server = global.server.resolve();
        let registrations = self.registrations;
        let mut session = Session { output, settings, server, program, registrations };
        let outcome =
            places.settle(&verb, &mut session).and_then(|()| run_verb(verb, &mut session));
        let flushed = session.output.flush();
        match outcome.and_then(|code| flushed.map(|()| code)) {
            Ok(code) => code,
            Err(error) => report_error(&session, &error).into(),
        }
    }
}

/// Runs workflows: JSON files in which nodes are joined by connections.
#[derive(Debug, Parser)]
#[command(name = "flowcli", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "`flowcli help COMMAND` tells more about a command.")]
struct Arguments {
    #[command(flatten)]
    global: settings::GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

const ENVIRONMENT: &str = "Environment:
  FLOW_LOG            which logs to show: a level, or levels by crate (flowruntime=debug,info)
  FLOW_SECRET_<NAME>  a secret of `run`
  FLOW_TOKEN          the token for the server of --server
  NO_COLOR            no colours, unless --color says otherwise
  FLOW_<OPTION>       most options, such as FLOW_TIMEOUT; the help of each names it";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Executions(executions::Args),
    Workflows(workflows::Args),
    Schedules(schedules::Args),
    Secrets(secrets::Args),
    Tokens(tokens::Args),
    Audit(audit::Args),
    Serve(serve::Args),
    Replay(replay::Args),
    Validate(validate::Args),
    Test(test::Args),
    Verify(verify::Args),
    Graph(graph::Args),
    Nodes(nodes::Args),
    Init(init::Args),
    Import(import::Args),
    Schema(schema::Args),
    Explain(explain::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The whole definition, for parsing, completions and man pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command().after_long_help(format!("{ENVIRONMENT}\n\n{}", ExitCode::help()))
}

/// The command line, and which places it names.
struct Parsed {
    arguments: Arguments,
    places: Places,
}

/// Where a verb should work, as far as the command line itself says so; the environment yields to it.
struct Places {
    names_store: bool,
    names_server: bool,
}

impl Places {
    fn of(matches: &ArgMatches) -> Self {
        let mut deepest = matches;
        while let Some((_, inner)) = deepest.subcommand() {
            deepest = inner;
        }
        let is_written = |name: &str| {
            let is_known = deepest.ids().any(|id| id == name);
            is_known && deepest.value_source(name) == Some(ValueSource::CommandLine)
        };
        Self { names_store: is_written("store"), names_server: is_written("server") }
    }

    /// Decides whether the verb is for a server.
    fn settle(&self, verb: &Verb, session: &mut Session) -> Result<(), CliError> {
        if self.names_store && self.names_server {
            return Err(CliError::StoreAndServer);
        }
        if verb.knows_servers() && !self.names_store {
            return Ok(());
        }
        if self.names_server {
            let here = "with this command, which does everything here".to_owned();
            return Err(CliError::NotHere { option: "--server".to_owned(), here });
        }
        session.server = None;
        Ok(())
    }
}

impl Verb {
    /// Whether it may be for a server.
    fn knows_servers(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Executions(_)
            | Self::Workflows(_)
            | Self::Schedules(_)
            | Self::Secrets(_)
            | Self::Tokens(_)
            | Self::Audit(_)
            | Self::Validate(_)
            | Self::Nodes(_)
            | Self::Schema(_) => true,
            Self::Serve(_)
            | Self::Replay(_)
            | Self::Test(_)
            | Self::Verify(_)
            | Self::Graph(_)
            | Self::Init(_)
            | Self::Import(_)
            | Self::Explain(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

fn parse(program: &str, arguments: &[OsString]) -> Result<Parsed, clap::Error> {
    let command = command().bin_name(program).color(settings::color_of_help(arguments));
    let matches = command.try_get_matches_from(arguments)?;
    let places = Places::of(&matches);
    Ok(Parsed { arguments: Arguments::from_arg_matches(&matches)?, places })
}

/// Prints what `--help` and `--version` ask for, or what is wrong with the arguments.
fn stop_parsing(error: &clap::Error) -> ExitCode {
    let usual = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success };
    match error.print().and_then(|()| io::stdout().flush()).map_err(CliError::Output) {
        // A closed pipe has read enough.
        Err(failed) if !failed.is_quiet() && usual == ExitCode::Success => {
            Output::new(anstream::ColorChoice::Auto).message(&human::error(&failed));
            failed.exit_code()
        }
        _ => usual,
    }
}

fn program_name(arguments: &[OsString]) -> String {
    let stem = arguments.first().and_then(|path| Path::new(path).file_stem());
    stem.map_or_else(|| "flowcli".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn run_verb(verb: Verb, session: &mut Session) -> Result<std::process::ExitCode, CliError> {
    // A server has logs of its own, and its own exit codes.
    if !matches!(verb, Verb::Serve(_)) {
        logs::install(session)?;
    }
    let code = match verb {
        Verb::Serve(args) => return serve::run(args, session),
        Verb::Run(args) => run::run(&args, session),
        Verb::Executions(args) => executions::run(&args, session),
        Verb::Workflows(args) => workflows::run(&args, session),
        Verb::Schedules(args) => schedules::run(&args, session),
        Verb::Secrets(args) => secrets::run(&args, session),
        Verb::Tokens(args) => tokens::run(&args, session),
        Verb::Audit(args) => audit::run(&args, session),
        Verb::Replay(args) => replay::run(&args, session),
        Verb::Validate(args) => validate::run(&args, session),
        Verb::Test(args) => test::run(&args, session),
        Verb::Verify(args) => verify::run(&args, session),
        Verb::Graph(args) => graph::run(&args, session),
        Verb::Nodes(args) => nodes::run(&args, session),
        Verb::Init(args) => init::run(&args, session),
        Verb::Import(args) => import::run(&args, session),
        Verb::Schema(args) => schema::run(&args, session),
        Verb::Explain(args) => explain::run(&args, session),
        Verb::Completions(args) => completions::run(&args, session),
        Verb::Man(args) => man::run(&args, session),
    };
    code.map(Into::into)
}

fn report_error(session: &Session, error: &CliError) -> ExitCode {
    if !error.is_quiet() {
        session.output.message(&human::error(error));
    }
    error.exit_code()
}

/// The panic itself was printed when it happened.
fn report_bug() -> ExitCode {
    let output = Output::new(anstream::ColorChoice::Auto);
    output.message(&human::failure(
        None,
        "this is a bug in Flow, not in your workflow",
        Some("please report it with the lines above and the workflow"),
    ));
    ExitCode::Bug
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_makes_sense() {
        super::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_verb_has_examples() {
        for verb in super::command().get_subcommands() {
            let name = verb.get_name();
            for help in
                [verb.get_after_help(), verb.get_after_long_help().or(verb.get_after_help())]
            {
                let help = help.map(ToString::to_string).unwrap_or_default();
                let example = format!("\n  flowcli {name}");
                assert!(help.starts_with("Examples:") && help.contains(&example), "{name}: {help}");
            }
        }
    }
}
