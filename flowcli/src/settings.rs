//! From what the command line says to what holds.

use std::ffi::OsString;

use anstream::ColorChoice;
use clap::builder::FalseyValueParser;
use clap::{ArgAction, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::error::CliError;
use crate::server::ServerArgs;

/// What every verb takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// When to use colours; `auto` also heeds NO_COLOR and CLICOLOR_FORCE.
    #[arg(long, global = true, value_name = "WHEN", env = "FLOW_COLOR", default_value = "auto")]
    color: Color,

    /// Says more, such as what programs write; twice and thrice also what the engine logs.
    #[arg(short, long, global = true, action = ArgAction::Count, env = "FLOW_VERBOSE")]
    verbose: u8,

    /// Says nothing but errors.
    #[arg(short, long, global = true, env = "FLOW_QUIET", conflicts_with = "verbose")]
    #[arg(value_parser = flag(), action = ArgAction::SetTrue)]
    quiet: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Reads the variable of a flag: empty, `0`, `no`, `off` and `false` leave it off.
pub(crate) fn flag() -> FalseyValueParser {
    FalseyValueParser::new()
}

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Help and usage errors have colours too, before `--color` is parsed.
pub(crate) fn color_of_help(arguments: &[OsString]) -> clap::ColorChoice {
    let mut values = arguments.iter().zip(arguments.iter().skip(1)).filter_map(|(name, value)| {
        let joined = value.to_str().and_then(|text| text.strip_prefix("--color="));
        joined.or_else(|| value.to_str().filter(|_| name == "--color")).map(str::to_owned)
    });
    let value = values.next().or_else(|| std::env::var("FLOW_COLOR").ok());
    match value.as_deref() {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// What holds for every verb.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GlobalSettings {
    /// When to use colours.
    pub(crate) color: ColorChoice,
    /// How much to say.
    pub(crate) verbosity: Verbosity,
}

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// What most people want to know.
    Normal,
    /// And what the engine does.
    Verbose,
    /// And what it does inside.
    Debug,
    /// And every step.
    Trace,
}

impl GlobalArgs {
    /// What holds.
    pub(crate) fn resolve(&self) -> GlobalSettings {
        let color = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, 2) => Verbosity::Debug,
            (false, _) => Verbosity::Trace,
        };
        GlobalSettings { color, verbosity }
    }
}

/// The crates whose logs `-v` shows; those of others are only warnings.
const OWN_CRATES: [&str; 5] = ["flowcli", "flowcore", "flownodes", "flowruntime", "flowstore"];

impl Verbosity {
    fn level(self) -> LevelFilter {
        match self {
            Self::Quiet => LevelFilter::ERROR,
            Self::Normal => LevelFilter::WARN,
            Self::Verbose => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }

    /// Which logs to show: what `FLOW_LOG` says, else by `-v` and `-q`.
    pub(crate) fn log_filter(self, flow_log: Option<&str>) -> Result<Targets, CliError> {
        if let Some(text) = flow_log.filter(|text| !text.is_empty()) {
            return text.parse().map_err(|_| CliError::LogFilter(text.to_owned()));
        }
        let own = OWN_CRATES.map(|name| (name, self.level()));
        Ok(Targets::new().with_default(self.level().min(LevelFilter::WARN)).with_targets(own))
    }
}
