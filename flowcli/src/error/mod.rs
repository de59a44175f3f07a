//! Why a command could not do what was asked.

mod exit;
mod hint;

use std::io;
use std::path::PathBuf;

use flowcore::SignalError;
use flowruntime::store::StoreError;
use flowruntime::{LoadError, RerunFailure, StartError, TellError, WaitError};
use flowstore::SealingKeyError;

use crate::server::ServerError;

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
    /// A file is no sealing key, or not for its owner only.
    #[error("`{}` is not used as a sealing key", path.display())]
    SealingKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealingKeyError,
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
    /// A start cannot be made repeatable where nothing is kept.
    #[error("`--key` needs a store or a server that keeps the execution")]
    KeyOfNothing,
    /// A verb needs a server.
    #[error("no server is named")]
    NoServer,
    /// An option means nothing where a server does the work.
    #[error("`{option}` cannot be used {here}")]
    NotHere {
        /// The option.
        option: String,
        /// Where.
        here: String,
    },
    /// A store and a server are named.
    #[error("either a store or a server is named, not both")]
    StoreAndServer,
    /// The server did not do what it was asked to.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The program of the server is not there.
    #[error("there is no program `flowserver` beside this one or in PATH")]
    #[cfg_attr(feature = "serve", expect(dead_code, reason = "the server is in this program"))]
    NoServerProgram,
    /// The program of the server cannot be started.
    #[error("`{}` cannot be started", path.display())]
    #[cfg_attr(feature = "serve", expect(dead_code, reason = "the server is in this program"))]
    NotStarted {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list goes on after nothing that one has said.
    #[error("`{0}` is not what a list says at its end")]
    BadCursor(String),
    /// A workflow that is to be saved has no id, and no file that it could have one of.
    #[error("the workflow has no `id`")]
    NoWorkflowId,
    /// A secret has no value.
    #[error("standard input has no value for the secret")]
    NoValue,
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
    /// A workflow that is not kept leaves nothing to verify.
    #[error("the workflow has the setting `durability: none`, so a crash leaves nothing of it")]
    NotKept,
    /// The run that is to be verified waits for what nobody gives.
    #[error("the run waits for {}", names(.0))]
    NeverEnds(Vec<String>),
    /// The run that is to be verified took too long.
    #[error("the run took longer than {0}, so there is nothing to verify")]
    TookTooLong(String),
    /// Nodes would touch the world in a run that must not.
    #[error("{} would touch the world, and the test does not pin what comes of it", names(.0))]
    NotPinned(Vec<String>),
    /// It is not said which case of a test file is meant, or there is none of the name.
    #[error("the test file has not one case that is meant")]
    WhichCase(Vec<String>),
    /// Only a node that is idempotent may be run twice.
    #[error("`{node}` has the effect `{effect}`, so it is not run twice")]
    NotIdempotent {
        /// The address.
        node: String,
        /// Its effect.
        effect: String,
    },
    /// A node that is to run twice did not run once.
    #[error("`{0}` did not run, so it cannot run twice")]
    DidNotRun(String),
    /// Nobody was asked whether a node may really run twice.
    #[error("`{0}` would really run twice, and nobody can be asked")]
    NotAsked(String),
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
    pub(crate) fn code(&self) -> &str {
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
            Self::SealingKey { .. } => "cli.bad_sealing_key",
            Self::Runtime(_) => "cli.runtime",
            Self::NoStore => "cli.no_store",
            Self::NoSuchStore(_) => "cli.store_not_found",
            Self::Store(error) => error.code(),
            Self::KeyOfNothing => "cli.key_of_nothing",
            Self::NoServer => "cli.no_server",
            Self::NotHere { .. } => "cli.not_here",
            Self::StoreAndServer => "cli.store_and_server",
            Self::Server(error) => error.code(),
            Self::NoServerProgram => "cli.no_server_program",
            Self::NotStarted { .. } => "cli.not_started",
            Self::BadCursor(_) => "cli.bad_cursor",
            Self::NoWorkflowId => "workflow.missing_id",
            Self::NoValue => "cli.no_value",
            Self::UnknownExecution(_) => "execution.not_found",
            Self::AmbiguousId { .. } => "cli.ambiguous_id",
            Self::Load(error) => error.code(),
            Self::Tell(error) => error.code(),
            Self::Rerun(error) => error.code(),
            Self::NotConfirmed => "cli.not_confirmed",
            Self::NoSuchStep { .. } => "cli.no_such_step",
            Self::Start(error) => error.code(),
            Self::Wait(error) => error.code(),
            Self::NotKept => "verify.not_kept",
            Self::NeverEnds(_) => "verify.never_ends",
            Self::TookTooLong(_) => "verify.took_too_long",
            Self::NotPinned(_) => "test.not_pinned",
            Self::WhichCase(_) => "verify.which_case",
            Self::NotIdempotent { .. } => "verify.not_idempotent",
            Self::DidNotRun(_) => "verify.did_not_run",
            Self::NotAsked(_) => "verify.not_asked",
            Self::LogFilter(_) => "cli.bad_log_filter",
            Self::Output(_) => "cli.output",
        }
    }

    /// Whether nobody wants to hear of it: whoever read the output has read enough.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn names(names: &[String]) -> String {
    match names {
        [] => "a time that is far".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    }
}
