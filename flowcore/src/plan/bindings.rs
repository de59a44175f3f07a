//! One node of the plan: its ports, its config, its instance.

use std::sync::Arc;
use std::time::Duration;

use super::around::Around;
use super::compile::Compiler;
use super::conditions::{compile_condition, compile_expression};
use super::connections::Connections;
use super::expressions::{Place, compile_template};
use super::graph::{Cache, Details, NodeIndex, PlanNode, PortSource, SharedInstance};
use super::holders::bind_control;
use super::undo::bind_undo;
use crate::control::Local;
use crate::expression::{Condition, Template};
use crate::node::{
    ConfigCell, Effect, Execution, NodeDescriptor, NodeFactory, NodeInstance, PortName,
};
use crate::value::{Object, Value, escape_pointer};
use crate::workflow::{Diagnostic, NodeSpec, check_config};

/// Compiles one node; `None` when its type is unknown.
pub(super) fn bind_node(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
    index: NodeIndex,
) -> Option<PlanNode> {
    let workflow = compiler.workflow;
    let spec = &workflow.nodes[index as usize];
    let type_index = compiler.node_types[index as usize]?;
    let descriptor = compiler.common.types[type_index as usize].registered.descriptor.clone();
    let own_inputs: Option<Box<[PortName]>> =
        connections.has_open_inputs(index).then(|| connections.input_names(compiler, index).into());
    let declared = compiler.common.types[type_index as usize].inputs.clone();
    let names = own_inputs.as_deref().unwrap_or(&declared);
    let mut binder = Binder { compiler, connections, index, spec, names, descriptor: &descriptor };
    let (port_values, config) = binder.split_config();
    let config_template = binder.config_template(&config);
    let mut inputs = binder.bind_ports(port_values);
    let when = binder.when();
    let effect = spec.effect.unwrap_or_else(|| descriptor.effect_with(&spec.config));
    let cache = binder.cache(effect);
    binder.scope_inputs(&mut inputs);
    binder.check_required(&inputs);
    let plain = config_template.is_none() && config.is_empty();
    let pointer = binder.pointer("/config");
    let object = spec.config.as_object();
    let control = descriptor.control;
    let instance = if !check_config(&pointer, &descriptor, object, &mut compiler.common.diagnostics)
        || control.is_some()
    {
        None
    } else if descriptor.stateless {
        shared_instance(compiler, type_index, index, plain)
    } else {
        check_creation(compiler, type_index, index);
        None
    };
    let control = match control {
        Some(kind) => Some(bind_control(compiler, connections, index, kind)?),
        None => None,
    };
    let undo = bind_undo(compiler, connections, index, (names, descriptor.open_inputs));
    let own_outputs = connections.open_outputs(index).map(|extra| {
        let declared = &compiler.common.types[type_index as usize].outputs;
        declared.iter().chain(extra).cloned().collect()
    });
    let sources = sources(inputs);
    let has_multiple = sources.iter().any(|(_, source)| matches!(source, PortSource::Connections));
    let node_type = &descriptor.node_type;
    let rate_limits = compiler.scope.rates.bind(spec.id.as_str(), node_type, control.is_some());
    let details = Details {
        inputs: own_inputs,
        outputs: own_outputs,
        sources,
        cell: (!config.is_empty()).then(|| ConfigCell::new(config)),
        config: config_template,
        when,
        retry: spec.retry_policy.as_deref().cloned(),
        timeout_ms: spec.timeout_ms,
        cache,
        rate_limits,
        control,
        undo,
        handles_error: connections.handles_error(index),
        takes_execution_inputs: descriptor.open_inputs
            && !connections.has_incoming(index)
            && !compiler.scope.is_undo(),
        undoes: compiler.scope.is_undo(),
    };
    Some(PlanNode {
        id: spec.id.clone(),
        type_index,
        instance,
        details: details.is_needed().then(|| Box::new(details)),
        on_error: spec.on_error.unwrap_or(compiler.scope.on_error),
        join: spec.join,
        effect,
        execution: descriptor.execution,
        has_multiple,
    })
}

/// Where an input port takes its value from.
enum Binding {
    /// Nowhere.
    Empty,
    /// Its connection.
    Connection,
    /// Somewhere else.
    Source(PortSource),
}

/// The ports whose values come from elsewhere than one connection.
fn sources(bindings: Vec<Binding>) -> Box<[(u16, PortSource)]> {
    let ports = (0..).zip(bindings);
    ports
        .filter_map(|(port, binding)| match binding {
            Binding::Source(source) => Some((port, source)),
            Binding::Empty | Binding::Connection => None,
        })
        .collect()
}

struct Binder<'a, 'b> {
    compiler: &'a mut Compiler<'b>,
    connections: &'a mut Connections,
    index: NodeIndex,
    spec: &'b NodeSpec,
    names: &'a [PortName],
    descriptor: &'a NodeDescriptor,
}

