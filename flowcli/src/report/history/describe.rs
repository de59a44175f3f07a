//! What an event says, on one line.

use flowcore::{
    AfterFailure, CacheUse, Event, EventBody, ExecutionEvent, FailureKind, Opens, Part, ScopeEnd,
    SkipReason, Value,
};
use flowruntime::history::describe_wait;

use crate::report::human::{clean, count};

/// The longest text of a value.
const MOST_LETTERS: usize = 200;

/// What happened.
pub(crate) fn describe(event: &ExecutionEvent) -> String {
    let EventBody::Fact(record) = &event.body else { return String::new() };
    let text = match &record.event {
        Event::WorkflowStarted { inputs, .. } => {
            format!("the execution starts with {}", value(&Value::from(inputs.clone())))
        }
        Event::NodeStarted { attempt, opens, .. } => {
            let attempt = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("starts{attempt}{}", opens.as_deref().map(describe_opens).unwrap_or_default())
        }
        Event::NodeWaiting { until, wait, .. } => format!("waits: {}", describe_wait(wait, *until)),
        Event::NodeCompleted { outputs, cache, kept, .. } => {
            let cached = match (cache, kept) {
                (_, true) => ", in the earlier execution",
                (Some(CacheUse::Hit), false) => ", from the cache",
                (Some(CacheUse::Miss) | None, false) => "",
            };
            let outputs = outputs.to_object().map(Value::from).unwrap_or_default();
            format!("succeeds{cached}: {}", value(&outputs))
        }
        Event::NodeFailed { attempt, outcome, error, then, .. } => {
            let what = match outcome {
                FailureKind::Failed => "fails",
                FailureKind::TimedOut => "times out",
                FailureKind::Panicked => "panics",
                FailureKind::Interrupted => "was cut off",
            };
            let then = match then {
                AfterFailure::Retry(at) => format!("tried again at {at}"),
                AfterFailure::ErrorPort => "port `error` is live".to_owned(),
                AfterFailure::Continue => "the workflow goes on without it".to_owned(),
                AfterFailure::Stop => "the workflow ends".to_owned(),
                AfterFailure::NewRound => "the workflow starts again".to_owned(),
                AfterFailure::Ending => "it was ending already".to_owned(),
            };
            format!("{what}, attempt {attempt}: {error} [{}]; {then}", error.code())
        }
        Event::NodeInterrupted { attempt, .. } => {
            format!("attempt {attempt} was cut off by the end of its process")
        }
        Event::WaitEnded { .. } => "has waited long enough".to_owned(),
        Event::NodeSkipped { reason, .. } => match reason {
            SkipReason::When => "is skipped: its condition is false".to_owned(),
            SkipReason::Connections => "is skipped: its connections are dead".to_owned(),
        },
        Event::NodeCancelled { reason, .. } => {
            format!("is cancelled ({})", reason.as_str())
        }
        Event::CancelRequested { reason, by, .. } => {
            format!("is asked to stop ({}){}", reason.as_str(), by_whom(by.as_deref()))
        }
        Event::Paused { reason, by, .. } => {
            format!("is paused ({}){}", reason.as_str(), by_whom(by.as_deref()))
        }
        Event::Resumed { by } => format!("is resumed{}", by_whom(by.as_deref())),
        Event::Recovered { fence, interrupted } => {
            let attempts = count(*interrupted as usize, "attempt");
            format!("another process goes on, the {fence}. owner; {attempts} cut off")
        }
        Event::StopRequested { reason, .. } => {
            let reason = reason.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            format!("ends the execution{reason}")
        }
        Event::SignalReceived { name, key, payload, .. } => {
            let key = key.as_deref().map_or_else(String::new, |key| format!(", key {key}"));
            format!("signal {name}{key} comes with {}", value(payload))
        }
        Event::ScopeOpened { part, .. } => format!("opens {}", describe_part(*part)),
        Event::ScopeClosed { scope, end } => {
            let how = match end {
                ScopeEnd::Succeeded(given) => format!("well: {}", value(given)),
                ScopeEnd::Failed(error) => format!("with an error: {error} [{}]", error.code),
                ScopeEnd::Cancelled => "because it was told to stop".to_owned(),
            };
            format!("scope {} closes {how}", scope.0)
        }
        Event::CleanupStarted { until, .. } => format!("cleaning up begins, until {until} at most"),
        Event::UndoStarted { node, .. } => format!("undoes {node}"),
        Event::RoundStarted { round, .. } => format!("the workflow starts again, round {round}"),
        Event::WorkflowCompleted { status, outputs, error, .. } => {
            let what = match (outputs, error) {
                (Some(outputs), _) => format!(": {}", value(outputs)),
                (None, Some(error)) => format!(": {error} [{}]", error.code),
                (None, None) => String::new(),
            };
            format!("the execution ends as {status}{what}")
        }
        other => other.name().to_owned(),
    };
    clean(&text)
}

fn describe_opens(opens: &Opens) -> String {
    match opens {
        Opens::ForEach { items, .. } => format!(", for {}", count(items.len(), "item")),
        Opens::Loop { max_iterations, .. } => format!(", at most {max_iterations} iterations"),
        Opens::Race | Opens::Try => String::new(),
        Opens::Call { inputs } => format!(", with {}", value(&Value::from(inputs.clone()))),
    }
}

fn describe_part(part: Part) -> String {
    match part {
        Part::Workflow => "the workflow".to_owned(),
        Part::Item(item) => format!("item {item}"),
        Part::Iteration(iteration) => format!("iteration {iteration}"),
        Part::Branch(branch) => format!("branch {branch}"),
        Part::Body => "the body".to_owned(),
        Part::Catch => "what follows a failure".to_owned(),
        Part::Finally => "what follows in any case".to_owned(),
        Part::Undo => "the undo".to_owned(),
    }
}

fn by_whom(by: Option<&str>) -> String {
    by.map_or_else(String::new, |by| format!(" by {by}"))
}

fn value(value: &Value) -> String {
    let text = value.to_json_text();
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
