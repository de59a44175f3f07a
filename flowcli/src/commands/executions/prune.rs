//! `flowcli executions prune`: ended executions are forgotten.

use std::io::{self, BufRead, IsTerminal};

use clap::{ArgAction, ValueEnum};
use flowcore::Timestamp;
use flowruntime::store::{Pruned, Retention};
use serde::Serialize;

use crate::duration;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::{count, grouped};
use crate::report::{json, size};
use crate::session::Session;
use crate::store::{OpenStore, StoreArgs};

const EXAMPLES: &str = "Examples:
  flowcli executions prune --older-than 30d --dry-run
  flowcli executions prune --older-than 30d --keep 1000 --yes";

/// Forgets executions that have ended, with their events, logs and values.
///
/// What has not ended stays. It works beside whoever executes, a few executions at a time, so nobody
/// is held up. What is gone cannot be shown, exported or run again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "which", required = true, multiple = true, args = ["older_than", "keep"])]
pub(super) struct Args {
    /// Those that ended longer ago than this, such as `30d` or `12h`.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_arg)]
    older_than: Option<duration::Given>,

    /// All but the so many that ended last. With `--older-than`, either is enough to go.
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u64>,

    /// Says what would go, and forgets nothing.
    #[arg(long, action = ArgAction::SetTrue)]
    dry_run: bool,

    /// Does not ask.
    #[arg(long, short, action = ArgAction::SetTrue, conflicts_with = "dry_run")]
    yes: bool,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", default_value = "human")]
    output: Form,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line.
    Human,
    /// One JSON document.
    Json,
}

#[derive(Serialize)]
struct Document {
    is_dry_run: bool,
    executions: u64,
    /// Values that were kept apart, and that no other execution uses.
    values: u64,
    bytes: u64,
}

pub(super) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    session.only_without_server("executions prune")?;
    let open = args.store.visit()?;
    let retention = Retention {
        max_age: args.older_than.as_ref().map(|given| given.duration),
        max_count: args.keep,
    };
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    if args.dry_run {
        let pruned = open.tokio.block_on(open.store.prunable(&retention, now))?;
        return tell(args, session, pruned);
    }
    if !args.yes && !is_confirmed(session, &open, &retention, now)? {
        session.note("nothing was pruned");
        return Ok(ExitCode::Success);
    }
    tell(args, session, prune(&open, &retention, now)?)
}

/// Asks whoever sits at the terminal.
fn is_confirmed(
    session: &Session,
    open: &OpenStore,
    retention: &Retention,
    now: Timestamp,
) -> Result<bool, CliError> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(CliError::NotConfirmed);
    }
    let pruned = open.tokio.block_on(open.store.prunable(retention, now))?;
    if pruned.executions == 0 {
        return Ok(true);
    }
    session.output.message(&format!("{} would go. Go on? [y]es or [n]o:", describe(pruned)));
    let mut answer = String::new();
    // Without an answer, nothing goes.
    let _ = io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn prune(open: &OpenStore, retention: &Retention, now: Timestamp) -> Result<Pruned, CliError> {
    let mut pruned = Pruned::default();
    loop {
        let few = open.tokio.block_on(open.store.prune(retention, now))?;
        pruned += few;
        if few.executions == 0 {
            return Ok(pruned);
        }
    }
}

fn tell(args: &Args, session: &mut Session, pruned: Pruned) -> Result<ExitCode, CliError> {
    let Pruned { executions, blobs, bytes } = pruned;
    match args.output {
        Form::Human => {
            let done = if args.dry_run { "would be pruned" } else { "pruned" };
            session.output.text(&format!("{} {done}\n", describe(pruned)))?;
        }
        Form::Json => {
            let is_dry_run = args.dry_run;
            let document = Document { is_dry_run, executions, values: blobs, bytes };
            json::write(&mut session.output, &document)?;
        }
    }
    Ok(ExitCode::Success)
}

/// Such as `1,204 executions (87 large values, 31.4 MiB)`.
fn describe(pruned: Pruned) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let executions = match pruned.executions {
        1 => "1 execution".to_owned(),
        many => format!("{} executions", grouped(number(many))),
    };
    let values = match pruned.blobs {
        0 => String::new(),
        blobs => format!("{}, ", count(number(blobs), "large value")),
    };
    format!("{executions} ({values}{})", size::show(pruned.bytes))
}
