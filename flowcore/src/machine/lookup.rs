//! What expressions see.

use super::control::error_entries;
use super::scopes::Scope;
use super::state::Machine;
use super::status::Status;
use crate::control::Local;
use crate::event::{Instance, Part};
use crate::expression::{Condition, Expression, Slot};
use crate::node::{Inputs, NodeError, NodeOutput};
use crate::plan::{NodeIndex, PortSource};
use crate::value::{Array, Object, Value};

/// Who reads: what an expression sees depends on where it stands.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    scope: &'a Scope,
    /// The node; none for the outputs of the scope.
    node: Option<NodeIndex>,
    /// What a control node gives its own conditions.
    locals: Option<&'a Locals<'a>>,
    /// What the node gives, for its undo.
    outputs: Option<&'a NodeOutput>,
}

/// What a `control.loop` gives its conditions.
pub(super) struct Locals<'a> {
    pub(super) state: &'a Value,
    pub(super) index: u32,
}

impl<'a> Reader<'a> {
    /// The outputs of a scope.
    pub(super) fn of_scope(scope: &'a Scope) -> Self {
        Self { scope, node: None, locals: None, outputs: None }
    }

    /// A node.
    pub(super) fn of_node(scope: &'a Scope, node: NodeIndex) -> Self {
        Self { scope, node: Some(node), locals: None, outputs: None }
    }

    /// The undo of a node that is about to succeed with these outputs.
    pub(super) fn of_undo(scope: &'a Scope, node: NodeIndex, outputs: &'a NodeOutput) -> Self {
        Self { outputs: Some(outputs), ..Self::of_node(scope, node) }
    }

    /// A condition of a control node.
    pub(super) fn of_control(scope: &'a Scope, instance: Instance, locals: &'a Locals<'a>) -> Self {
        Self { scope, node: Some(instance.node), locals: Some(locals), outputs: None }
    }
}

impl Machine {
    /// Evaluates an expression of a node.
    pub(super) fn evaluate(
        &self,
        expression: &Expression,
        instance: Instance,
    ) -> Result<Value, NodeError> {
        let scope = self.scopes.get(instance.scope);
        self.evaluate_for(expression, Reader::of_node(scope, instance.node))
    }

    /// Whether the `when` of a node holds.
    pub(super) fn holds(&self, when: &Condition, instance: Instance) -> Result<bool, NodeError> {
        let scope = self.scopes.get(instance.scope);
        let reader = Reader::of_node(scope, instance.node);
        when.holds("when", &mut |slot| self.lookup(slot, reader))
    }

    /// Evaluates an expression as this reader sees it.
    pub(super) fn evaluate_for(
        &self,
        expression: &Expression,
        reader: Reader<'_>,
    ) -> Result<Value, NodeError> {
        let mut lookup = |slot: &Slot| self.lookup(slot, reader);
        Ok(crate::expression::evaluate(expression, &mut lookup)?)
    }

    /// The value of what an expression reads; `None` is undefined.
    pub(super) fn lookup(&self, slot: &Slot, reader: Reader<'_>) -> Option<Value> {
        match slot {
            Slot::Inputs => Some(Value::Object(self.workflow_inputs(reader.scope).clone())),
            Slot::Input(name) => self.workflow_inputs(reader.scope).get(name).cloned(),
            Slot::Node(slot) => self.node_output(reader, slot.node, &slot.port),
            Slot::Port(port) => {
                reader.node.and_then(|node| self.port_value(reader.scope, node, port, true))
            }
            Slot::Execution(field) => self.execution_field(field, reader),
            Slot::Workflow(field) => self.plan.body(self.home(reader.scope).body).field(field),
            Slot::Secret(name) => self.options.secrets.get(name).cloned(),
            Slot::Scope(local) => self.local(*local, reader),
            Slot::Local(_) => None,
        }
    }

