//! Triggers: ids, cron expressions and time zones.

use std::borrow::Cow;
use std::collections::HashMap;

use croner::errors::CronError;
use jiff::tz::TimeZoneDatabase;

use super::super::due_times::parse_cron;
use super::super::reader::MAX_PROBLEMS;
use super::super::{
    CronTrigger, Diagnostic, Diagnostics, TriggerKind, Workflow, nearest, resolve_inputs,
};
use super::{MAX_SUGGESTIONS, listeners};
use crate::Timestamp;
use crate::id::check_id;

/// How many triggers a workflow may have. What each is given is checked against all inputs, so this
/// bounds what checking a file costs.
const MAX_TRIGGERS: usize = 100;

pub(super) fn check(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    if workflow.triggers.len() > MAX_TRIGGERS {
        let message = format!("the workflow has {} triggers", workflow.triggers.len());
        let problem = Diagnostic::error("workflow.out_of_range", "/triggers", message);
        diagnostics.push(problem.expected(format!("at most {MAX_TRIGGERS}")));
        return;
    }
    let mut ids: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut paths: HashMap<Cow<'_, str>, usize> = HashMap::new();
    // The bundled one: whether a workflow is valid must not depend on the machine.
    let zones = TimeZoneDatabase::bundled();
    // Schemas that are wrong say nothing about values.
    let are_inputs_known = !diagnostics.has_errors();
    for (index, trigger) in workflow.triggers.iter().enumerate() {
        let at = |key: &str| format!("/triggers/{index}/{key}");
        if let Some(Err(error)) = trigger.id.as_deref().map(check_id) {
            let problem = Diagnostic::error("trigger.bad_id", at("id"), error.to_string());
            diagnostics.push(problem.expected("1 to 128 letters, digits, `_` and `-`"));
        }
        let name = workflow.trigger_name(index);
        let pointer = match &trigger.id {
            Some(_) => at("id"),
            None => format!("/triggers/{index}"),
        };
        report_second(&mut ids, name, index, "trigger.duplicate_id", pointer, diagnostics);
        match &trigger.kind {
            TriggerKind::Manual => {}
            TriggerKind::Cron(cron) => {
                check_cron(&cron.expression, at("expression"), diagnostics);
                if let Some(timezone) = &cron.timezone {
                    check_timezone(&zones, timezone, at("timezone"), diagnostics);
                }
                if are_inputs_known && diagnostics.len() < MAX_PROBLEMS {
                    check_inputs(workflow, cron, index, diagnostics);
                }
            }
            TriggerKind::Webhook(webhook) => {
                listeners::check_webhook(webhook, &at, diagnostics);
                let code = "trigger.duplicate_path";
                let path = Cow::Borrowed(webhook.path.as_str());
                report_second(&mut paths, path, index, code, at("path"), diagnostics);
            }
            TriggerKind::Event(event) => listeners::check_event(event, at("topic"), diagnostics),
        }
        if diagnostics.len() < MAX_PROBLEMS {
            listeners::check_inputs(workflow, trigger, index, are_inputs_known, diagnostics);
        }
    }
}

fn report_second<'a>(
    seen: &mut HashMap<Cow<'a, str>, usize>,
    text: Cow<'a, str>,
    index: usize,
    code: &'static str,
    pointer: String,
    diagnostics: &mut Diagnostics,
) {
    let first = *seen.entry(text.clone()).or_insert(index);
    if first != index {
        let key = if pointer.ends_with("/path") { "path" } else { "id" };
        let message =
            format!("two triggers have the {key} `{text}`; the first is /triggers/{first}");
        diagnostics.push(Diagnostic::error(code, pointer, message));
    }
}

/// Five fields, or six with seconds first.
fn check_cron(expression: &str, pointer: String, diagnostics: &mut Diagnostics) {
    let Err(error) = parse_cron(expression) else { return };
    let message = format!("the cron expression cannot be read: {}", cron_message(error));
    diagnostics.push(
        Diagnostic::error("trigger.bad_cron", pointer, message)
            .expected("minute, hour, day, month and weekday, such as `0 * * * *` for every hour"),
    );
}

/// What each execution is given has to be what the workflow takes: nobody is there to be told when it
/// starts.
fn check_inputs(
    workflow: &Workflow,
    cron: &CronTrigger,
    index: usize,
    diagnostics: &mut Diagnostics,
) {
    if let Some(name) = &cron.due_time_input {
        let pointer = format!("/triggers/{index}/due_time_input");
        if cron.inputs.contains_key(name) {
            let message = format!("the input `{name}` is given in `inputs`, too");
            diagnostics.push(Diagnostic::error("trigger.bad_value", pointer, message));
            return;
        }
        if let Some(declared) = workflow.inputs.as_ref().filter(|all| !all.contains_key(name)) {
            let message = format!("the workflow has no input `{name}`");
            let problem = Diagnostic::error("input.undeclared", pointer, message);
            diagnostics.push(problem.suggest(name, declared.keys().map(String::as_str)));
            return;
        }
    }
    let Err(problems) = resolve_inputs(workflow, cron.inputs_at(Timestamp::from_micros(0))) else {
        return;
    };
    for mut problem in problems {
        let is_due_time = cron.due_time_input.as_deref() == problem.pointer.strip_prefix('/');
        problem.pointer = match &*problem.pointer {
            "" => format!("/triggers/{index}"),
            _ if is_due_time => format!("/triggers/{index}/due_time_input"),
            pointer => format!("/triggers/{index}/inputs{pointer}"),
        };
        diagnostics.push(problem);
    }
}

/// What the parser says, as a fragment.
fn cron_message(error: CronError) -> String {
    match error {
        CronError::EmptyPattern => "it is empty".to_owned(),
        CronError::InvalidPattern(message)
        | CronError::IllegalCharacters(message)
        | CronError::ComponentError(message) => {
            let message = message.trim_end_matches('.');
            let mut letters = message.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
        other => other.to_string(),
    }
}

fn check_timezone(
    zones: &TimeZoneDatabase,
    name: &str,
    pointer: String,
    diagnostics: &mut Diagnostics,
) {
    if zones.get(name).is_ok() {
        return;
    }
    let message = format!("there is no time zone `{name}`");
    let mut problem = Diagnostic::error("trigger.unknown_timezone", pointer, message)
        .expected("an IANA time zone, such as `Europe/Oslo`");
    if diagnostics.len() < MAX_SUGGESTIONS {
        problem.suggestion = nearest_zone(zones, name);
    }
    diagnostics.push(problem);
}

/// The time zone of a city without its continent, or the one with the most similar name.
fn nearest_zone(zones: &TimeZoneDatabase, name: &str) -> Option<String> {
    let names: Vec<_> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
    let city = |zone: &&String| zone.rsplit('/').next().unwrap_or(zone).eq_ignore_ascii_case(name);
    let found = names.iter().find(city).map(String::as_str);
    found.or_else(|| nearest(name, names.iter().map(String::as_str))).map(str::to_owned)
}
