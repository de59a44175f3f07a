//! Secrets reach the nodes that need them, and nobody else.

use std::sync::Arc;

use flowcore::{
    Effect, Execution, ExecutionEvent, NodeContext, NodeError, NodeOutput, Object, Secrets, Value,
    Workflow,
};
use flowruntime::{ExecutionHandle, FlowRuntime, MemoryJournal, Received};
use serde_json::json;

use crate::stage::Stage;
use crate::support::{EXECUTIONS, kind, paused, workflow};

const SECRET: &str = "hunter2-canary";

fn secrets() -> Secrets {
    Secrets::new([("token".to_owned(), Value::from(SECRET))])
}

/// Registers `upper`: upper case of its config field or input `text`.
fn stage(execution: Execution, effect: Effect) -> Stage {
    #[derive(serde::Deserialize)]
    struct Config {
        text: Option<String>,
    }
    let mut stage = Stage::new();
    let log = stage.log.clone();
    let upper = move |ctx: &NodeContext| {
        let text = match ctx.config::<Config>()?.text.clone() {
            Some(text) => text,
            None => ctx.string_input("in")?.to_owned(),
        };
        log.note(&*text);
        Ok(NodeOutput::of("out", text.to_uppercase()))
    };
    let descriptor = kind("upper", execution).effect(effect);
    match execution {
        Execution::Inline | Execution::Blocking => {
            stage.registry.register_function(descriptor, upper)
        }
        Execution::Async | Execution::Task | Execution::Control => {
            stage.registry.register_async(descriptor, move |ctx| std::future::ready(upper(&ctx)))
        }
    };
    stage
}

fn runtime(stage: &Stage) -> FlowRuntime {
    stage.builder().secrets(secrets()).build().unwrap()
}

/// Everything that an execution shows: its result, its events as JSON and as Rust shows them.
async fn everything_shown(runtime: &FlowRuntime, workflow: &Workflow) -> String {
    let journal = Arc::new(MemoryJournal::new());
    let prepared = runtime.prepare(workflow, ()).unwrap().journal(journal.clone()).keep_outputs();
    let mut events = prepared.events();
    let handle: ExecutionHandle = prepared.start().await.unwrap();
    let result = handle.wait().await.unwrap();
    let mut shown = format!("{result:?}\n{}\n", serde_json::to_string(&result).unwrap());
    let mut show = |event: &ExecutionEvent| {
        shown += &format!("{event:?}\n{}\n", serde_json::to_string(event).unwrap());
    };
    journal.events().iter().for_each(&mut show);
    while let Some(Received::Event(event)) = events.next().await {
        show(&event);
    }
    shown
}

fn through_a_chain() -> Workflow {
    workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "upper", "config": {"text": "Bearer {{ secrets.token }}"}},
            {"id": "b", "node_type": "upper"},
        ],
        "connections": [{"from_node": "a", "from_port": "out", "to_node": "b", "to_port": "in"}],
        "outputs": {"last": "{{ nodes.b.out }}", "length": "{{ nodes.b.out | length }}"}
    }))
}

