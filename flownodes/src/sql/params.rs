//! What is bound to a statement.

use std::borrow::Cow;

use flowcore::{NodeContext, NodeError, Object, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The values on the port `params`.
#[derive(Debug)]
pub(super) struct Params {
    values: Values,
    /// Whether one of them came from a secret: a database may repeat it in a message.
    pub(super) secret: bool,
}

#[derive(Debug)]
enum Values {
    Positional(Vec<Value>),
    Named(Object),
}

/// The schema of the port: an array or an object.
pub(super) struct ParamsSchema;

impl JsonSchema for ParamsSchema {
    fn schema_name() -> Cow<'static, str> {
        "Params".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["array", "object"] })
    }
}

impl Params {
    /// What the attempt was given; nothing on the port is nothing to bind.
    ///
    /// # Errors
    /// `input.invalid`.
    pub(super) fn of(ctx: &NodeContext) -> Result<Self, NodeError> {
        let Some(value) = ctx.input("params") else {
            return Ok(Self { values: Values::Positional(Vec::new()), secret: false });
        };
        let values = match value.untainted() {
            Value::Array(items) => Values::Positional(items.iter().cloned().collect()),
            Value::Object(named) => Values::Named(named.clone()),
            other => {
                let expected = "an array or an object";
                return Err(NodeError::invalid_input("params", expected, other.kind()));
            }
        };
        Ok(Self { values, secret: value.is_tainted() })
    }

    /// Whether they have names.
    #[cfg(feature = "postgres")]
    pub(super) fn is_named(&self) -> bool {
        matches!(self.values, Values::Named(_))
    }

    /// The values in the order of a statement's places, each of which has a name or a position from
    /// 1.
    ///
    /// # Errors
    /// `sql.params` when there are more or fewer, or others.
    pub(super) fn in_order<'a>(&self, places: &[Place<'a>]) -> Result<Vec<Value>, NodeError> {
        let bound = places.iter().map(|place| self.get(*place)).collect::<Result<_, _>>()?;
        match &self.values {
            Values::Positional(values) => {
                let used = |index: &usize| places.contains(&Place::At(index + 1));
                if let Some(unused) = (0..values.len()).find(|index| !used(index)) {
                    let found = values.len();
                    return Err(mismatch(format!(
                        "`params` has {found} values, and the query has no place for number {}",
                        unused + 1
                    )));
                }
            }
            Values::Named(values) => {
                let used = |name: &str| places.contains(&Place::Named(name));
                if let Some(unused) = values.keys().find(|name| !used(name)) {
                    return Err(mismatch(format!(
                        "`params` has `{unused}`, and the query has no `:{unused}`"
                    )));
                }
            }
        }
        Ok(bound)
    }

    fn get(&self, place: Place<'_>) -> Result<Value, NodeError> {
        let (found, what) = match (&self.values, place) {
            (Values::Positional(values), Place::At(position)) => (
                position.checked_sub(1).and_then(|index| values.get(index)),
                format!("a value number {position}, and `params` has {}", values.len()),
            ),
            (Values::Named(values), Place::Named(name)) => {
                (values.get(name), format!("`:{name}`, and `params` has no such key"))
            }
            (Values::Positional(_), Place::Named(name)) => {
                (None, format!("`:{name}`, and `params` is no object"))
            }
            (Values::Named(_), Place::At(position)) => {
                (None, format!("a value number {position}, and `params` is an object"))
            }
        };
        found.cloned().ok_or_else(|| mismatch(format!("the query needs {what}")))
    }
}

/// Where a statement takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// `$1`, from 1.
    At(usize),
    /// `:name`.
    Named(&'a str),
}

fn mismatch(message: String) -> NodeError {
    NodeError::new("sql.params", message)
        .with_hint("an array is bound to `$1`, `$2`, …, an object to `:name`")
}

/// A parameter that a database cannot take.
pub(super) fn unbindable(number: usize, expected: &str, value: &Value) -> NodeError {
    let message = format!("value number {number} of `params` is {}, not {expected}", value.kind());
    NodeError::new("sql.params", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(params: &serde_json::Value, places: &[Place<'_>], expected: Result<&str, &str>) {
        let value = Value::from_json(params.clone()).unwrap();
        let params = Params::of(&NodeContext::builder().input("params", value).build()).unwrap();
        let found = params.in_order(places);
        let found = found.map(|values| format!("{values:?}")).map_err(|error| {
            assert_eq!(error.code(), "sql.params");
            error.message().to_owned()
        });
        assert_eq!(found.as_deref(), expected.map_err(str::to_owned).as_ref().copied());
    }

    #[test]
    fn each_place_has_a_value_and_each_value_a_place() {
        use serde_json::json;
        check(&json!([]), &[], Ok("[]"));
        check(&json!([1, 2]), &[Place::At(2), Place::At(1), Place::At(2)], Ok("[2, 1, 2]"));
        check(&json!({"a": 1}), &[Place::Named("a")], Ok("[1]"));
        for (params, place, expected) in [
            (json!([]), Place::At(1), "the query needs a value number 1, and `params` has 0"),
            (json!([1]), Place::Named("a"), "the query needs `:a`, and `params` is no object"),
            (json!({}), Place::Named("a"), "the query needs `:a`, and `params` has no such key"),
            (
                json!({}),
                Place::At(1),
                "the query needs a value number 1, and `params` is an object",
            ),
            (
                json!([1, 2]),
                Place::At(1),
                "`params` has 2 values, and the query has no place for number 2",
            ),
            (
                json!({"a": 1, "b": 2}),
                Place::Named("a"),
                "`params` has `b`, and the query has no `:b`",
            ),
        ] {
            check(&params, &[place], Err(expected));
        }
    }
}
