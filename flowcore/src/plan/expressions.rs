//! The expressions of a workflow, checked against its graph.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;

use super::around::Around;
use super::compile::{Compiler, NodeType, OuterRead, Suggestions};
use super::connections::{Connections, ERROR};
use super::graph::NodeIndex;
use crate::control::Local;
use crate::expression::{Expression, ExpressionError, NodeSlot, Slot, Template};
use crate::node::PortName;
use crate::value::Value;
use crate::workflow::{Diagnostic, InputSpec, Severity, nearest};

/// What the expressions of a workflow may name.
pub(super) struct Names<'a> {
    /// Around the body, if it is one.
    pub(super) around: Option<&'a Around<'a>>,
    /// The index of the first node in the plan.
    pub(super) first: NodeIndex,
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
    /// In the outputs of the workflow or body.
    Outputs,
    /// In a condition of a control node, which sees what the node gives its body.
    Condition { index: NodeIndex, locals: &'static [Local] },
    /// In what is asked of a workflow before an execution starts: its `when`, and the key of
    /// `concurrency`.
    Workflow,
}

/// The nodes that an expression reads.
#[derive(Default)]
pub(super) struct Reads {
    /// In the same body.
    pub(super) own: Vec<NodeIndex>,
    /// Around the body.
    pub(super) outer: Vec<OuterRead>,
}

