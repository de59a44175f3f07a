//! What webhooks and event triggers make of what comes to them.

use std::sync::Arc;

use super::{Trigger, TriggerKind, Workflow};
use crate::expression::{Expression, ExpressionError, Roots, Template, evaluate, truth};
use crate::node::NodeError;
use crate::value::{Object, Value};

/// A webhook or event trigger, compiled once: which of what comes it is for, and the inputs that
/// follow from it.
///
/// What comes is an object, which expressions see as `request` or `event`. Without `inputs`, its
/// members are given to those inputs that are declared under their names.
#[derive(Debug)]
pub struct Listener {
    when: Option<Expression>,
    inputs: Given,
}

#[derive(Debug)]
enum Given {
    /// What the trigger says.
    Said(Template),
    /// The members of these names.
    Named(Vec<Arc<str>>),
}

/// Errors, each with the JSON pointer, below the trigger, of the string that it is in.
pub(crate) type PlacedErrors = Vec<(String, ExpressionError)>;

/// What expressions call a request, and its members.
pub(crate) const REQUEST: (&str, &[&str]) =
    ("request", &["method", "path", "query", "headers", "body"]);

/// What expressions call an event, and its members.
pub(crate) const EVENT: (&str, &[&str]) = ("event", &["topic", "data", "id"]);

impl Listener {
    /// The listener of a trigger; `None` for one of another kind, and for one of a workflow that was
    /// not checked and is wrong.
    pub fn new(workflow: &Workflow, trigger: &Trigger) -> Option<Self> {
        Self::compile(workflow, trigger)?.ok()
    }

    /// As [`Listener::new`], with all that is wrong.
    pub(crate) fn compile(
        workflow: &Workflow,
        trigger: &Trigger,
    ) -> Option<Result<Self, PlacedErrors>> {
        let ((root, members), when, inputs) = match &trigger.kind {
            TriggerKind::Webhook(webhook) => (REQUEST, None, &webhook.inputs),
            TriggerKind::Event(event) => (EVENT, event.when.as_deref(), &event.inputs),
            TriggerKind::Manual | TriggerKind::Cron(_) => return None,
        };
        let mut errors = Vec::new();
        let names = [root];
        let mut one = |text: &str| {
            let compiled = Expression::compile(text, Roots::Names(&names));
            compiled.map_err(|error| errors.push(("/when".to_owned(), error))).ok()
        };
        let when = when.and_then(&mut one);
        let inputs = match inputs {
            Some(inputs) => {
                let inputs = Value::Object(inputs.clone());
                let roots = Roots::Names(&names);
                Given::Said(Template::compile_within(&inputs, roots, "/inputs", &mut errors))
            }
            None => Given::Named(named(workflow, members)),
        };
        Some(if errors.is_empty() { Ok(Self { when, inputs }) } else { Err(errors) })
    }

    /// Whether it is for what came.
    ///
    /// # Errors
    /// The error of the expression, or `when.not_boolean`.
    pub fn wants(&self, came: &Object) -> Result<bool, NodeError> {
        let Some(when) = &self.when else { return Ok(true) };
        let value = evaluate(when, &mut |_| Some(Value::Object(came.clone())))?;
        truth("when", &value)
    }

    /// The inputs of the execution that it starts; they are not checked yet.
    ///
    /// # Errors
    /// The error of an expression.
    pub fn inputs(&self, came: &Object) -> Result<Object, ExpressionError> {
        match &self.inputs {
            Given::Said(template) => {
                let resolved = template.resolve(&mut |_| Some(Value::Object(came.clone())))?;
                Ok(resolved.as_object().cloned().unwrap_or_default())
            }
            Given::Named(names) => {
                let members = names.iter().filter_map(|name| {
                    Some((name.clone(), came.get(name).filter(|value| !value.is_null())?.clone()))
                });
                // Each was in an object already.
                Ok(Object::from_entries(members).unwrap_or_default())
            }
        }
    }
}

impl Listener {
    /// The inputs that every execution is given, whatever comes.
    pub(crate) fn constants(&self) -> Object {
        let Given::Said(template) = &self.inputs else { return Object::new() };
        match template {
            Template::Constant(value) => value.as_object().cloned().unwrap_or_default(),
            Template::Object(entries) => {
                let constant = entries.iter().filter(|(_, entry)| entry.is_constant());
                let constant = constant.filter_map(|(name, entry)| {
                    Some((name.clone(), entry.resolve(&mut |_| None).ok()?))
                });
                Object::from_entries(constant).unwrap_or_default()
            }
            Template::Expression(_) | Template::Text(_) | Template::Array(_) => Object::new(),
        }
    }

    /// Whether executions may be given an input of this name.
    pub(crate) fn gives(&self, name: &str) -> bool {
        match &self.inputs {
            Given::Said(Template::Constant(value)) => value.get(name).is_some(),
            Given::Said(Template::Object(entries)) => entries.iter().any(|(key, _)| &**key == name),
            Given::Said(_) => false,
            Given::Named(names) => names.iter().any(|known| &**known == name),
        }
    }
}

/// The members that a workflow declares inputs for.
fn named(workflow: &Workflow, members: &[&str]) -> Vec<Arc<str>> {
    let is_declared =
        |name: &&&str| workflow.inputs.as_ref().is_some_and(|inputs| inputs.contains_key(**name));
    members.iter().filter(is_declared).map(|name| Arc::from(*name)).collect()
}