impl<'a> Binder<'a, '_> {
    /// Where its expressions stand. Those of an undo see the input ports of the node that it undoes.
    fn place(&self) -> Place<'a> {
        let own = (self.names, self.descriptor.open_inputs);
        let (inputs, open) = self.compiler.scope.around.and_then(Around::undone).unwrap_or(own);
        Place::Node { index: self.index, inputs, open }
    }

    fn pointer(&self, rest: &str) -> String {
        format!("/nodes/{}{rest}", self.index)
    }

    /// Config keys that name a declared input port are that port's value; the rest is the config.
    fn split_config(&self) -> (Vec<(usize, Value)>, Object) {
        let config = self.spec.config.as_object();
        let declared = &self.descriptor.inputs;
        if !config.keys().any(|key| self.descriptor.input_port(key).is_some()) {
            return (Vec::new(), config.clone());
        }
        let mut ports = Vec::new();
        let mut rest = Vec::new();
        for (key, value) in config.iter() {
            match declared.iter().position(|port| *port.name == **key) {
                Some(port) => ports.push((port, value.clone())),
                None => rest.push((key.clone(), value.clone())),
            }
        }
        (ports, Object::from_entries(rest).expect("it was an object already"))
    }

    fn template(&mut self, value: &Value, pointer: &str) -> Template {
        let place = self.place();
        compile_template(self.compiler, self.connections, value, pointer, &place)
    }

    /// The config's expressions, unless it has none. Raw fields stay as they are.
    fn config_template(&mut self, config: &Object) -> Option<Template> {
        let mut entries = Vec::with_capacity(config.len());
        let mut changed = false;
        for (key, value) in config.iter() {
            let template = if self.descriptor.raw_fields.iter().any(|raw| **raw == **key) {
                Template::Constant(value.clone())
            } else {
                let pointer = self.pointer(&format!("/config/{}", escape_pointer(key)));
                self.check_shell(key, value, &pointer);
                self.template(value, &pointer)
            };
            changed |= !matches!(template, Template::Constant(_));
            entries.push((key.clone(), template));
        }
        changed.then(|| Template::Object(entries.into()))
    }

    /// An expression inside the text of a shell needs `shell_quote`.
    fn check_shell(&mut self, key: &str, value: &Value, pointer: &str) {
        let Some((field, switch)) = &self.descriptor.shell_text else { return };
        let is_shell = self.spec.config.get(switch).and_then(Value::as_bool) == Some(true);
        let Some(text) = value.as_str().filter(|_| is_shell && **field == *key) else { return };
        let mut errors = Vec::new();
        Template::compile(value, pointer, &mut errors).visit(&mut |expression| {
            if !expression.text().contains("shell_quote") {
                let start = text.find(expression.text()).unwrap_or(0);
                let diagnostic = Diagnostic::warning(
                    "shell.unquoted",
                    pointer,
                    format!(
                        "the shell would read the result of `{}` as code",
                        expression.text().trim()
                    ),
                )
                .within(start..start + expression.text().len())
                .hint("add `| shell_quote`, or pass arguments with `args` and no shell");
                self.compiler.common.diagnostics.push(diagnostic);
            }
        });
    }

    fn bind_ports(&mut self, values: Vec<(usize, Value)>) -> Vec<Binding> {
        let mut bindings: Vec<Binding> = (0..self.names.len())
            .map(|port| {
                let multiple = self.descriptor.inputs.get(port).is_some_and(|port| port.multiple);
                let number = u16::try_from(port).expect("ports are counted in 16 bits");
                match self.connections.connection_count(self.index, number) {
                    0 => Binding::Empty,
                    _ if multiple => Binding::Source(PortSource::Connections),
                    _ => Binding::Connection,
                }
            })
            .collect();
        for (port, value) in values {
            let pointer = self.pointer(&format!("/config/{}", self.names[port].as_str()));
            let template = self.template(&value, &pointer);
            if matches!(bindings[port], Binding::Empty) {
                bindings[port] = Binding::Source(PortSource::Config(template));
            }
        }
        bindings
    }

    /// A node without incoming connections takes what comes into the scope, by name.
    fn scope_inputs(&self, bindings: &mut [Binding]) {
        if self.connections.has_incoming(self.index) {
            return;
        }
        let scope = &self.compiler.scope;
        let declared = self.compiler.workflow.inputs.as_ref();
        let is_input = |name: &str| match scope.around {
            Some(around) => Local::of(name).is_some_and(|local| around.gives_itself(local)),
            None => declared.is_none_or(|inputs| inputs.contains_key(name)),
        };
        for (name, binding) in self.names.iter().zip(bindings) {
            if matches!(binding, Binding::Empty) && is_input(name.as_str()) {
                let name = Arc::from(name.as_str());
                *binding = Binding::Source(PortSource::ScopeInput(name));
            }
        }
    }

    fn check_required(&mut self, bindings: &[Binding]) {
        for (port, binding) in self.descriptor.inputs.iter().zip(bindings) {
            if port.required && matches!(binding, Binding::Empty) {
                let message =
                    format!("node `{}` needs a value on input port `{}`", self.spec.id, port.name);
                let pointer = self.pointer("");
                self.compiler.common.diagnostics.push(
                    Diagnostic::error("port.unconnected", pointer, message).hint(format!(
                        "connect the port, or set `{}` in the node's config",
                        port.name
                    )),
                );
            }
        }
    }

    fn when(&mut self) -> Option<Condition> {
        let when = self.spec.when.as_ref()?;
        let pointer = self.pointer("/when");
        let place = Place::Node {
            index: self.index,
            inputs: self.names,
            open: self.descriptor.open_inputs,
        };
        compile_condition(self.compiler, self.connections, when, &pointer, &place)
    }

    /// How long the result may be reused. Whoever looks at something else than what it is given, or
    /// changes something, would be wrong, or missed, in between.
    fn cache(&mut self, effect: Effect) -> Option<Cache> {
        let spec = self.spec;
        let cache = spec.cache.as_deref()?;
        let id = &spec.id;
        let problem = if self.descriptor.control.is_some() {
            let message = format!("node `{id}` is a control node, whose result is not cached");
            let problem = Diagnostic::error("control.no_cache", self.pointer("/cache"), message);
            Some(problem.hint("give the `pure` nodes inside of it a `cache`"))
        } else if effect != Effect::Pure {
            let message = format!("node `{id}` is not `pure`, so its result is not cached");
            let problem = Diagnostic::error("cache.not_pure", self.pointer("/cache"), message);
            Some(problem.hint(
                "if the same inputs always give the same outputs, say so: `\"effect\": \"pure\"`",
            ))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.compiler.common.diagnostics.push(problem.at_key());
        }
        let pointer = self.pointer("/cache/key");
        let place = Place::Node {
            index: self.index,
            inputs: self.names,
            open: self.descriptor.open_inputs,
        };
        let key = cache
            .key
            .as_deref()
            .map(|key| compile_expression(self.compiler, self.connections, key, &pointer, &place));
        let ttl = Duration::from_millis(cache.ttl_ms);
        match key {
            Some(key) => Some(Cache { ttl, key: Some(key?) }),
            None => Some(Cache { ttl, key: None }),
        }
    }
}

