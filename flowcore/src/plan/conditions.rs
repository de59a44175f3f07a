//! Expressions that stand alone: the `when` of a node and of a workflow, and the key of a cache.

use super::compile::Compiler;
use super::connections::Connections;
use super::expressions::{Place, Reads, absent_secrets, diagnostic, never_defined, warning};
use crate::expression::{Condition, Expression, Logic, Roots};
use crate::value::Value;

/// Compiles a `when`; what it reads implies connections. `None` when something is wrong with it.
pub(super) fn compile_condition(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
    when: &Value,
    pointer: &str,
    place: &Place<'_>,
) -> Option<Condition> {
    let mut maker = Maker { compiler, connections, pointer, place };
    match when {
        Value::String(text) => maker.expression(text).map(Condition::Expression),
        rule @ Value::Object(_) => maker.rule(rule).map(|rule| Condition::Logic(Box::new(rule))),
        // Refused by the checks of the definition.
        _ => None,
    }
}

/// Compiles a text that is one expression; what it reads implies connections. `None` when something
/// is wrong with it.
pub(super) fn compile_expression(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
    text: &str,
    pointer: &str,
    place: &Place<'_>,
) -> Option<Expression> {
    Maker { compiler, connections, pointer, place }.expression(text)
}

struct Maker<'a, 'b> {
    compiler: &'a mut Compiler<'b>,
    connections: &'a mut Connections,
    pointer: &'a str,
    place: &'a Place<'a>,
}

impl Maker<'_, '_> {
    fn expression(&mut self, text: &str) -> Option<Expression> {
        let compiled = Expression::compile(text, Roots::Workflow).and_then(|mut expression| {
            let reads = self.compiler.names().resolve(&mut expression, self.place)?;
            self.reads(reads);
            for error in never_defined(&expression, self.connections, self.compiler, self.place) {
                self.compiler.common.diagnostics.push(warning(self.pointer, &error));
            }
            Ok(expression)
        });
        match compiled {
            Ok(expression) => Some(expression),
            Err(error) => {
                self.compiler.common.diagnostics.push(diagnostic(self.pointer, &error));
                None
            }
        }
    }

    /// A rule in JSONLogic. What it reads is checked, and implies connections, as in expressions.
    fn rule(&mut self, rule: &Value) -> Option<Logic> {
        let pointer = self.pointer;
        let before = self.compiler.common.diagnostics.len();
        let mut logic = match Logic::compile_in_workflow(rule, Roots::Workflow) {
            Ok(logic) => logic,
            Err(problems) => {
                for problem in problems {
                    let at = format!("{pointer}{}", problem.pointer);
                    let report = diagnostic(at, &problem.error);
                    let report = if problem.at_key { report.at_key() } else { report };
                    self.compiler.common.diagnostics.push(report);
                }
                return None;
            }
        };
        let mut warnings = Vec::new();
        for read in logic.reads_mut() {
            let Some(expression) = &mut read.expression else { continue };
            match self.compiler.names().resolve(expression, self.place) {
                Ok(reads) => {
                    let at = format!("{pointer}{}", read.pointer);
                    let absent = absent_secrets(expression, self.compiler);
                    warnings.extend(absent.into_iter().map(|mut error| {
                        error.range = 0..0;
                        warning(at.clone(), &error)
                    }));
                    self.reads(reads);
                }
                Err(mut error) => {
                    if !read.is_verbatim {
                        error.range = 0..0;
                    }
                    let report = diagnostic(format!("{pointer}{}", read.pointer), &error);
                    self.compiler.common.diagnostics.push(report);
                }
            }
        }
        let is_good = self.compiler.common.diagnostics.len() == before;
        warnings.into_iter().for_each(|problem| self.compiler.common.diagnostics.push(problem));
        is_good.then_some(logic)
    }

    fn reads(&mut self, reads: Reads) {
        if let Place::Node { index, .. } = self.place {
            reads.own.into_iter().for_each(|from| self.connections.imply(from, *index));
        }
        self.compiler.outer_reads.extend(reads.outer);
    }
}
