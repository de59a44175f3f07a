//! What the driver promises its journal, and what it does when the journal is slow or fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowcore::{Effect, Execution, ExecutionEvent, NodeOutput, async_trait};
use flowruntime::{FlowRuntime, Journal, JournalError, MemoryJournal, WaitError};
use futures_util::FutureExt;
use serde_json::json;

use crate::cancel::chain;
use crate::stage::{Stage, one};
use crate::support::{
    EXECUTIONS, Log, Signal, collect, kind, on_current_thread, paused, settle, transcript, workflow,
};

/// Waits for a signal before each answer.
struct Slow {
    inner: MemoryJournal,
    append: Option<Signal>,
    durable: Option<Signal>,
    asked: AtomicUsize,
}

impl Slow {
    fn new() -> Self {
        Self {
            inner: MemoryJournal::new(),
            append: None,
            durable: None,
            asked: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Journal for Slow {
    async fn append(&self, events: &[ExecutionEvent]) -> Result<(), JournalError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(signal) = &self.append {
            signal.wait().await;
        }
        self.inner.append(events).await
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(signal) = &self.durable {
            signal.wait().await;
        }
        Ok(())
    }
}

#[test]
fn nothing_with_an_effect_starts_before_what_led_to_it_is_durable() {
    for execution in EXECUTIONS {
        paused(async {
            let stage = Stage::new();
            let node_type = format!("quick.{execution:?}").to_lowercase();
            let durable = Signal::new();
            let journal = Arc::new(Slow { durable: Some(durable.clone()), ..Slow::new() });
            let prepared = stage.runtime().prepare(&one(&node_type), ()).unwrap();
            let handle = prepared.journal(journal.clone()).start().await.unwrap();
            settle().await;
            assert!(!journal.inner.events().is_empty());
            assert_eq!(stage.log.joined(), "", "{node_type}");
            while !handle.is_ended() {
                durable.give();
                settle().await;
            }
            assert_eq!(stage.log.joined(), "a", "{node_type}");
        });
    }
}

#[test]
fn with_async_durability_what_may_run_again_does_not_wait() {
    for (effect, started) in [("idempotent", "a"), ("once", "")] {
        paused(async {
            let stage = Stage::new();
            let durable = Signal::new();
            let journal = Arc::new(Slow { durable: Some(durable.clone()), ..Slow::new() });
            let workflow = workflow(json!({
                "nodes": [{"id": "a", "node_type": "quick.task", "effect": effect}],
                "settings": {"durability": "async"},
            }));
            let prepared = stage.runtime().prepare(&workflow, ()).unwrap();
            let handle = prepared.journal(journal.clone()).start().await.unwrap();
            settle().await;
            assert_eq!(stage.log.joined(), started, "{effect}");
            // The end waits in any case.
            assert!(!handle.is_ended());
            while !handle.is_ended() {
                durable.give();
                settle().await;
            }
            assert_eq!(stage.log.joined(), "a", "{effect}");
        });
    }
}

#[test]
fn nobody_sees_an_event_before_it_is_durable() {
    paused(async {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let durable = Signal::new();
        let journal = Arc::new(Slow { durable: Some(durable.clone()), ..Slow::new() });
        let prepared = runtime.prepare(&one("quick.task"), ()).unwrap().journal(journal.clone());
        let (mut own, mut common) = (prepared.events(), runtime.subscribe());
        let handle = prepared.start().await.unwrap();
        settle().await;
        // The start of the execution and of the node; the attempt itself waits.
        assert_eq!(journal.inner.events().len(), 2);
        assert_eq!(stage.log.joined(), "");
        assert!(own.try_next().is_none() && common.try_next().is_none());
        durable.give();
        settle().await;
        // What was written together is seen together; the end of the attempt waits for the next flush.
        assert_eq!(stage.log.joined(), "a");
        for events in [&mut own, &mut common] {
            assert!(events.try_next().is_some() && events.try_next().is_some());
            assert!(events.try_next().is_none());
        }
        for _ in 0..10 {
            durable.give();
        }
        handle.wait().await.unwrap();
    });
}

#[test]
fn a_slow_journal_holds_the_execution_back() {
    on_current_thread(async {
        let mut stage = Stage::new();
        let log = stage.log.clone();
        let pure = kind("pure", Execution::Inline).effect(Effect::Pure);
        stage.registry.register_function(pure, move |_| {
            log.note("called");
            Ok(NodeOutput::new())
        });
        let append = Signal::new();
        let journal = Arc::new(Slow { append: Some(append.clone()), ..Slow::new() });
        let prepared = stage.runtime().prepare(&chain("pure", 2_000), ()).unwrap();
        let handle = prepared.journal(journal.clone()).start().await.unwrap();
        let mut appends = 0;
        while !handle.is_ended() {
            settle().await;
            // At most as many as fit between two flushes.
            assert!(stage.log.len() <= 128 * (appends + 1), "{appends}: {}", stage.log.len());
            append.give();
            appends += 1;
        }
        assert!(handle.wait().await.unwrap().is_success());
        assert_eq!(journal.inner.events().len(), 2_002);
    });
}

/// Takes this many calls, then fails.
struct Failing {
    left: AtomicUsize,
    fails_in_durable: bool,
    failed: AtomicBool,
    log: Log,
}

impl Failing {
    fn call(&self) -> Result<(), JournalError> {
        match self.left.load(Ordering::SeqCst) {
            0 => {
                assert!(!self.failed.swap(true, Ordering::SeqCst), "it is asked again");
                self.log.note("the journal fails");
                Err(JournalError::new("the disk is full"))
            }
            left => {
                self.left.store(left - 1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Journal for Failing {
    async fn append(&self, _events: &[ExecutionEvent]) -> Result<(), JournalError> {
        if self.fails_in_durable { Ok(()) } else { self.call() }
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        if self.fails_in_durable { self.call() } else { Ok(()) }
    }
}

/// Nodes that need each way of being stopped, and one that follows.
fn many(stage: &mut Stage) -> flowcore::Workflow {
    crate::instances::register_probes(stage);
    workflow(json!({
        "nodes": [
            {"id": "a", "node_type": "deaf.async"},
            {"id": "b", "node_type": "deaf.task"},
            {"id": "c", "node_type": "polite.task"},
            {"id": "d", "node_type": "stubborn.async"},
            {"id": "e", "node_type": "probe.async", "config": {"does": "listen"}},
            {"id": "f", "node_type": "probe.task", "config": {"does": "hang"}},
            {"id": "g", "node_type": "flaky", "retry_policy": {"max_attempts": 100, "delay_ms": 100}},
            {"id": "h", "node_type": "quick.inline"},
        ],
        "settings": {"max_execution_time_ms": 86_400_000}
    }))
}

#[test]
fn when_the_journal_fails_everything_stops_and_the_wait_ends() {
    for (calls, fails_in_durable) in (0..40).flat_map(|calls| [(calls, false), (calls, true)]) {
        paused(async {
            let mut stage = Stage::new();
            let workflow = many(&mut stage);
            let runtime: FlowRuntime = stage.runtime();
            let journal = Failing {
                left: AtomicUsize::new(calls),
                fails_in_durable,
                failed: AtomicBool::new(false),
                log: stage.log.clone(),
            };
            let prepared = runtime.prepare(&workflow, ()).unwrap().journal(Arc::new(journal));
            let mut events = prepared.events();
            let handle = prepared.start().await.unwrap();
            let error = handle.wait().await.unwrap_err();
            assert_eq!(error, WaitError::Journal(JournalError::new("the disk is full")));
            assert_eq!(error.code(), "journal.failed");
            assert_eq!((stage.running.now(), runtime.running_attempts()), (0, 0));
            assert!(!collect(&mut events).await.contains("ended"));
            let lines = stage.log.lines();
            let failed = lines.iter().position(|line| line == "the journal fails").unwrap();
            let after = &lines[failed + 1..];
            assert!(after.iter().all(|line| line.starts_with("shutdown")), "{after:?}");
            let count = |what| lines.iter().filter(|line| line.starts_with(what)).count();
            assert_eq!(count("init"), count("shutdown"));
        });
    }
}

/// Panics when it has been asked often enough.
struct Panicking(AtomicUsize);

#[async_trait]
impl Journal for Panicking {
    async fn append(&self, _events: &[ExecutionEvent]) -> Result<(), JournalError> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < 12, "the journal has a bug");
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        Ok(())
    }
}

#[test]
fn a_driver_that_panics_leaves_nothing_running() {
    paused(async {
        let mut stage = Stage::new();
        let workflow = many(&mut stage);
        let runtime = stage.runtime();
        let journal = Arc::new(Panicking(AtomicUsize::new(0)));
        let prepared = runtime.prepare(&workflow, ()).unwrap().journal(journal);
        let handle = prepared.start().await.unwrap();
        assert_eq!(handle.wait().await.unwrap_err(), WaitError::Lost);
        settle().await;
        assert!(stage.log.len() > 3, "{}", stage.log.joined());
        assert_eq!((stage.running.now(), runtime.running_attempts()), (0, 0));
    });
}

#[test]
fn a_cancel_is_heard_when_a_slow_journal_has_answered() {
    paused(async {
        let stage = Stage::new();
        let append = Signal::new();
        let journal = Arc::new(Slow { append: Some(append.clone()), ..Slow::new() });
        let prepared = stage.runtime().prepare(&one("quick.task"), ()).unwrap();
        let handle = prepared.journal(journal.clone()).start().await.unwrap();
        settle().await;
        handle.cancel();
        assert!(handle.wait().now_or_never().is_none());
        for _ in 0..10 {
            append.give();
        }
        assert_eq!(handle.wait().await.unwrap().status, flowcore::ExecutionStatus::Cancelled);
        assert!(
            transcript(&journal.inner.events()).ends_with("ended Cancelled execution.cancelled")
        );
    });
}
