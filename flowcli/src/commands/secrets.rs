//! `flowcli secrets`: the secrets of a server.

use std::io::{self, IsTerminal, Read};

use clap::Subcommand;
use flowcore::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::clean;
use crate::report::listing::{self, Form, when};
use crate::server::Ask;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli secrets list
  flowcli secrets set API_KEY
  flowcli secrets set API_KEY < key.txt";

/// Lists the secrets of a server, sets them, and deletes them.
///
/// Nobody gets their values again; workflows use them as `secrets.NAME`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists secrets by name, without their values.
    List {
        /// What goes to standard output.
        #[arg(long, value_name = "FORM", default_value = "table")]
        output: Form,
    },
    /// Sets a secret. Its value is what standard input has, without a line break at the end; on a
    /// terminal it is asked for, and not shown.
    Set {
        /// The name, as workflows call it.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Deletes a secret; executions that have it keep it.
    Delete {
        /// The name.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Deserialize)]
struct Secret {
    name: String,
    version: u64,
    updated_at: Timestamp,
    fingerprint: String,
}

/// How many secrets are listed.
const MOST: usize = 10_000;

/// The largest value: the most that a server reads.
const MOST_BYTES: u64 = 1 << 20;

pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let server = session.server()?;
    match &args.verb {
        Verb::List { output } => {
            let (items, _) = server.list::<Json>(MOST, || Ask::get(["secrets"]))?;
            let titles = ["NAME", "VERSION", "UPDATED", "FINGERPRINT"];
            listing::show(session, *output, &items, titles, |one: Secret| {
                let updated = when(Some(one.updated_at));
                [clean(&one.name), one.version.to_string(), updated, clean(&one.fingerprint)]
            })?;
        }
        Verb::Set { name } => {
            let value = read_value(session, name)?;
            let body = json!({ "value": value }).to_string();
            server.ask(Ask::put(["secrets", name], body))?;
            session.note(&format!("the secret `{name}` is set"));
        }
        Verb::Delete { name } => {
            server.ask(Ask::delete(["secrets", name]))?;
            session.note(&format!("the secret `{name}` is deleted"));
        }
    }
    Ok(ExitCode::Success)
}

fn read_value(session: &Session, name: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let unreadable = |source| CliError::Read { name: "<stdin>".to_owned(), source };
    if io::stdin().is_terminal() {
        session.output.messages().write(&format!("the value of `{name}` (not shown): "));
        let read = {
            let _hidden = Hidden::begin();
            read_line(&mut bytes)
        };
        session.output.messages().write("\n");
        read.map_err(unreadable)?;
    } else {
        io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    let text = String::from_utf8(bytes).map_err(|error| CliError::NotText {
        name: "<stdin>".to_owned(),
        at: error.utf8_error().valid_up_to(),
    })?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() { Err(CliError::NoValue) } else { Ok(value.to_owned()) }
}

fn read_line(bytes: &mut Vec<u8>) -> io::Result<usize> {
    io::BufRead::read_until(&mut io::stdin().lock(), b'\n', bytes)
}

/// As long as it lives, a terminal does not show what is typed.
struct Hidden {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl Hidden {
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            // A terminal that cannot hide shows it.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &hidden);
        }
        Self { before }
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(not(unix))]
impl Hidden {
    fn begin() -> Self {
        Self {}
    }
}
