//! What `cancel`, `pause` and `resume` have in common: somebody tells an execution something.

use flowruntime::store::ExecutionRow;
use flowruntime::{FlowRuntime, TellError};

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::session::Session;
use crate::store::{IdArg, OpenStore, StoreArgs, parse_id};

use super::note_if_nobody;

#[derive(Debug, clap::Args)]
pub(super) struct TellArgs {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Who asks for it; you, unless said otherwise.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    #[command(flatten)]
    store: StoreArgs,
}

impl TellArgs {
    /// The execution, and the store that it is in, to look at.
    pub(super) fn find(&self) -> Result<(OpenStore, ExecutionRow), CliError> {
        let open = self.store.visit()?;
        let row = open.row(&self.id)?;
        Ok((open, row))
    }

    /// Who asks: unless it is said, the person at this terminal.
    pub(super) fn asker(&self) -> String {
        let names = ["USER", "LOGNAME", "USERNAME"];
        let name = || names.iter().find_map(|name| std::env::var(name).ok());
        self.by.clone().or_else(name).unwrap_or_else(|| "flowcli".to_owned())
    }

    /// Tells an execution something, whoever executes it.
    pub(super) fn tell(
        &self,
        open: &OpenStore,
        tell: impl AsyncFnOnce(&FlowRuntime, &str) -> Result<(), TellError>,
    ) -> Result<(), CliError> {
        let flow = open.runtime().build().expect("no limit is set");
        Ok(open.tokio.block_on(tell(&flow, &self.asker()))?)
    }

    /// As [`TellArgs::tell`], and says that it is being done.
    pub(super) fn tell_and_say(
        &self,
        session: &Session,
        done: &str,
        tell: impl AsyncFnOnce(&FlowRuntime, &ExecutionRow, &str) -> Result<(), TellError>,
    ) -> Result<ExitCode, CliError> {
        let (open, row) = self.find()?;
        self.tell(&open, async |flow, by| tell(flow, &row, by).await)?;
        session.note(&format!("execution {} is being {done}", row.id));
        note_if_nobody(session, &open, &row);
        Ok(ExitCode::Success)
    }
}
