//! Live events: bounded, complete for those who keep up, and free when nobody listens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use flowcore::{Effect, Event, Execution, ExecutionEvent, NodeOutput, Value, async_trait};
use flowruntime::{FlowRuntime, Journal, JournalError, MemoryJournal, Received};
use serde_json::json;

use crate::cancel::chain;
use crate::stage::{Stage, one};
use crate::support::{collect, kind, on_current_thread, paused, transcript, workflow};

/// What `bytes` has made, as long as somebody holds it.
type Made = Arc<Mutex<Vec<Weak<[u8]>>>>;

/// A stage with `bytes`, which makes 64 bytes and remembers them weakly.
fn stage() -> (Stage, Made) {
    let made = Made::default();
    let mut stage = Stage::new();
    let bytes = kind("bytes", Execution::Inline).effect(Effect::Pure);
    stage.registry.register_function(bytes, {
        let made = made.clone();
        move |_| {
            let bytes: Arc<[u8]> = vec![7; 64].into();
            made.lock().unwrap().push(Arc::downgrade(&bytes));
            Ok(NodeOutput::of("out", Value::Bytes(bytes)))
        }
    });
    (stage, made)
}

fn alive(made: &Made) -> usize {
    made.lock().unwrap().iter().filter(|bytes| bytes.strong_count() > 0).count()
}

#[test]
fn a_subscriber_that_never_reads_holds_nobody_back_and_takes_little_memory() {
    const NODES: usize = 100_000;
    on_current_thread(async {
        let (stage, made) = stage();
        let runtime = stage.builder().event_capacity(512).build().unwrap();
        let mut common = runtime.subscribe();
        let prepared = runtime.prepare(&chain("bytes", NODES), ()).unwrap();
        let mut own = prepared.events();
        let handle = prepared.start().await.unwrap();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.completed_nodes, NODES);
        // What is alive is in the two buses, and the output of the last node in the result.
        assert!(alive(&made) <= 2 * 512 + 1, "{}", alive(&made));
        for events in [&mut own, &mut common] {
            let Some(Received::Lagged(lost)) = events.next().await else { panic!("no lag") };
            let mut seqs = Vec::new();
            while let Some(Received::Event(event)) = events.try_next() {
                seqs.push(event.seq().unwrap());
            }
            // It goes on with the oldest that is there, to the end.
            let all = NODES as u64 + 2;
            assert_eq!(seqs, (lost + 1..=all).collect::<Vec<_>>());
            assert_eq!(seqs.len(), 512);
        }
        assert!(own.next().await.is_none());
        assert_eq!(alive(&made), 1);
    });
}

/// Counts what it is given, and wants nothing.
#[derive(Default)]
struct Unwanted(AtomicUsize);

#[async_trait]
impl Journal for Unwanted {
    async fn append(&self, _events: &[ExecutionEvent]) -> Result<(), JournalError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn is_enabled(&self) -> bool {
        false
    }
}

/// An event holds the outputs of its node: where the outputs are gone, there was no event. With a
/// listener, or a journal that wants events, the same workflow finds them alive.
#[test]
fn no_event_is_made_when_nobody_listens_and_nothing_is_journaled() {
    for (listens, journals, held) in [(false, false, 0), (true, false, 1), (false, true, 1)] {
        paused(async {
            let (mut stage, made) = stage();
            let log = stage.log.clone();
            let looks = kind("looks", Execution::Inline).effect(Effect::Pure);
            stage.registry.register_function(looks, move |_| {
                log.note(format!("{} held", alive(&made)));
                Ok(NodeOutput::new())
            });
            let workflow = workflow(json!({
                "nodes": [{"id": "a", "node_type": "bytes"}, {"id": "b", "node_type": "looks"}],
                "connections": [{"from_node": "a", "to_node": "b"}]
            }));
            let unwanted = Arc::new(Unwanted::default());
            let mut prepared = stage.runtime().prepare(&workflow, ()).unwrap();
            prepared = match journals {
                true => prepared.journal(Arc::new(MemoryJournal::new())),
                false => prepared.journal(unwanted.clone()),
            };
            let events = listens.then(|| prepared.events());
            prepared.start().await.unwrap().wait().await.unwrap();
            drop(events);
            assert_eq!(stage.log.joined(), format!("{held} held"), "{listens} {journals}");
            assert_eq!(unwanted.0.load(Ordering::SeqCst), 0);
        });
    }
}

