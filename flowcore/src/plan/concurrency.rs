//! How many executions of a workflow run at the same time.

use super::Plan;
use super::compile::Compiler;
use super::conditions::compile_expression;
use super::connections::Connections;
use super::expressions::{Place, diagnostic, too_early};
use crate::expression::{Expression, ExpressionError, Slot, evaluate};
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
            Some(key) => evaluate(key, &mut |slot| self.known_before(slot, inputs))?,
            None => Value::Null,
        };
        Ok(Some(ConcurrencyLimit { key, limit: *limit, on_limit: *on_limit }))
    }
}

/// Compiles the setting of a workflow, if it has one.
pub(super) fn compile_concurrency(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
) -> Option<Concurrency> {
    const POINTER: &str = "/settings/concurrency/key";
    let spec = compiler.workflow.settings.concurrency.as_ref()?;
    let key = match &spec.key {
        Some(text) => {
            let key = compile_expression(compiler, connections, text, POINTER, &Place::Workflow)?;
            // The key is compared and kept, also where nothing secret may be.
            if key.slots().iter().any(|slot| matches!(slot, Slot::Secret(_))) {
                let problem = diagnostic(POINTER, &too_early(text, "secrets"));
                compiler.common.diagnostics.push(problem);
            }
            Some(key)
        }
        None => None,
    };
    Some(Concurrency { key, limit: spec.limit, on_limit: spec.on_limit })
}
