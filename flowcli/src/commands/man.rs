//! `flowcli man`: man pages.

use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

use crate::cli;
use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::session::Session;

const EXAMPLES: &str = "Examples:
  flowcli man run | man -l -
  flowcli man --dir ~/.local/share/man/man1";

/// Prints the man page of the program or of a command.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command; left out, the program itself.
    #[arg(value_name = "COMMAND")]
    verb: Option<String>,

    /// Writes all man pages into a folder instead.
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    dir: Option<PathBuf>,
}

/// Prints one page or writes all.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    let program = page_command(&session.program);
    if let Some(dir) = &args.dir {
        write_all(dir, program)?;
        return Ok(ExitCode::Success);
    }
    let command = match args.verb.as_deref() {
        None => program,
        Some(name) => {
            let verb = program.get_subcommands().find(|verb| verb.get_name() == name);
            verb.cloned().ok_or_else(|| CliError::UnknownVerb(name.to_owned()))?
        }
    };
    session.output.data(&page(command))?;
    Ok(ExitCode::Success)
}

/// The definition with the names under which the program was called.
fn page_command(program: &str) -> clap::Command {
    let mut command = cli::command().bin_name(program).disable_help_subcommand(true);
    command.build();
    command
}

fn page(command: clap::Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
    let mut text = Vec::new();
    let rendered = Man::new(command).title(name).render(&mut text);
    rendered.expect("writing to memory cannot fail");
    String::from_utf8_lossy(&text).into_owned()
}

fn write_all(dir: &Path, program: clap::Command) -> Result<(), CliError> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        |source| CliError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(unwritable(dir))?;
    let verbs = program.get_subcommands().cloned().collect::<Vec<_>>();
    for command in verbs.into_iter().chain([program]) {
        let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, page(command)).map_err(unwritable(&path))?;
    }
    Ok(())
}
