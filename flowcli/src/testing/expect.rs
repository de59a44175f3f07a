//! Compares what came of a case with what it expects.

use flowcore::{ExecutionResult, ExecutionStatus, Value};
use flowruntime::testing::covers;

use super::codes;
use super::difference::{Difference, compare};
use super::file::{Case, ExpectedError, Named, Status};
use super::recorder::Seen;
use super::stage::{Ending, Ran};
use crate::duration;

/// Everything that is not as expected; nothing when the case passed.
pub(super) fn judge(case: &Case, ran: &Ran) -> Vec<Difference> {
    let mut found = not_pinned(ran);
    let result = match &ran.ending {
        Ending::Ended(result) => Some(&**result),
        Ending::Waits => None,
        Ending::TookTooLong => {
            found.push(Difference::new("time", "the case took too long, and was given up"));
            return found;
        }
        Ending::Interrupted => {
            found.push(Difference::new("time", "interrupted"));
            return found;
        }
    };
    if !found.is_empty() {
        // Whatever else is wrong follows from it.
        return found;
    }
    let expect = &case.expect;
    status(expect.status, result, ran, &mut found);
    for name in &ran.unheard {
        let message = format!("the execution had ended before signal `{name}` came");
        found.push(Difference::new("signals", message));
    }
    let outputs = result.map(|result| &result.outputs).unwrap_or(&Value::Null);
    if let Some(expected) = &expect.outputs {
        compare(expected, outputs, "/outputs", false, &mut found);
    }
    if let Some(expected) = &expect.outputs_include {
        compare(expected, outputs, "/outputs", true, &mut found);
    }
    error(&expect.error, result, &mut found);
    nodes(case, ran, &mut found);
    if let Some(expected) = expect.duration
        && expected != ran.duration
    {
        let message = format!("expected {}, got {}", show(expected), show(ran.duration));
        found.push(Difference::new("duration", message));
    }
    found
}

fn not_pinned(ran: &Ran) -> Vec<Difference> {
    let one = |(address, node_type): &(String, String)| {
        let message = format!(
            "node `{address}` would run `{node_type}`, which touches the world: pin it, or name it \
             in `allow` [{}]",
            codes::NOT_PINNED
        );
        Difference::new(address.clone(), message)
    };
    let mut found: Vec<Difference> = ran.not_pinned.iter().map(one).collect();
    found.dedup();
    found
}

fn status(
    expected: Status,
    result: Option<&ExecutionResult>,
    ran: &Ran,
    out: &mut Vec<Difference>,
) {
    let actual = match result.map(|result| result.status) {
        None => Status::Waiting,
        Some(ExecutionStatus::Succeeded) => Status::Succeeded,
        Some(ExecutionStatus::Cancelled) => Status::Cancelled,
        Some(ExecutionStatus::TimedOut) => Status::TimedOut,
        Some(
            ExecutionStatus::Failed
            | ExecutionStatus::Queued
            | ExecutionStatus::Running
            | ExecutionStatus::Waiting
            | ExecutionStatus::Paused,
        ) => Status::Failed,
    };
    if actual == expected {
        return;
    }
    let why = match result.and_then(|result| result.error.as_ref()) {
        Some(error) => format!(": {error} [{}]", error.code),
        None if actual == Status::Waiting => {
            let waiting = ran.seen.iter().filter(|(_, seen)| seen.waiting);
            let names: Vec<String> = waiting.map(|(address, _)| format!("`{address}`")).collect();
            format!(": {} for a signal that never comes", names.join(", "))
        }
        None => String::new(),
    };
    let message = format!("expected {}, got {}{why}", expected.as_str(), actual.as_str());
    out.push(Difference {
        expected: Some(Value::from(expected.as_str())),
        actual: Some(Value::from(actual.as_str())),
        ..Difference::new("status", message)
    });
}

fn error(expected: &ExpectedError, result: Option<&ExecutionResult>, out: &mut Vec<Difference>) {
    let actual = result.and_then(|result| result.error.as_ref());
    let node = expected.node.as_ref().map(|node| node.name.as_str());
    let pairs = [
        ("error/code", expected.code.as_deref(), actual.map(|error| error.code.as_str())),
        ("error/node", node, actual.and_then(|error| error.node.as_deref())),
    ];
    for (at, expected, actual) in pairs {
        if expected.is_some() && expected != actual {
            let (expected, actual) = (expected.unwrap_or_default(), actual.unwrap_or("none"));
            out.push(Difference::new(at, format!("expected {expected}, got {actual}")));
        }
    }
    let message = actual.map_or("", |error| error.message.as_str());
    if let Some(part) = &expected.message
        && !message.contains(part)
    {
        let message = format!("expected a message with {part:?}, got {message:?}");
        out.push(Difference::new("error/message", message));
    }
}

fn nodes(case: &Case, ran: &Ran, out: &mut Vec<Difference>) {
    let expect = &case.expect;
    let mut state = |names: &[Named], at: &str, what: &str, holds: &dyn Fn(&[Seen]) -> bool| {
        for named in names {
            if !holds(&seen_at(ran, &named.name)) {
                out.push(Difference::new(at, format!("`{}` {what}", named.name)));
            }
        }
    };
    state(&expect.ran, "ran", "did not run", &|seen| seen.iter().any(|one| one.ran));
    state(&expect.not_ran, "not_ran", "ran", &|seen| !seen.iter().any(|one| one.ran));
    state(&expect.skipped, "skipped", "was not skipped", &|seen| {
        seen.iter().any(|one| one.skipped && !one.ran)
    });
    state(&expect.failed, "failed", "did not fail", &|seen| seen.iter().any(|one| one.failed));
    for (named, expected) in &expect.attempts {
        let actual = seen_at(ran, &named.name).iter().map(|seen| seen.attempts).max();
        let actual = actual.unwrap_or_default();
        if actual != *expected {
            let message = format!("`{}`: expected {expected}, got {actual}", named.name);
            out.push(Difference::new("attempts", message));
        }
    }
    for (named, expected) in &expect.given {
        given(named, expected, ran, out);
    }
}

/// One of the nodes at the address was given this; else the differences to the first.
fn given(named: &Named, expected: &Value, ran: &Ran, out: &mut Vec<Difference>) {
    let mut first = None;
    for (address, given) in ran.given.iter().filter(|(address, _)| covers(&named.name, address)) {
        let mut found = Vec::new();
        let at = format!("/given/{address}");
        compare(expected, &Value::Object(given.clone()), &at, true, &mut found);
        if found.is_empty() {
            return;
        }
        first.get_or_insert(found);
    }
    out.extend(first.unwrap_or_else(|| {
        vec![Difference::new("given", format!("`{}` had no attempt", named.name))]
    }));
}

/// What happened to the nodes that an address means.
fn seen_at(ran: &Ran, name: &str) -> Vec<Seen> {
    let meant = ran.seen.iter().filter(|(address, _)| covers(name, address));
    meant.map(|(_, seen)| *seen).collect()
}

/// A duration as it is written in a test file.
pub(super) fn show(time: std::time::Duration) -> String {
    let days = time.as_secs() / 86_400;
    let rest = time - std::time::Duration::from_secs(days * 86_400);
    match (days, rest.is_zero()) {
        (0, true) => "0s".to_owned(),
        (0, false) => duration::show(rest),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", duration::show(rest)),
    }
}
