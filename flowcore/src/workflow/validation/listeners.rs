//! Webhook and event triggers: what they listen to, and what they give executions.

use super::super::listener::Listener;
use super::super::trigger::is_topic_pattern;
use super::super::{
    Diagnostic, Diagnostics, EventTrigger, Respond, Trigger, TriggerKind, WebhookTrigger, Workflow,
    resolve_inputs,
};
use crate::id::check_id;
use crate::plan::expression_diagnostic;
use crate::value::{Object, escape_pointer};

/// The longest path of a webhook, in bytes: what every server and proxy takes.
const MAX_PATH: usize = 512;

/// What a webhook listens to, and how it answers.
pub(super) fn check_webhook(
    webhook: &WebhookTrigger,
    at: &dyn Fn(&str) -> String,
    diagnostics: &mut Diagnostics,
) {
    check_path(&webhook.path, at("path"), diagnostics);
    if let Some(Err(error)) = webhook.secret.as_deref().map(check_id) {
        let message = error.to_string().replacen("an id", "the name of a secret", 1);
        let problem = Diagnostic::error("trigger.bad_value", at("secret"), message);
        diagnostics.push(problem.expected("the name of a secret, not the secret itself"));
    }
    let Some(timeout) = webhook.timeout_ms else { return };
    if !(1..=WebhookTrigger::MAX_TIMEOUT_MS).contains(&timeout) {
        let message = format!("`timeout_ms` is {timeout}");
        let problem = Diagnostic::error("trigger.out_of_range", at("timeout_ms"), message);
        let most = WebhookTrigger::MAX_TIMEOUT_MS;
        diagnostics.push(problem.expected(format!("a number from 1 to {most}")));
    } else if webhook.respond == Respond::Accepted {
        let message = "`timeout_ms` is given, and the answer waits for nothing";
        let problem = Diagnostic::error("trigger.bad_value", at("timeout_ms"), message);
        diagnostics.push(problem.hint("add `\"respond\": \"outputs\"` or `\"node\"`"));
    }
}

/// What an event trigger listens to.
pub(super) fn check_event(event: &EventTrigger, pointer: String, diagnostics: &mut Diagnostics) {
    if is_topic_pattern(&event.topic) {
        return;
    }
    let message = format!("`{}` is not a topic", event.topic);
    let problem = Diagnostic::error("trigger.bad_topic", pointer, message);
    let expected = "names with `.` between them, such as `orders.paid`; the last may be `*`";
    diagnostics.push(problem.expected(expected));
}

/// What executions are given has to be what the workflow takes, as far as that is known before
/// something comes.
pub(super) fn check_inputs(
    workflow: &Workflow,
    trigger: &Trigger,
    index: usize,
    are_inputs_known: bool,
    diagnostics: &mut Diagnostics,
) {
    let pointer = format!("/triggers/{index}");
    let listener = match Listener::compile(workflow, trigger) {
        None => return,
        Some(Ok(listener)) => listener,
        Some(Err(errors)) => {
            for (at, error) in errors {
                diagnostics.push(expression_diagnostic(format!("{pointer}{at}"), &error));
            }
            return;
        }
    };
    let Some(declared) = workflow.inputs.as_ref().filter(|_| are_inputs_known) else { return };
    for name in said(trigger).into_iter().flat_map(Object::keys) {
        if !declared.contains_key(&**name) {
            let at = format!("{pointer}/inputs/{}", escape_pointer(name));
            let message = format!("the workflow has no input `{name}`");
            let problem = Diagnostic::error("input.undeclared", at, message);
            diagnostics.push(problem.suggest(name, declared.keys().map(String::as_str)));
        }
    }
    for (name, spec) in declared {
        let is_needed = spec.default_value().is_none() && !spec.allows_null();
        if is_needed && !listener.gives(name) {
            let message = format!("input `{name}` is not given");
            let problem = Diagnostic::error("input.not_given", pointer.clone(), message);
            diagnostics.push(problem.hint("give it in `inputs`, or declare a `default`"));
        }
    }
    let Err(problems) = resolve_inputs(workflow, listener.constants()) else { return };
    let of_values =
        |problem: &Diagnostic| !matches!(problem.code, "input.not_given" | "input.undeclared");
    for mut problem in problems.into_iter().filter(of_values) {
        problem.pointer = format!("{pointer}/inputs{}", problem.pointer);
        diagnostics.push(problem);
    }
}

/// The inputs as the trigger has them, if it says something about them.
fn said(trigger: &Trigger) -> Option<&Object> {
    match &trigger.kind {
        TriggerKind::Webhook(webhook) => webhook.inputs.as_ref(),
        TriggerKind::Event(event) => event.inputs.as_ref(),
        TriggerKind::Manual | TriggerKind::Cron(_) => None,
    }
}

/// One or more segments of unreserved characters, without a slash at either end.
fn check_path(path: &str, pointer: String, diagnostics: &mut Diagnostics) {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_segment = |part: &str| !part.is_empty() && part.chars().all(letter) && !is_dots(part);
    if path.len() <= MAX_PATH && path.split('/').all(is_segment) {
        return;
    }
    let message = format!("the path `{path}` cannot be part of an address");
    let mut problem = Diagnostic::error("trigger.bad_path", pointer, message)
        .expected("letters, digits, `-`, `_`, `.` and `~`, with `/` between parts");
    let trimmed = path.trim_matches('/');
    if trimmed != path && !trimmed.is_empty() && trimmed.split('/').all(is_segment) {
        problem.suggestion = Some(trimmed.to_owned());
    }
    diagnostics.push(problem);
}

fn is_dots(part: &str) -> bool {
    part == "." || part == ".."
}
