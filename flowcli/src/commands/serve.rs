//! `flowcli serve`: a server.

use std::ffi::OsString;

use crate::error::CliError;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli serve
  flowcli serve --data-dir /var/lib/flow --bind 127.0.0.1:9000
  flowcli serve --help";

/// Starts a server, which `--server` of the other commands is for.
///
/// All that follows is for the server; `flowcli serve --help` lists it. Its exit codes are those of
/// the server too.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Args {
    /// What the server is told.
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Serves in this process, with the node types of this program.
#[cfg(feature = "serve")]
pub(crate) fn run(args: Args, session: &Session) -> Result<std::process::ExitCode, CliError> {
    let program = OsString::from(format!("{} serve", session.program));
    let arguments = std::iter::once(program).chain(args.arguments);
    Ok(flowserver::Server::with(session.registrations.clone()).run_with(arguments))
}

/// Becomes the program `flowserver`: to have the server in this one would make it slower to build.
#[cfg(not(feature = "serve"))]
pub(crate) fn run(args: Args, _: &Session) -> Result<std::process::ExitCode, CliError> {
    let path = program::find().ok_or(CliError::NoServerProgram)?;
    let mut command = std::process::Command::new(&path);
    command.args(args.arguments);
    program::become_it(command, path)
}

#[cfg(not(feature = "serve"))]
mod program {
    use std::path::PathBuf;
    use std::process::{Command, ExitCode};

    use crate::error::CliError;

    const NAME: &str = "flowserver";

    /// The program beside this one, else the first in PATH.
    pub(super) fn find() -> Option<PathBuf> {
        let own = std::env::current_exe().ok();
        let beside = own.and_then(|path| path.parent().map(ToOwned::to_owned));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = beside.into_iter().chain(std::env::split_paths(&path));
        let name = format!("{NAME}{}", std::env::consts::EXE_SUFFIX);
        folders.map(|folder| folder.join(&name)).find(|file| file.is_file())
    }

    #[cfg(unix)]
    pub(super) fn become_it(mut command: Command, path: PathBuf) -> Result<ExitCode, CliError> {
        use std::os::unix::process::CommandExt;

        // It comes back only when it could not.
        Err(CliError::NotStarted { path, source: command.exec() })
    }

    #[cfg(not(unix))]
    pub(super) fn become_it(mut command: Command, path: PathBuf) -> Result<ExitCode, CliError> {
        let status = command.status().map_err(|source| CliError::NotStarted { path, source })?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}
