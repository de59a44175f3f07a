//! What an attempt is given.

use std::sync::Arc;
use std::time::Duration;

use super::apply::value_on;
use super::control::error_entries;
use super::scopes::Scope;
use super::state::Machine;
use super::status::Status;
use crate::control::Local;
use crate::event::{Instance, Part};
use crate::expression::{Condition, Expression, Slot, Template};
use crate::node::{ConfigCell, Effect, Inputs, NodeError, NodeOutput};
use crate::plan::{InPort, NodeIndex, OutPort, Plan, PlanNode, PortSource};
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

/// What an attempt is given: evaluated, and independent of the machine.
#[derive(Default)]
pub struct Prepared {
    pub(crate) inputs: Inputs,
    pub(crate) config: Option<Arc<ConfigCell>>,
    pub(crate) execution_inputs: Option<Object>,
    /// The shared state as of now; `None` for nodes without access.
    pub(crate) state: Option<Object>,
    /// The round of the workflow.
    pub(crate) round: u32,
    /// Inside of control nodes: where the node stands.
    pub(crate) place: Option<Place>,
    /// The longest that the attempt may take.
    pub timeout: Option<Duration>,
    /// Whether something that it is given is tainted.
    pub is_tainted: bool,
}

impl Prepared {
    /// Lets go of everything, but not of the memory for it.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.inputs.iter_mut().for_each(|input| *input = None);
        self.config = None;
        self.execution_inputs = None;
        self.state = None;
        self.place = None;
        self.timeout = None;
    }

    /// The values on the input ports, in the order of the ports: the declared ones, then those that
    /// connections name.
    pub fn inputs(&self) -> &[Option<Value>] {
        &self.inputs
    }

    /// The state that the nodes share, as of now; `None` for nodes without access.
    pub fn state(&self) -> Option<&Object> {
        self.state.as_ref()
    }

    /// The config with its expressions resolved; `None` when it has none.
    pub fn config(&self) -> Option<&Object> {
        self.config.as_deref().map(ConfigCell::object)
    }
}

/// Where an attempt inside of a control node stands. Most nodes never ask, so what most have is not
/// written out.
pub(crate) enum Place {
    /// In a scope that a node of the workflow itself has opened.
    Shallow { round: u32, opener: NodeIndex, part: Part },
    /// Anywhere else: the rounds of the workflows around, and the address.
    Written { rounds: Arc<str>, address: Arc<str> },
}

impl Place {
    /// The address of the node.
    pub(crate) fn address(&self, plan: &Plan, node: NodeIndex) -> Arc<str> {
        match self {
            Self::Shallow { opener, part, .. } => {
                let id = |node| plan.graph().node(node).id().as_str();
                Arc::from(part.prefix(id(*opener)) + id(node))
            }
            Self::Written { address, .. } => address.clone(),
        }
    }

