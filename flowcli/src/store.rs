//! The store of the command line.

use std::path::Path;
use std::sync::Arc;

use flowcore::value::Seal;
use flowcore::{ExecutionId, ExecutionStatus};
use flowruntime::store::{Cursor, ExecutionRow, Query, Store, StoreError};
use flowruntime::{BlockingRuntime, FlowRuntime, FlowRuntimeBuilder};
use flowstore::{Access, StoreUrl};

use crate::error::CliError;
use crate::place::Executions;
use crate::sealing::SealingArgs;

/// The file that is the store when none is named.
const DEFAULT_FILE: &str = "flow.db";

/// How many rows are looked at in one go when abandoned ones are counted.
const ROWS_AT_ONCE: usize = 1000;

/// Which store a verb works with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StoreArgs {
    /// Where executions are kept; `flow.db` in the current folder, if it is there.
    #[arg(long, value_name = "URL", env = "FLOW_STORE")]
    store: Option<String>,

    #[command(flatten)]
    sealing: SealingArgs,
}

/// An execution of the command line: its id, or the beginning of it.
#[derive(Debug, Clone)]
pub(crate) struct IdArg {
    pub(crate) text: String,
    /// The hexadecimal digits.
    pub(crate) digits: String,
}

/// Reads an id of the command line.
pub(crate) fn parse_id(text: &str) -> Result<IdArg, String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let digits = digits.to_ascii_lowercase();
    let fits = (1..=32).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
    match fits {
        true => Ok(IdArg { text: text.to_owned(), digits }),
        false => Err("expected the id of an execution, or its beginning".to_owned()),
    }
}

/// A store that is open, with threads to wait for it.
pub(crate) struct OpenStore {
    pub(crate) url: StoreUrl,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tokio: BlockingRuntime,
    sealing: SealingArgs,
    /// The key, unless it is the one that the store brings.
    key: Option<Arc<dyn Seal>>,
}

/// A runtime that executes nothing itself, only to have threads.
pub(crate) fn threads() -> Result<BlockingRuntime, CliError> {
    BlockingRuntime::builder(FlowRuntime::new()).build().map_err(CliError::Runtime)
}

impl StoreArgs {
    /// The store that is named.
    pub(crate) fn url(&self) -> Result<StoreUrl, CliError> {
        match &self.store {
            Some(text) => Ok(text.parse()?),
            None if Path::new(DEFAULT_FILE).exists() => Ok(StoreUrl::Sqlite(DEFAULT_FILE.into())),
            None => Err(CliError::NoStore),
        }
    }

    /// Opens a store that exists, to look at it.
    pub(crate) fn visit(&self) -> Result<OpenStore, CliError> {
        self.open(Access::Visit)
    }

    /// Opens a store that exists.
    pub(crate) fn open(&self, access: Access) -> Result<OpenStore, CliError> {
        let url = self.url()?;
        if let StoreUrl::Sqlite(path) = &url
            && !path.exists()
        {
            return Err(CliError::NoSuchStore(url.to_string()));
        }
        open(url, access, &self.sealing)
    }
}

/// Opens a store; makes a SQLite file that does not exist.
pub(crate) fn open(
    url: StoreUrl,
    access: Access,
    sealing: &SealingArgs,
) -> Result<OpenStore, CliError> {
    let key = sealing.key()?;
    let tokio = threads()?;
    let home = tokio.block_on(flowstore::open_home(&url, access))?;
    let key = match key {
        Some(key) => Some(tokio.block_on(sealing.of_store(&*home, key))?),
        None => None,
    };
    Ok(OpenStore { url, store: home, tokio, sealing: sealing.clone(), key })
}

impl OpenStore {
    /// Starts configuring a runtime on the store.
    pub(crate) fn runtime(&self) -> FlowRuntimeBuilder {
        self.configure(FlowRuntime::builder())
    }

    /// Lets a runtime keep its own executions in the store, which it closes when it goes. Gives the
    /// threads, too, and how to go on with its executions.
    pub(crate) fn execute(
        self,
        builder: FlowRuntimeBuilder,
        program: &str,
    ) -> (BlockingRuntime, FlowRuntimeBuilder, Address) {
        let address = self.address(program);
        let builder = self.configure(builder).own_executions_only();
        (self.tokio, builder, address)
    }

    fn configure(&self, builder: FlowRuntimeBuilder) -> FlowRuntimeBuilder {
        let builder = builder.store(self.store.clone());
        match &self.key {
            Some(key) => builder.sealing(key.clone()),
            None => builder,
        }
    }

