//! The same API for programs without async.

use std::io;
use std::time::Duration;

use flowcore::{ExecutionResult, Workflow, WorkflowId};

use crate::handle::ExecutionHandle;
use crate::inputs::Inputs;
use crate::runtime::{FlowRuntime, StartError};

/// A [`FlowRuntime`] with a tokio runtime of its own: the only place where Flow makes one.
///
/// Its methods block the calling thread; inside a tokio runtime they panic, as blocking there would
/// stall it. Dropping it cancels nothing and waits for nothing: executions that still run are lost.
///
/// ```
/// use flowcore::{NodeDescriptor, NodeOutput, NodeSpec, Workflow};
/// use flowruntime::{BlockingRuntime, FlowRuntime};
///
/// let mut registry = flowcore::NodeRegistry::new();
/// registry.register_function(NodeDescriptor::untyped("answer"), |_| Ok(NodeOutput::of("value", 42)));
/// let flow = FlowRuntime::builder().registry(registry).build()?;
/// let runtime = BlockingRuntime::builder(flow).worker_threads(1).build()?;
/// let mut workflow = Workflow::new("question");
/// workflow.add_node(NodeSpec::new("ask", "answer"));
/// assert!(runtime.execute(&workflow, ())?.is_success());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BlockingRuntime {
    /// `None` only while it is dropped.
    tokio: Option<tokio::runtime::Runtime>,
    flow: FlowRuntime,
}

/// Configures a [`BlockingRuntime`].
#[derive(Debug)]
pub struct BlockingBuilder {
    flow: FlowRuntime,
    workers: Option<usize>,
    max_blocking_threads: Option<usize>,
}

impl BlockingBuilder {
    /// Runs executions on this many threads of their own; 0 runs them on the calling thread, and
    /// only while it waits. As many as there are processors unless said otherwise.
    #[must_use]
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.workers = Some(threads);
        self
    }

    /// The most threads for nodes that block.
    #[must_use]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        self.max_blocking_threads = Some(threads.max(1));
        self
    }

    /// The runtime.
    ///
    /// # Errors
    /// When the operating system gives no threads or no event queue.
    pub fn build(self) -> io::Result<BlockingRuntime> {
        let mut builder = match self.workers {
            Some(0) => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if let Some(workers) = self.workers.filter(|&workers| workers > 0) {
            builder.worker_threads(workers);
        }
        if let Some(threads) = self.max_blocking_threads {
            builder.max_blocking_threads(threads);
        }
        let tokio = builder.enable_all().thread_name("flow").build()?;
        Ok(BlockingRuntime { tokio: Some(tokio), flow: self.flow })
    }
}

impl Drop for BlockingRuntime {
    fn drop(&mut self) {
        // Dropping a tokio runtime waits for its blocking threads, and panics in async code.
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

impl BlockingRuntime {
    /// Starts configuring the tokio runtime.
    pub fn builder(flow: FlowRuntime) -> BlockingBuilder {
        BlockingBuilder { flow, workers: None, max_blocking_threads: None }
    }

    /// The runtime for async code.
    pub fn flow(&self) -> &FlowRuntime {
        &self.flow
    }

    fn tokio(&self) -> &tokio::runtime::Runtime {
        self.tokio.as_ref().expect("it is taken only while this is dropped")
    }

    /// As [`FlowRuntime::execute`].
    ///
    /// # Errors
    /// As [`FlowRuntime::execute`].
    pub fn execute(
        &self,
        workflow: &Workflow,
        inputs: impl Into<Inputs>,
    ) -> Result<ExecutionResult, StartError> {
        self.tokio().block_on(self.flow.execute(workflow, inputs))
    }

    /// As [`FlowRuntime::execute_by_id`].
    ///
    /// # Errors
    /// As [`FlowRuntime::execute_by_id`].
    pub fn execute_by_id(
        &self,
        id: &WorkflowId,
        inputs: impl Into<Inputs>,
    ) -> Result<ExecutionResult, StartError> {
        self.tokio().block_on(self.flow.execute_by_id(id, inputs))
    }

    /// As [`FlowRuntime::start`].
    ///
    /// # Errors
    /// As [`FlowRuntime::start`].
    pub fn start(
        &self,
        workflow: &Workflow,
        inputs: impl Into<Inputs>,
    ) -> Result<ExecutionHandle, StartError> {
        self.tokio().block_on(self.flow.start(workflow, inputs))
    }

    /// Waits for the end of an execution.
    ///
    /// # Errors
    /// As [`ExecutionHandle::wait`].
    pub fn wait(&self, execution: &ExecutionHandle) -> Result<ExecutionResult, StartError> {
        Ok(self.tokio().block_on(execution.wait())?)
    }

    /// Runs any future to its end, on the same tokio runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tokio().block_on(future)
    }

    /// Ends everything that still runs, and waits for that at most this long.
    ///
    /// Executions that still run are lost, and the programs that their nodes have started end with
    /// them. A function on the blocking pool cannot be ended; it is left behind.
    pub fn shutdown_timeout(mut self, patience: Duration) {
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_timeout(patience);
        }
    }
}
