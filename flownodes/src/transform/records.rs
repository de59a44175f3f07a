//! What the nodes that work on records share.

use flowcore::{
    Array, Effect, Execution, NodeConfig, NodeContext, NodeDescriptor, NodeError, Object, Port,
    Value,
};
use serde::de::DeserializeOwned;

use super::expression::Expression;

/// The names that expressions over items see.
pub(super) const NAMES: [&str; 4] = ["item", "index", "input", "values"];

/// What the description of a node for records says about expressions.
pub(super) const ABOUT_EXPRESSIONS: &str = "\
Expressions are evaluated for every item, not by the engine before the node runs; they are written \
without `{{ }}` and see `item`, `index` (from 0), `input` (everything) and `values`.
What is not in there, such as an input of the workflow, goes in through `values`: \
`\"values\": {\"limit\": \"{{ inputs.limit }}\"}` makes it `values.limit`.
A field that an item does not have is undefined, and an error unless the expression says otherwise: \
`item.age | default(0)`.
An object that an expression writes itself has its keys in alphabetical order.";

/// The start of the descriptor of a pure node that runs inline.
pub(super) fn pure_inline(node_type: &'static str) -> NodeDescriptor {
    NodeDescriptor::new(node_type).effect(Effect::Pure).execution(Execution::Inline)
}

/// A port for an array.
pub(super) fn array_port(name: &'static str, description: &'static str) -> Port {
    Port::new(name).typed::<Vec<serde_json::Value>>().description(description)
}

/// The port through which values come into the scope of expressions.
pub(super) fn values_port() -> Port {
    Port::new("values")
        .typed::<serde_json::Map<String, serde_json::Value>>()
        .description("What expressions see as `values`")
}

/// A config that has no fields.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoConfig {}

/// Reads only these fields of a config, for compiling them before the others are known.
///
/// # Errors
/// `config.invalid`.
pub(super) fn raw_config<T: DeserializeOwned>(
    config: &NodeConfig,
    fields: &[&str],
) -> Result<T, NodeError> {
    let given = fields.iter().filter_map(|field| Some((*field, config.get(field)?.clone())));
    NodeConfig::new(Object::from_entries(given)?).to_typed()
}

/// The array on a port.
///
/// # Errors
/// `input.missing`, `input.invalid`.
pub(super) fn array_input<'a>(ctx: &'a NodeContext, port: &str) -> Result<&'a Array, NodeError> {
    let value = ctx.required_input(port)?;
    value.as_array().ok_or_else(|| NodeError::invalid_input(port, "an array", value.kind()))
}

/// What expressions see besides the item.
pub(super) struct Scope<'a> {
    input: &'a Value,
    values: Value,
}

impl<'a> Scope<'a> {
    /// The scope of an attempt whose items come on the port `input`.
    ///
    /// # Errors
    /// `input.missing`; `input.invalid` when `values` is not an object.
    pub(super) fn new(ctx: &'a NodeContext) -> Result<Self, NodeError> {
        let input = ctx.required_input("input")?;
        let values = match ctx.input("values") {
            None => Value::from(Object::new()),
            Some(values) if values.as_object().is_some() => values.clone(),
            Some(other) => {
                return Err(NodeError::invalid_input("values", "an object", other.kind()));
            }
        };
        Ok(Self { input, values })
    }

    /// What came on the port `input`.
    pub(super) fn input(&self) -> &'a Value {
        self.input
    }

    /// Evaluates an expression for one item.
    ///
    /// # Errors
    /// Those of [`Expression::eval`], with the item's index in the message.
    pub(super) fn eval(
        &self,
        expression: &Expression,
        item: &Value,
        index: usize,
    ) -> Result<Value, NodeError> {
        let number = Value::from(index);
        let scope =
            [("item", item), ("index", &number), ("input", self.input), ("values", &self.values)];
        expression.eval(&scope).map_err(|error| at_item(&error, index))
    }
}

/// The same error, saying at which item it came up.
pub(super) fn at_item(error: &NodeError, index: usize) -> NodeError {
    let message = format!("item {index}: {}", error.message());
    let placed = NodeError::new(error.code().to_owned(), message);
    match error.hint() {
        Some(hint) => placed.with_hint(hint.to_owned()),
        None => placed,
    }
}
