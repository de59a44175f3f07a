//! The executions of a server.

use flowcore::{Digest, ExecutionError, ExecutionId, ExecutionStatus, ProjectId, Timestamp};
use flowcore::{Value, WorkflowId};
use flowruntime::store::{ExecutionRow, LogLine, OwnerId, Query};
use flowruntime::{BlockingRuntime, Export, Replay};
use serde::Deserialize;
use serde_json::json;

use super::listing::{MOST_AT_ONCE, Part};
use super::{Ask, Server, ServerError};
use crate::error::CliError;
use crate::place::{Executions, Wish};
use crate::session::Session;

/// An execution as a server describes it, in a list or alone.
#[derive(Deserialize)]
struct Described {
    id: ExecutionId,
    workflow_id: WorkflowId,
    version: Option<u64>,
    /// Only of one that is described alone.
    definition: Option<String>,
    status: ExecutionStatus,
    is_executed: bool,
    error: Option<ExecutionError>,
    last_seq: Option<u64>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    wake_at: Option<Timestamp>,
    rerun_of: Option<ExecutionId>,
}

impl From<Described> for ExecutionRow {
    fn from(one: Described) -> Self {
        let definition = one.definition.and_then(|text| text.parse().ok());
        Self {
            id: one.id,
            project: ProjectId::default(),
            workflow_id: one.workflow_id,
            version: one.version,
            definition: definition.unwrap_or_else(|| Digest::of_bytes("unknown", &[])),
            status: one.status,
            // How often it was handed over is the server's own affair.
            fence: 1,
            owner: one.is_executed.then(OwnerId::new),
            last_seq: one.last_seq.unwrap_or_default(),
            created_at: one.created_at,
            started_at: one.started_at,
            ended_at: one.ended_at,
            wake_at: one.wake_at,
            error: one.error,
            rerun_of: one.rerun_of,
            format: flowcore::EVENT_FORMAT,
        }
    }
}

impl Server {
    fn of(&self, id: ExecutionId, what: &str) -> Ask {
        Ask::get(["executions", &id.to_string(), what])
    }

    /// What there is, or nothing when the server says that there is none.
    fn find(&self, ask: Ask) -> Result<Option<super::Answer>, CliError> {
        match self.tokio.block_on(self.api.send(ask)) {
            Ok(answer) => Ok(Some(answer)),
            Err(ServerError::Refused(problem)) if problem.code == "execution.not_found" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Executions for Server {
    fn list(
        &self,
        query: &Query,
        after: Option<&str>,
    ) -> Result<(Vec<ExecutionRow>, Option<String>), CliError> {
        let statuses: Vec<String> = query.statuses.iter().map(ToString::to_string).collect();
        let statuses = (!statuses.is_empty()).then(|| statuses.join(","));
        let ask = || {
            Ask::get(["executions"])
                .query("workflow", query.workflow_id.as_ref().map(ToString::to_string))
                .query("status", statuses.clone())
                .query("created_from", query.created_from.map(|at| at.to_string()))
                .query("created_before", query.created_before.map(|at| at.to_string()))
        };
        let after = after.map(str::to_owned);
        let (items, next) = self.list_after::<Described>(query.limit, after, ask)?;
        Ok((items.into_iter().map(Into::into).collect(), next))
    }

    fn execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, CliError> {
        let answer = self.find(Ask::get(["executions", &id.to_string()]))?;
        let described = answer.map(|answer| answer.read::<Described>()).transpose()?;
        Ok(described.map(Into::into))
    }

    fn logs(&self, id: ExecutionId, after: u64) -> Result<Vec<LogLine>, CliError> {
        let ask = self.of(id, "logs").query("after", Some(after.to_string()));
        let part = self.ask(ask.query("limit", Some(MOST_AT_ONCE.to_string())))?;
        Ok(part.read::<Part<LogLine>>()?.items)
    }

    fn export(&self, id: ExecutionId) -> Result<Option<String>, CliError> {
        Ok(self.find(self.of(id, "export"))?.map(super::Answer::into_text))
    }

    fn replay(&self, id: ExecutionId, session: &Session) -> Result<Option<Replay>, CliError> {
        let Some(text) = self.export(id)? else { return Ok(None) };
        let flow = self.runtime(&session.registry())?;
        Ok(Some(flow.replay_export(Export::from_json(&text)?)?))
    }

    fn tell(&self, id: ExecutionId, wish: Wish, _: &str) -> Result<(), CliError> {
        let verb = match wish {
            Wish::Cancel => "cancel",
            Wish::Pause => "pause",
            Wish::Resume => "resume",
        };
        self.ask(Ask::post(["executions", &id.to_string(), verb], "{}".to_owned()))?;
        Ok(())
    }

    fn signal(
        &self,
        id: ExecutionId,
        name: &str,
        key: Option<&str>,
        payload: Value,
    ) -> Result<(), CliError> {
        let body = json!({ "key": key, "payload": payload }).to_string();
        self.ask(Ask::post(["executions", &id.to_string(), "signals", name], body))?;
        Ok(())
    }

    fn resume_command(&self, _: &ExecutionRow, _: &str) -> Option<String> {
        // It goes on with what is its own.
        None
    }

    fn tokio(&self) -> &BlockingRuntime {
        &self.tokio
    }
}
