//! Executions with their events as text.

use std::sync::Arc;

use flowcore::{AfterFailure, Event, EventBody, ExecutionEvent, ExecutionResult, Workflow};
use flowruntime::{ExecutionHandle, FlowRuntime, Inputs, MemoryJournal, Received, Subscription};

/// An execution that has ended.
pub(crate) struct Ran {
    pub(crate) result: ExecutionResult,
    pub(crate) events: Vec<ExecutionEvent>,
}

impl Ran {
    pub(crate) fn transcript(&self) -> String {
        transcript(&self.events)
    }
}

/// Executes a workflow with a journal.
pub(crate) async fn run(
    runtime: &FlowRuntime,
    workflow: &Workflow,
    inputs: impl Into<Inputs>,
) -> Ran {
    let (handle, journal) = watch(runtime, workflow, inputs).await;
    let result = handle.wait().await.unwrap();
    Ran { result, events: journal.events() }
}

/// Starts a workflow with a journal.
pub(crate) async fn watch(
    runtime: &FlowRuntime,
    workflow: &Workflow,
    inputs: impl Into<Inputs>,
) -> (ExecutionHandle, Arc<MemoryJournal>) {
    let journal = Arc::new(MemoryJournal::new());
    let prepared = runtime.prepare(workflow, inputs).unwrap().journal(journal.clone());
    (prepared.start().await.unwrap(), journal)
}

/// What a subscriber gets until there is no more, one line each.
pub(crate) async fn collect(events: &mut Subscription) -> String {
    let mut lines = Vec::new();
    while let Some(received) = events.next().await {
        lines.push(match received {
            Received::Event(event) => line(&event),
            Received::Lagged(count) => format!("{count} lost"),
        });
    }
    lines.join("\n")
}

/// Events, one line each; the numbers are checked on the way.
pub(crate) fn transcript(events: &[ExecutionEvent]) -> String {
    let mut last = 0;
    let mut lines = Vec::new();
    for event in events {
        if let Some(seq) = event.seq() {
            assert_eq!(seq, last + 1, "the numbers have a gap after:\n{}", lines.join("\n"));
            last = seq;
        }
        lines.push(line(event));
    }
    lines.join("\n")
}

fn line(event: &ExecutionEvent) -> String {
    let node = event.node_id().unwrap_or_default();
    match &event.body {
        EventBody::Message(message) => {
            format!("{node} says {:?} ({})", message.event, message.number)
        }
        EventBody::Fact(record) => match &record.event {
            Event::WorkflowStarted { .. } => "started".to_owned(),
            Event::NodeStarted { attempt, .. } => format!("{node} started #{attempt}"),
            Event::NodeCompleted { attempt, .. } => format!("{node} completed #{attempt}"),
            Event::NodeFailed { attempt, outcome, error, then, .. } => {
                let then = match then {
                    AfterFailure::Retry(_) => "Retry".to_owned(),
                    other => format!("{other:?}"),
                };
                format!("{node} failed #{attempt} {outcome:?} {} -> {then}", error.code())
            }
            Event::WaitEnded { .. } => format!("{node} waited"),
            Event::NodeSkipped { reason, .. } => format!("{node} skipped {reason:?}"),
            Event::NodeCancelled { reason, .. } => format!("{node} cancelled {reason}"),
            Event::CancelRequested { instance, reason, .. } => match instance {
                Some(_) => format!("{node} is to stop {reason}"),
                None => format!("to stop {reason}"),
            },
            Event::RoundStarted { round, .. } => format!("round {round}"),
            Event::WorkflowCompleted { status, error, .. } => match error {
                Some(error) => format!("ended {status} {}", error.code),
                None => format!("ended {status}"),
            },
            other => format!("{other:?}"),
        },
    }
}