    /// The rounds of the workflows around, outermost first.
    pub(crate) fn rounds(&self) -> String {
        match self {
            Self::Shallow { round, .. } => round.to_string(),
            Self::Written { rounds, .. } => rounds.to_string(),
        }
    }
}

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
    fn of_node(scope: &'a Scope, node: NodeIndex) -> Self {
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
    /// Evaluates what an attempt of this node is given.
    ///
    /// # Errors
    /// The error with which the attempt failed: an expression that failed, or `input.missing`.
    pub fn prepare(&self, instance: Instance, now: Timestamp) -> Result<Prepared, NodeError> {
        let mut prepared = Prepared::default();
        self.prepare_into(instance, now, &mut prepared)?;
        Ok(prepared)
    }

    /// As [`Machine::prepare`], into what an earlier attempt was given, whose memory is used again.
    ///
    /// # Errors
    /// As [`Machine::prepare`].
    pub fn prepare_into(
        &self,
        instance: Instance,
        now: Timestamp,
        prepared: &mut Prepared,
    ) -> Result<(), NodeError> {
        let scope = self.scopes.get(instance.scope);
        let home = self.home(scope);
        let node = self.plan_node(instance);
        prepared.clear();
        prepared.round = home.round();
        if scope.opener.is_some() {
            prepared.place = Some(self.place(scope, instance));
        }
        // `pure` nodes have no access to the shared state.
        if node.effect != Effect::Pure {
            prepared.state = home.workflow.as_ref().map(|workflow| workflow.state.clone());
        }
        let ports = self.plan.input_names(node).len();
        if prepared.inputs.len() != ports {
            prepared.inputs.resize(ports, None);
        }
        self.take_connections(scope, instance.node, node, &mut prepared.inputs);
        if let Some(undo) = &scope.undo {
            Self::prepare_undo(undo, prepared);
        }
        let is_undo = scope.undo.is_some();
        let has_more = !is_undo && (node.details.is_some() || node.takes_execution_inputs);
        if has_more {
            self.take_sources(scope, instance.node, node, &mut prepared.inputs)?;
        }
        self.check_required(node, &prepared.inputs)?;
        if has_more {
            self.prepare_details(scope, instance.node, now, prepared)?;
        } else if is_undo {
            prepared.timeout = self.timeout(scope, instance.node, node, now);
        }
        let inputs_are_tainted = prepared.inputs.iter().flatten().any(Value::is_tainted);
        let config_is_tainted = prepared.config().is_some_and(Object::is_tainted);
        let others_are_tainted = prepared.execution_inputs.as_ref().is_some_and(Object::is_tainted);
        prepared.is_tainted = inputs_are_tainted || config_is_tainted || others_are_tainted;
        Ok(())
    }

    fn place(&self, scope: &Scope, instance: Instance) -> Place {
        if let Some(opener) = scope.opener
            && opener.scope == self.root
            && scope.home == self.root
        {
            let round = self.scopes.get(self.root).round();
            return Place::Shallow { round, opener: opener.node, part: scope.part };
        }
        let (rounds, address) = (self.rounds(scope), self.address(instance));
        Place::Written { rounds: rounds.into(), address: address.into() }
    }

    /// What few nodes have: a config with expressions, limits.
    fn prepare_details(
        &self,
        scope: &Scope,
        index: NodeIndex,
        now: Timestamp,
        prepared: &mut Prepared,
    ) -> Result<(), NodeError> {
        let node = self.plan.graph().node(index);
        if let Some(template) = node.config_template() {
            prepared.config = Some(self.resolve_config(scope, index, template)?);
        }
        prepared.execution_inputs = node.takes_execution_inputs.then(|| self.scope_inputs(scope));
        prepared.timeout = self.timeout(scope, index, node, now);
        Ok(())
    }

    fn resolve_config(
        &self,
        scope: &Scope,
        node: NodeIndex,
        template: &Template,
    ) -> Result<Arc<ConfigCell>, NodeError> {
        let reader = Reader::of_node(scope, node);
        let value = template.resolve(&mut |slot| self.lookup(slot, reader))?;
        let object = value.as_object().cloned().unwrap_or_default();
        Ok(Arc::new(ConfigCell::new(object)))
    }

    /// The longest that an attempt may take: its own limit, and what is left of `max_elapsed_ms`.
    fn timeout(
        &self,
        scope: &Scope,
        index: NodeIndex,
        node: &PlanNode,
        now: Timestamp,
    ) -> Option<Duration> {
        let own = node.timeout_ms().map(Duration::from_millis);
        let elapsed = node.retry().and_then(|policy| policy.max_elapsed_ms);
        let left = elapsed.map(|ms| {
            let state = scope.node(index);
            let started = if state.attempt == 0 { now } else { state.started_at };
            started.after(Duration::from_millis(ms)).since(now)
        });
        match (own, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        }
    }

    /// Ports whose values come from elsewhere than one connection.
    fn take_sources(
        &self,
        scope: &Scope,
        index: NodeIndex,
        node: &PlanNode,
        inputs: &mut [Option<Value>],
    ) -> Result<(), NodeError> {
        let reader = Reader::of_node(scope, index);
        for (port, source) in node.sources() {
            let port = usize::from(*port);
            inputs[port] = match source {
                PortSource::Config(template) => {
                    Some(template.resolve(&mut |slot| self.lookup(slot, reader))?)
                }
                PortSource::ScopeInput(name) => self.scope_input(scope, name),
                PortSource::Connections => {
                    let values = self.connected_values(scope, index, port);
                    Some(Value::Array(Array::from_values(values)?))
                }
            };
        }
        Ok(())
    }

    /// What a scope takes in, by name: the inputs of the workflow, or what the control node around
    /// gives.
    fn scope_input(&self, scope: &Scope, name: &str) -> Option<Value> {
        match &scope.workflow {
            Some(workflow) => workflow.inputs.get(name).cloned(),
            None => self.own_local(scope, Local::of(name)?),
        }
    }

    /// All that a scope takes in.
    fn scope_inputs(&self, scope: &Scope) -> Object {
        if let Some(workflow) = &scope.workflow {
            return workflow.inputs.clone();
        }
        let given = |local: Local| Some((local.as_str(), self.own_local(scope, local)?));
        let given = Local::ALL.into_iter().filter_map(given);
        // What is too deep for one level more is left out with the others.
        Object::from_entries(given).unwrap_or_default()
    }

    fn workflow_inputs(&self, scope: &Scope) -> &Object {
        let home = self.home(scope);
        &home.workflow.as_ref().expect("it is a workflow").inputs
    }

    /// Ports with one connection, or one that wins: the live one that comes first in the file. With
    /// `first` only those of one node can be live.
    fn take_connections(
        &self,
        scope: &Scope,
        index: NodeIndex,
        node: &PlanNode,
        inputs: &mut [Option<Value>],
    ) {
        for edge in self.plan.graph().incoming(index) {
            let InPort::Port(port) = edge.target_port() else { continue };
            let port = usize::from(port);
            if node.has_multiple && node.source(port).is_some() {
                continue;
            }
            if inputs[port].is_none()
                && let Some(value) = self.output(scope, index, edge.from, edge.source_port())
            {
                inputs[port] = Some(value.clone());
            }
        }
    }

    fn connected_values(&self, scope: &Scope, index: NodeIndex, port: usize) -> Vec<Value> {
        let edges = self.plan.graph().incoming(index).iter();
        edges
            .filter(
                |edge| matches!(edge.target_port(), InPort::Port(other) if usize::from(other) == port),
            )
            .filter_map(|edge| self.output(scope, index, edge.from, edge.source_port()).cloned())
            .collect()
    }

    /// The value on an output port of a node as another one sees it, if it is live.
    #[inline]
    fn output<'a>(
        &self,
        scope: &'a Scope,
        reader: NodeIndex,
        node: NodeIndex,
        port: OutPort,
    ) -> Option<&'a Value> {
        if !sees(scope, reader, node) {
            return None;
        }
        let state = scope.node(node);
        match port {
            OutPort::None => None,
            OutPort::Error => state.outputs.get("error").filter(|_| state.handled),
            OutPort::Port(port) => value_on(&self.plan, node, state, port)
                .filter(|_| state.status == Status::Succeeded),
        }
    }

    #[inline]
    fn check_required(&self, node: &PlanNode, inputs: &[Option<Value>]) -> Result<(), NodeError> {
        let node_type = self.plan.plan_type(node);
        if !node_type.has_required {
            return Ok(());
        }
        let declared = &node_type.registered.descriptor.inputs;
        match declared.iter().zip(inputs).find(|(port, value)| port.required && value.is_none()) {
            Some((port, _)) => Err(NodeError::missing_input(&port.name)),
            None => Ok(()),
        }
    }

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
    fn own_local(&self, scope: &Scope, local: Local) -> Option<Value> {
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
fn sees(scope: &Scope, reader: NodeIndex, node: NodeIndex) -> bool {
    scope.node(node).end_seq <= scope.node(reader).ready_seq
}
