//! How many executions of a workflow run at the same time.

use super::Plan;
use super::compile::Compiler;
use super::expressions::{Place, diagnostic, unknown};
use crate::expression::{Expression, ExpressionError, Roots, Slot};
use crate::value::{Object, Value};
use crate::workflow::OnLimit;

/// How many executions of the workflow run at the same time.
#[derive(Debug)]
pub(crate) struct Concurrency {
    key: Option<Expression>,
    limit: u32,
    on_limit: OnLimit,
}

/// How many executions with the same key as one that is to start may run at the same time.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConcurrencyLimit {
    /// The value of `key`; null without one.
    pub key: Value,
    /// How many may run, at least 1.
    pub limit: u32,
    /// What happens to one more.
    pub on_limit: OnLimit,
}

impl Plan {
    /// How many executions like one with these inputs may run at the same time; `None` is any number.
    /// Only the settings of the workflow itself count, not those of the ones that it calls.
    ///
    /// # Errors
    /// That of the expression `concurrency.key`.
    pub fn concurrency(
        &self,
        inputs: &Object,
    ) -> Result<Option<ConcurrencyLimit>, ExpressionError> {
        let Some(Concurrency { key, limit, on_limit }) = &self.concurrency else { return Ok(None) };
        let key = match key {
            Some(key) => key.evaluate(&self.values(key, inputs))?,
            None => Value::Null,
        };
        Ok(Some(ConcurrencyLimit { key, limit: *limit, on_limit: *on_limit }))
    }

    /// What an expression reads before the execution starts.
    fn values(&self, expression: &Expression, inputs: &Object) -> Vec<Option<Value>> {
        let value = |slot: &Slot| match slot {
            Slot::Inputs => Some(Value::Object(inputs.clone())),
            Slot::Input(name) => inputs.get(name).cloned(),
            Slot::Workflow(field) => self.body(0).field(field),
            // Refused when the key was compiled.
            Slot::Node(_)
            | Slot::Port(_)
            | Slot::Execution(_)
            | Slot::Secret(_)
            | Slot::Local(_)
            | Slot::Scope(_) => None,
        };
        expression.slots().iter().map(value).collect()
    }
}

/// Compiles the setting of a workflow, if it has one.
pub(super) fn compile_concurrency(compiler: &mut Compiler<'_>) -> Option<Concurrency> {
    let spec = compiler.workflow.settings.concurrency.as_ref()?;
    let key = spec.key.as_deref().map(|text| compile_key(compiler, text)).transpose();
    match key {
        Ok(key) => Some(Concurrency { key, limit: spec.limit, on_limit: spec.on_limit }),
        Err(error) => {
            let problem = diagnostic("/settings/concurrency/key", &error);
            compiler.common.diagnostics.push(problem);
            None
        }
    }
}

fn compile_key(compiler: &Compiler<'_>, text: &str) -> Result<Expression, ExpressionError> {
    let mut expression = Expression::compile(text, Roots::Workflow)?;
    for slot in expression.slots() {
        let root = match slot {
            Slot::Inputs | Slot::Input(_) | Slot::Workflow(_) => continue,
            Slot::Node(_) => "nodes",
            Slot::Port(_) => "input",
            Slot::Execution(_) => "execution",
            Slot::Secret(_) => "secrets",
            Slot::Local(name) => name,
            Slot::Scope(local) => local.as_str(),
        };
        let message = format!("there is no name `{root}` before the execution starts");
        return Err(unknown(text, &[root], message).hint("the key is made of `inputs`"));
    }
    compiler.names().resolve(&mut expression, &Place::Workflow)?;
    Ok(expression)
}