/// The instance of a stateless type: with an empty config all nodes share one.
fn shared_instance(
    compiler: &mut Compiler<'_>,
    type_index: u32,
    index: NodeIndex,
    plain: bool,
) -> Option<SharedInstance> {
    let node_type = &compiler.common.types[type_index as usize];
    if let Some(instance) = node_type.plain_instance.clone().filter(|_| plain) {
        return Some(instance);
    }
    let config = &compiler.workflow.nodes[index as usize].config;
    let execution = node_type.registered.descriptor.execution;
    let instance = create(&*node_type.registered.factory, config, execution);
    match instance {
        Ok(instance) => {
            if plain {
                compiler.common.types[type_index as usize].plain_instance = Some(instance.clone());
            }
            Some(instance)
        }
        Err(error) => {
            report_creation(compiler, index, &error);
            None
        }
    }
}

fn create(
    factory: &dyn NodeFactory,
    config: &crate::NodeConfig,
    execution: Execution,
) -> Result<SharedInstance, crate::NodeError> {
    let wants_function = matches!(execution, Execution::Inline | Execution::Blocking);
    match factory.instance(config)? {
        NodeInstance::Inline(node) if wants_function => Ok(SharedInstance::Inline(node.into())),
        NodeInstance::Node(node) if !wants_function => Ok(SharedInstance::Node(node.into())),
        NodeInstance::Inline(_) | NodeInstance::Node(_) => Err(crate::NodeError::new(
            "node.wrong_kind",
            format!(
                "node type `{}` is declared `{execution:?}` but its factory makes the other kind",
                factory.node_type()
            ),
        )
        .with_hint("`Inline` and `Blocking` need an `InlineNode`, `Async` and `Task` a `Node`")),
    }
}

/// A type with an instance per execution: its config is tried once, so that it fails here and not
/// in the middle of an execution.
fn check_creation(compiler: &mut Compiler<'_>, type_index: u32, index: NodeIndex) {
    let factory = compiler.common.types[type_index as usize].registered.factory.clone();
    let config = &compiler.workflow.nodes[index as usize].config;
    if let Err(error) = factory.instance(config) {
        report_creation(compiler, index, &error);
    }
}

fn report_creation(compiler: &mut Compiler<'_>, index: NodeIndex, error: &crate::NodeError) {
    let pointer = format!("/nodes/{index}/config");
    let mut diagnostic = Diagnostic::error("config.invalid", pointer, error.to_string());
    diagnostic.hint = error.hint().map(str::to_owned);
    compiler.common.diagnostics.push(diagnostic);
}
