//! An execution of a server, folded here as it goes on there.

use std::sync::Arc;

use flowcore::{ExecutionEvent, ExecutionId, ExecutionResult, SharedPlan, Timestamp};
use flowruntime::{Export, FlowRuntime, Replay};

use super::stream::{Heard, Stream};
use super::{Api, Ask};
use crate::error::CliError;
use crate::messages::Messages;

/// An execution of a server: its events, those that were and those that come, each once and in
/// order.
pub(crate) struct Following {
    replay: Replay,
    stream: Stream,
    last_at: Timestamp,
    is_over: bool,
}

impl Following {
    /// Gets what there is of an execution. The runtime knows the node types of the server.
    pub(crate) async fn new(
        api: Arc<Api>,
        id: ExecutionId,
        flow: &FlowRuntime,
    ) -> Result<Self, CliError> {
        let text = api.send(Ask::get(["executions", &id.to_string(), "export"])).await?;
        let export = Export::from_json(&text.into_text())?;
        let after = export.event_count() as u64;
        let replay = flow.replay_export(export)?;
        let stream = Stream::new(api, id, after);
        Ok(Self { replay, stream, last_at: Timestamp::from_millis(0), is_over: false })
    }

    pub(crate) fn id(&self) -> ExecutionId {
        self.replay.id()
    }

    /// What it runs.
    pub(crate) fn plan(&self) -> &SharedPlan {
        self.replay.machine().plan()
    }

    /// From now on people are told when the server is gone.
    pub(crate) fn tell(&mut self, messages: Arc<Messages>) {
        self.stream.tell(messages);
    }

    /// The events that were there when it was asked for, but for those that were given already.
    pub(crate) fn past(&mut self) -> Result<Vec<ExecutionEvent>, CliError> {
        let mut events = Vec::new();
        while let Some(event) = self.step()? {
            events.push(event);
        }
        Ok(events)
    }

    /// The next event; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<ExecutionEvent>, CliError> {
        loop {
            if let Some(event) = self.step()? {
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.stream.next().await? {
                Heard::Record(record) => self.replay.extend([*record]),
                Heard::Message(message) => {
                    let machine = self.replay.machine();
                    let address = machine.inner_address(message.instance);
                    let event =
                        ExecutionEvent::message(self.id(), machine.plan().clone(), *message);
                    return Ok(Some(event.at_address(address)));
                }
            }
        }
    }

    fn step(&mut self) -> Result<Option<ExecutionEvent>, CliError> {
        let event = self.replay.step()?;
        if let Some(event) = &event {
            self.last_at = event.at();
            self.is_over = event.is_last();
        }
        Ok(event)
    }

    /// What came of it up to here.
    pub(crate) fn into_result(self) -> ExecutionResult {
        self.replay.into_result(self.last_at)
    }
}
