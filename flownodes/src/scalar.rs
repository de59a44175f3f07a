//! Values that are written as one piece of text: arguments, variables, headers, query parameters.

use std::borrow::Cow;

use flowcore::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The text of a string, a number or a boolean; `None` for everything else.
pub(crate) fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    if let Some(text) = value.as_str() {
        return Some(Cow::Borrowed(text));
    }
    let number = value.as_number().map(|number| number.to_string());
    number.or_else(|| value.as_bool().map(|value| value.to_string())).map(Cow::Owned)
}

/// A string, or a number or boolean that is taken as its text: an expression such as
/// `{{ inputs.limit }}` gives a number where a program wants an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = scalar_text(&value).map(|text| Self(text.into_owned()));
        text.ok_or_else(|| {
            de::Error::custom(format!(
                "expected a string, a number or a boolean, found {}",
                value.kind()
            ))
        })
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Scalar")
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    #[test]
    fn numbers_and_booleans_are_taken_as_their_text() {
        let scalars: Vec<Scalar> = read_json(r#"["a", 18446744073709551615, -1, 1.5, 2.0, true]"#)
            .unwrap()
            .to_typed()
            .unwrap();
        let texts: Vec<&str> = scalars.iter().map(|scalar| scalar.0.as_str()).collect();
        assert_eq!(texts, ["a", "18446744073709551615", "-1", "1.5", "2.0", "true"]);
        let error = read_json("[null]").unwrap().to_typed::<Vec<Scalar>>().unwrap_err();
        assert_eq!(error.to_string(), "expected a string, a number or a boolean, found null");
    }
}
