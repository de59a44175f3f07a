//! What an attempt is given.

use std::sync::Arc;
use std::time::Duration;

use super::apply::value_on;
use super::state::{Machine, NodeState};
use super::status::Status;
use crate::event::Instance;
use crate::expression::{Expression, Slot, Template};
use crate::node::{ConfigCell, Effect, Inputs, NodeError};
use crate::plan::{InPort, NodeIndex, OutPort, PlanNode, PortSource};
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
    pub(crate) round: u32,
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
        let node = self.plan.graph().node(instance.node);
        prepared.clear();
        prepared.round = self.round;
        // `pure` nodes have no access to the shared state.
        if node.effect != Effect::Pure {
            prepared.state = Some(self.scope.state.clone());
        }
        let ports = self.plan.input_names(node).len();
        if prepared.inputs.len() != ports {
            prepared.inputs.resize(ports, None);
        }
        self.take_connections(instance.node, node, &mut prepared.inputs);
        let has_more = node.details.is_some() || node.takes_execution_inputs;
        if has_more {
            self.take_sources(instance.node, node, &mut prepared.inputs)?;
        }
        self.check_required(node, &prepared.inputs)?;
        if has_more {
            self.prepare_details(instance.node, now, prepared)?;
        }
        let inputs_are_tainted = prepared.inputs.iter().flatten().any(Value::is_tainted);
        let config_is_tainted = prepared.config().is_some_and(Object::is_tainted);
        let others_are_tainted = prepared.execution_inputs.as_ref().is_some_and(Object::is_tainted);
        prepared.is_tainted = inputs_are_tainted || config_is_tainted || others_are_tainted;
        Ok(())
    }

    /// What few nodes have: a config with expressions, limits.
    fn prepare_details(
        &self,
        index: NodeIndex,
        now: Timestamp,
        prepared: &mut Prepared,
    ) -> Result<(), NodeError> {
        let node = self.plan.graph().node(index);
        if let Some(template) = node.config_template() {
            prepared.config = Some(self.resolve_config(index, template)?);
        }
        prepared.execution_inputs = node.takes_execution_inputs.then(|| self.inputs.clone());
        prepared.timeout = self.timeout(index, node, now);
        Ok(())
    }

    fn resolve_config(
        &self,
        node: NodeIndex,
        template: &Template,
    ) -> Result<Arc<ConfigCell>, NodeError> {
        let value = template.resolve(&mut |slot| self.lookup(slot, Some(node)))?;
        let object = value.as_object().cloned().unwrap_or_default();
        Ok(Arc::new(ConfigCell::new(object)))
    }

    /// The longest that an attempt may take: its own limit, and what is left of `max_elapsed_ms`.
    fn timeout(&self, index: NodeIndex, node: &PlanNode, now: Timestamp) -> Option<Duration> {
        let own = node.timeout_ms().map(Duration::from_millis);
        let elapsed = node.retry().and_then(|policy| policy.max_elapsed_ms);
        let left = elapsed.map(|ms| {
            let state = &self.scope.nodes[index as usize];
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
        index: NodeIndex,
        node: &PlanNode,
        inputs: &mut [Option<Value>],
    ) -> Result<(), NodeError> {
        for (port, source) in node.sources() {
            let port = usize::from(*port);
            inputs[port] = match source {
                PortSource::Config(template) => {
                    Some(template.resolve(&mut |slot| self.lookup(slot, Some(index)))?)
                }
                PortSource::ExecutionInput(name) => self.inputs.get(name).cloned(),
                PortSource::Connections => {
                    let values = self.connected_values(index, port);
                    Some(Value::Array(Array::from_values(values)?))
                }
            };
        }
        Ok(())
    }

    /// Ports with one connection, or one that wins: the live one that comes first in the file. With
    /// `first` only those of one node can be live.
    fn take_connections(&self, index: NodeIndex, node: &PlanNode, inputs: &mut [Option<Value>]) {
        for edge in self.plan.graph().incoming(index) {
            let InPort::Port(port) = edge.target_port() else { continue };
            let port = usize::from(port);
            if node.has_multiple && node.source(port).is_some() {
                continue;
            }
            if inputs[port].is_none()
                && let Some(value) = self.output(index, edge.from, edge.source_port())
            {
                inputs[port] = Some(value.clone());
            }
        }
    }

    fn connected_values(&self, index: NodeIndex, port: usize) -> Vec<Value> {
        let edges = self.plan.graph().incoming(index).iter();
        edges
            .filter(
                |edge| matches!(edge.target_port(), InPort::Port(other) if usize::from(other) == port),
            )
            .filter_map(|edge| self.output(index, edge.from, edge.source_port()).cloned())
            .collect()
    }

    /// Whether one node sees what another gave: not if that ended after this one was let run.
    #[inline]
    fn sees(&self, reader: NodeIndex, node: NodeIndex) -> bool {
        let nodes = &self.scope.nodes;
        nodes[node as usize].end_seq <= nodes[reader as usize].ready_seq
    }

    /// The value on an output port of a node as another one sees it, if it is live.
    #[inline]
    fn output(&self, reader: NodeIndex, node: NodeIndex, port: OutPort) -> Option<&Value> {
        if !self.sees(reader, node) {
            return None;
        }
        let state = &self.scope.nodes[node as usize];
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

    pub(super) fn evaluate(
        &self,
        expression: &Expression,
        node: NodeIndex,
    ) -> Result<Value, NodeError> {
        let mut lookup = |slot: &Slot| self.lookup(slot, Some(node));
        Ok(crate::expression::evaluate(expression, &mut lookup)?)
    }

    /// The value of what an expression reads; `None` is undefined.
    pub(super) fn lookup(&self, slot: &Slot, node: Option<NodeIndex>) -> Option<Value> {
        match slot {
            Slot::Inputs => Some(Value::Object(self.inputs.clone())),
            Slot::Input(name) => self.inputs.get(name).cloned(),
            Slot::Node(slot) if node.is_some_and(|reader| !self.sees(reader, slot.node)) => None,
            Slot::Node(slot) => {
                self.scope.nodes[slot.node as usize].outputs.get(&slot.port).cloned()
            }
            Slot::Port(port) => node.and_then(|node| self.port_value(node, port, true)),
            Slot::Execution(field) => self.execution_field(field, node),
            Slot::Workflow(field) => self.workflow_field(field),
            Slot::Secret(name) => self.options.secrets.get(name).cloned(),
            Slot::Local(_) => None,
        }
    }

    /// What `input.<port>` gives. What the config gives for the port may hold expressions, which may
    /// read other ports (`deep`), but not in circles.
    fn port_value(&self, index: NodeIndex, port: &str, deep: bool) -> Option<Value> {
        let node = self.plan.graph().node(index);
        let names = self.plan.input_names(node);
        let position = names.iter().position(|name| name.as_str() == port)?;
        match node.source(position) {
            Some(PortSource::Connections) => {
                let values = self.connected_values(index, position);
                Array::from_values(values).ok().map(Value::Array)
            }
            Some(PortSource::ExecutionInput(name)) => self.inputs.get(name).cloned(),
            Some(PortSource::Config(template)) => {
                let mut lookup = |slot: &Slot| match slot {
                    Slot::Port(port) if deep => self.port_value(index, port, false),
                    Slot::Port(_) => None,
                    other => self.lookup(other, Some(index)),
                };
                template.resolve(&mut lookup).ok()
            }
            None => {
                let mut inputs: Inputs = smallvec::smallvec![None; names.len()];
                self.take_connections(index, node, &mut inputs);
                inputs.swap_remove(position)
            }
        }
    }

    fn execution_field(&self, field: &str, node: Option<NodeIndex>) -> Option<Value> {
        let attempt = |node: NodeIndex| {
            let state: &NodeState = &self.scope.nodes[node as usize];
            let started = u32::from(state.status != Status::Running);
            Value::from(state.attempt + started)
        };
        match field {
            "id" => Some(Value::from(self.options.execution_id.to_string())),
            "attempt" => node.map(attempt),
            "started_at" => Some(Value::from(self.started_at.to_string())),
            _ => None,
        }
    }

    fn workflow_field(&self, field: &str) -> Option<Value> {
        match field {
            "id" => Some(Value::from(self.plan.workflow_id().as_str())),
            "name" => Some(Value::from(self.plan.workflow().name.clone())),
            // A workflow that is run from a file or from code has no saved versions.
            "version" => Some(Value::Null),
            _ => None,
        }
    }
}
