//! Node types with an instance per execution: `initialize` before the first attempt, `shutdown`
//! once on every way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowcore::{
    Execution, ExecutionStatus, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError,
    NodeFactory, NodeOutput, Value, async_trait,
};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{Log, Signal, collect, paused, run, workflow};

/// Makes nodes that note their life. They are numbered when they are initialised.
struct Probes {
    descriptor: NodeDescriptor,
    log: Log,
    started: Signal,
    made: Arc<AtomicUsize>,
}

struct Probe {
    /// What to do instead of succeeding.
    does: String,
    number: usize,
    made: Arc<AtomicUsize>,
    log: Log,
    started: Signal,
}

impl NodeFactory for Probes {
    fn node_type(&self) -> &str {
        &self.descriptor.node_type
    }

    fn descriptor(&self) -> NodeDescriptor {
        self.descriptor.clone()
    }

    fn create(&self, config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        let does = config.get("does").and_then(Value::as_str).unwrap_or_default();
        Ok(Box::new(Probe {
            does: does.to_owned(),
            number: 0,
            made: self.made.clone(),
            log: self.log.clone(),
            started: self.started.clone(),
        }))
    }
}

impl Probe {
    fn note(&self, line: &str) {
        self.log.note(format!("{line} {}", self.number));
    }

    async fn attempt(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        let attempt = ctx.attempt();
        match self.does.as_str() {
            "fail" => Err(NodeError::new("test.failed", "it failed")),
            "fail twice" if attempt < 3 => Err(NodeError::retryable("test.failed", "it failed")),
            "panic" => panic!("it panicked"),
            "hang" => std::future::pending().await,
            "listen" => {
                ctx.cancellation().cancelled().await;
                Err(NodeError::new("test.told", "it was told to stop"))
            }
            "stay" => {
                ctx.cancellation().cancelled().await;
                std::future::pending().await
            }
            _ => Ok(NodeOutput::of("out", 1)),
        }
    }
}

#[async_trait]
impl Node for Probe {
    fn node_type(&self) -> &str {
        "probe"
    }

    async fn initialize(&mut self) -> Result<(), NodeError> {
        self.number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        self.note("init");
        match self.does.as_str() {
            "fail init once" if self.number == 1 => {
                Err(NodeError::retryable("test.init", "it did not come up"))
            }
            "panic init" => panic!("it panicked"),
            _ => Ok(()),
        }
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        self.note("run");
        self.started.give();
        self.attempt(ctx).await
    }

