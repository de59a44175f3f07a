//! Where executions are kept: a store that is opened here, or a server. Verbs that look at executions
//! or tell them something stand once, for both.

use std::time::Duration;

use flowcore::{ExecutionId, Timestamp, Value};
use flowruntime::store::{Cursor, ExecutionRow, LogLine, Query};
use flowruntime::{BlockingRuntime, Replay};

use crate::error::CliError;
use crate::session::Session;
use crate::store::{IdArg, OpenStore, StoreArgs, cursor};

/// How many rows are looked at in one go when an id is looked for by its beginning.
const ROWS_AT_ONCE: usize = 1000;

/// How many log lines are read at once.
const LINES_AT_ONCE: usize = 500;

/// What an execution may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Cancel,
    Pause,
    Resume,
}

/// Where executions are kept.
pub(crate) trait Executions {
    /// Executions, the newest first: those of the query after a cursor, and where the list goes on.
    fn list(
        &self,
        query: &Query,
        after: Option<&str>,
    ) -> Result<(Vec<ExecutionRow>, Option<String>), CliError>;

    /// How an execution stands; `None` when there is none of this id.
    fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, CliError>;

    /// Some of the lines that nodes wrote after one of them; none at the end.
    fn logs(&self, id: ExecutionId, after: u64) -> Result<Vec<LogLine>, CliError>;

    /// All that is kept, as one JSON document.
    fn export(&self, id: ExecutionId) -> Result<Option<String>, CliError>;

    /// All that is kept, to be gone through with the node types of whoever executes it.
    fn replay(&self, id: ExecutionId, session: &Session) -> Result<Option<Replay>, CliError>;

    /// Tells an execution something, in the name of whoever asks.
    fn tell(&self, id: ExecutionId, wish: Wish, by: &str) -> Result<(), CliError>;

    /// Sends a signal that a node waits for, or will.
    fn signal(
        &self,
        id: ExecutionId,
        name: &str,
        key: Option<&str>,
        payload: Value,
    ) -> Result<(), CliError>;

    /// The command that goes on with an execution that nobody executes, if one is needed.
    fn resume_command(&self, row: &ExecutionRow, program: &str) -> Option<String>;

    /// What waits for it.
    fn tokio(&self) -> &BlockingRuntime;
}

/// The executions that a verb is about: those of the server, if one is named, else those of the store.
pub(crate) fn executions(
    session: &Session,
    store: &StoreArgs,
) -> Result<Box<dyn Executions>, CliError> {
    Ok(match session.connect()? {
        Some(server) => Box::new(server),
        None => Box::new(store.visit()?),
    })
}

impl dyn Executions + '_ {
    /// Waits.
    pub(crate) fn sleep(&self, duration: Duration) {
        self.tokio().block_on(async { tokio::time::sleep(duration).await });
    }

    /// The execution that is named by its id or by the beginning of it.
    pub(crate) fn find(&self, arg: &IdArg) -> Result<ExecutionRow, CliError> {
        let unknown = || CliError::UnknownExecution(arg.text.clone());
        if arg.digits.len() == 32 {
            let id = arg.digits.parse().map_err(|_| unknown())?;
            return self.execution(id)?.ok_or_else(unknown);
        }
        let mut found: Option<ExecutionRow> = None;
        let query = Query { limit: ROWS_AT_ONCE, ..Query::default() };
        let mut cursor = None;
        loop {
            let (rows, next) = self.list(&query, cursor.as_deref())?;
            for row in rows {
                if row.id.as_uuid().simple().to_string().starts_with(&arg.digits)
                    && let Some(other) = found.replace(row)
                {
                    let ids = [found.map_or(other.id, |row| row.id), other.id];
                    let ids = ids.map(|id| id.to_string());
                    return Err(CliError::AmbiguousId { id: arg.text.clone(), ids });
                }
            }
            cursor = next;
            if cursor.is_none() {
                return found.ok_or_else(unknown);
            }
        }
    }

    /// All lines that nodes wrote.
    pub(crate) fn all_logs(&self, id: ExecutionId) -> Result<Vec<LogLine>, CliError> {
        let mut all: Vec<LogLine> = Vec::new();
        loop {
            let lines = self.logs(id, all.last().map_or(0, |line| line.number))?;
            if lines.is_empty() {
                return Ok(all);
            }
            all.extend(lines);
        }
    }
}

impl Executions for OpenStore {
    fn list(
        &self,
        query: &Query,
        after: Option<&str>,
    ) -> Result<(Vec<ExecutionRow>, Option<String>), CliError> {
        let after = after.map(read_cursor).transpose()?;
        // One more says whether there are more.
        let query = Query { after, limit: query.limit + 1, ..query.clone() };
        let mut rows = self.tokio.block_on(self.store.executions(&query))?;
        let has_more = rows.len() >= query.limit;
        rows.truncate(query.limit - 1);
        let next = rows.last().filter(|_| has_more).map(write_cursor);
        Ok((rows, next))
    }

    fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, CliError> {
        Ok(self.tokio.block_on(self.store.execution(id))?)
    }

    fn logs(&self, id: ExecutionId, after: u64) -> Result<Vec<LogLine>, CliError> {
        Ok(self.tokio.block_on(self.store.logs(id, after, LINES_AT_ONCE))?)
    }

    fn export(&self, id: ExecutionId) -> Result<Option<String>, CliError> {
        let flow = self.runtime().build().expect("no limit is set");
        let export = self.tokio.block_on(flow.export(id))?;
        let text = |export| serde_json::to_string(&export);
        let text = export
            .map(|export| text(export).expect("an export has string keys and finite numbers only"));
        Ok(text)
    }

    fn replay(&self, id: ExecutionId, session: &Session) -> Result<Option<Replay>, CliError> {
        let flow = self.runtime().registry(session.registry()).build().expect("no limit is set");
        let replay = self.tokio.block_on(flow.replay(id))?;
        Ok(replay.map(|(_, replay)| replay))
    }

    fn tell(&self, id: ExecutionId, wish: Wish, by: &str) -> Result<(), CliError> {
        let flow = self.runtime().build().expect("no limit is set");
        let told = self.tokio.block_on(async {
            match wish {
                Wish::Cancel => flow.cancel(id, Some(by)).await,
                Wish::Pause => flow.pause(id, Some(by)).await,
                Wish::Resume => flow.resume(id, Some(by)).await,
            }
        });
        Ok(told?)
    }

    fn signal(
        &self,
        id: ExecutionId,
        name: &str,
        key: Option<&str>,
        payload: Value,
    ) -> Result<(), CliError> {
        let flow = self.runtime().build().expect("no limit is set");
        Ok(self.tokio.block_on(flow.signal(id, name, key, payload))?)
    }

    fn resume_command(&self, row: &ExecutionRow, program: &str) -> Option<String> {
        let is_nobodys = row.owner.is_none();
        is_nobodys.then(|| self.address(program).command(&format!("resume {}", row.id)))
    }

    fn tokio(&self) -> &BlockingRuntime {
        &self.tokio
    }
}

/// A place in the list of a store: when the execution was accepted, and its id.
fn write_cursor(row: &ExecutionRow) -> String {
    let Cursor { created_at, id } = cursor(row);
    format!("{}-{id}", created_at.as_micros())
}

fn read_cursor(text: &str) -> Result<Cursor, CliError> {
    let read = || {
        let (micros, id) = text.split_once('-')?;
        let created_at = Timestamp::from_micros(micros.parse().ok()?);
        Some(Cursor { created_at, id: id.parse().ok()? })
    };
    read().ok_or_else(|| CliError::BadCursor(text.to_owned()))
}
