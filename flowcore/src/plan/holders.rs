//! Nodes that hold bodies: control nodes, and those that are undone.

use std::sync::Arc;

use super::around::Around;
use super::bodies::{BodyIndex, CalledWorkflow, ControlPlan, MAX_NESTING, NoWorkflow};
use super::compile::{Compiler, OuterRead, Scope, compile_body};
use super::connections::{Connections, ERROR};
use super::expressions::{Place, absent_secrets, diagnostic, warning};
use super::graph::NodeIndex;
use super::rates;
use crate::control::{ControlKind, Local, SwitchCase, read_case, until_mistakes};
use crate::expression::{Expression, Roots};
use crate::id::WorkflowId;
use crate::node::PortName;
use crate::value::{Object, Value};
use crate::workflow::{Diagnostic, Diagnostics, Workflow, check_schema, read_body};

/// Compiles what a control node holds; `None` when something is wrong with it.
pub(super) fn bind_control(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
    index: NodeIndex,
    kind: ControlKind,
) -> Option<ControlPlan> {
    let spec = &compiler.workflow.nodes[index as usize];
    if spec.retry_policy.is_some() {
        let message = format!("node `{}` is a control node, which is not tried again", spec.id);
        let pointer = format!("/nodes/{index}/retry_policy");
        compiler.common.diagnostics.push(
            Diagnostic::error("control.no_retry", pointer, message)
                .hint("give the nodes inside of it a `retry_policy`"),
        );
    }
    if spec.timeout_ms.is_some() && !kind.has_bodies() {
        let message = format!("node `{}` has no attempt that could take too long", spec.id);
        let pointer = format!("/nodes/{index}/timeout_ms");
        let problem = Diagnostic::error("control.no_timeout", pointer, message);
        let waits = matches!(kind, ControlKind::Signal | ControlKind::Approval);
        compiler.common.diagnostics.push(match waits {
            true => problem.hint("how long it waits is `wait_ms` in its config"),
            false => problem.hint("leave `timeout_ms` out"),
        });
    }
    let config = spec.config.as_object().clone();
    let mut holder = Holder { compiler, connections, index, locals: kind.locals() };
    match kind {
        ControlKind::If => {
            let pointer = holder.pointer("/condition");
            holder.case(config.get("condition")?.as_str()?, &pointer).map(ControlPlan::If)
        }
        ControlKind::Switch => holder.cases(&config),
        ControlKind::ForEach => holder.body_or_workflow(&config).map(ControlPlan::ForEach),
        ControlKind::Loop => {
            let body = holder.body(&config, "body");
            let before = holder.condition(&config, "while");
            let after = holder.condition(&config, "until");
            if !config.contains_key("while") && !config.contains_key("until") {
                let pointer = holder.pointer("");
                let message = "the loop has no condition that ends it";
                holder.push(
                    Diagnostic::error("control.no_condition", pointer, message)
                        .expected("`while` or `until`"),
                );
            }
            Some(ControlPlan::Loop { body: body?, before, after })
        }
        ControlKind::Race => holder.branches(&config),
        ControlKind::Try => {
            let body = holder.with(&[]).body(&config, "body");
            let catch = holder.with(kind.locals()).body(&config, "catch");
            let finally = holder.with(&[]).body(&config, "finally");
            Some(ControlPlan::Try { body: body?, catch, finally })
        }
        ControlKind::Call => holder.called(&config).map(ControlPlan::Call),
        ControlKind::Stop => Some(ControlPlan::Stop),
        ControlKind::Delay | ControlKind::Until | ControlKind::Signal | ControlKind::Approval => {
            if let Some(schema) = config.get("schema").and_then(Value::as_object) {
                let pointer = holder.pointer("/schema");
                let diagnostics = &mut holder.compiler.common.diagnostics;
                check_schema(schema, &pointer, "signal.bad_schema", diagnostics);
            }
            if kind == ControlKind::Until {
                holder.check_moment(&config);
            }
            let name = config.get("name").and_then(Value::as_str);
            let id = &holder.compiler.workflow.nodes[index as usize].id;
            let name = Arc::from(name.unwrap_or(id.as_str()));
            Some(ControlPlan::Wait { kind, name })
        }
    }
}

