//! Why a command could not do what was asked.

use std::io;
use std::path::PathBuf;

use flowcore::SignalError;
use flowcore::machine::RerunError;
use flowruntime::store::StoreError;
use flowruntime::{LoadError, RerunFailure, StartError, TellError, WaitError};

use crate::exit_code::ExitCode;

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A file could not be read.
    #[error("cannot read `{name}`")]
    Read {
        /// What the command line calls it.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A file that should hold text does not.
    #[error("`{name}` is not a text file: byte {at} is not UTF-8")]
    NotText {
        /// What the command line calls it.
        name: String,
        /// The offset of the first bad byte.
        at: usize,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file would be overwritten.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// A file is not what it should be imported as.
    #[error("`{name}`, line {line}, column {column}: {problem}")]
    Unrecognised {
        /// What the command line calls it.
        name: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A folder has no test file.
    #[error("there is no test file in `{0}`")]
    NoTests(String),
    /// No case has a name with this.
    #[error("no case has `{0}` in its name")]
    NoMatchingCase(String),
    /// Standard input is named more than once.
    #[error("standard input can be read only once")]
    StdinTwice,
    /// No node type has this name.
    #[error("there is no node type `{name}`")]
    UnknownNodeType {
        /// The name.
        name: String,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// No node of the workflow has this id.
    #[error("the workflow has no node `{name}`")]
    UnknownNode {
        /// The id.
        name: String,
        /// The nearest id that exists.
        suggestion: Option<String>,
    },
    /// No node instance of an execution has this path.
    #[error("nothing in the execution is called `{name}`")]
    UnknownPath {
        /// The path.
        name: String,
        /// The nearest one that exists.
        suggestion: Option<String>,
    },
    /// No code has this name.
    #[error("there is no code `{name}`")]
    UnknownCode {
        /// The name.
        name: String,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// No verb has this name.
    #[error("there is no command `{0}`")]
    UnknownVerb(String),
    /// A value of an input is nested too deep.
    #[error("the value of input `{0}` is nested too deep")]
    InputTooDeep(String),
    /// A signal does not fit the workflow.
    #[error("{error}")]
    Signal {
        /// Why.
        error: SignalError,
        /// The names that nodes wait for.
        names: Vec<String>,
    },
    /// A file of secrets cannot be read.
    #[error("`{name}`, line {line}: {problem}")]
    Secrets {
        /// What the command line calls it.
        name: String,
        /// The line.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The system gives no threads, no signals or no current folder.
    #[error("cannot run anything here")]
    Runtime(#[source] io::Error),
    /// No store is named, and there is none where one is looked for.
    #[error("no store is named, and there is no `flow.db` in this folder")]
    NoStore,
    /// The file of the store does not exist.
    #[error("there is no store `{0}`")]
    NoSuchStore(String),
    /// The store did not do what it was asked to.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No execution has this id.
    #[error("there is no execution `{0}`")]
    UnknownExecution(String),
    /// Several executions have ids that begin so.
    #[error("several executions have ids that begin with `{id}`, such as `{}` and `{}`", ids[0], ids[1])]
    AmbiguousId {
        /// The beginning.
        id: String,
        /// Two of them.
        ids: [String; 2],
    },
    /// What is kept of an execution cannot be read.
    #[error("{0}")]
    Load(LoadError),
    /// An execution was not told something.
    #[error("{0}")]
    Tell(TellError),
    /// An execution is not run again.
    #[error("{0}")]
    Rerun(RerunFailure),
    /// Something is to go for ever, and nobody can be asked.
    #[error("nothing was pruned: nobody can be asked whether it is meant")]
    NotConfirmed,
    /// There is no such event.
    #[error("the execution has events 1 to {last}")]
    NoSuchStep {
        /// The number of the last event.
        last: u64,
    },
    /// The execution could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no result.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// `FLOW_LOG` cannot be read.
    #[error("`{0}` is not a filter for logs")]
    LogFilter(String),
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

// The texts of these hold their causes already, so none is handed on as the source.

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<TellError> for CliError {
    fn from(error: TellError) -> Self {
        Self::Tell(error)
    }
}

impl From<RerunFailure> for CliError {
    fn from(error: RerunFailure) -> Self {
        Self::Rerun(error)
    }
}

impl CliError {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "cli.file_not_found"
            }
            Self::Read { .. } => "cli.file_unreadable",
            Self::NotText { .. } => "cli.file_not_text",
            Self::Write { .. } => "cli.file_unwritable",
            Self::Exists(_) => "cli.file_exists",
            Self::Unrecognised { .. } => "cli.not_importable",
            Self::NoTests(_) => "cli.no_tests",
            Self::NoMatchingCase(_) => "cli.no_matching_case",
            Self::StdinTwice => "cli.stdin_twice",
            Self::UnknownNodeType { .. } => "node.unknown_type",
            Self::UnknownNode { .. } => "cli.unknown_node",
            Self::UnknownPath { .. } => "cli.unknown_path",
            Self::UnknownCode { .. } => "cli.unknown_code",
            Self::UnknownVerb(_) => "cli.unknown_command",
            Self::InputTooDeep(_) => "value.too_deep",
            Self::Signal { error, .. } => error.code(),
            Self::Secrets { .. } => "cli.bad_secrets_file",
            Self::Runtime(_) => "cli.runtime",
            Self::NoStore => "cli.no_store",
            Self::NoSuchStore(_) => "cli.store_not_found",
            Self::Store(error) => error.code(),
            Self::UnknownExecution(_) => "execution.not_found",
            Self::AmbiguousId { .. } => "cli.ambiguous_id",
            Self::Load(error) => error.code(),
            Self::Tell(error) => error.code(),
            Self::Rerun(error) => error.code(),
            Self::NotConfirmed => "cli.not_confirmed",
            Self::NoSuchStep { .. } => "cli.no_such_step",
            Self::Start(error) => error.code(),
            Self::Wait(error) => error.code(),
            Self::LogFilter(_) => "cli.bad_log_filter",
            Self::Output(_) => "cli.output",
        }
    }

    /// How the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Read { .. }
            | Self::NoTests(_)
            | Self::NoMatchingCase(_)
            | Self::UnknownNode { .. }
            | Self::UnknownNodeType { .. }
            | Self::UnknownPath { .. }
            | Self::UnknownCode { .. }
            | Self::UnknownVerb(_)
            | Self::NoStore
            | Self::NoSuchStore(_)
            | Self::NoSuchStep { .. }
            | Self::UnknownExecution(_) => ExitCode::NotFound,
            Self::Store(error) | Self::Start(StartError::Store(error)) => exit_code_of(error),
            Self::Load(error) | Self::Start(StartError::Load(error)) => exit_code_of_load(error),
            Self::Tell(error) => exit_code_of_tell(error),
            Self::Rerun(error) => exit_code_of_rerun(error),
            Self::NotText { .. }
            | Self::Unrecognised { .. }
            | Self::InputTooDeep(_)
            | Self::Secrets { .. }
            | Self::Start(_) => ExitCode::Invalid,
            Self::Wait(WaitError::Journal(_)) => ExitCode::Unreachable,
            Self::Wait(_) => ExitCode::Bug,
            Self::Exists(_) => ExitCode::Conflict,
            Self::Signal { error: SignalError::InvalidPayload { .. }, .. } => ExitCode::Invalid,
            Self::StdinTwice
            | Self::LogFilter(_)
            | Self::AmbiguousId { .. }
            | Self::NotConfirmed
            | Self::Signal { .. } => ExitCode::Usage,
            // Who closes the pipe has read enough.
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::Success,
            Self::Write { .. } | Self::Runtime(_) | Self::Output(_) => ExitCode::Failed,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownNodeType { suggestion: Some(near), .. }
            | Self::UnknownNode { suggestion: Some(near), .. }
            | Self::UnknownPath { suggestion: Some(near), .. }
            | Self::UnknownCode { suggestion: Some(near), .. } => {
                Some(format!("did you mean `{near}`?"))
            }
            Self::UnknownNodeType { .. } => Some("`flowcli nodes` lists the node types".to_owned()),
            Self::UnknownNode { .. } => Some(
                "`flowcli graph` shows the nodes; those inside of control nodes do not count"
                    .to_owned(),
            ),
            Self::UnknownPath { .. } => {
                Some("`flowcli executions show ID --full` shows all there are".to_owned())
            }
            Self::UnknownCode { .. } => Some("`flowcli explain` lists the codes".to_owned()),
            Self::NoTests(_) => {
                Some("a test file is called `*.test.json` or `*.test.yaml`".to_owned())
            }
            Self::NoMatchingCase(_) => Some("`--list` lists the cases".to_owned()),
            Self::UnknownVerb(_) => Some("`flowcli help` lists the commands".to_owned()),
            Self::Exists(_) => Some("`--force` overwrites it".to_owned()),
            Self::Signal { error, names } => error.hint().or_else(|| match error {
                SignalError::UnknownName { .. } if names.is_empty() => {
                    Some("the workflow waits for no signal".to_owned())
                }
                SignalError::UnknownName { .. } => {
                    Some(format!("it waits for `{}`", names.join("`, `")))
                }
                _ => None,
            }),
            Self::LogFilter(_) => Some("such as `debug` or `flowruntime=trace,info`".to_owned()),
            Self::NotText { .. } => Some("save it as UTF-8".to_owned()),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::IsADirectory => {
                Some("name a file in it, such as `workflow.json`".to_owned())
            }
            Self::Start(error) => error.hint().map(str::to_owned),
            Self::NoStore => {
                Some("name it: `--store sqlite://flow.db`, or set FLOW_STORE".to_owned())
            }
            Self::NoSuchStore(_) => {
                Some("`flowcli run FILE --store URL` makes it with its first execution".to_owned())
            }
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::UnknownExecution(_) => Some("`flowcli executions list` lists them".to_owned()),
            Self::AmbiguousId { .. } => Some("give more of it".to_owned()),
            Self::NotConfirmed => {
                Some("`--yes` says that it is, and `--dry-run` what would go".to_owned())
            }
            Self::Load(LoadError::Store(error)) => error.hint().map(str::to_owned),
            Self::Load(LoadError::Workflow(_)) => Some(
                "use the program that has its node types, in a version that knows the workflow"
                    .to_owned(),
            ),
            Self::Load(_) | Self::NoSuchStep { .. } => None,
            Self::Tell(error) => error.hint(),
            Self::Rerun(error) => error.hint(),
            Self::Wait(WaitError::Journal(_)) => Some(
                "what was kept goes on with `flowcli executions resume`, when the store is there \
                 again"
                    .to_owned(),
            ),
            Self::Wait(_) => Some("this is a bug in Flow: please report it".to_owned()),
            Self::Unrecognised { .. } => Some("`flowcli help import` lists the systems".to_owned()),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::StdinTwice
            | Self::InputTooDeep(_)
            | Self::Secrets { .. }
            | Self::Runtime(_)
            | Self::Output(_) => None,
        }
    }

    /// Whether nobody wants to hear of it: whoever read the output has read enough.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// How the process ends when a store did not do what it was asked to.
fn exit_code_of(error: &StoreError) -> ExitCode {
    match error {
        StoreError::InUse { .. } | StoreError::KeyConflict { .. } => ExitCode::Conflict,
        StoreError::BadUrl { .. } => ExitCode::Usage,
        StoreError::NoSealingKey => ExitCode::Invalid,
        _ => ExitCode::Unreachable,
    }
}

fn exit_code_of_load(error: &LoadError) -> ExitCode {
    match error {
        LoadError::Store(error) => exit_code_of(error),
        _ => ExitCode::Invalid,
    }
}

fn exit_code_of_rerun(error: &RerunFailure) -> ExitCode {
    match error {
        RerunFailure::NotFound(_) | RerunFailure::From(RerunError::UnknownNode { .. }) => {
            ExitCode::NotFound
        }
        RerunFailure::NotEnded(_) => ExitCode::Conflict,
        RerunFailure::Load(error) => exit_code_of_load(error),
        RerunFailure::Start(StartError::Store(error)) => exit_code_of(error),
        _ => ExitCode::Invalid,
    }
}

fn exit_code_of_tell(error: &TellError) -> ExitCode {
    match error {
        TellError::Signal(SignalError::Finished) | TellError::TooMany(_) => ExitCode::Conflict,
        TellError::Signal(SignalError::InvalidPayload { .. }) => ExitCode::Invalid,
        TellError::Signal(_) => ExitCode::Usage,
        TellError::NotFound(_) => ExitCode::NotFound,
        TellError::Load(error) => exit_code_of_load(error),
        TellError::Store(error) => exit_code_of(error),
        _ => ExitCode::Failed,
    }
}
