//! An execution as one document that needs no store.

use flowcore::value::StoredError;
use flowcore::{
    ExecutionError, ExecutionId, ExecutionStatus, Limits, Record, Timestamp, WorkflowId,
    compile_with,
};
use serde::{Deserialize, Serialize};

use super::{Bundle, LoadError, Replay, StoredStart};
use crate::runtime::FlowRuntime;
use crate::store::{ExecutionRow, LogLine};

/// The version of the form of [`Export`]. Those before it can be read for ever.
pub const EXPORT_VERSION: u32 = 1;

/// How many log lines are read at once.
const LINES_AT_ONCE: usize = 1000;

/// An execution with everything that is known of it: what it ran, what it was given, its events with
/// all values, and what its nodes wrote. It serialises as one JSON document, in which `•••` stands
/// for what came from a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Export {
    /// What kind of document it is, and the version of its form.
    format: Format,
    execution: Row,
    definition: Bundle,
    start: StoredStart,
    events: Vec<Record>,
    logs: Vec<LogLine>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Format {
    name: Name,
    version: u32,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Name {
    #[serde(rename = "flow.execution")]
    Execution,
}

/// How it stood when it was exported.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    id: ExecutionId,
    workflow_id: WorkflowId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    status: ExecutionStatus,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wake_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<ExecutionError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rerun_of: Option<ExecutionId>,
    /// The version of the form of its events.
    event_format: u32,
}

impl From<ExecutionRow> for Row {
    fn from(row: ExecutionRow) -> Self {
        Self {
            id: row.id,
            workflow_id: row.workflow_id,
            version: row.version,
            status: row.status,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            wake_at: row.wake_at,
            error: row.error,
            rerun_of: row.rerun_of,
            event_format: row.format,
        }
    }
}

impl Export {
    /// Reads the JSON document.
    ///
    /// # Errors
    /// [`LoadError::Stored`] when it is no such document, or one of a newer version.
    pub fn from_json(text: &str) -> Result<Self, LoadError> {
        #[derive(Deserialize)]
        struct Head {
            format: Format,
        }
        let malformed = |message: String| LoadError::Stored(StoredError::Malformed(message));
        let head: Head = serde_json::from_str(text)
            .map_err(|error| malformed(format!("it is no exported execution: {error}")))?;
        if head.format.version > EXPORT_VERSION {
            return Err(malformed(format!(
                "the document has version {}, and this version of Flow knows versions up to \
                 {EXPORT_VERSION}",
                head.format.version
            )));
        }
        serde_json::from_str(text).map_err(|error| malformed(error.to_string()))
    }

    /// The execution.
    pub fn id(&self) -> ExecutionId {
        self.execution.id
    }

    /// How it stood when it was exported.
    pub fn status(&self) -> ExecutionStatus {
        self.execution.status
    }

    /// How many events there are.
    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// What its nodes wrote, in order.
    pub fn logs(&self) -> &[LogLine] {
        &self.logs
    }
}

impl FlowRuntime {
    /// An execution of the store as one document; `None` when there is none. Nothing waits for this,
    /// and nothing is run.
    ///
    /// # Errors
    /// [`LoadError`] when what is kept cannot be read here.
    pub async fn export(&self, id: ExecutionId) -> Result<Option<Export>, LoadError> {
        let Some(durable) = &self.shared.durable else { return Ok(None) };
        let Some(kept) = durable.store.load(id).await? else { return Ok(None) };
        let digest = kept.row.definition;
        let unknown = || LoadError::Workflow(format!("definition {digest} is not in the store"));
        let definition = durable.store.definition(digest).await?.ok_or_else(unknown)?;
        let mut logs: Vec<LogLine> = Vec::new();
        loop {
            let after = logs.last().map_or(0, |line| line.number);
            let lines = durable.store.logs(id, after, LINES_AT_ONCE).await?;
            let is_all = lines.len() < LINES_AT_ONCE;
            logs.extend(lines);
            if is_all {
                break;
            }
        }
        Ok(Some(Export {
            format: Format { name: Name::Execution, version: EXPORT_VERSION },
            start: durable.read(&kept.start).await?,
            events: durable.all_records(&kept).await?,
            definition: Bundle::read(&definition).map_err(LoadError::Workflow)?,
            execution: kept.row.into(),
            logs,
        }))
    }

    /// What was exported, to be gone through event by event with the node types of this runtime.
    ///
    /// # Errors
    /// [`LoadError::Workflow`] when the workflow cannot be compiled here.
    pub fn replay_export(&self, export: Export) -> Result<Replay, LoadError> {
        let Export { execution, definition, start, events, .. } = export;
        let limits = Limits::none();
        let workflow = &definition.workflow;
        let compiled = compile_with(workflow, &self.registry(), &limits, Some(&definition));
        let broken = || LoadError::Workflow(compiled.diagnostics.to_string());
        let plan = compiled.plan.clone().ok_or_else(broken)?;
        // Of no project here: what it was given is not in the export.
        let secrets = self.shared.secrets.secrets_of(&flowcore::ProjectId::default());
        Ok(Replay::new(execution.id, plan, start, events, secrets, true))
    }
}