#[test]
fn a_node_gets_the_text_and_nobody_sees_it() {
    for execution in EXECUTIONS {
        paused(async {
            let stage = stage(execution, Effect::Pure);
            let shown = everything_shown(&runtime(&stage), &through_a_chain()).await;
            let upper = format!("BEARER {}", SECRET.to_uppercase());
            assert_eq!(stage.log.joined(), format!("Bearer {SECRET}, {upper}"), "{execution:?}");
            for part in [SECRET, &SECRET.to_uppercase()] {
                assert!(!shown.contains(part), "{execution:?}: {shown}");
            }
            // What is computed from it is hidden as well.
            assert!(shown.contains(r#""length":"•••""#), "{shown}");
        });
    }
}

#[test]
fn what_a_pure_node_makes_of_a_secret_is_tainted() {
    for execution in EXECUTIONS {
        for (effect, tainted) in [(Effect::Pure, true), (Effect::Read, false)] {
            paused(async {
                let stage = stage(execution, effect);
                let workflow = workflow(json!({
                    "nodes": [{"id": "a", "node_type": "upper", "config": {"text": "{{ secrets.token }}"}}]
                }));
                let result = runtime(&stage).execute(&workflow, ()).await.unwrap();
                let value = result.outputs.pointer("/a/out").unwrap();
                assert_eq!(value.is_tainted(), tainted, "{execution:?} {effect:?}");
                assert_eq!(value.as_str(), Some("HUNTER2-CANARY"));
            });
        }
    }
}

/// An execution input may be a secret, too. A node with open ports sees inputs by name.
#[test]
fn what_a_pure_node_makes_of_a_tainted_input_is_tainted() {
    for execution in EXECUTIONS {
        paused(async {
            let stage = stage(execution, Effect::Pure);
            let workflow = workflow(json!({"nodes": [{"id": "a", "node_type": "upper"}]}));
            let inputs = [("in", Value::from(SECRET).tainted())];
            let result = stage.runtime().execute(&workflow, inputs).await.unwrap();
            assert!(result.outputs.pointer("/a/out").unwrap().is_tainted(), "{execution:?}");
        });
    }
}

#[test]
fn an_execution_may_have_secrets_of_its_own() {
    paused(async {
        let stage = stage(Execution::Inline, Effect::Pure);
        let own = Secrets::new([("token".to_owned(), Value::from("own"))]);
        let prepared = runtime(&stage).prepare(&through_a_chain(), ()).unwrap().secrets(own);
        prepared.start().await.unwrap().wait().await.unwrap();
        assert_eq!(stage.log.joined(), "Bearer own, BEARER OWN");
    });
}

#[test]
fn a_secret_that_is_not_there_fails_the_node_that_asks() {
    paused(async {
        let mut stage = stage(Execution::Inline, Effect::Pure);
        stage.registry.register_function(kind("asks", Execution::Inline), |ctx| {
            Ok(NodeOutput::of("out", ctx.secret("token")?.clone()))
        });
        let asks = workflow(json!({"nodes": [{"id": "a", "node_type": "asks"}]}));
        for (workflow, code) in
            [(through_a_chain(), "expression.undefined"), (asks.clone(), "secret.unknown")]
        {
            let result = stage.runtime().execute(&workflow, ()).await.unwrap();
            assert_eq!(result.error.unwrap().code, code);
        }
        let result = runtime(&stage).execute(&asks, ()).await.unwrap();
        assert_eq!(result.outputs.to_string(), r#"{"a":{"out":"•••"}}"#);
    });
}

#[test]
fn state_and_the_error_port_keep_the_taint() {
    paused(async {
        let mut stage = stage(Execution::Inline, Effect::Idempotent);
        stage.registry.register_function(kind("keeps", Execution::Inline), |ctx| {
            ctx.state()?.set("k", ctx.secret("token")?.clone())?;
            Ok(NodeOutput::new())
        });
        stage.registry.register_function(kind("gives", Execution::Inline), |ctx| {
            Ok(NodeOutput::of("out", ctx.state()?.get("k")))
        });
        stage.registry.register_function(kind("fails", Execution::Inline), |_| {
            Err(NodeError::new("test.failed", "it failed"))
        });
        let workflow = workflow(json!({
            "nodes": [{"id": "a", "node_type": "keeps"}, {"id": "b", "node_type": "gives"}],
            "connections": [{"from_node": "a", "to_node": "b"}]
        }));
        let shown = everything_shown(&runtime(&stage), &workflow).await;
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(shown.contains(r#""state_writes":{"k":"•••"}"#), "{shown}");
    });
}

#[test]
fn the_runtime_shows_only_the_names_of_secrets() {
    assert_eq!(format!("{:?}", secrets()), r#"{"token"}"#);
    let runtime = FlowRuntime::builder().secrets(secrets()).build().unwrap();
    assert!(!format!("{runtime:?}").contains(SECRET));
    assert!(
        !format!("{:?}", Object::from_entries([("a", secrets().get("token").unwrap().clone())]))
            .contains(SECRET)
    );
}
