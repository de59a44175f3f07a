//! What `cancel`, `pause` and `resume` have in common: somebody tells an execution something.

use flowruntime::store::ExecutionRow;

use crate::error::CliError;
use crate::exit_code::ExitCode;
use crate::place::{Executions, Wish, executions};
use crate::session::Session;
use crate::store::{IdArg, StoreArgs, parse_id};

use super::note_if_nobody;

#[derive(Debug, clap::Args)]
pub(super) struct TellArgs {
    /// The execution: its id, or the beginning of it.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: IdArg,

    /// Who asks for it; you, unless said otherwise. A server knows it by the token.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,

    #[command(flatten)]
    pub(super) store: StoreArgs,
}

impl TellArgs {
    /// The execution, and where it is kept.
    pub(super) fn find(
        &self,
        session: &Session,
    ) -> Result<(Box<dyn Executions>, ExecutionRow), CliError> {
        if self.by.is_some() {
            session.only_without_server("--by")?;
        }
        let place = executions(session, &self.store)?;
        let row = place.find(&self.id)?;
        Ok((place, row))
    }

    /// Who asks: unless it is said, the person at this terminal.
    pub(super) fn asker(&self) -> String {
        let names = ["USER", "LOGNAME", "USERNAME"];
        let name = || names.iter().find_map(|name| std::env::var(name).ok());
        self.by.clone().or_else(name).unwrap_or_else(|| "flowcli".to_owned())
    }

    /// Tells an execution something, whoever executes it, and says that it is being done.
    pub(super) fn tell_and_say(
        &self,
        session: &Session,
        wish: Wish,
        done: &str,
    ) -> Result<ExitCode, CliError> {
        let (place, row) = self.find(session)?;
        place.tell(row.id, wish, &self.asker())?;
        session.note(&format!("execution {} is being {done}", row.id));
        note_if_nobody(session, &*place, &row);
        Ok(ExitCode::Success)
    }
}