    /// How to go on with its executions, for people.
    pub(crate) fn address(&self, program: &str) -> Address {
        Address::new(program, &self.url, self.sealing.again())
    }

    /// Opens it once more, to execute from it.
    pub(crate) fn to_execute(&self) -> Result<Self, CliError> {
        open(self.url.clone(), Access::Execute, &self.sealing)
    }

    /// The id of an execution that is named by it or by its beginning.
    pub(crate) fn find(&self, arg: &IdArg) -> Result<ExecutionId, CliError> {
        let place: &dyn Executions = self;
        place.find(arg).map(|row| row.id)
    }

    /// Executions that are not over and that nobody executes: the newest, and how many, as far as it
    /// was counted.
    pub(crate) fn abandoned(&self) -> Result<(Option<ExecutionId>, usize), StoreError> {
        let mut statuses = vec![ExecutionStatus::Running, ExecutionStatus::Queued];
        if matches!(self.url, StoreUrl::Sqlite(_)) {
            // In a database of many, those that wait are nobody's until it is time.
            statuses.push(ExecutionStatus::Waiting);
        }
        let query = Query { statuses, limit: ROWS_AT_ONCE, ..Query::default() };
        let rows = self.tokio.block_on(self.store.executions(&query))?;
        let mut abandoned = rows.iter().filter(|row| row.owner.is_none()).map(|row| row.id);
        let first = abandoned.next();
        Ok((first, abandoned.count() + usize::from(first.is_some())))
    }
}

/// The place of a row in the list.
pub(crate) fn cursor(row: &ExecutionRow) -> Cursor {
    Cursor { created_at: row.created_at, id: row.id }
}

/// How to go on with executions of a store or a server, for people.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    program: String,
    url: String,
    /// The options that name it, and what belongs to it, if commands do not work without them.
    options: String,
    /// Whether it executes by itself what it has.
    is_server: bool,
}

impl Address {
    fn new(program: &str, url: &StoreUrl, sealing: String) -> Self {
        let variable = std::env::var("FLOW_STORE").ok().filter(|text| !text.is_empty());
        let named = variable.and_then(|text| text.parse::<StoreUrl>().ok());
        let is_default = match named {
            Some(named) => named == *url,
            None => *url == StoreUrl::Sqlite(DEFAULT_FILE.into()),
        };
        let named = if is_default { String::new() } else { format!(" --store {url}") };
        let options = named + &sealing;
        Self { program: program.to_owned(), url: url.to_string(), options, is_server: false }
    }

    /// The address of a server.
    pub(crate) fn of_server(program: &str, url: &str) -> Self {
        let variable = std::env::var("FLOW_SERVER").unwrap_or_default();
        let is_default = variable.trim_end_matches('/') == url;
        let options = if is_default { String::new() } else { format!(" --server {url}") };
        Self { program: program.to_owned(), url: url.to_owned(), options, is_server: true }
    }

    /// The store, without a password, or the server.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A command of `executions`, such as `resume 019a…`.
    pub(crate) fn command(&self, rest: &str) -> String {
        format!("{} executions {rest}{}", self.program, self.options)
    }

    /// The command that sees an execution to its end.
    pub(crate) fn to_the_end(&self, id: ExecutionId) -> String {
        let verb = if self.is_server { "watch" } else { "resume" };
        self.command(&format!("{verb} {id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read() {
        for good in ["019a", "019A2B3C-4d5e", "019a2b3c-4d5e-7f80-9a1b-2c3d4e5f6071"] {
            let arg = parse_id(good).unwrap();
            assert!(!arg.digits.contains('-') && arg.digits == arg.digits.to_lowercase(), "{good}");
        }
        for bad in ["", "-", "xyz", "019a 2", &"0".repeat(33)] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_name_a_store_that_is_not_the_usual_one() {
        let usual = Address::new("flowcli", &"sqlite://flow.db".parse().unwrap(), String::new());
        let sealing = SealingArgs { sealing_key: Some("flow.key".into()) };
        let other = "postgres://ada:pw@host/db".parse().unwrap();
        let other = Address::new("flowcli", &other, sealing.again());
        assert_eq!(usual.command("list"), "flowcli executions list");
        let expected =
            "flowcli executions list --store postgres://ada@host/db --sealing-key flow.key";
        assert_eq!(other.command("list"), expected);
    }
}
