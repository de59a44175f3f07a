//! A server that commands are for, instead of a store of this machine.

mod api;
mod args;
mod error;
mod executions;
mod following;
mod listing;
mod nodes;
mod problem;
mod stream;

use std::sync::Arc;

use flowcore::{Diagnostics, Format, NodeRegistry, Source, Workflow};
use flowruntime::{BlockingRuntime, FlowRuntime};

pub(crate) use api::{Answer, Api, Ask};
pub(crate) use args::{ServerArgs, ServerSettings};
pub(crate) use error::ServerError;
pub(crate) use following::Following;
pub(crate) use problem::{Found, Problem, diagnostics};

use crate::error::CliError;
use crate::execution::interrupts::Interrupts;
use crate::store::{self, Address};

/// What a server found wrong with a workflow, with its places in the text that it was sent from.
pub(crate) fn placed(problem: &Problem, source: &Source) -> Diagnostics {
    diagnostics(problem.errors.as_deref().unwrap_or_default(), Some(source))
}

/// A workflow as it is sent: JSON as it stands in the file but for the blanks around it, so that what
/// is wrong with it has the places of the file; what is written in another form, as JSON.
pub(crate) fn sent(source: &Source, workflow: Option<&Workflow>) -> String {
    match (source.format(), workflow) {
        (Format::Yaml, Some(workflow)) => workflow.to_json_text(),
        _ => source.text().trim().to_owned(),
    }
}

/// A server, with threads to wait for it.
pub(crate) struct Server {
    pub(crate) api: Arc<Api>,
    pub(crate) tokio: BlockingRuntime,
}

impl Server {
    /// Gets ready to ask a server; nothing is sent yet.
    pub(crate) fn new(settings: &ServerSettings) -> Result<Self, CliError> {
        let api = Api::new(settings)?;
        Ok(Self { api: Arc::new(api), tokio: store::threads()? })
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, ask: Ask) -> Result<Answer, CliError> {
        Ok(self.tokio.block_on(self.api.send(ask))?)
    }

    /// The node types of the server; those that this program has as well are its own, `known`.
    pub(crate) fn registry(&self, known: &NodeRegistry) -> Result<NodeRegistry, CliError> {
        let answer = self.ask(Ask::get(["nodes"]))?;
        Ok(nodes::registry(answer.read()?, known))
    }

    /// A runtime that knows the node types of the server, to go through what it has executed.
    pub(crate) fn runtime(&self, known: &NodeRegistry) -> Result<FlowRuntime, CliError> {
        let builder = FlowRuntime::builder().registry(self.registry(known)?);
        Ok(builder.build().expect("no limit is set"))
    }

    /// From now on signals come there.
    pub(crate) fn interrupts(&self) -> Result<Interrupts, CliError> {
        self.tokio.block_on(async { Interrupts::listen() }).map_err(CliError::Runtime)
    }

    /// How to go on with its executions, for people.
    pub(crate) fn address(&self, program: &str) -> Address {
        Address::of_server(program, self.api.url())
    }
}