/// A control node whose bodies are compiled.
struct Holder<'a, 'b> {
    compiler: &'a mut Compiler<'b>,
    connections: &'a mut Connections,
    index: NodeIndex,
    locals: &'static [Local],
}

impl Holder<'_, '_> {
    fn pointer(&self, rest: &str) -> String {
        format!("/nodes/{}/config{rest}", self.index)
    }

    fn with(&mut self, locals: &'static [Local]) -> &mut Self {
        self.locals = locals;
        self
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.compiler.common.diagnostics.push(diagnostic);
    }

    /// What stands literally in a `time.until` need not wait to be found wrong.
    fn check_moment(&mut self, config: &Object) {
        for (rest, error) in until_mistakes(config) {
            let pointer = self.pointer(rest);
            let problem = Diagnostic::error("config.invalid", pointer, error.message());
            self.push(problem.hint(error.hint().unwrap_or_default()));
        }
    }

    /// The body under a key, if there is one.
    fn body(&mut self, config: &Object, key: &str) -> Option<BodyIndex> {
        let body = config.get(key)?;
        let pointer = self.pointer(&format!("/{key}"));
        self.compile(body, &pointer)
    }

    fn branches(&mut self, config: &Object) -> Option<ControlPlan> {
        let branches = config.get("branches")?.as_array()?;
        let mut compiled = Vec::with_capacity(branches.len());
        for (number, branch) in branches.iter().enumerate() {
            let pointer = self.pointer(&format!("/branches/{number}"));
            compiled.push(self.compile(branch, &pointer)?);
        }
        Some(ControlPlan::Race(compiled.into()))
    }

    /// A body that is written in place, or one that only calls the workflow that is named.
    fn body_or_workflow(&mut self, config: &Object) -> Option<BodyIndex> {
        match (config.get("body"), config.get("workflow")) {
            (Some(body), None) => {
                let pointer = self.pointer("/body");
                self.compile(body, &pointer)
            }
            (None, Some(workflow)) => {
                let inputs = config.get("inputs").cloned();
                let body = calling_body(workflow, inputs);
                let pointer = self.pointer("");
                self.compile(&body, &pointer)
            }
            (Some(_), Some(_)) | (None, None) => {
                let pointer = self.pointer("");
                let id = &self.compiler.workflow.nodes[self.index as usize].id;
                let message = format!("node `{id}` has neither a body nor a workflow, or both");
                self.push(
                    Diagnostic::error("control.no_body", pointer, message)
                        .expected("`body`, or `workflow`"),
                );
                None
            }
        }
    }

    /// Compiles one body. Its problems are put where they stand in the file.
    fn compile(&mut self, value: &Value, pointer: &str) -> Option<BodyIndex> {
        let (workflow, outputs, mut problems, unread) = read_body(value);
        let depth = self.compiler.scope.around.map_or(0, Around::depth);
        if depth >= MAX_NESTING {
            let message = format!("bodies stand at most {MAX_NESTING} deep inside of each other");
            self.push(Diagnostic::error("control.too_deep", pointer, message));
            return None;
        }
        let inside = Inside {
            workflow: &workflow,
            outputs: outputs.as_ref(),
            locals: self.locals,
            undone: None,
        };
        let (body, found, outer_reads) = compile_inside(self.compiler, self.index, &inside);
        problems.extend(found.into_iter().filter(|problem| !unread.covers(&problem.pointer)));
        for mut problem in problems {
            problem.pointer.insert_str(0, pointer);
            self.push(problem);
        }
        self.read(outer_reads);
        Some(body)
    }

    /// What the body reads must have ended before the control node starts.
    fn read(&mut self, outer_reads: Vec<OuterRead>) {
        for OuterRead { levels, node } in outer_reads {
            if levels == 1 {
                self.connections.imply(node, self.index);
            } else {
                self.compiler.outer_reads.push(OuterRead { levels: levels - 1, node });
            }
        }
    }

