//! What is known about a node type before it runs.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NodeConfig;
use crate::control::ControlKind;

/// What an attempt does to the world, and so what may be done with it after a crash.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Same inputs, same outputs, touches nothing: run again and cached freely.
    Pure,
    /// Looks and changes nothing: run again freely, never cached.
    Read,
    /// May run again after a crash, with the same idempotency key.
    Idempotent,
    /// Never started twice because of a crash.
    Once,
}

/// Where an attempt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// On the driver, as a plain function: cheap, never waits.
    Inline,
    /// Polled inside the driver: I/O that yields.
    Async,
    /// A tokio task of its own.
    Task,
    /// A plain function on the blocking pool.
    Blocking,
    /// By the machine itself: control nodes and waits, which are Flow's own.
    Control,
}

/// An input or output port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The name.
    pub name: Cow<'static, str>,
    /// What it is for, one line.
    pub description: Cow<'static, str>,
    /// The JSON Schema of its values; `true` is any value.
    pub schema: serde_json::Value,
    /// Whether an attempt without a value fails with `input.missing`. Inputs only.
    pub required: bool,
    /// Whether several connections may end here; the value is then an array. Inputs only.
    pub multiple: bool,
}

impl Port {
    /// A port that takes any value and may stay empty.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            description: Cow::Borrowed(""),
            schema: serde_json::Value::Bool(true),
            required: false,
            multiple: false,
        }
    }

    /// What it is for, one line.
    #[must_use]
    pub fn description(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.description = text.into();
        self
    }

    /// The port's values are of this Rust type.
    #[must_use]
    pub fn typed<T: JsonSchema>(mut self) -> Self {
        self.schema = schema_of::<T>();
        self
    }

    /// An attempt without a value on this port fails with `input.missing`.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Several connections may end here; the value is then an array in the order of the
    /// connections.
    #[must_use]
    pub fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }
}

/// A config with its inputs and the outputs that it gives: documentation that runs as a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What it shows, one line.
    pub title: Cow<'static, str>,
    /// The node's config.
    pub config: serde_json::Value,
    /// Values by input port.
    pub inputs: serde_json::Value,
    /// Values by output port; those left out are not checked.
    pub outputs: serde_json::Value,
}

/// Computes the effect of a node from its config.
pub type EffectOf = fn(&NodeConfig) -> Effect;

/// Everything about a node type that validation, docs, the editor and the scheduler need.
///
/// Made with the builder methods:
///
/// ```
/// use flowcore::{Effect, Execution, NodeDescriptor, Port};
///
/// let descriptor = NodeDescriptor::new("text.upper")
///     .summary("Upper case")
///     .input(Port::new("text").typed::<String>().required())
///     .output(Port::new("text").typed::<String>())
///     .effect(Effect::Pure)
///     .execution(Execution::Inline);
/// assert_eq!(descriptor.category, "text");
/// ```
///
/// It serialises as one object with these fields, but for `effect_of`, and is read again from it, as
/// clients of a server do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeDescriptor {
    /// The node type, such as `http.request`.
    pub node_type: Cow<'static, str>,
    /// The version of its behaviour; part of events and cache keys.
    pub version: u32,
    /// One line.
    pub summary: Cow<'static, str>,
    /// Markdown: what one has to know to use it.
    pub description: Cow<'static, str>,
    /// The first part of the node type unless said otherwise.
    pub category: Cow<'static, str>,
    /// The input ports.
    pub inputs: Vec<Port>,
    /// The output ports, without `error`, which every node has.
    pub outputs: Vec<Port>,
    /// Whether other input ports than those listed may be connected.
    pub open_inputs: bool,
    /// Whether other output ports than those listed may be connected.
    pub open_outputs: bool,
    /// The JSON Schema of the config, derived from the Rust type; `None` accepts anything.
    pub config_schema: Option<serde_json::Value>,
    /// Config fields in which `{{` has no meaning to Flow.
    pub raw_fields: Vec<Cow<'static, str>>,
    /// A config field that a shell reads as code when another field, a boolean, is true.
    pub shell_text: Option<(Cow<'static, str>, Cow<'static, str>)>,
    /// Examples; each runs as a test.
    pub examples: Vec<Example>,
    /// The effect of nodes of this type, unless `effect_of` or the file says otherwise.
    pub effect: Effect,
    /// Computes the effect from the config.
    #[serde(skip)]
    pub effect_of: Option<EffectOf>,
    /// Where attempts run.
    pub execution: Execution,
    /// Whether one instance, made with the plan, serves all executions. `initialize` and `shutdown`
    /// are then never called.
    pub stateless: bool,
    /// What the machine does with it, if it is a control node.
    #[serde(skip)]
    pub(crate) control: Option<ControlKind>,
}

