//! A panic fails its attempt and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowcore::{
    Digest, Event, Execution, ExecutionStatus, NodeConfig, NodeContext, NodeDescriptor, NodeError,
    NodeFactory, NodeInstance, NodeOutput, PauseReason, Timestamp, Workflow,
};
use flowruntime::ResultCache;
use serde_json::json;

use crate::site::Site;
use crate::stage::{Stage, one};
use crate::support::{EXECUTIONS, kind, paused, run, settle, transcript, watch, workflow};

/// Registers `panics`, which does so with this payload.
fn panicking(stage: &mut Stage, execution: Execution, payload: fn()) {
    let call = move |_: &NodeContext| {
        payload();
        Ok(NodeOutput::new())
    };
    match execution {
        Execution::Inline | Execution::Blocking => {
            stage.registry.register_function(kind("panics", execution), call)
        }
        Execution::Async | Execution::Task | Execution::Control => {
            stage.registry.register_async(kind("panics", execution), move |ctx| async move {
                tokio::task::yield_now().await;
                call(&ctx)
            })
        }
    };
}

/// `a` panics, `b` stands beside it.
fn two_nodes() -> Workflow {
    workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "panics", "retry_policy": {"max_attempts": 3}},
            {"id": "b", "node_type": "quick.async"},
        ],
        "settings": {"on_error": "ContinueOnError"}
    }))
}

both_flavours! {
    async fn it_is_the_outcome_of_the_attempt() {
        let payloads: [(fn(), &str); 3] = [
            (|| panic!("a text"), "the node panicked: a text"),
            (|| panic!("a text with {}", 1), "the node panicked: a text with 1"),
            (|| std::panic::panic_any(7), "the node panicked: the panic has no message"),
        ];
        for execution in EXECUTIONS {
            for (payload, message) in payloads {
                let mut stage = Stage::new();
                panicking(&mut stage, execution, payload);
                let runtime = stage.runtime();
                let ran = run(&runtime, &two_nodes(), ()).await;
                let result = &ran.result;
                assert_eq!(result.status, ExecutionStatus::Succeeded, "{execution:?}");
                assert_eq!((result.failed_nodes, result.completed_nodes), (1, 1));
                let node = result.node("a").unwrap();
                assert_eq!(node.error.unwrap().to_string(), message);
                // It is not retried: who knows in what state it left the world.
                assert_eq!(node.attempts, 1);
                assert!(ran.transcript().contains("a failed #1 Panicked node.panicked -> Continue"));
                assert_eq!(runtime.running_attempts(), 0);
            }
        }
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the bomb went off");
    }
}

#[test]
fn a_future_that_panics_when_it_is_dropped_is_cancelled_all_the_same() {
    for execution in [Execution::Async, Execution::Task] {
        for listens in [false, true] {
            paused(async {
                let mut stage = Stage::new();
                let started = stage.started.clone();
                stage.registry.register_async(kind("bomb", execution), move |ctx| {
                    let started = started.clone();
                    async move {
                        let _bomb = Bomb;
                        if listens {
                            let _ = ctx.cancellation();
                        }
                        started.give();
                        std::future::pending().await
                    }
                });
                let runtime = stage.runtime();
                let (handle, journal) = watch(&runtime, &one("bomb"), ()).await;
                stage.started.wait().await;
                handle.cancel();
                let result = handle.wait().await.unwrap();
                assert_eq!(result.status, ExecutionStatus::Cancelled, "{execution:?}");
                assert!(
                    transcript(&journal.events()).ends_with("ended Cancelled execution.cancelled")
                );
                assert_eq!(runtime.running_attempts(), 0);
            });
        }
    }
}

#[test]
fn a_future_that_panics_at_its_end_has_panicked() {
    for execution in [Execution::Async, Execution::Task] {
        paused(async {
            let mut stage = Stage::new();
            stage.registry.register_async(kind("bomb", execution), |_| async {
                let _bomb = Bomb;
                tokio::task::yield_now().await;
                Ok(NodeOutput::new())
            });
            let ran = run(&stage.runtime(), &one("bomb"), ()).await;
            assert!(ran.transcript().contains("a failed #1 Panicked"), "{}", ran.transcript());
        });
    }
}

#[test]
fn a_panic_in_a_task_that_the_node_spawned_is_the_node_s_business() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_async(kind("spawns", Execution::Async), |_| async {
            let inner = tokio::spawn(async { panic!("it panicked") });
            match inner.await {
                Ok(()) => Ok(NodeOutput::new()),
                Err(_) => Err(NodeError::new("test.inner", "the inner task panicked")),
            }
        });
        let ran = run(&stage.runtime(), &one("spawns"), ()).await;
        assert_eq!(ran.result.error.unwrap().code, "test.inner");
    });
}