    /// A condition over what the control node gives its body.
    fn condition(&mut self, config: &Object, key: &str) -> Option<Expression> {
        let text = config.get(key)?.as_str()?;
        let pointer = self.pointer(&format!("/{key}"));
        let place = Place::Condition { index: self.index, locals: self.locals };
        self.expression(text, &pointer, &place)
    }

    /// The ways of a `control.switch`.
    fn cases(&mut self, config: &Object) -> Option<ControlPlan> {
        let cases = config.get("cases")?.as_array()?;
        let mut compiled = Vec::with_capacity(cases.len());
        for (number, case) in cases.iter().enumerate() {
            let SwitchCase { port, when } = read_case(case)?;
            if port == ERROR {
                let pointer = self.pointer(&format!("/cases/{number}/port"));
                let message = "every node has the port `error`, for its failure";
                self.push(
                    Diagnostic::error("control.port_taken", pointer, message)
                        .expected("another name"),
                );
            }
            let pointer = self.pointer(&format!("/cases/{number}/when"));
            compiled.push((PortName::from(port), self.case(&when, &pointer)?));
        }
        self.check_ports(&compiled);
        Some(ControlPlan::Switch(compiled.into()))
    }

    /// A connection from a port that no case has would never be live.
    fn check_ports(&mut self, cases: &[(PortName, Expression)]) {
        let id = self.compiler.workflow.nodes[self.index as usize].id.clone();
        let known: Vec<&str> =
            cases.iter().map(|(port, _)| port.as_str()).chain(["default", "error"]).collect();
        for (number, connection) in self.compiler.workflow.connections.iter().enumerate() {
            let Some(port) = connection.from_port.as_deref() else { continue };
            if connection.from_node == id && !known.contains(&port) {
                let pointer = format!("/connections/{number}/from_port");
                let message = format!("node `{id}` has no case with the port `{port}`");
                self.push(
                    Diagnostic::error("connection.unknown_port", pointer, message)
                        .suggest(port, known.iter().copied())
                        .expected(known.join(", ")),
                );
            }
        }
    }

    /// A condition of the node itself.
    fn case(&mut self, text: &str, pointer: &str) -> Option<Expression> {
        let inputs = self.connections.input_names(self.compiler, self.index);
        let place = Place::Node { index: self.index, inputs: &inputs, open: false };
        self.expression(text, pointer, &place)
    }

    fn expression(&mut self, text: &str, pointer: &str, place: &Place<'_>) -> Option<Expression> {
        let compiled = Expression::compile(text, Roots::Workflow).and_then(|mut expression| {
            let reads = self.compiler.names().resolve(&mut expression, place)?;
            for error in absent_secrets(&expression, self.compiler) {
                self.compiler.common.diagnostics.push(warning(pointer, &error));
            }
            Ok((expression, reads))
        });
        match compiled {
            Ok((expression, reads)) => {
                reads.own.into_iter().for_each(|from| self.connections.imply(from, self.index));
                self.compiler.outer_reads.extend(reads.outer);
                Some(expression)
            }
            Err(error) => {
                self.push(diagnostic(pointer, &error));
                None
            }
        }
    }

