//! `flowcli tokens`: who may ask a server for what.

use clap::{Subcommand, ValueEnum};
use flowcore::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::clean;
use crate::report::listing::{self, Form, when};
use crate::server::{Ask, ServerError};
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli tokens list
  (umask 077; flowcli tokens create deploy --role editor > deploy.token)
  flowcli tokens revoke 019a2b3c-4d5e-7f80-9a1b-2c3d4e5f6071";

/// Gives tokens of a server, lists them, and takes them back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists tokens, the oldest first; never the tokens themselves.
    List {
        /// What goes to standard output.
        #[arg(long, value_name = "FORM", default_value = "table")]
        output: Form,
    },
    /// Gives a token. It goes to standard output, this once.
    Create {
        /// What it is for; it stands in events and in the audit log.
        #[arg(value_name = "NAME")]
        name: String,
        /// What its holder may do.
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// For how many days it is valid; 90 unless given.
        #[arg(long, value_name = "NUMBER")]
        expires_in_days: Option<u32>,
    },
    /// Takes a token back, on all servers within a second.
    Revoke {
        /// The id of the token, as `list` says it.
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Look.
    Viewer,
    /// Also start, stop and answer executions of workflows that are saved.
    Operator,
    /// Also change workflows, and run ones that are not saved.
    Editor,
    /// Also give and take tokens, and read the audit log.
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

#[derive(Deserialize)]
struct Token {
    id: String,
    name: String,
    role: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// Only of one that was just given.
    token: Option<String>,
}

/// How many tokens are listed.
const MOST: usize = 10_000;

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let server = session.server()?;
    match &args.verb {
        Verb::List { output } => {
            let (items, _) = server.list::<Json>(MOST, || Ask::get(["tokens"]))?;
            let titles = ["ID", "ROLE", "CREATED", "EXPIRES", "NAME"];
            listing::show(session, *output, &items, titles, |one: Token| {
                let [id, role, name] = [&one.id, &one.role, &one.name].map(|text| clean(text));
                [id, role, when(Some(one.created_at)), when(one.expires_at), name]
            })?;
        }
        Verb::Create { name, role, expires_in_days } => {
            let asked =
                json!({"name": name, "role": role.name(), "expires_in_days": expires_in_days});
            let given: Token = server.ask(Ask::post(["tokens"], asked.to_string()))?.read()?;
            let missing = || ServerError::Unreadable("there is no token in it".to_owned());
            let token = given.token.ok_or_else(missing)?;
            session.output.data(&format!("{token}\n"))?;
            let until = given.expires_at.map(|at| format!(", valid until {}", when(Some(at))));
            let until = until.unwrap_or_default();
            session.note(&format!("token {} of the role {}{until}", given.id, given.role));
        }
        Verb::Revoke { id } => {
            server.ask(Ask::delete(["tokens", id]))?;
            session.note(&format!("token {id} is worth nothing any more"));
        }
    }
    Ok(ExitCode::Success)
}
