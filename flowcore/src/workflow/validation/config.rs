//! The config of a node against what its node type says of it.

use super::super::schema::{Checker, ConfigKeys, MAX_STEPS, SchemaError, SchemaErrorKind};
use super::super::{Diagnostic, Diagnostics};
use crate::node::NodeDescriptor;
use crate::value::{Object, Value};
use crate::workflow::path::Path;

/// Checks a config; true when nothing is wrong with it.
///
/// Keys that name an input port are values of the port. A string that holds an expression may be
/// anything, except in raw fields.
pub(crate) fn check_config(
    pointer: &str,
    descriptor: &NodeDescriptor,
    config: &Object,
    diagnostics: &mut Diagnostics,
) -> bool {
    let before = diagnostics.len();
    for port in &descriptor.inputs {
        let Some(value) = config.get(&port.name) else { continue };
        // Of a port with several connections the schema describes one value.
        if port.multiple || port.schema == serde_json::Value::Bool(true) {
            continue;
        }
        let mut steps = MAX_STEPS;
        let checker = Checker::new(&port.schema, &mut steps).with_templates();
        let errors = checker.check_at(value, &Path::Root.key(&port.name), "the config");
        report(pointer, errors, diagnostics);
    }
    if let Some(schema) = &descriptor.config_schema {
        let mut steps = MAX_STEPS;
        let checker = Checker::new(schema, &mut steps)
            .with_templates()
            .with_config(ConfigKeys { descriptor });
        let errors = checker.check_config(&Value::Object(config.clone()));
        report(pointer, errors, diagnostics);
    }
    diagnostics.len() == before
}

fn report(pointer: &str, errors: Vec<SchemaError>, diagnostics: &mut Diagnostics) {
    for error in errors {
        let pointer = format!("{pointer}{}", error.pointer);
        let mut problem = Diagnostic::error(error.kind.config_code(), pointer, error.message);
        problem.expected = error.expected;
        problem.suggestion = error.suggestion;
        if error.kind == SchemaErrorKind::UnknownKey {
            problem = problem.at_key();
        }
        diagnostics.push(problem);
    }
}