    /// The workflow that is called, compiled once however often it is called.
    fn called(&mut self, config: &Object) -> Option<BodyIndex> {
        let name = config.get("workflow")?.as_str()?;
        let pointer = self.pointer("/workflow");
        let compiler = &mut *self.compiler;
        let Some(source) = compiler.context.source else {
            let message = format!("there is no workflow `{name}` to call here");
            self.push(
                Diagnostic::error("call.not_found", pointer, message)
                    .hint("register the workflow, or run the file with `flowcli`"),
            );
            return None;
        };
        let CalledWorkflow { key, workflow } = match source.find(name, compiler.scope.key) {
            Ok(found) => found,
            Err(problem) => {
                let message = format!("workflow `{name}` cannot be called: {problem}");
                self.push(match problem {
                    NoWorkflow::NotFound(_) => {
                        Diagnostic::error("call.not_found", pointer, message)
                    }
                    NoWorkflow::Invalid(_) => {
                        Diagnostic::error("call.invalid", pointer, message).hint(EVERY_PROBLEM)
                    }
                });
                return None;
            }
        };
        if let Some(&body) = compiler.common.called.get(&key) {
            return Some(body);
        }
        let body = compiler.common.reserve(&workflow);
        compiler.common.called.insert(key.clone(), body);
        let mut common = std::mem::take(&mut compiler.common);
        let outside = std::mem::take(&mut common.diagnostics);
        let outputs = workflow.outputs.clone().map(Value::Object);
        let id = workflow.id.clone();
        let scope = Scope {
            body,
            workflow: &workflow,
            outputs: outputs.as_ref(),
            on_error: workflow.settings.on_error,
            id: id.unwrap_or_else(|| WorkflowId::new("workflow").expect("a good id")),
            around: None,
            rates: rates::Around::of(&workflow),
            key: Some(&key),
        };
        let (mut common, _) = compile_body(compiler.context, scope, common);
        let found = std::mem::replace(&mut common.diagnostics, outside);
        let first = found.errors().next();
        if let Some(problem) = first {
            let more = found.errors().count() - 1;
            let message = format!(
                "workflow `{name}` is invalid: {} at {}{}",
                problem.message,
                problem.pointer,
                if more > 0 { format!(", and {more} more") } else { String::new() }
            );
            common
                .diagnostics
                .push(Diagnostic::error("call.invalid", pointer, message).hint(EVERY_PROBLEM));
        }
        compiler.common = common;
        Some(body)
    }
}

const EVERY_PROBLEM: &str = "`flowcli validate` on that file lists every problem";

/// A body that stands inside of a node.
pub(super) struct Inside<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) outputs: Option<&'a Value>,
    /// What the node gives it.
    pub(super) locals: &'static [Local],
    /// As in [`Around`].
    pub(super) undone: Option<(&'a [PortName], bool)>,
}

/// Compiles a body inside of a node; gives its problems, with places inside of the body, and what it
/// reads around itself.
pub(super) fn compile_inside(
    compiler: &mut Compiler<'_>,
    index: NodeIndex,
    inside: &Inside<'_>,
) -> (BodyIndex, Diagnostics, Vec<OuterRead>) {
    let body = compiler.common.reserve(inside.workflow);
    let mut common = std::mem::take(&mut compiler.common);
    let outside = std::mem::take(&mut common.diagnostics);
    let around = Around {
        ids: &compiler.ids,
        node_types: &compiler.node_types,
        first: compiler.first,
        control: index,
        locals: inside.locals,
        inputs: compiler.scope.around.map_or(compiler.workflow.inputs.as_ref(), Around::inputs),
        around: compiler.scope.around,
        undone: inside.undone,
    };
    let scope = Scope {
        body,
        workflow: inside.workflow,
        outputs: inside.outputs,
        on_error: compiler.scope.on_error,
        id: compiler.scope.id.clone(),
        around: Some(&around),
        rates: compiler.scope.rates.inside(compiler.workflow.nodes[index as usize].id.as_str()),
        key: compiler.scope.key,
    };
    let (mut common, outer_reads) = compile_body(compiler.context, scope, common);
    let found = std::mem::replace(&mut common.diagnostics, outside);
    compiler.common = common;
    (body, found, outer_reads)
}

/// The body of a `control.for_each` that names a workflow.
fn calling_body(workflow: &Value, inputs: Option<Value>) -> Value {
    let object = |entries: Vec<(&str, Value)>| {
        Value::Object(Object::from_entries(entries).expect("it is flat"))
    };
    let inputs = inputs.unwrap_or_else(|| object(vec![("item", Value::from("{{ item }}"))]));
    let call = Object::from_entries([
        ("id", Value::from("call")),
        ("node_type", Value::from(ControlKind::Call.node_type())),
        ("config", object(vec![("workflow", workflow.clone()), ("inputs", inputs)])),
    ]);
    let nodes = call.map(|call| vec![Value::Object(call)]).unwrap_or_default();
    let nodes = crate::value::Array::from_values(nodes).unwrap_or_default();
    object(vec![
        ("nodes", Value::Array(nodes)),
        ("outputs", Value::from("{{ nodes.call.output }}")),
    ])
}
