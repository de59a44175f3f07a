//! From what a store keeps of an execution to its machine.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::machine::{Impossible, Machine, MachineOptions};
use flowcore::value::StoredError;
use flowcore::{Digest, ExecutionId, Record, Secrets, SharedPlan};
use serde::de::DeserializeOwned;

use super::history_size::HistorySize;
use super::{Durable, StoredStart};
use crate::store::{Kept, Segment, StoreError};

/// Why an execution that is kept cannot go on here.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store did not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is kept cannot be read.
    #[error("what is kept of the execution cannot be read: {0}")]
    Stored(#[from] StoredError),
    /// What it runs cannot be compiled here.
    #[error("the workflow cannot be run here: {0}")]
    Workflow(String),
    /// Its events do not follow from each other.
    #[error("the events of the execution do not fit: {0}")]
    Events(String),
}

impl LoadError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Stored(_) => "execution.unreadable",
            Self::Workflow(_) => "execution.not_runnable",
            Self::Events(_) => "execution.bad_history",
        }
    }
}

impl From<Impossible> for LoadError {
    fn from(error: Impossible) -> Self {
        Self::Events(error.to_string())
    }
}

/// An execution as it stood when it was written last.
pub(crate) struct Loaded {
    pub(crate) start: StoredStart,
    pub(crate) machine: Machine,
    /// How large its history is.
    pub(crate) size: HistorySize,
}

impl Durable {
    /// Reads data that is kept, and the values that stand apart from it.
    pub(crate) async fn read<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, LoadError> {
        let apart = self.apart(text).await?;
        Ok(self.codec.read(text, apart)?)
    }

    /// The values that stand apart from data.
    async fn apart(&self, text: &[u8]) -> Result<HashMap<Digest, Arc<[u8]>>, LoadError> {
        let parts = self.codec.parts(text);
        if parts.is_empty() {
            return Ok(HashMap::new());
        }
        let blobs = self.store.blobs(&parts).await?;
        Ok(blobs.into_iter().map(|blob| (blob.digest, blob.bytes)).collect())
    }

    /// The events of a segment.
    pub(crate) async fn records(&self, segment: &Segment) -> Result<Vec<Record>, LoadError> {
        self.read(&segment.bytes).await
    }

    /// All events of an execution that is kept, in order.
    pub(crate) async fn all_records(&self, kept: &Kept) -> Result<Vec<Record>, LoadError> {
        let mut all = Vec::new();
        for segment in &kept.segments {
            all.extend(self.records(segment).await?);
        }
        Ok(all)
    }

    /// Folds an execution that is kept.
    pub(crate) async fn fold(
        &self,
        kept: Kept,
        plan: SharedPlan,
        secrets: Secrets,
        keep_outputs: bool,
    ) -> Result<Loaded, LoadError> {
        let start: StoredStart = self.read(&kept.start).await?;
        let execution_id: ExecutionId = kept.row.id;
        let keep_outputs = keep_outputs || start.keep_outputs;
        let options = MachineOptions { execution_id, secrets, keep_outputs, history: self.history };
        let (mut machine, mut size) = (Machine::new(plan, options), HistorySize::default());
        for segment in &kept.segments {
            let apart = self.apart(&segment.bytes).await?;
            size.add_events(&segment.bytes);
            apart.iter().for_each(|(digest, bytes)| size.add_apart(*digest, bytes));
            let records: Vec<Record> = self.codec.read(&segment.bytes, apart)?;
            for record in records {
                machine.apply(record)?;
            }
        }
        Ok(Loaded { start, machine, size })
    }
}
