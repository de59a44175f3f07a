//! What to do about an error.

use std::io;

use flowcore::SignalError;
use flowcore::value::StoredError;
use flowruntime::store::StoreError;
use flowruntime::{LoadError, WaitError};
use flowstore::SealingKeyError;

use super::CliError;
use super::exit::lacks_key;

impl CliError {
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
            Self::SealingKey { path, source: SealingKeyError::Exposed { .. } } => {
                Some(format!("`chmod 600 {}`", path.display()))
            }
            Self::SealingKey { path, .. } => Some(format!(
                "`(umask 077; head -c 32 /dev/urandom > {})` makes one; all processes that share a \
                 store need the same",
                path.display()
            )),
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
            Self::KeyOfNothing => {
                Some("name one: `--store sqlite://flow.db`, or `--server URL`".to_owned())
            }
            Self::NoServer => {
                Some("name it: `--server http://127.0.0.1:8080`, or set FLOW_SERVER".to_owned())
            }
            Self::StoreAndServer => Some("leave out `--store` or `--server`".to_owned()),
            Self::Server(error) => error.hint(),
            Self::NoWorkflowId => Some("add `\"id\": \"…\"` to it".to_owned()),
            Self::NoServerProgram => Some(
                "`cargo build --release -p flowserver` makes it; a flowcli with the feature \
                 `serve` is one itself"
                    .to_owned(),
            ),
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
            Self::Load(LoadError::Stored(StoredError::NoKey)) => {
                StoreError::NoSealingKey.hint().map(str::to_owned)
            }
            Self::Load(LoadError::Stored(StoredError::WrongKey)) => Some(
                "name the key with which it was begun: `--sealing-key FILE`, or the `.key` beside \
                 the SQLite file"
                    .to_owned(),
            ),
            Self::Load(LoadError::Workflow(_)) => Some(
                "use the program that has its node types, in a version that knows the workflow"
                    .to_owned(),
            ),
            Self::Load(_) | Self::NoSuchStep { .. } => None,
            Self::Tell(error) => error.hint(),
            Self::Rerun(error) => error.hint(),
            Self::Wait(error) if lacks_key(error) => {
                StoreError::NoSealingKey.hint().map(str::to_owned)
            }
            Self::Wait(WaitError::Journal(_)) => Some(
                "what was kept goes on with `flowcli executions resume`, when the store is there \
                 again"
                    .to_owned(),
            ),
            Self::Wait(_) => Some("this is a bug in Flow: please report it".to_owned()),
            Self::Unrecognised { .. } => Some("`flowcli help import` lists the systems".to_owned()),
            Self::NotKept => Some("take the setting out, or verify a workflow that is kept".to_owned()),
            Self::NeverEnds(names) => Some(match names.first() {
                Some(name) => format!(
                    "nobody gives that: `--signal {name}=JSON` does, or a test file with `--dry`"
                ),
                None => "with `--dry`, days pass at once".to_owned(),
            }),
            Self::TookTooLong(_) => Some("`--timeout` gives it more time".to_owned()),
            Self::NotPinned(_) => {
                Some("pin them, as in `\"pins\": { \"pay\": { \"outputs\": {} } }`; `allow` does not count here".to_owned())
            }
            Self::WhichCase(names) => Some(match names.as_slice() {
                [] => "a test file has cases".to_owned(),
                names => format!("`--case` names one of `{}`", names.join("`, `")),
            }),
            Self::NotIdempotent { .. } => {
                Some("only nodes with the effect `idempotent` may be run twice".to_owned())
            }
            Self::DidNotRun(_) => Some("give it inputs with which it runs".to_owned()),
            Self::NotAsked(_) => Some("`--yes` says that it may".to_owned()),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::StdinTwice
            | Self::InputTooDeep(_)
            | Self::NotHere { .. }
            | Self::NotStarted { .. }
            | Self::BadCursor(_)
            | Self::NoValue
            | Self::Secrets { .. }
            | Self::Runtime(_)
            | Self::Output(_) => None,
        }
    }
}
