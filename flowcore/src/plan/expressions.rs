//! The expressions of a workflow, checked against its graph.

use std::collections::HashMap;
use std::ops::Range;

use indexmap::IndexMap;

use super::compile::{Compiler, NodeType, Suggestions};
use super::connections::Connections;
use super::graph::NodeIndex;
use crate::expression::{Expression, ExpressionError, Slot, Template};
use crate::node::PortName;
use crate::value::Value;
use crate::workflow::{Diagnostic, InputSpec, nearest};

/// What the expressions of a workflow may name.
pub(super) struct Names<'a> {
    pub(super) ids: &'a HashMap<&'a str, NodeIndex>,
    pub(super) types: &'a [NodeType],
    pub(super) node_types: &'a [Option<u32>],
    pub(super) inputs: Option<&'a IndexMap<String, InputSpec>>,
    pub(super) suggestions: &'a Suggestions,
}

/// Where an expression stands, and so what it may read.
pub(super) enum Place<'a> {
    /// In a node with these input ports; `input.<port>` is in scope.
    Node { index: NodeIndex, inputs: &'a [PortName], open: bool },
    /// In the workflow's outputs.
    Outputs,
}

impl Names<'_> {
    /// Checks what an expression reads, and fills in the indices of nodes. Gives the nodes that it
    /// reads.
    pub(super) fn resolve(
        &self,
        expression: &mut Expression,
        place: &Place<'_>,
    ) -> Result<Vec<NodeIndex>, ExpressionError> {
        let text = expression.text().to_owned();
        let mut read = Vec::new();
        for slot in expression.slots_mut() {
            match slot {
                Slot::Node(node) => {
                    let index = self.node(&text, &node.id, &node.port, place)?;
                    node.node = index;
                    read.push(index);
                }
                Slot::Input(name) => self.input(&text, name)?,
                Slot::Port(port) => self.port(&text, port, place)?,
                Slot::Execution(field)
                    if &**field == "attempt" && matches!(place, Place::Outputs) =>
                {
                    return Err(unknown(
                        &text,
                        &["execution", "attempt"],
                        "an execution as a whole has no attempt",
                    ));
                }
                Slot::Inputs
                | Slot::Execution(_)
                | Slot::Workflow(_)
                | Slot::Secret(_)
                | Slot::Local(_) => {}
            }
        }
        Ok(read)
    }

    fn node(
        &self,
        text: &str,
        id: &str,
        port: &str,
        place: &Place<'_>,
    ) -> Result<NodeIndex, ExpressionError> {
        let Some(&index) = self.ids.get(id) else {
            return Err(unknown(text, &["nodes", id], format!("there is no node `{id}`"))
                .suggest(self.suggestions.nearest(id, self.ids.keys().copied())));
        };
        if matches!(place, Place::Node { index: own, .. } if *own == index) {
            let message = format!("node `{id}` cannot read its own outputs");
            return Err(unknown(text, &["nodes", id], message));
        }
        if let Some(type_index) = self.node_types[index as usize] {
            let node_type = &self.types[type_index as usize];
            let descriptor = &node_type.registered.descriptor;
            let known = port == "error" || descriptor.output_port(port).is_some();
            if !known && !descriptor.open_outputs {
                let message =
                    format!("node `{id}` ({}) has no output port `{port}`", descriptor.node_type);
                let ports = node_type.outputs.iter().map(PortName::as_str);
                let path = ["nodes", id, port];
                return Err(unknown(text, &path, message).suggest(nearest(port, ports)));
            }
        }
        Ok(index)
    }

    fn input(&self, text: &str, name: &str) -> Result<(), ExpressionError> {
        let is_known = self.inputs.is_some_and(|inputs| inputs.contains_key(name));
        if is_known {
            return Ok(());
        }
        let declared = self.inputs.into_iter().flat_map(IndexMap::keys).map(String::as_str);
        let message = format!("the workflow declares no input `{name}`");
        Err(unknown(text, &["inputs", name], message)
            .suggest(self.suggestions.nearest(name, declared))
            .hint(format!("declare it: \"inputs\": {{ \"{name}\": {{ \"type\": \"string\" }} }}")))
    }

    fn port(&self, text: &str, port: &str, place: &Place<'_>) -> Result<(), ExpressionError> {
        let Place::Node { inputs, open, .. } = place else {
            let message = "the outputs of a workflow have no input ports";
            return Err(unknown(text, &["input", port], message));
        };
        let mut names = inputs.iter().map(PortName::as_str);
        if *open || names.any(|name| name == port) {
            return Ok(());
        }
        let names = inputs.iter().map(PortName::as_str);
        let message = format!("the node has no input port `{port}`");
        Err(unknown(text, &["input", port], message).suggest(nearest(port, names)))
    }
}

