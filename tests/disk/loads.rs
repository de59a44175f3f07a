//! A store that fails while an execution is read from it: nothing of it counts as being executed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowcore::{Execution, ExecutionId, NodeRegistry, async_trait};
use flowruntime::store::{MemoryStore, Message, Store, StoreError};
use serde_json::json;

use crate::flavours::paused;
use crate::places::{Counter, kind, process, workflow};
use flowruntime::testing::crash::{Twist, Twisted};

/// Fails at the last step of the first execution that is read.
#[derive(Default)]
struct FailsOnce(AtomicBool);

#[async_trait]
impl Twist for FailsOnce {
    async fn messages(
        &self,
        inner: &Arc<dyn Store>,
        id: ExecutionId,
    ) -> Result<Vec<Message>, StoreError> {
        match self.0.swap(true, Ordering::SeqCst) {
            true => inner.messages(id).await,
            false => Err(StoreError::Unavailable { message: "for a moment".to_owned() }),
        }
    }
}

#[test]
fn one_that_could_not_be_read_goes_on_later_in_the_same_process() {
    let (memory, counter) = (Arc::new(MemoryStore::new()), Counter::default());
    let id = paused(async {
        let mut registry = NodeRegistry::new();
        registry.register_async(kind("count", Execution::Task), |_| std::future::pending());
        let flow = process(memory.clone(), registry).build().unwrap();
        let counting = workflow(json!({"nodes": [{"id": "a", "node_type": "count"}]}));
        flow.start(&counting, ()).await.unwrap().id()
    });
    memory.kill_owners();
    paused(async {
        let store = Arc::new(Twisted::new(memory.clone(), FailsOnce::default()));
        let flow = process(store.clone(), counter.registry()).build().unwrap();
        let began = tokio::time::Instant::now();
        // Whoever waits for it here is not forgotten.
        let handle = flow.handle(id).await.unwrap().unwrap();
        assert!(handle.wait().await.unwrap().is_success());
        assert!(store.twist().0.load(Ordering::SeqCst), "it failed once");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "what failed for a moment is tried soon"
        );
    });
}
