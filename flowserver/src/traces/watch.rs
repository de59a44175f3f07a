//! Hears what happens in executions, counts it, and has spans made of it.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::{Event, ExecutionEvent, ExecutionScope, ExecutionTrace, Instance, Timestamp, Wait};
use flowruntime::{ExecutionObserver, Observer};

use super::Traces;
use super::span::{Attempt, Execution, Finished, Scope};
use crate::metrics::{AttemptEnd, Tally};

/// Watches the executions of this server.
pub(crate) struct Watch {
    tally: Arc<Tally>,
    traces: Option<Traces>,
}

impl Watch {
    /// Counts with a tally, and has spans sent if there is somebody to send them to.
    pub(crate) fn new(tally: Arc<Tally>, traces: Option<Traces>) -> Self {
        Self { tally, traces }
    }
}

impl Observer for Watch {
    fn begins(&self, execution: &Arc<ExecutionScope>) -> Box<dyn ExecutionObserver> {
        let is_recorded = execution.trace.as_ref().is_some_and(ExecutionTrace::is_recorded);
        Box::new(OfExecution {
            scope: Scope(execution.clone()),
            tally: self.tally.clone(),
            traces: self.traces.clone().filter(|_| is_recorded),
            running: HashMap::new(),
        })
    }

    fn makes_spans(&self) -> bool {
        self.traces.is_some()
    }
}

struct OfExecution {
    scope: Scope,
    tally: Arc<Tally>,
    /// If spans are made of it.
    traces: Option<Traces>,
    /// The attempts that have started here, for those whose end does not say when that was.
    running: HashMap<Instance, (u32, Timestamp)>,
}

impl ExecutionObserver for OfExecution {
    fn hear(&mut self, events: &[ExecutionEvent]) {
        for event in events {
            self.tally.hear(&self.scope.0, event);
            if self.traces.is_some() {
                self.trace(event);
            }
        }
    }
}

impl OfExecution {
    fn trace(&mut self, event: &ExecutionEvent) {
        let Some(fact) = event.event() else { return };
        let span = match fact {
            // Under a rate limit, the attempt has not begun.
            Event::NodeWaiting { wait: Wait::RateLimit { .. }, .. } => None,
            Event::NodeStarted { instance, attempt, .. }
            | Event::NodeWaiting { instance, attempt, .. } => {
                self.running.insert(*instance, (*attempt, event.at()));
                None
            }
            Event::WorkflowCompleted { status, error, .. } => {
                Some(Finished::Execution(Execution {
                    scope: self.scope.clone(),
                    ended_at: event.at(),
                    status: *status,
                    code: error.as_ref().map(|error| error.code.clone()),
                }))
            }
            _ => AttemptEnd::of(fact).and_then(|end| self.attempt(event, end)),
        };
        if let (Some(traces), Some(span)) = (&self.traces, span) {
            traces.send(span);
        }
    }

