//! What nodes say while they run.

use flowcore::{EventBody, Execution, NodeContext, NodeEvent, NodeOutput, Value};
use flowruntime::Received;
use serde_json::json;

use crate::stage::{Stage, one};
use crate::support::{EXECUTIONS, Signal, collect, kind, paused, workflow};

/// A node type that says three things and ends.
fn talkative(stage: &mut Stage, execution: Execution) {
    let talk = |ctx: &NodeContext| {
        ctx.info("one");
        ctx.progress(0.5);
        ctx.emit(|| NodeEvent::Data { value: Value::from(3) });
        Ok(NodeOutput::of("out", 1))
    };
    match execution {
        Execution::Inline | Execution::Blocking => {
            stage.registry.register_function(kind("talk", execution), talk)
        }
        Execution::Async | Execution::Task | Execution::Control => stage
            .registry
            .register_async(kind("talk", execution), move |ctx| std::future::ready(talk(&ctx))),
    };
}

const SAID: &str = "a says Info { message: \"one\" } (1)
a says Progress { fraction: 0.5, message: None } (2)
a says Data { value: 3 } (3)";

both_flavours! {
    async fn they_come_in_order_between_the_start_and_the_end_of_their_attempt() {
        for execution in EXECUTIONS {
            let mut stage = Stage::new();
            talkative(&mut stage, execution);
            let workflow = workflow(json!({
                "nodes": [
                    {"id": "a", "node_type": "talk"},
                    {"id": "b", "node_type": "quick.async"},
                ],
                "connections": [{"from_node": "a", "to_node": "b"}]
            }));
            let prepared = stage.runtime().prepare(&workflow, ()).unwrap();
            let mut events = prepared.events();
            prepared.start().await.unwrap();
            let expected = format!(
                "started\na started #1\n{SAID}\na completed #1\nb started #1\nb completed #1\nended Succeeded"
            );
            assert_eq!(collect(&mut events).await, expected, "{execution:?}");
        }
    }
}

#[test]
fn they_say_which_event_they_come_after() {
    paused(async {
        let mut stage = Stage::new();
        talkative(&mut stage, Execution::Task);
        let prepared = stage.runtime().prepare(&one("talk"), ()).unwrap();
        let mut events = prepared.events();
        prepared.start().await.unwrap();
        let mut seen = Vec::new();
        while let Some(Received::Event(event)) = events.next().await {
            match &event.body {
                EventBody::Fact(record) => seen.push((record.seq, 0)),
                EventBody::Message(message) => seen.push((message.after_seq, message.number)),
            }
        }
        assert_eq!(seen, [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (3, 0), (4, 0)]);
    });
}

/// The context outlives the attempt in a task that the node has left behind.
#[test]
fn none_comes_after_the_end_of_its_attempt() {
    paused(async {
        let mut stage = Stage::new();
        let (speak, spoken) = (Signal::new(), Signal::new());
        stage.registry.register_async(kind("leaves", Execution::Async), {
            let (speak, spoken) = (speak.clone(), spoken.clone());
            move |ctx| {
                let (speak, spoken) = (speak.clone(), spoken.clone());
                async move {
                    tokio::spawn(async move {
                        loop {
                            speak.wait().await;
                            ctx.info("late");
                            spoken.give();
                        }
                    });
                    Ok(NodeOutput::new())
                }
            }
        });
        let workflow = workflow(json!({
            "nodes": [
                {"id": "a", "node_type": "leaves"},
                {"id": "b", "node_type": "deaf.task"},
            ],
            "connections": [{"from_node": "a", "to_node": "b"}]
        }));
        let prepared = stage.runtime().prepare(&workflow, ()).unwrap();
        let mut events = prepared.events();
        let handle = prepared.start().await.unwrap();
        stage.started.wait().await;
        speak.give();
        spoken.wait().await;
        handle.cancel();
        handle.wait().await.unwrap();
        speak.give();
        spoken.wait().await;
        let seen = collect(&mut events).await;
        assert!(!seen.contains("late"), "{seen}");
    });
}

/// An attempt says more than may wait; what was said last is kept, and the numbers show the gap.
#[test]
fn what_is_too_much_is_dropped_and_the_rest_keeps_its_numbers() {
    paused(async {
        let mut stage = Stage::new();
        stage.registry.register_async(kind("floods", Execution::Async), |ctx| async move {
            for line in 0..5_000 {
                ctx.emit(|| NodeEvent::StdoutLine { line: line.to_string() });
            }
            tokio::task::yield_now().await;
            ctx.info("last");
            Ok(NodeOutput::new())
        });
        let prepared = stage.runtime().prepare(&one("floods"), ()).unwrap();
        let mut events = prepared.events();
        prepared.start().await.unwrap();
        let mut numbers = Vec::new();
        while let Some(Received::Event(event)) = events.next().await {
            if let EventBody::Message(message) = &event.body {
                numbers.push(message.number);
            }
        }
        let kept = numbers.len() as u64;
        assert!((1_000..2_000).contains(&kept), "{kept}");
        assert_eq!(numbers, (5_002 - kept..=5_001).collect::<Vec<_>>());
    });
}

/// Nobody listens: what a node would say is not even made.
#[test]
fn nothing_is_said_when_nobody_listens() {
    paused(async {
        let mut stage = Stage::new();
        for (node_type, execution) in
            [("talk.inline", Execution::Inline), ("talk.blocking", Execution::Blocking)]
        {
            let log = stage.log.clone();
            stage.registry.register_function(kind(node_type, execution), move |ctx| {
                ctx.emit(|| {
                    log.note("made");
                    NodeEvent::Progress { fraction: 1.0, message: None }
                });
                Ok(NodeOutput::new())
            });
            assert!(stage.runtime().execute(&one(node_type), ()).await.unwrap().is_success());
            assert_eq!(stage.log.len(), 0, "{node_type}");
        }
    });
}
