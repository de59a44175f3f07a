//! `flowcli init`: a first workflow.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::report::human::clean;
use crate::report::table::table;
use crate::session::Session;
use crate::source::STDIN;

const EXAMPLES: &str = "Examples:
  flowcli init
  flowcli init nightly/backup.json --template errors
  flowcli init - --template parallel | flowcli run -";

/// Writes a small workflow to start from; it runs without a network.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A folder, which gets a `workflow.json`, or a file that ends in `.json`; `-` is standard
    /// output.
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    target: String,

    /// What the workflow shows.
    #[arg(long, value_name = "NAME", default_value = "hello")]
    template: Template,

    /// Overwrites the file.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Template {
    /// Two nodes, an input and an output.
    Hello,
    /// Branches that run side by side and meet again.
    Parallel,
    /// A condition, a retry, and a failure that is handled.
    Errors,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Hello => include_str!("../../templates/hello.json"),
            Self::Parallel => include_str!("../../templates/parallel.json"),
            Self::Errors => include_str!("../../templates/errors.json"),
        }
    }
}

/// Writes the file and says what to do next.
pub(crate) fn run(args: &Args, session: &mut Session) -> Result<ExitCode, CliError> {
    if args.target == STDIN {
        session.output.data(args.template.text())?;
        return Ok(ExitCode::Success);
    }
    let path = file_path(&args.target);
    write_file(&path, args.template.text(), args.force)?;
    let next = next_steps(&session.program, &path.display().to_string());
    session.note(&next);
    Ok(ExitCode::Success)
}

fn next_steps(program: &str, path: &str) -> String {
    let word = shell_word(path);
    let steps = [
        (format!("{program} validate {word}"), "check it"),
        (format!("{program} run {word}"), "run it"),
        (format!("{program} graph {word}"), "draw it"),
        (format!("{program} nodes"), "see what else there is"),
    ];
    let rows = steps.map(|(command, purpose)| [format!("  {command}"), purpose.to_owned()]);
    format!("wrote {}\n\nNext:\n{}", clean(path), table(&rows, usize::MAX).join("\n"))
}

/// A path as a shell reads it, in quotes where it must be.
fn shell_word(path: &str) -> String {
    let path = clean(path);
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// What ends in `.json` or `.yaml` is a file (JSON is YAML too), everything else a folder.
fn file_path(target: &str) -> PathBuf {
    let path = Path::new(target);
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    let is_file =
        extension.is_some_and(|extension| ["json", "yaml", "yml"].iter().any(|e| extension == *e));
    match target {
        _ if is_file && !path.is_dir() => path.to_owned(),
        "." => PathBuf::from("workflow.json"),
        _ => path.join("workflow.json"),
    }
}

/// Writes a new file and the folders that it stands in; replaces one only by `force`.
pub(super) fn write_file(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let unwritable = |source: io::Error| CliError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    // `create_new` asks and creates in one step: a file that appears meanwhile is safe too.
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    match options.open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(unwritable),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CliError::Exists(path.to_owned()))
        }
        Err(error) => Err(unwritable(error)),
    }
}
