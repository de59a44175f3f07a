//! How one outcome differs from another.

use flowcore::machine::Outcome;
use flowcore::{ExecutionResult, NodeOutput, Value};

use crate::testing::difference::{Difference, compare};

/// Compares the outcomes of two attempts that should be the same: outputs as they are, failures by
/// their codes.
pub(crate) fn differences(expected: &Outcome, actual: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    match (expected, actual) {
        (Outcome::Succeeded { outputs, .. }, Outcome::Succeeded { outputs: actual, .. }) => {
            compare(&object(outputs), &object(actual), "/outputs", false, &mut found);
        }
        _ => {
            let (expected, actual) = (word(expected), word(actual));
            if expected != actual {
                let message = format!("expected {expected}, got {actual}");
                found.push(Difference::new("outcome", message));
            }
        }
    }
    found
}

fn object(outputs: &NodeOutput) -> Value {
    outputs.to_object().map(Value::Object).unwrap_or_default()
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { .. } => "a success".to_owned(),
        Outcome::Failed(error) => format!("the error `{}`", error.code()),
        Outcome::TimedOut => "a time-out".to_owned(),
        Outcome::Cancelled => "a cancel".to_owned(),
        Outcome::Panicked { .. } => "a panic".to_owned(),
    }
}

/// Compares what came of two executions that should be the same.
pub(crate) fn result_differences(
    expected: &ExecutionResult,
    actual: &ExecutionResult,
) -> Vec<Difference> {
    let mut found = Vec::new();
    if expected.status != actual.status {
        let message = format!("expected {}, got {}", expected.status, actual.status);
        found.push(Difference::new("status", message));
    }
    compare(&expected.outputs, &actual.outputs, "/outputs", false, &mut found);
    let code = |result: &ExecutionResult| match &result.error {
        Some(error) => format!("the error `{}`", error.code),
        None => "no error".to_owned(),
    };
    let (expected_code, actual_code) = (code(expected), code(actual));
    if expected_code != actual_code {
        found
            .push(Difference::new("error", format!("expected {expected_code}, got {actual_code}")));
    }
    if expected.warnings != actual.warnings {
        let (expected, actual) = (expected.warnings.join("; "), actual.warnings.join("; "));
        let message = format!("expected `{expected}`, got `{actual}`");
        found.push(Difference::new("warnings", message));
    }
    found
}