    async fn shutdown(&mut self) -> Result<(), NodeError> {
        self.note("shutdown");
        match self.does.as_str() {
            "fail shutdown" => Err(NodeError::new("test.shutdown", "it did not go down")),
            "panic shutdown" => panic!("it panicked"),
            "hang shutdown" => std::future::pending().await,
            "slow shutdown" => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.note("is down");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if self.number > 0 && self.does == "panic drop" {
            panic!("it panicked");
        }
    }
}

fn stage() -> Stage {
    let mut stage = Stage::new();
    register_probes(&mut stage);
    stage
}

/// Adds `probe.async` and `probe.task`, and `probe.shared`, which is stateless.
pub(crate) fn register_probes(stage: &mut Stage) {
    let descriptor = |node_type| NodeDescriptor::untyped(node_type);
    for descriptor in [
        descriptor("probe.async").execution(Execution::Async),
        descriptor("probe.task").execution(Execution::Task),
        descriptor("probe.shared").execution(Execution::Task).stateless(),
    ] {
        let (log, started) = (stage.log.clone(), stage.started.clone());
        stage.registry.register(Probes { descriptor, log, started, made: Arc::default() });
    }
}

const KINDS: [&str; 2] = ["probe.async", "probe.task"];

/// One node that does this, with these fields; what is noted, and how the execution ends.
#[track_caller]
fn check(does: &str, fields: serde_json::Value, noted: &str, status: ExecutionStatus) {
    for kind in KINDS {
        paused(async {
            let stage = stage();
            let mut node = json!({"id": "a", "node_type": kind, "config": {"does": does}});
            node.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let ran = run(&stage.runtime(), &workflow(json!({"nodes": [node]})), ()).await;
            assert_eq!(ran.result.status, status, "{kind} {does}");
            assert_eq!(stage.log.joined(), noted, "{kind} {does}");
        });
    }
}

#[test]
fn shutdown_runs_once_on_every_way_out() {
    use ExecutionStatus::{Failed, Succeeded};
    let once = "init 1, run 1, shutdown 1";
    check("succeed", json!({}), once, Succeeded);
    check("fail", json!({}), once, Failed);
    check("fail", json!({"on_error": "ContinueOnError"}), once, Succeeded);
    check("panic", json!({}), once, Failed);
    for does in ["hang", "listen", "stay"] {
        check(does, json!({"timeout_ms": 1000}), once, Failed);
    }
    let twice = json!({"timeout_ms": 10, "retry_policy": {"max_attempts": 2}});
    check("hang", twice, "init 1, run 1, run 1, shutdown 1", Failed);
    let retry = json!({"retry_policy": {"max_attempts": 5}});
    check("fail twice", retry, "init 1, run 1, run 1, run 1, shutdown 1", Succeeded);
}

#[test]
fn shutdown_runs_once_after_a_cancel_and_after_the_deadline() {
    for kind in KINDS {
        for does in ["hang", "listen", "stay"] {
            for deadline in [false, true] {
                paused(async {
                    let stage = stage();
                    let mut workflow = workflow(json!({"nodes": [
                        {"id": "a", "node_type": kind, "config": {"does": does}},
                    ]}));
                    if deadline {
                        workflow.settings.max_execution_time_ms = Some(500);
                    }
                    let handle = stage.runtime().start(&workflow, ()).await.unwrap();
                    stage.started.wait().await;
                    if !deadline {
                        handle.cancel();
                    }
                    let status = handle.wait().await.unwrap().status;
                    let expected = match deadline {
                        true => ExecutionStatus::TimedOut,
                        false => ExecutionStatus::Cancelled,
                    };
                    assert_eq!(status, expected, "{kind} {does}");
                    assert_eq!(stage.log.joined(), "init 1, run 1, shutdown 1", "{kind} {does}");
                });
            }
        }
    }
}

#[test]
fn a_node_that_did_not_come_up_is_made_again_and_not_shut_down() {
    use ExecutionStatus::{Failed, Succeeded};
    let retry = json!({"retry_policy": {"max_attempts": 3}});
    check("fail init once", retry, "init 1, init 2, run 2, shutdown 2", Succeeded);
    check("panic init", json!({}), "init 1", Failed);
}

#[test]
fn a_shutdown_that_goes_wrong_changes_nothing() {
    use ExecutionStatus::Succeeded;
    for does in ["fail shutdown", "panic shutdown", "panic drop", "hang shutdown"] {
        check(does, json!({}), "init 1, run 1, shutdown 1", Succeeded);
    }
}

#[test]
fn shutdown_is_over_before_the_end_is_told() {
    paused(async {
        let stage = stage();
        let node =
            json!({"id": "a", "node_type": "probe.task", "config": {"does": "slow shutdown"}});
        let prepared = stage.runtime().prepare(&workflow(json!({"nodes": [node]})), ()).unwrap();
        let mut events = prepared.events();
        let handle = prepared.start().await.unwrap();
        assert!(collect(&mut events).await.ends_with("ended Succeeded"));
        assert_eq!(stage.log.joined(), "init 1, run 1, shutdown 1, is down 1");
        assert_eq!(handle.wait().await.unwrap().duration().as_secs(), 3);
    });
}

#[test]
fn each_round_and_each_execution_has_its_own() {
    paused(async {
        let stage = stage();
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "probe.task"},
                {"id": "b", "node_type": "probe.async", "config": {"does": "fail"}},
            ],
            "connections": [{"from_node": "a", "to_node": "b"}],
            "settings": {"on_error": {"RetryWorkflow": {"max_attempts": 2}}}
        }));
        let runtime = stage.runtime();
        let ran = run(&runtime, &workflow, ()).await;
        let round = |a: usize, b: usize| format!("init {a}, run {a}, init {b}, run {b}, ");
        let down = |a: usize, b: usize| format!("shutdown {a}, shutdown {b}");
        // The two kinds count for themselves.
        let expected = [round(1, 1), down(1, 1), ", ".into(), round(2, 2), down(2, 2)].concat();
        assert_eq!(stage.log.joined(), expected);
        assert!(ran.transcript().contains("b failed #1 Failed test.failed -> NewRound\nround 2"));
        run(&runtime, &workflow, ()).await;
        assert_eq!(stage.log.count("init 4"), 2);
    });
}

#[test]
fn a_stateless_node_is_neither_initialised_nor_shut_down() {
    paused(async {
        let stage = stage();
        let node = json!({"id": "a", "node_type": "probe.shared"});
        run(&stage.runtime(), &workflow(json!({"nodes": [node]})), ()).await;
        assert_eq!(stage.log.joined(), "run 0");
    });
}
