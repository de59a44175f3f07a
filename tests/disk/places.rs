//! Where stores are, and processes on them.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::{Execution, NodeDescriptor, NodeOutput, NodeRegistry, Workflow};
use flowruntime::store::Store;
use flowruntime::{FlowRuntime, FlowRuntimeBuilder};
use flowstore::{Access, StoreUrl};

/// Where a store is; gone when it is dropped.
pub(crate) struct Place {
    url: StoreUrl,
    _kept: Box<dyn Any + Send + Sync>,
}

impl Place {
    /// A new file, in memory where there is such a folder: nothing here is about the disk itself.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { url: StoreUrl::Sqlite(folder.path().join("flow.db")), _kept: Box::new(folder) }
    }

    /// A schema of its own; `None` without PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) fn postgres() -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let server = testkit::postgres()?;
        let schema = format!("disk_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = format!("{}?sslmode=disable&schema={schema}", server.url());
        Some(Self { url: url.parse().unwrap(), _kept: Box::new(()) })
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        match &self.url {
            StoreUrl::Sqlite(path) => path,
            StoreUrl::Postgres(_) => panic!("it is no file"),
        }
    }

    /// Opens it to execute: in one process at a time if it is a file.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        flowstore::open(&self.url, Access::Execute).await.unwrap()
    }
}

/// Node types that count, and run for as long as the test lives.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// `count`: one more, and how many there were.
    pub(crate) fn registry(&self) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        let counter = self.clone();
        registry.register_async(kind("count", Execution::Task), move |_| {
            let number = counter.0.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(NodeOutput::of("out", i64::try_from(number).unwrap())) }
        });
        registry
    }
}

/// A node type with any ports and any config.
pub(crate) fn kind(node_type: &'static str, execution: Execution) -> NodeDescriptor {
    NodeDescriptor::untyped(node_type).execution(execution).stateless()
}

/// A process on a store.
pub(crate) fn process(store: Arc<dyn Store>, registry: NodeRegistry) -> FlowRuntimeBuilder {
    FlowRuntime::builder().store(store).registry(registry)
}

/// A workflow from a JSON literal.
pub(crate) fn workflow(json: serde_json::Value) -> Workflow {
    Workflow::from_json(&json.to_string()).unwrap()
}
