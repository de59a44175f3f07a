//! Runs Flow workflows on tokio.
//!
//! [`FlowRuntime`] is the way in. Each execution is one tokio task, its driver, which owns a
//! [`flowcore::machine::Machine`] and does what it wishes.
//!
//! ```
//! use flowcore::{NodeDescriptor, NodeOutput, NodeRegistry, NodeSpec, Port, Workflow};
//! use flowruntime::FlowRuntime;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut registry = NodeRegistry::new();
//! let descriptor = NodeDescriptor::new("text.hello").output(Port::new("text"));
//! registry.register_function(descriptor, |_| Ok(NodeOutput::of("text", "hello")));
//!
//! let mut workflow = Workflow::new("greeting");
//! workflow.add_node(NodeSpec::new("hello", "text.hello"));
//!
//! let runtime = FlowRuntime::builder().registry(registry).build()?;
//! let result = runtime.execute(&workflow, ()).await?;
//! assert_eq!(result.outputs.to_string(), r#"{"hello":{"text":"hello"}}"#);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! #     .block_on(example()).unwrap();
//! ```
#![warn(missing_docs)]

mod admission;
mod blocking;
mod builder;
mod cache;
mod clock;
mod concurrency;
mod control;
mod crew;
mod driver;
mod durable;
mod event_bus;
mod executor;
mod handle;
mod histogram;
pub mod history;
mod inputs;
mod journal;
mod metrics;
mod observer;
mod plans;
mod prepared;
mod process;
mod rates;
mod runtime;
mod secret_source;
pub mod store;
pub mod testing;
mod workflows;

pub use admission::{Admission, Place};
pub use blocking::{BlockingBuilder, BlockingRuntime};
pub use builder::{BuildError, FlowRuntimeBuilder};
pub use cache::{MemoryCache, ResultCache};
pub use clock::RuntimeClock;
pub use durable::{
    EXPORT_VERSION, Export, Follow, History, LoadError, Replay, RerunFailure, Tell, TellError,
};
pub use event_bus::{EventBus, Received, Subscription};
pub use executor::{Attempt, AttemptResult, Executor, LocalExecutor, Started};
pub use flowcore;
pub use handle::{ExecutionHandle, WaitError};
pub use histogram::{Durations, Histogram};
pub use inputs::Inputs;
pub use journal::{Journal, JournalError, MemoryJournal, NullJournal};
pub use metrics::{BusMetrics, RuntimeMetrics};
pub use observer::{ExecutionObserver, Observer};
pub use prepared::PreparedExecution;
pub use process::{ProcessError, Processed};
pub use runtime::{FlowRuntime, StartError};
pub use secret_source::SecretSource;
pub use workflows::RegisterError;
