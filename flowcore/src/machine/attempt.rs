//! Evaluating what an attempt is given.

use std::sync::Arc;
use std::time::Duration;

use super::lookup::Reader;
use super::prepared::{Place, Prepared};
use super::resolve::value_on;
use super::scopes::Scope;
use super::state::Machine;
use super::status::Status;
use crate::control::Local;
use crate::event::Instance;
use crate::expression::Template;
use crate::node::{ConfigCell, Effect, NodeError};
use crate::plan::{InEdge, InPort, NodeIndex, OutPort, PlanNode, PortSource};
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

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

    /// As [`Machine::prepare`], into what is empty: what an earlier attempt was given has been let go, and
    /// its memory is used again.
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
        prepared.round = home.round();
        prepared.scope = instance.scope;
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
        let has_more = !is_undo && node.details.is_some();
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
        prepared.execution_inputs = node.takes_execution_inputs().then(|| self.scope_inputs(scope));
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
    pub(super) fn scope_input(&self, scope: &Scope, name: &str) -> Option<Value> {
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

    pub(super) fn workflow_inputs(&self, scope: &Scope) -> &Object {
        let home = self.home(scope);
        &home.workflow.as_ref().expect("it is a workflow").inputs
    }

    /// Ports with one connection, or one that wins: the live one that comes first in the file. With
    /// `first` only those of one node can be live.
    pub(super) fn take_connections(
        &self,
        scope: &Scope,
        index: NodeIndex,
        node: &PlanNode,
        inputs: &mut [Option<Value>],
    ) {
        let until = scope.node(index).ready_seq;
        for edge in self.plan.graph().incoming(index) {
            let InPort::Port(port) = edge.target_port() else { continue };
            let port = usize::from(port);
            if node.has_multiple && node.source(port).is_some() {
                continue;
            }
            if inputs[port].is_none()
                && let Some(value) = self.output(scope, until, *edge)
            {
                inputs[port] = Some(value.clone());
            }
        }
    }

    pub(super) fn connected_values(
        &self,
        scope: &Scope,
        index: NodeIndex,
        port: usize,
    ) -> Vec<Value> {
        let until = scope.node(index).ready_seq;
        let edges = self.plan.graph().incoming(index).iter();
        edges
            .filter(
                |edge| matches!(edge.target_port(), InPort::Port(other) if usize::from(other) == port),
            )
            .filter_map(|edge| self.output(scope, until, *edge).cloned())
            .collect()
    }

    /// The value that a connection brings, if it is live. Nobody sees what ended after this event.
    ///
    /// Inlined, because it is small and done for every connection.
    #[inline(always)]
    fn output<'a>(&self, scope: &'a Scope, until: u64, edge: InEdge) -> Option<&'a Value> {
        let state = scope.node(edge.from);
        if state.end_seq > until {
            return None;
        }
        match edge.source_port() {
            OutPort::None => None,
            OutPort::Error => state.outputs.get("error").filter(|_| state.handled),
            OutPort::Port(port) => value_on(&self.plan, edge.from, state, port)
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
}
