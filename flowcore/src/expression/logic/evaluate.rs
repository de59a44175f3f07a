//! Evaluating a compiled rule.

use datalogic_rs::bumpalo::Bump;
use datalogic_rs::{DataValue, Error, ErrorKind};

use super::data::{DataError, from_data};
use super::engine::{engine, fill_budget, is_exhausted};
use super::{Logic, Read};
use crate::expression::{ExpressionError, Slot};
use crate::value::Value;

impl Logic {
    /// Evaluates a rule of [`Logic::compile`] over `data`. What the data lacks is null, as
    /// everywhere in JSONLogic. The result is tainted if anything that was read is.
    ///
    /// # Errors
    /// `logic.too_expensive` when the budget is used up, `logic.failed` for anything else.
    pub fn evaluate(&self, data: &Value) -> Result<Value, ExpressionError> {
        let find = |read: &Read| Ok(find_in(data, &read.path));
        self.run(find, |result| from_data(result).map_err(|error| data_error(&error)))
            .map(|(value, is_tainted)| if is_tainted { value.tainted() } else { value })
    }

    /// Whether a rule of a workflow holds: JSONLogic's truth of its result. `lookup` gives the value
    /// of a slot, or `None` for undefined, which is null in a rule.
    ///
    /// # Errors
    /// As [`Logic::evaluate`].
    pub(crate) fn holds(
        &self,
        lookup: &mut dyn FnMut(&Slot) -> Option<Value>,
    ) -> Result<bool, ExpressionError> {
        let find = |read: &Read| {
            let Some(expression) = &read.expression else { return Ok(None) };
            match crate::expression::evaluate(expression, lookup) {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.code == "expression.undefined" => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.run(find, |result| Ok(engine().truthy(result))).map(|(holds, _)| holds)
    }

    /// Evaluates the rule; gives what `take` makes of the result, and whether something that was
    /// read is tainted.
    fn run<T>(
        &self,
        find: impl FnMut(&Read) -> Result<Option<Value>, ExpressionError>,
        take: impl FnOnce(&DataValue<'_>) -> Result<T, ExpressionError>,
    ) -> Result<(T, bool), ExpressionError> {
        let values: Result<Vec<Option<Value>>, ExpressionError> =
            self.reads.iter().map(find).collect();
        let values = values?;
        let is_tainted = values.iter().flatten().any(Value::is_tainted);
        let arena = Bump::new();
        let data = self.tree.fill(&values, &arena).map_err(|error| data_error(&error))?;
        fill_budget(&arena);
        let result = engine().evaluate(&self.compiled, data.unwrap_or(DataValue::Null), &arena);
        if is_exhausted() {
            let message = "the rule takes too many steps or too much memory";
            return Err(ExpressionError::new("logic.too_expensive", 0..0, message));
        }
        let result = result.map_err(|error| runtime_error(&error, is_tainted))?;
        Ok((take(result)?, is_tainted))
    }
}

/// What a path leads to; `None` where the data has nothing.
fn find_in(data: &Value, path: &[std::sync::Arc<str>]) -> Option<Value> {
    let mut is_tainted = matches!(data, Value::Tainted(_));
    let mut value = data;
    for key in path {
        value = value.get(key)?;
        is_tainted |= matches!(value, Value::Tainted(_));
    }
    let value = value.clone();
    Some(if is_tainted { value.tainted() } else { value })
}

fn data_error(error: &DataError) -> ExpressionError {
    ExpressionError::new("logic.failed", 0..0, format!("the rule failed: {error}"))
}

/// Nothing that may show a value when one of them is secret.
fn runtime_error(error: &Error, is_tainted: bool) -> ExpressionError {
    let why = match &error.kind {
        ErrorKind::Thrown(thrown) if thrown.get("type").and_then(|t| t.as_str()) == Some("NaN") => {
            "something is not a number that it can work with, or the divisor is 0".to_owned()
        }
        ErrorKind::Thrown(_) if is_tainted => "it throws something that is secret".to_owned(),
        ErrorKind::Thrown(thrown) => format!("it throws {thrown}"),
        ErrorKind::InvalidArguments(_) => "it does not take these arguments".to_owned(),
        _ if is_tainted => "it does not take these values".to_owned(),
        ErrorKind::TypeError(why)
        | ErrorKind::FormatError(why)
        | ErrorKind::ArithmeticError(why)
        | ErrorKind::ConfigurationError(why) => why.clone().into_owned(),
        ErrorKind::InvalidContextLevel(level) => format!("there is no level {level} around it"),
        ErrorKind::IndexOutOfBounds { index, length } => {
            format!("there is no item {index} in an array of {length}")
        }
        _ => error.tag().to_owned(),
    };
    let message = match error.operator() {
        Some(operator) => format!("the rule failed in `{operator}`: {why}"),
        None => format!("the rule failed: {why}"),
    };
    ExpressionError::new("logic.failed", 0..0, message)
}
