//! Those who watch everything that a runtime executes, from inside.

use std::sync::Arc;

use flowcore::{ExecutionEvent, ExecutionScope};

/// Watches the executions of a runtime, to count them or to make spans of them.
///
/// It is called by the drivers themselves, so nothing is lost because it is slow; it holds them up
/// instead, and so must neither wait nor compute much.
pub trait Observer: Send + Sync + 'static {
    /// An execution starts here, or goes on here after it was let go or another process had it.
    fn begins(&self, execution: &Arc<ExecutionScope>) -> Box<dyn ExecutionObserver>;

    /// Whether spans are made of executions: then each belongs to a trace, and its attempts pass on
    /// spans of their own; see [`flowcore::NodeContext::trace_context`].
    fn makes_spans(&self) -> bool {
        false
    }
}

/// Watches one execution while it is executed here; dropped when it ends, or is let go.
pub trait ExecutionObserver: Send {
    /// Some events happened, and are durable where they are to be; in order, each once. When a process
    /// ends, the last that are durable may not have been heard, and no other process hears them.
    fn hear(&mut self, events: &[ExecutionEvent]);
}