impl Names<'_> {
    /// Checks what an expression reads, and fills in the indices of nodes. Gives the nodes that it
    /// reads.
    pub(super) fn resolve(
        &self,
        expression: &mut Expression,
        place: &Place<'_>,
    ) -> Result<Reads, ExpressionError> {
        let text = expression.text().to_owned();
        let mut reads = Reads::default();
        for slot in expression.slots_mut() {
            match slot {
                Slot::Node(node) => {
                    node.node = self.node(&text, &node.id, &node.port, place, &mut reads)?;
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
                Slot::Execution(_) if matches!(place, Place::Workflow) => {
                    return Err(too_early(&text, "execution"));
                }
                Slot::Inputs
                | Slot::Execution(_)
                | Slot::Workflow(_)
                | Slot::Secret(_)
                | Slot::Local(_) => {}
                Slot::Scope(local) => self.local(&text, *local, place)?,
            }
        }
        Ok(reads)
    }

    /// A name that a control node gives what stands inside of it.
    fn local(&self, text: &str, local: Local, place: &Place<'_>) -> Result<(), ExpressionError> {
        let own = match place {
            Place::Condition { locals, .. } => locals.contains(&local),
            Place::Node { .. } | Place::Outputs | Place::Workflow => false,
        };
        if own || self.around.is_some_and(|around| around.gives(local)) {
            return Ok(());
        }
        let name = local.as_str();
        let message = format!("there is no name `{name}` here");
        Err(unknown(text, &[name], message).hint(local.hint()))
    }

    fn node(
        &self,
        text: &str,
        id: &str,
        port: &str,
        place: &Place<'_>,
        reads: &mut Reads,
    ) -> Result<NodeIndex, ExpressionError> {
        if matches!(place, Place::Workflow) {
            return Err(too_early(text, "nodes"));
        }
        let (in_plan, type_index, is_own) = if let Some(&index) = self.ids.get(id) {
            reads.own.push(index);
            let is_own = matches!(
                place,
                Place::Node { index: own, .. } | Place::Condition { index: own, .. } if *own == index
            );
            (self.first + index, self.node_types[index as usize], is_own)
        } else if let Some(outer) = self.around.and_then(|around| around.find(id)) {
            reads.outer.push(outer.read);
            (outer.index, outer.type_index, outer.holds)
        } else {
            let mut known: Vec<&str> = self.ids.keys().copied().collect();
            known.extend(self.around.into_iter().flat_map(Around::ids));
            return Err(unknown(text, &["nodes", id], format!("there is no node `{id}`"))
                .suggest(self.suggestions.nearest(id, known)));
        };
        if is_own {
            let message = format!("node `{id}` cannot read its own outputs");
            return Err(unknown(text, &["nodes", id], message));
        }
        if let Some(type_index) = type_index {
            let node_type = &self.types[type_index as usize];
            let descriptor = &node_type.registered.descriptor;
            let known = port == ERROR || descriptor.output_port(port).is_some();
            if !known && !descriptor.open_outputs {
                let message =
                    format!("node `{id}` ({}) has no output port `{port}`", descriptor.node_type);
                let ports = node_type.outputs.iter().map(PortName::as_str);
                let path = ["nodes", id, port];
                return Err(unknown(text, &path, message).suggest(nearest(port, ports)));
            }
        }
        Ok(in_plan)
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
        if matches!(place, Place::Workflow) {
            return Err(too_early(text, "input"));
        }
        let Place::Node { inputs, open, .. } = place else {
            let message = "there are no input ports here";
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
    ExpressionError::new("expression.unknown_name", place_of(text, path), message)
}

/// A name that has no meaning before an execution starts.
pub(super) fn too_early(text: &str, root: &str) -> ExpressionError {
    let message = format!("there is no name `{root}` before the execution starts");
    unknown(text, &[root], message).hint("what is asked before reads `inputs`")
}

/// Where the last name of a path stands.
fn place_of(text: &str, path: &[&str]) -> Range<usize> {
    let starts = text.match_indices(path[0]).map(|(start, _)| start);
    let range = starts.filter_map(|start| follow(text, start, path)).next();
    range.unwrap_or(0..text.len())
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

/// What an expression reads although it has no value where it stands: the port `error` of a node whose
/// failure is not handled, or that has succeeded before this runs; and secrets that are not there.
pub(super) fn never_defined(
    expression: &Expression,
    connections: &Connections,
    compiler: &Compiler<'_>,
    place: &Place<'_>,
) -> Vec<ExpressionError> {
    let (workflow, own) = (compiler.workflow, compiler.own_nodes());
    let read = expression.slots().iter().filter_map(|slot| match slot {
        Slot::Node(node) if &*node.port == ERROR && own.contains(&node.node) => Some(node),
        _ => None,
    });
    let problem =
        |node: &NodeSlot| {
            let (id, from) = (&node.id, node.node - own.start);
            let reason = match place {
                Place::Node { index, .. } if connections.needs_success(workflow, from, *index) => {
                    let reader = &workflow.nodes[*index as usize].id;
                    format!("node `{reader}` runs only when node `{id}` succeeded")
                }
                _ if !connections.handles_error(from) => {
                    format!("no connection leaves this port of node `{id}`")
                }
                Place::Node { .. } | Place::Outputs | Place::Condition { .. } | Place::Workflow => {
                    return None;
                }
            };
            let range = place_of(expression.text(), &["nodes", id, ERROR]);
            let message = format!("`nodes.{id}.{ERROR}` is never defined here: {reason}");
            let error = ExpressionError::new("expression.never_defined", range, message);
            Some(error.hint(format!(
                "connect the port `{ERROR}` of node `{id}`: it is live after a failure"
            )))
        };
    read.filter_map(problem).chain(absent_secrets(expression, compiler)).collect()
}

/// The secrets that an expression reads and that are not there, as far as it is known which are.
pub(super) fn absent_secrets(
    expression: &Expression,
    compiler: &Compiler<'_>,
) -> Vec<ExpressionError> {
    let Some(secrets) = compiler.context.secrets else { return Vec::new() };
    let absent = expression.slots().iter().filter_map(|slot| match slot {
        Slot::Secret(name) if secrets.get(name).is_none() => Some(name),
        _ => None,
    });
    let problem = |name: &Arc<str>| {
        let range = place_of(expression.text(), &["secrets", name]);
        let message = format!("there is no secret `{name}` here");
        let hint = format!(
            "give it before the workflow runs; a server takes it with `PUT /api/v1/secrets/{name}`"
        );
        ExpressionError::new("secret.unknown", range, message).hint(hint)
    };
    absent.map(problem).collect()
}

/// A problem with an expression as a diagnostic.
pub(crate) fn diagnostic(pointer: impl Into<String>, error: &ExpressionError) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(error.code, pointer, error.message.clone());
    // An empty range says nothing about where in the text it is.
    if !error.range.is_empty() {
        diagnostic = diagnostic.within(error.range.clone());
    }
    diagnostic.suggestion.clone_from(&error.suggestion);
    diagnostic.hint.clone_from(&error.hint);
    diagnostic
}

/// As [`diagnostic`], for what keeps nothing from running.
pub(super) fn warning(pointer: impl Into<String>, error: &ExpressionError) -> Diagnostic {
    let mut diagnostic = diagnostic(pointer, error);
    diagnostic.severity = Severity::Warning;
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
        compiler.common.diagnostics.push(diagnostic(pointer, error));
    }
    let mut outer = Vec::new();
    let mut problems = Vec::new();
    let names = compiler.names();
    template.visit_mut(pointer, &mut |pointer, offset, expression| match names
        .resolve(expression, place)
    {
        Ok(reads) => {
            if let Place::Node { index, .. } = place {
                reads.own.into_iter().for_each(|from| connections.imply(from, *index));
            }
            outer.extend(reads.outer);
            let never = never_defined(expression, connections, compiler, place);
            problems
                .extend(never.into_iter().map(|error| warning(pointer, &error.shifted(offset))));
        }
        Err(error) => problems.push(diagnostic(pointer, &error.shifted(offset))),
    });
    problems.into_iter().for_each(|problem| compiler.common.diagnostics.push(problem));
    compiler.outer_reads.extend(outer);
    template
}

/// Compiles the workflow's `outputs`; gives the nodes that they read.
pub(super) fn compile_outputs(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
) -> (Option<Template>, Vec<NodeIndex>) {
    let Some(outputs) = compiler.scope.outputs else { return (None, Vec::new()) };
    let template = compile_template(compiler, connections, outputs, "/outputs", &Place::Outputs);
    let own = compiler.own_nodes();
    let mut read = Vec::new();
    template.visit(&mut |expression| {
        for slot in expression.slots() {
            if let Slot::Node(node) = slot
                && own.contains(&node.node)
            {
                read.push(node.node - own.start);
            }
        }
    });
    read.sort_unstable();
    read.dedup();
    (Some(template), read)
}
