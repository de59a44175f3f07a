//! The state that the nodes of an execution share.

use flowcore::{Effect, Execution, NodeContext, NodeError, NodeOutput, Value};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{EXECUTIONS, kind, paused, run, workflow};

/// Registers `<kind>.<execution>` for each place where an attempt can run.
fn everywhere(
    stage: &mut Stage,
    name: &str,
    call: impl Fn(&NodeContext) -> Result<NodeOutput, NodeError> + Send + Sync + Clone + 'static,
) {
    for execution in EXECUTIONS {
        let node_type: &'static str = format!("{name}.{execution:?}").to_lowercase().leak();
        let call = call.clone();
        match execution {
            Execution::Inline | Execution::Blocking => {
                stage.registry.register_function(kind(node_type, execution), call)
            }
            Execution::Async | Execution::Task | Execution::Control => {
                stage.registry.register_async(kind(node_type, execution), move |ctx| {
                    std::future::ready(call(&ctx))
                })
            }
        };
    }
}

/// A stage with `set` and `get`: `config.key`, and `config.value` or the value found.
fn stage() -> Stage {
    let mut stage = Stage::new();
    everywhere(&mut stage, "set", |ctx| {
        let key = ctx.string_input("key")?;
        let before = ctx.state()?.get(key);
        ctx.state()?.set(key, ctx.required_input("value")?.clone())?;
        // Its own writes are seen at once.
        assert_eq!(ctx.state()?.get(key).as_ref(), ctx.input("value"));
        Ok(NodeOutput::of("out", before))
    });
    everywhere(&mut stage, "get", |ctx| {
        Ok(NodeOutput::of("out", ctx.state()?.get(ctx.string_input("key")?)))
    });
    everywhere(&mut stage, "writes.then.fails", |ctx| {
        assert_eq!(ctx.state()?.get("k"), None, "an earlier attempt's write");
        ctx.state()?.set("k", 1)?;
        Err(NodeError::retryable("test.failed", "it failed"))
    });
    everywhere(&mut stage, "writes.then.panics", |ctx| {
        ctx.state()?.set("k", 1)?;
        panic!("it panicked")
    });
    stage
}

/// Each place where an attempt can run, as the end of a node type.
fn ends() -> impl Iterator<Item = String> {
    EXECUTIONS.into_iter().map(|execution| format!("{execution:?}").to_lowercase())
}

#[test]
fn what_a_node_wrote_is_seen_by_those_that_start_after_it() {
    for (writer, reader) in ends().flat_map(|writer| ends().map(move |end| (writer.clone(), end))) {
        paused(async {
            let workflow = workflow(json!({
                "nodes": [
                    {"id": "a", "node_type": format!("set.{writer}"), "config": {"key": "k", "value": 7}},
                    {"id": "b", "node_type": format!("get.{reader}"), "config": {"key": "k"}},
                ],
                "connections": [{"from_node": "a", "to_node": "b"}]
            }));
            let ran = run(&stage().runtime(), &workflow, ()).await;
            let seen = ran.result.outputs.pointer("/b/out");
            assert_eq!(seen, Some(&Value::from(7)), "{writer} {reader}");
        });
    }
}

#[test]
fn what_a_failed_attempt_wrote_is_dropped() {
    for end in ends() {
        for writes in ["writes.then.fails", "writes.then.panics"] {
            paused(async {
                let workflow = workflow(json!({
                    "nodes": [
                        {"id": "a", "node_type": format!("{writes}.{end}"), "on_error": "ContinueOnError",
                         "retry_policy": {"max_attempts": 3, "delay_ms": 1}},
                        {"id": "b", "node_type": "get.task", "config": {"key": "k"}},
                    ],
                    "connections": [{"from_node": "a", "from_port": "error", "to_node": "b"}]
                }));
                let ran = run(&stage().runtime(), &workflow, ()).await;
                assert_eq!(
                    ran.result.outputs.to_string(),
                    r#"{"b":{"out":null}}"#,
                    "{writes}.{end}"
                );
            });
        }
    }
}

#[test]
fn a_pure_node_has_none() {
    for end in ends() {
        paused(async {
            let workflow = workflow(json!({"nodes": [
                {"id": "a", "node_type": format!("get.{end}"), "config": {"key": "k"}, "effect": "pure"}
            ]}));
            let ran = run(&stage().runtime(), &workflow, ()).await;
            assert_eq!(ran.result.error.unwrap().code, "state.denied", "{end}");
        });
    }
    assert_eq!(kind("x", Execution::Task).effect, Effect::Idempotent);
}

/// `slow` starts first and commits last; each sees the state as it was when it started.
#[test]
fn an_attempt_sees_the_state_of_its_start_and_the_later_commit_wins_per_key() {
    paused(async {
        let mut stage = stage();
        stage.registry.register_async(kind("slow", Execution::Task), |ctx| async move {
            ctx.state()?.set("both", "slow")?;
            ctx.state()?.set("slow", 1)?;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            Ok(NodeOutput::of("out", ctx.state()?.get("fast")))
        });
        stage.registry.register_async(kind("fast", Execution::Task), |ctx| async move {
            ctx.state()?.set("both", "fast")?;
            ctx.state()?.set("fast", 1)?;
            Ok(NodeOutput::of("out", ctx.state()?.get("slow")))
        });
        let get = |id: &str, key: &str| json!({"id": id, "node_type": "get.inline", "config": {"key": key}});
        let workflow = workflow(json!({
            "nodes": [
                {"id": "slow", "node_type": "slow"}, {"id": "fast", "node_type": "fast"},
                get("both", "both"), get("s", "slow"), get("f", "fast"),
            ],
            "connections": [
                {"from_node": "slow", "to_node": "both"}, {"from_node": "fast", "to_node": "both"},
                {"from_node": "both", "to_node": "s"}, {"from_node": "both", "to_node": "f"},
            ],
            "outputs": {
                "seen": ["{{ nodes.slow.out }}", "{{ nodes.fast.out }}"],
                "left": ["{{ nodes.both.out }}", "{{ nodes.s.out }}", "{{ nodes.f.out }}"],
            }
        }));
        let ran = run(&stage.runtime(), &workflow, ()).await;
        let expected = r#"{"left":["slow",1,1],"seen":[null,null]}"#;
        assert_eq!(ran.result.outputs.to_string(), expected);
    });
}

#[test]
fn each_round_and_each_execution_starts_with_none() {
    paused(async {
        let mut stage = stage();
        let log = stage.log.clone();
        stage.registry.register_async(kind("fails.once", Execution::Task), move |_| {
            log.note("try");
            let fails = log.count("try") == 1;
            async move {
                match fails {
                    true => Err(NodeError::new("test.failed", "it failed")),
                    false => Ok(NodeOutput::new()),
                }
            }
        });
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "set.task", "config": {"key": "k", "value": 1}},
                {"id": "b", "node_type": "fails.once"},
            ],
            "connections": [{"from_node": "a", "to_node": "b"}],
            "outputs": {"before": "{{ nodes.a.out }}"},
            "settings": {"on_error": {"RetryWorkflow": {"max_attempts": 2}}}
        }));
        let runtime = stage.runtime();
        for rounds in [2, 1] {
            let ran = run(&runtime, &workflow, ()).await;
            assert_eq!(ran.result.rounds, rounds);
            assert_eq!(ran.result.outputs.to_string(), r#"{"before":null}"#);
        }
    });
}