#[test]
fn whoever_stops_listening_costs_nothing_any_more() {
    paused(async {
        let (stage, made) = stage();
        let runtime = stage.runtime();
        drop(runtime.subscribe());
        let prepared = runtime.prepare(&chain("bytes", 100), ()).unwrap();
        drop(prepared.events());
        prepared.start().await.unwrap().wait().await.unwrap();
        assert_eq!(alive(&made), 0);
    });
}

both_flavours! {
    async fn everybody_who_listens_gets_everything_in_the_same_order() {
        let runtime = Stage::new().runtime();
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "quick.task"}, {"id": "b", "node_type": "quick.blocking"},
            {"id": "c", "node_type": "quick.async"}, {"id": "d", "node_type": "quick.inline"},
        ]}));
        let mut common = runtime.subscribe();
        let journal = Arc::new(MemoryJournal::new());
        let prepared = runtime.prepare(&workflow, ()).unwrap().journal(journal.clone());
        let (mut first, mut second) = (prepared.events(), prepared.events());
        let id = prepared.id();
        prepared.start().await.unwrap().wait().await.unwrap();
        let expected = transcript(&journal.events());
        assert_eq!(collect(&mut first).await, expected);
        assert_eq!(collect(&mut second).await, expected);
        let mut seen = Vec::new();
        while let Some(Received::Event(event)) = common.try_next() {
            assert_eq!(event.execution_id, id);
            seen.push(event);
        }
        assert_eq!(transcript(&seen), expected);
    }

    async fn the_events_of_the_runtime_are_those_of_all_executions() {
        let runtime = Stage::new().runtime();
        let mut common = runtime.subscribe();
        let mut handles = Vec::new();
        for _ in 0..20 {
            handles.push(runtime.start(&one("quick.task"), ()).await.unwrap());
        }
        for handle in &handles {
            handle.wait().await.unwrap();
        }
        let mut all = Vec::new();
        while let Some(Received::Event(event)) = common.try_next() {
            all.push(event);
        }
        for handle in &handles {
            let own = all.iter().filter(|event| event.execution_id == handle.id()).cloned();
            let expected = "started\na started #1\na completed #1\nended Succeeded";
            assert_eq!(transcript(&own.collect::<Vec<_>>()), expected);
        }
    }
}

#[test]
fn whoever_comes_late_sees_what_follows() {
    paused(async {
        let stage = Stage::new();
        let handle = stage.runtime().start(&one("deaf.task"), ()).await.unwrap();
        stage.started.wait().await;
        let mut events = handle.events();
        handle.cancel();
        let expected =
            "to stop requested\na cancelled requested\nended Cancelled execution.cancelled";
        let seen = collect(&mut events).await;
        assert_eq!(seen, expected);
    });
}

#[test]
fn an_event_names_its_node_in_json() {
    paused(async {
        let runtime: FlowRuntime = Stage::new().runtime();
        let prepared = runtime.prepare(&one("quick.inline"), ()).unwrap();
        let mut events = prepared.events();
        let id = prepared.id();
        prepared.start().await.unwrap();
        while let Some(Received::Event(event)) = events.next().await {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["execution_id"], id.to_string());
            assert_eq!(json["seq"], event.seq().unwrap());
            if let Some(Event::NodeCompleted { .. }) = event.event() {
                assert_eq!(json["node_id"], "a");
                assert_eq!(json["outputs"], json!({"out": 1}));
            }
        }
    });
}
