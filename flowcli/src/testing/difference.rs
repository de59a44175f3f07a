//! How what came out differs from what was expected.

use flowcore::Value;
use flowcore::value::differences;
use serde::Serialize;

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// What it is about: `status`, or a JSON pointer below `outputs` or what a node was given.
    pub(crate) at: String,
    /// What is wrong, in words.
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actual: Option<Value>,
}

/// The longest value that is shown.
const MOST_SHOWN: usize = 200;

impl Difference {
    /// One without values.
    pub(crate) fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into(), expected: None, actual: None }
    }

    fn of(at: &str, expected: Option<&Value>, actual: Option<&Value>) -> Self {
        let message = match (expected, actual) {
            (Some(expected), Some(actual)) => {
                format!("expected {}, got {}", show(expected), show(actual))
            }
            (Some(expected), None) => format!("expected {}, got nothing", show(expected)),
            (None, actual) => {
                format!("expected nothing, got {}", actual.map(show).unwrap_or_default())
            }
        };
        let (expected, actual) = (expected.cloned(), actual.cloned());
        Self { at: at.to_owned(), message, expected, actual }
    }
}

/// A value as JSON, cut where it is long; one that came from a secret is not shown.
fn show(value: &Value) -> String {
    let text = value.to_json_text();
    match text.char_indices().nth(MOST_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Compares two values; adds every place where they differ. With `partial`, objects may have further
/// keys.
pub(crate) fn compare(
    expected: &Value,
    actual: &Value,
    at: &str,
    partial: bool,
    found: &mut Vec<Difference>,
) {
    differences(expected, actual, at, &mut |one| {
        let is_as_expected = match (one.old, one.new) {
            (None, Some(_)) => partial && one.is_key,
            (Some(Value::Number(one)), Some(Value::Number(other))) => one.compare(*other).is_eq(),
            // Nothing of it is seen, only whether it is as expected.
            (Some(expected), Some(Value::Tainted(secret))) => {
                let mut inside = Vec::new();
                compare(expected, secret.reveal(), one.path, partial, &mut inside);
                inside.is_empty()
            }
            (_, _) => false,
        };
        if !is_as_expected {
            found.push(Difference::of(one.path, one.old, one.new));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowcore::value::read_json;

    #[track_caller]
    fn check(expected: &str, actual: &str, partial: bool, differences: &[&str]) {
        let (expected, actual) = (read_json(expected).unwrap(), read_json(actual).unwrap());
        let mut found = Vec::new();
        compare(&expected, &actual, "/outputs", partial, &mut found);
        let texts: Vec<String> =
            found.iter().map(|one| format!("{}: {}", one.at, one.message)).collect();
        assert_eq!(texts, differences);
    }

    #[test]
    fn differences_have_places() {
        check("{\"a\": 1, \"b\": [1, \"x\"]}", "{\"b\": [1.0, \"x\"], \"a\": 1}", false, &[]);
        check(
            "{\"a/b\": 1, \"l\": [1, 2], \"n\": null}",
            "{\"a/b\": 2, \"l\": [1], \"more\": true}",
            false,
            &[
                "/outputs/a~1b: expected 1, got 2",
                "/outputs/l/1: expected 2, got nothing",
                "/outputs/n: expected null, got nothing",
                "/outputs/more: expected nothing, got true",
            ],
        );
        check("{\"a\": {\"x\": 1}}", "{\"a\": {\"x\": 1, \"y\": 2}, \"b\": 3}", true, &[]);
        check("[1]", "[1, 2]", true, &["/outputs/1: expected nothing, got 2"]);
        check("\"1\"", "1", true, &["/outputs: expected \"1\", got 1"]);
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let secret = Value::from("fake").tainted();
        let mut found = Vec::new();
        compare(&Value::from("fake"), &secret, "", false, &mut found);
        assert_eq!(found, []);
        compare(&Value::from("other"), &secret, "", false, &mut found);
        assert_eq!(found[0].message, "expected \"other\", got \"•••\"");
        let card = read_json("{\"pin\": 1234, \"name\": \"ada\"}").unwrap().tainted();
        let differing = |expected: &str, partial| {
            let mut found = Vec::new();
            compare(&read_json(expected).unwrap(), &card, "/card", partial, &mut found);
            found.into_iter().map(|one| format!("{}: {}", one.at, one.message)).collect::<Vec<_>>()
        };
        assert_eq!(differing("{\"pin\": 1234.0}", true), [""; 0]);
        let expected = "/card: expected {\"pin\":1}, got \"•••\"";
        assert_eq!(differing("{\"pin\": 1}", true), [expected]);
    }
}