/// An unknown name, the last of a path, at the place where it stands in the text.
fn unknown(text: &str, path: &[&str], message: impl Into<String>) -> ExpressionError {
    let starts = text.match_indices(path[0]).map(|(start, _)| start);
    let range = starts.filter_map(|start| follow(text, start, path)).next();
    ExpressionError::new("expression.unknown_name", range.unwrap_or(0..text.len()), message)
}

/// Where the last name of a path stands, if the path begins at `start`.
fn follow(text: &str, start: usize, path: &[&str]) -> Option<Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_between = |c: char| c.is_whitespace() || ".[]\"'".contains(c);
    // A `.` before it makes it the end of another path.
    if text[..start].ends_with(|c: char| is_part(c) || c == '.') {
        return None;
    }
    let mut range = start..start;
    for name in path {
        let rest = &text[range.end..];
        let between = rest.len() - rest.trim_start_matches(is_between).len();
        range.start = range.end + between;
        range.end = range.start + name.len();
        let is_it = text[range.start..].starts_with(name);
        if !is_it || text[range.end..].starts_with(is_part) {
            return None;
        }
    }
    Some(range)
}

/// A problem with an expression as a diagnostic.
pub(super) fn diagnostic(pointer: impl Into<String>, error: &ExpressionError) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(error.code, pointer, error.message.clone());
    // An empty range says nothing about where in the text it is.
    if !error.range.is_empty() {
        diagnostic = diagnostic.within(error.range.clone());
    }
    diagnostic.suggestion.clone_from(&error.suggestion);
    diagnostic.hint.clone_from(&error.hint);
    diagnostic
}

/// Compiles a value with expressions and adds the connections that they imply.
pub(super) fn compile_template(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
    value: &Value,
    pointer: &str,
    place: &Place<'_>,
) -> Template {
    let mut errors = Vec::new();
    let mut template = Template::compile(value, pointer, &mut errors);
    for (pointer, error) in &errors {
        compiler.diagnostics.push(diagnostic(pointer, error));
    }
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let names = compiler.names();
    template.visit_mut(pointer, &mut |pointer, offset, expression| match names
        .resolve(expression, place)
    {
        Ok(read) => found.extend(read),
        Err(error) => problems.push(diagnostic(pointer, &error.shifted(offset))),
    });
    problems.into_iter().for_each(|problem| compiler.diagnostics.push(problem));
    if let Place::Node { index, .. } = place {
        found.into_iter().for_each(|from| connections.imply(from, *index));
    }
    template
}

/// Compiles the workflow's `outputs`; gives the nodes that they read.
pub(super) fn compile_outputs(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
) -> (Option<Template>, Vec<NodeIndex>) {
    let Some(outputs) = &compiler.workflow.outputs else { return (None, Vec::new()) };
    let value = Value::Object(outputs.clone());
    let template = compile_template(compiler, connections, &value, "/outputs", &Place::Outputs);
    let mut read = Vec::new();
    template.visit(&mut |expression| {
        for slot in expression.slots() {
            if let Slot::Node(node) = slot {
                read.push(node.node);
            }
        }
    });
    read.sort_unstable();
    read.dedup();
    (Some(template), read)
}