impl NodeDescriptor {
    /// A node type with no ports, no config, effect `idempotent`, attempts as tokio tasks, and an
    /// instance per execution.
    pub fn new(node_type: impl Into<Cow<'static, str>>) -> Self {
        let node_type = node_type.into();
        let category = node_type.split('.').next().unwrap_or_default().to_owned();
        Self {
            node_type,
            version: 1,
            summary: Cow::Borrowed(""),
            description: Cow::Borrowed(""),
            category: Cow::Owned(category),
            inputs: Vec::new(),
            outputs: Vec::new(),
            open_inputs: false,
            open_outputs: false,
            config_schema: Some(serde_json::json!({
                "type": "object", "additionalProperties": false
            })),
            raw_fields: Vec::new(),
            shell_text: None,
            examples: Vec::new(),
            effect: Effect::Idempotent,
            effect_of: None,
            execution: Execution::Task,
            stateless: false,
            control: None,
        }
    }

    /// A node type of which nothing is known: any ports, any config.
    pub fn untyped(node_type: impl Into<Cow<'static, str>>) -> Self {
        Self { open_inputs: true, open_outputs: true, config_schema: None, ..Self::new(node_type) }
    }

    /// One line about the type.
    #[must_use]
    pub fn summary(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.summary = text.into();
        self
    }

    /// Markdown: what one has to know to use it.
    #[must_use]
    pub fn description(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.description = text.into();
        self
    }

    /// The version of the type's behaviour.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Adds an input port.
    #[must_use]
    pub fn input(mut self, port: Port) -> Self {
        self.inputs.push(port);
        self
    }

    /// Adds an output port.
    #[must_use]
    pub fn output(mut self, port: Port) -> Self {
        self.outputs.push(port);
        self
    }

    /// Other input ports than those listed may be connected.
    #[must_use]
    pub fn open_inputs(mut self) -> Self {
        self.open_inputs = true;
        self
    }

    /// Other output ports than those listed may be connected.
    #[must_use]
    pub fn open_outputs(mut self) -> Self {
        self.open_outputs = true;
        self
    }

    /// The config is of this Rust type; its doc comments become documentation, and
    /// `deny_unknown_fields` makes misspelt keys errors.
    #[must_use]
    pub fn config<T: JsonSchema>(mut self) -> Self {
        self.config_schema = Some(schema_of::<T>());
        self
    }

    /// Config fields in which `{{` has no meaning to Flow.
    #[must_use]
    pub fn raw_fields(mut self, fields: &[&'static str]) -> Self {
        self.raw_fields.extend(fields.iter().map(|field| Cow::Borrowed(*field)));
        self
    }

    /// A shell reads `field` as code when the boolean config field `switch` is true: validation then
    /// warns of expressions in it without `shell_quote`.
    #[must_use]
    pub fn shell_text(mut self, field: &'static str, switch: &'static str) -> Self {
        self.shell_text = Some((Cow::Borrowed(field), Cow::Borrowed(switch)));
        self
    }

    /// Adds an example: a title, the config, values by input port, and values by output port.
    #[must_use]
    pub fn example(
        mut self,
        title: impl Into<Cow<'static, str>>,
        config: serde_json::Value,
        inputs: serde_json::Value,
        outputs: serde_json::Value,
    ) -> Self {
        self.examples.push(Example { title: title.into(), config, inputs, outputs });
        self
    }

    /// What attempts do to the world.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// What attempts do to the world, computed from the config.
    #[must_use]
    pub fn effect_of(mut self, effect_of: EffectOf) -> Self {
        self.effect_of = Some(effect_of);
        self
    }

    /// Where attempts run. A plain function needs no instance per execution, so `Inline` and
    /// `Blocking` make the type stateless.
    #[must_use]
    pub fn execution(mut self, execution: Execution) -> Self {
        self.execution = execution;
        self.stateless |= matches!(execution, Execution::Inline | Execution::Blocking);
        self
    }

    /// One instance serves all executions; `initialize` and `shutdown` are never called.
    #[must_use]
    pub fn stateless(mut self) -> Self {
        self.stateless = true;
        self
    }

    /// The machine itself does this with nodes of the type.
    #[must_use]
    pub(crate) fn control(mut self, kind: ControlKind) -> Self {
        self.control = Some(kind);
        self.execution = Execution::Control;
        self
    }

    /// What the machine does with nodes of this type, if it is a control node.
    pub fn control_kind(&self) -> Option<ControlKind> {
        self.control
    }

    /// The input port of this name.
    pub fn input_port(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// The output port of this name.
    pub fn output_port(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }

    /// The effect of a node of this type with this config.
    pub fn effect_with(&self, config: &NodeConfig) -> Effect {
        self.effect_of.map_or(self.effect, |effect_of| effect_of(config))
    }
}

/// The JSON Schema of a Rust type.
pub(crate) fn schema_of<T: JsonSchema>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}
