//! `flowcli audit`: who changed what on a server.

use flowcore::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::clean;
use crate::report::listing::{self, Form, when};
use crate::server::Ask;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli audit --server http://127.0.0.1:8080
  flowcli audit --limit 1000 --output json | jq '.items[].entry.action'";

/// Lists who changed what on a server, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many entries at most.
    #[arg(long, value_name = "NUMBER", default_value = "50")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,

    /// What goes to standard output.
    #[arg(long, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Deserialize)]
struct Entry {
    at: Timestamp,
    entry: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    by: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    subject: String,
}

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let server = session.server()?;
    let (items, has_more) = server.list::<Json>(usize::from(args.limit), || Ask::get(["audit"]))?;
    let titles = ["AT", "WHO", "DID", "TO"];
    listing::show(session, args.output, &items, titles, |Entry { at, entry }| {
        [when(Some(at)), clean(&entry.by), clean(&entry.action), clean(&entry.subject)]
    })?;
    if has_more {
        session.note("there are more: `--limit` shows them");
    }
    Ok(ExitCode::Success)
}