    /// The span of an attempt that has ended. One that another process had begun when it crashed begins,
    /// as far as anybody knows, when that is found. What had no attempt has no span.
    fn attempt(&mut self, event: &ExecutionEvent, end: AttemptEnd<'_>) -> Option<Finished> {
        let started = self.running.remove(&end.instance);
        let attempt = end.attempt.or(started.map(|(attempt, _)| attempt))?;
        let from = end.started_at.or(started.map(|(_, at)| at)).unwrap_or(event.at());
        Some(Finished::Attempt(Attempt {
            scope: self.scope.clone(),
            instance: end.instance,
            address: event.node_id().unwrap_or_default().to_owned(),
            attempt,
            from,
            to: event.at(),
            ending: end.ending,
            code: end.code.map(str::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use flowcore::{NodeRegistry, TraceContext, Workflow};
    use flowruntime::FlowRuntime;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::Status;
    use opentelemetry_sdk::trace::SpanData;
    use tokio::sync::mpsc::Receiver;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn runtime(most: usize) -> (FlowRuntime, Traces, Receiver<Finished>) {
        let mut registry = NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let (traces, waiting) = Traces::to(most);
        let tally = Arc::new(Tally::new(&registry));
        let watch = Arc::new(Watch::new(tally, Some(traces.clone())));
        let runtime = FlowRuntime::builder().registry(registry).observer(watch);
        (runtime.build().unwrap(), traces, waiting)
    }

    fn workflow(text: &str) -> Workflow {
        Workflow::from_json(text).unwrap()
    }

    fn taken(mut waiting: Receiver<Finished>) -> Vec<SpanData> {
        let instrumentation = InstrumentationScope::builder("test").build();
        let spans = std::iter::from_fn(|| waiting.try_recv().ok());
        spans.map(|span| span.into_data(&instrumentation).unwrap()).collect()
    }

    fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
    }

    #[tokio::test]
    async fn every_attempt_has_a_span_of_its_own_wherever_it_stands() {
        let (runtime, _, waiting) = runtime(100);
        let text = r#"{ "id": "loops", "nodes": [
            { "id": "each", "node_type": "control.for_each", "config": { "items": [1, 2], "body": {
              "nodes": [{ "id": "say", "node_type": "debug.log", "config": { "message": "x" } }] } } } ] }"#;
        let prepared = runtime.prepare(&workflow(text), ()).unwrap();
        let prepared = prepared.caller(PARENT.parse::<TraceContext>().unwrap());
        let id = prepared.id();
        prepared.start().await.unwrap().wait().await.unwrap();
        let spans = taken(waiting);
        let root = named(&spans, "execute loops");
        assert_eq!(root.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(
            root.span_context.span_id().to_string(),
            flowcore::SpanId::of_execution(id).to_string()
        );
        for name in ["control.for_each each", "debug.log each[0].say", "debug.log each[1].say"] {
            assert_eq!(named(&spans, name).parent_span_id, root.span_context.span_id(), "{name}");
        }
        let ids: HashSet<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
        assert_eq!((ids.len(), spans.len()), (4, 4), "{spans:#?}");
    }

    #[tokio::test]
    async fn what_is_cancelled_has_a_span_from_its_start_and_a_failure_only_its_code() {
        let (runtime, _, waiting) = runtime(100);
        let text = r#"{ "id": "races", "nodes": [
            { "id": "wait", "node_type": "time.delay", "config": { "delay_ms": 600000 } },
            { "id": "parse", "node_type": "transform.json_parse", "config": { "json": "{canary" } } ] }"#;
        runtime.execute(&workflow(text), ()).await.unwrap();
        let spans = taken(waiting);
        let wait = named(&spans, "time.delay wait");
        assert!(wait.start_time < wait.end_time, "{wait:?}");
        assert!(matches!(wait.status, Status::Error { .. }));
        let code = |name: &str| match &named(&spans, name).status {
            Status::Error { description } => description.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(code("transform.json_parse parse"), code("execute races"));
        assert!(code("execute races").contains('.'));
        assert!(!format!("{spans:?}").contains("canary"));
        // Nobody's trace led to it: the trace is called as the execution is.
        let root = named(&spans, "execute races");
        assert_eq!(root.parent_span_id, opentelemetry::SpanId::INVALID);
    }

    #[tokio::test]
    async fn what_there_is_no_room_for_is_dropped_and_holds_nothing_up() {
        let (runtime, traces, waiting) = runtime(1);
        let text = r#"{ "nodes": [
            { "id": "one", "node_type": "debug.log", "config": { "message": 1 } },
            { "id": "two", "node_type": "debug.log", "config": { "message": 2 } } ] }"#;
        runtime.execute(&workflow(text), ()).await.unwrap();
        assert_eq!(traces.exports.counts(), [0, 2, 0]);
        assert_eq!(taken(waiting).len(), 1);
    }
}
