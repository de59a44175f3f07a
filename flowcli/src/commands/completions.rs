//! `flowcli completions`: what shells need to complete the command line.

use clap_complete::Shell;

use crate::cli;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli completions bash > ~/.local/share/bash-completion/completions/flowcli
  flowcli completions zsh > ~/.zfunc/_flowcli      with `fpath+=~/.zfunc` before `compinit`
  flowcli completions fish > ~/.config/fish/completions/flowcli.fish";

/// Prints a script that lets a shell complete commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), &session.program, &mut script);
    session.output.data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Success)
}
