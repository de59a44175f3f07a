//! What an output port gives, and what an input port takes, as far as their schemas say.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::compile::Compiler;
use super::graph::{Edge, InPort, OutPort};
use crate::workflow::Diagnostic;

/// The types of JSON Schema.
type Types<'a> = BTreeSet<&'a str>;

/// Reports a connection whose value can never fit: a number into a port that wants a text.
///
/// A port whose schema says nothing of types takes and gives anything.
pub(super) fn check_types(compiler: &mut Compiler<'_>, edge: &Edge, pointer: &str) {
    let (OutPort::Port(from_port), InPort::Port(to_port)) = (edge.from_port, edge.to_port) else {
        return;
    };
    let (Some(from), Some(to)) = (compiler.type_of(edge.from), compiler.type_of(edge.to)) else {
        return;
    };
    let (from, to) = (&from.registered.descriptor, &to.registered.descriptor);
    // Beyond the declared ports nothing is known.
    let output = from.outputs.get(usize::from(from_port));
    let input = to.inputs.get(usize::from(to_port));
    let (Some(output), Some(input)) = (output, input) else { return };
    let (Some(gives), Some(takes)) = (types(&output.schema), types(&input.schema)) else { return };
    if gives.iter().any(|given| takes.iter().any(|taken| fits(given, taken))) {
        return;
    }
    let nodes = &compiler.workflow.nodes;
    let (from, to) = (&nodes[edge.from as usize].id, &nodes[edge.to as usize].id);
    let (output, input) = (&output.name, &input.name);
    let message = format!(
        "port `{output}` of node `{from}` gives {}, and port `{input}` of node `{to}` takes {}",
        list(&gives),
        list(&takes)
    );
    let mut problem =
        Diagnostic::error("connection.type_mismatch", pointer, message).expected(list(&takes));
    if let Some(filter) = filter(&takes) {
        let value = format!("{{{{ nodes.{from}.{output} | {filter} }}}}");
        problem = problem.hint(format!("in place of the connection: \"{input}\": \"{value}\""));
    }
    compiler.common.diagnostics.push(problem);
}

/// The types that a schema allows; `None` when it does not say.
fn types(schema: &Json) -> Option<Types<'_>> {
    match schema.get("type") {
        Some(Json::String(name)) => Some(Types::from([name.as_str()])),
        Some(Json::Array(names)) => names.iter().map(Json::as_str).collect(),
        _ => {
            let parts = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
            let parts = parts.iter().map(types).collect::<Option<Vec<_>>>()?;
            Some(parts.into_iter().flatten().collect())
        }
    }
}

fn fits(given: &str, taken: &str) -> bool {
    given == taken || matches!((given, taken), ("integer", "number") | ("number", "integer"))
}

/// "string or null".
fn list(types: &Types<'_>) -> String {
    types.iter().copied().collect::<Vec<_>>().join(" or ")
}

/// The filter that makes a value of one of these types.
fn filter(types: &Types<'_>) -> Option<&'static str> {
    let filters =
        [("string", "string"), ("integer", "int"), ("number", "float"), ("boolean", "bool")];
    filters.iter().find(|(name, _)| types.contains(name)).map(|(_, filter)| *filter)
}