/// Makes one instance, for the plan, and then panics.
struct Fickle(std::sync::atomic::AtomicUsize);

impl NodeFactory for Fickle {
    fn node_type(&self) -> &str {
        "fickle"
    }
    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::untyped("fickle")
    }
    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        assert_eq!(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "no more");
        let registry = Stage::new().registry;
        registry.get("quick.task").unwrap().factory.instance(&NodeConfig::default())
    }
}

#[test]
fn a_factory_that_panics_during_an_execution_fails_the_attempt() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register(Fickle(0.into()));
        let ran = run(&stage.runtime(), &one("fickle"), ()).await;
        assert!(ran.transcript().contains("a failed #1 Panicked"), "{}", ran.transcript());
    });
}

/// A descriptor that says `Inline` of a type with instances: a contradiction, not a crash.
#[test]
fn an_inline_node_with_an_instance_fails_with_a_typed_error() {
    for execution in [Execution::Inline, Execution::Blocking] {
        paused(async {
            let mut stage = Stage::new();
            let mut descriptor = kind("odd", execution);
            descriptor.stateless = false;
            stage.registry.register_function(descriptor.clone(), |_| Ok(NodeOutput::new()));
            let factory = stage.registry.get("odd").unwrap().factory.clone();
            stage.registry.register(Odd(descriptor, factory));
            let ran = run(&stage.runtime(), &one("odd"), ()).await;
            assert_eq!(ran.result.error.unwrap().code, "node.wrong_kind", "{execution:?}");
        });
    }
}

struct Odd(NodeDescriptor, std::sync::Arc<dyn NodeFactory>);

impl NodeFactory for Odd {
    fn node_type(&self) -> &str {
        "odd"
    }
    fn descriptor(&self) -> NodeDescriptor {
        self.0.clone()
    }
    fn instance(&self, config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        self.1.instance(config)
    }
}

/// A cache that panics so many times when it is asked: on the driver, where no node runs.
struct Trap(AtomicU32);

impl ResultCache for Trap {
    fn get(&self, _: &Digest, _: Timestamp) -> Option<NodeOutput> {
        let left =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert!(left.is_err(), "the cache is broken");
        None
    }

    fn put(&self, _: Digest, _: NodeOutput, _: Timestamp) {}
}

fn cached() -> Workflow {
    workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "quick.task"},
            {"id": "b", "node_type": "quick.task", "effect": "pure", "cache": {"ttl_ms": 60_000}},
        ],
        "connections": [{"from_node": "a", "to_node": "b"}],
    }))
}

#[test]
fn a_driver_that_panics_gives_the_execution_back_and_it_goes_on() {
    let site = Site::new();
    paused(async {
        let trap = Arc::new(Trap(AtomicU32::new(2)));
        let runtime = site.builder().result_cache(trap).build().unwrap();
        let handle = runtime.start(&cached(), ()).await.unwrap();
        settle().await;
        assert_eq!(site.row(handle.id()).await.owner, None, "others may have it at once");
        let result = handle.wait().await.unwrap();
        assert!(result.is_success());
        assert_eq!(site.stage.log.lines(), ["a", "b"], "what was done is not done again");
        assert_eq!(site.row(handle.id()).await.fence, 3);
        assert!(result.duration() >= Duration::from_secs(3), "not at once: 1 s, then 2 s");
    });
}

#[test]
fn a_driver_that_panics_again_and_again_pauses_the_execution() {
    let site = Site::new();
    paused(async {
        let trap = Arc::new(Trap(AtomicU32::new(3)));
        let runtime = site.builder().result_cache(trap).build().unwrap();
        let handle = runtime.start(&cached(), ()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let row = site.row(handle.id()).await;
        assert_eq!((row.status, row.owner), (ExecutionStatus::Paused, None));
        let history = runtime.history(handle.id()).await.unwrap().unwrap();
        let Some(Event::Paused { reason: PauseReason::CrashLoop, dump, .. }) =
            history.events.last().unwrap().event()
        else {
            panic!("{:?}", history.events.last())
        };
        let said = "error: the driver panicked: the cache is broken";
        assert_eq!(dump.as_deref(), Some(said));
        runtime.resume(handle.id(), None).await.unwrap();
        assert!(handle.wait().await.unwrap().is_success());
        assert_eq!(site.stage.log.lines(), ["a", "b"]);
    });
}

#[test]
fn a_driver_that_panics_and_is_kept_nowhere_has_lost_its_execution() {
    let stage = Stage::new();
    paused(async {
        let trap = Arc::new(Trap(AtomicU32::new(1)));
        let runtime = stage.builder().result_cache(trap).build().unwrap();
        let error = runtime.start(&cached(), ()).await.unwrap().wait().await.unwrap_err();
        assert_eq!(error.code(), "execution.lost");
        assert_eq!(runtime.running_attempts(), 0);
    });
}
