//! What an attempt is given.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Machine, NodeState};
use super::status::Status;
use crate::event::Instance;
use crate::expression::{Expression, Slot, Template};
use crate::node::{ConfigCell, Inputs, NodeError};
use crate::plan::{InPort, NodeIndex, OutPort, PlanNode, PortSource};
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

/// What an attempt is given: evaluated, and independent of the machine.
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

impl Machine {
    /// Evaluates what an attempt of this node is given.
    ///
    /// # Errors
    /// The error with which the attempt failed: an expression that failed, or `input.missing`.
    pub fn prepare(&self, instance: Instance, now: Timestamp) -> Result<Prepared, NodeError> {
        let node = self.plan.graph().node(instance.node);
        let inputs = self.inputs_of(instance.node, node)?;
        let config = match node.config_template() {
            Some(template) => Some(self.resolve_config(instance.node, template)?),
            None => None,
        };
        let config_is_tainted = config.as_ref().is_some_and(|cell| cell.object().is_tainted());
        let execution_inputs = node.takes_execution_inputs.then(|| self.inputs.clone());
        Ok(Prepared {
            is_tainted: config_is_tainted
                || inputs.iter().flatten().any(Value::is_tainted)
                || execution_inputs.as_ref().is_some_and(Object::is_tainted),
            inputs,
            config,
            execution_inputs,
            state: node.setup.has_state.then(|| self.scope.state.clone()),
            round: self.round,
            timeout: self.timeout(instance.node, node, now),
        })
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

    fn inputs_of(&self, index: NodeIndex, node: &PlanNode) -> Result<Inputs, NodeError> {
        let mut inputs: Inputs = smallvec::smallvec![None; node.inputs.len()];
        if !node.inputs.is_empty() {
            self.take_connections(index, node, &mut inputs);
        }
        for (port, source) in node.inputs.iter().enumerate() {
            match source {
                PortSource::Config(template) => {
                    inputs[port] =
                        Some(template.resolve(&mut |slot| self.lookup(slot, Some(index)))?);
                }
                PortSource::ExecutionInput(name) => inputs[port] = self.inputs.get(name).cloned(),
                PortSource::Connections => {
                    let values = self.connected_values(index, port);
                    inputs[port] = Some(Value::Array(Array::from_values(values)?));
                }
                PortSource::Empty | PortSource::Connection => {}
            }
        }
        self.check_required(node, &inputs)?;
        Ok(inputs)
    }

    /// Ports with one connection, or one that wins: with `first` the first in time, else the live
    /// one that comes first in the file.
    fn take_connections(&self, index: NodeIndex, node: &PlanNode, inputs: &mut Inputs) {
        let winner = self.scope.nodes[index as usize].winner;
        for (position, edge) in (0..).zip(self.plan.graph().incoming(index)) {
            let InPort::Port(port) = edge.target_port() else { continue };
            let port = usize::from(port);
            if !matches!(node.inputs[port], PortSource::Connection) {
                continue;
            }
            if (inputs[port].is_none() || position == winner)
                && let Some(value) = self.output(edge.from, edge.source_port())
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
            .filter_map(|edge| self.output(edge.from, edge.source_port()).cloned())
            .collect()
    }

    /// The value on an output port of a node, if it is live.
    fn output(&self, node: NodeIndex, port: OutPort) -> Option<&Value> {
        let state = &self.scope.nodes[node as usize];
        match port {
            OutPort::None => None,
            OutPort::Error => state.outputs.get("error").filter(|_| state.handled),
            OutPort::Port(port) => {
                let name = &self.plan.graph().node(node).outputs[usize::from(port)];
                state.outputs.get(name.as_str()).filter(|_| state.status == Status::Succeeded)
            }
        }
    }

    fn check_required(&self, node: &PlanNode, inputs: &Inputs) -> Result<(), NodeError> {
        let declared = &self.plan.node_type(node).descriptor.inputs;
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
            Slot::Node(node) => {
                self.scope.nodes[node.node as usize].outputs.get(&node.port).cloned()
            }
            Slot::Port(port) => node.and_then(|node| self.port_value(node, port)),
            Slot::Execution(field) => self.execution_field(field, node),
            Slot::Workflow(field) => self.workflow_field(field),
            Slot::Secret(name) => self.options.secrets.get(name).cloned(),
            Slot::Local(_) => None,
        }
    }

    fn port_value(&self, index: NodeIndex, port: &str) -> Option<Value> {
        let node = self.plan.graph().node(index);
        let position = node.setup.inputs.iter().position(|name| name.as_str() == port)?;
        if let PortSource::Connections = node.inputs[position] {
            let values = self.connected_values(index, position);
            return Array::from_values(values).ok().map(Value::Array);
        }
        if let PortSource::ExecutionInput(name) = &node.inputs[position] {
            return self.inputs.get(name).cloned();
        }
        if let PortSource::Config(Template::Constant(value)) = &node.inputs[position] {
            return Some(value.clone());
        }
        let mut inputs: Inputs = smallvec::smallvec![None; node.inputs.len()];
        self.take_connections(index, node, &mut inputs);
        inputs.swap_remove(position)
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