    /// The value on a port of a node of this scope or one around it. What is around is read through
    /// the control node that opened the scope: it sees what had ended when it was let run.
    fn node_output(&self, reader: Reader<'_>, node: NodeIndex, port: &str) -> Option<Value> {
        let (mut scope, mut by) = (reader.scope, reader.node);
        if let (Some(outputs), true) = (reader.outputs, by == Some(node)) {
            return outputs.get(port).cloned();
        }
        loop {
            if let Some(state) = scope.find(node) {
                let is_seen = by.is_none_or(|by| sees(scope, by, node));
                return state.outputs.get(port).filter(|_| is_seen).cloned();
            }
            let opener = scope.opener?;
            scope = self.scopes.get(opener.scope);
            by = Some(opener.node);
        }
    }

    /// What the nearest control node around gives under this name.
    fn local(&self, local: Local, reader: Reader<'_>) -> Option<Value> {
        if let Some(locals) = reader.locals {
            match local {
                Local::State => return Some(locals.state.clone()),
                Local::Index => return Some(Value::from(locals.index)),
                Local::Item | Local::Error => {}
            }
        }
        let mut scope = reader.scope;
        loop {
            if let Some(value) = self.own_local(scope, local) {
                return Some(value);
            }
            scope = self.scopes.get(scope.opener?.scope);
        }
    }

    /// What the control node that opened a scope gives it.
    pub(super) fn own_local(&self, scope: &Scope, local: Local) -> Option<Value> {
        let control = || self.node(scope.opener?).control.as_deref();
        match (local, scope.part) {
            (Local::Item, Part::Item(index)) => control()?.item(index).cloned(),
            (Local::State, Part::Iteration(_)) => control()?.state().cloned(),
            (Local::Index, Part::Item(index) | Part::Iteration(index)) => Some(Value::from(index)),
            (Local::Error, Part::Catch) => {
                let entries = error_entries(control()?.caught()?);
                Object::from_entries(entries).ok().map(Value::Object)
            }
            (Local::Item | Local::State | Local::Index | Local::Error, _) => None,
        }
    }

    /// What `input.<port>` gives. What the config gives for the port may hold expressions, which may
    /// read other ports (`deep`), but not in circles.
    pub(super) fn port_value(
        &self,
        scope: &Scope,
        index: NodeIndex,
        port: &str,
        deep: bool,
    ) -> Option<Value> {
        let node = self.plan.graph().node(index);
        let names = self.plan.input_names(node);
        let position = names.iter().position(|name| name.as_str() == port)?;
        match node.source(position) {
            Some(PortSource::Connections) => {
                let values = self.connected_values(scope, index, position);
                Array::from_values(values).ok().map(Value::Array)
            }
            Some(PortSource::ScopeInput(name)) => self.scope_input(scope, name),
            Some(PortSource::Config(template)) => {
                let reader = Reader::of_node(scope, index);
                let mut lookup = |slot: &Slot| match slot {
                    Slot::Port(port) if deep => self.port_value(scope, index, port, false),
                    Slot::Port(_) => None,
                    other => self.lookup(other, reader),
                };
                template.resolve(&mut lookup).ok()
            }
            None => {
                let mut inputs: Inputs = smallvec::smallvec![None; names.len()];
                self.take_connections(scope, index, node, &mut inputs);
                inputs.swap_remove(position)
            }
        }
    }

    fn execution_field(&self, field: &str, reader: Reader<'_>) -> Option<Value> {
        let attempt = |node: NodeIndex| {
            let state = reader.scope.node(node);
            let started = u32::from(state.status != Status::Running);
            Value::from(state.attempt + started)
        };
        match field {
            "id" => Some(Value::from(self.options.execution_id.to_string())),
            "attempt" => reader.node.map(attempt),
            "started_at" => Some(Value::from(self.started_at.to_string())),
            _ => None,
        }
    }
}

/// Whether one node sees what another of its scope gave: not if that ended after this one was let
/// run.
#[inline]
pub(super) fn sees(scope: &Scope, reader: NodeIndex, node: NodeIndex) -> bool {
    scope.node(node).end_seq <= scope.node(reader).ready_seq
}
