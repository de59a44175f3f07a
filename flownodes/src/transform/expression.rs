//! Expressions that the nodes for records evaluate for every item.

use flowcore::expression::{ExpressionError, Roots};
use flowcore::{NodeError, Value};

use super::text::position;

/// A compiled expression.
pub(super) struct Expression(flowcore::expression::Expression);

impl Expression {
    /// Compiles an expression in which these names may stand.
    ///
    /// # Errors
    /// `config.invalid` saying what is wrong, and where.
    pub(super) fn compile(text: &str, names: &[&str]) -> Result<Self, NodeError> {
        let compiled = flowcore::expression::Expression::compile(text, Roots::Names(names));
        compiled.map(Self).map_err(|error| invalid(text, &error))
    }

    /// Compiles the expression for a field of `item`, or an expression: a text that is a plain
    /// name, and none of these, names a field.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub(super) fn compile_key(text: &str, names: &[&str]) -> Result<Self, NodeError> {
        if is_name(text) && !names.contains(&text) {
            Self::compile(&format!("item[\"{text}\"]"), names)
        } else {
            Self::compile(text, names)
        }
    }

    /// The value of the expression; tainted if it was made of something tainted.
    ///
    /// # Errors
    /// `expression.undefined`, `expression.failed`.
    pub(super) fn eval(&self, scope: &[(&'static str, &Value)]) -> Result<Value, NodeError> {
        self.0.evaluate_with(scope).map_err(|error| self.explain(error, scope))
    }

    /// Takes out what may show a secret, and says what to do.
    fn explain(&self, error: ExpressionError, scope: &[(&'static str, &Value)]) -> NodeError {
        let message = if scope.iter().any(|(_, value)| value.is_tainted()) {
            format!("`{}` failed on a value with a secret in it", self.0.text())
        } else {
            error.message
        };
        let explained = NodeError::new(error.code, message);
        if error.code == "expression.undefined" {
            return explained.with_hint("say what to take instead: `item.name | default(none)`");
        }
        explained
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn invalid(text: &str, error: &ExpressionError) -> NodeError {
    let (line, column) = position(text, error.range.start);
    let text = shorten(text);
    let message = format!("expression `{text}`, line {line}, column {column}: {}", error.message);
    let invalid = NodeError::config(message);
    match (&error.suggestion, &error.hint) {
        (Some(suggestion), _) => invalid.with_hint(format!("did you mean `{suggestion}`?")),
        (None, Some(hint)) => invalid.with_hint(hint.clone()),
        (None, None) => invalid,
    }
}

/// The beginning of a text, for a message.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    const NAMES: [&str; 2] = ["item", "index"];

    fn eval(text: &str, item: &str) -> Result<Value, NodeError> {
        let item = read_json(item).unwrap();
        Expression::compile(text, &NAMES)?.eval(&[("item", &item), ("index", &Value::from(7))])
    }

    #[track_caller]
    fn check(text: &str, item: &str, expected: &str) {
        assert_eq!(eval(text, item).unwrap().to_json_text(), expected, "{text}");
    }

    #[test]
    fn expressions_keep_the_types_of_values() {
        check("item", "18446744073709551615", "18446744073709551615");
        check("item.a.b", r#"{"a": {"b": [1, 2.0]}}"#, "[1,2.0]");
        check(" item.a ", r#"{"a": null}"#, "null");
        check("item.a + 1", r#"{"a": 9007199254740993}"#, "9007199254740994");
        check("item.a[0] ~ index", r#"{"a": ["x"]}"#, r#""x7""#);
        check("item['a b'] | upper", r#"{"a b": "x"}"#, r#""X""#);
        check("item | length == 2 and item[-1] is none", "[1, null]", "true");
        check("item | map(attribute='n') | sum", r#"[{"n": 1}, {"n": 2}]"#, "3");
        check("item.z | default('none')", "{}", r#""none""#);
        check("item == {'a': [1, 2.0]}", r#"{"a": [1, 2.0]}"#, "true");
        check("item.items", r#"{"items": 1}"#, "1");
        check("'a' in item and 'b' not in item", r#"{"a": 1}"#, "true");
        check("item.date[:4]", r#"{"date": "2024-07-01"}"#, r#""2024""#);
    }

    #[track_caller]
    fn check_error(text: &str, item: &str, code: &str) -> NodeError {
        let error = eval(text, item).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
        error
    }

    #[test]
    fn failures_have_codes() {
        let error = check_error("item.a.b", "{}", "expression.undefined");
        assert!(error.hint().unwrap().contains("default(none)"));
        check_error("item.a", "null", "expression.undefined");
        check_error("item + 1", "[]", "expression.failed");
        check_error("item * 10", "18446744073709551615", "expression.failed");
        check_error("item | float", "\"nan\"", "expression.cannot_convert");
    }

    #[test]
    fn bad_expressions_are_refused_before_anything_runs() {
        check_error("item.", "1", "config.invalid");
        check_error("", "1", "config.invalid");
        check_error("{{ item }}", "1", "config.invalid");
        check_error(&"1+".repeat(10_000), "1", "config.invalid");
        let error = check_error("1 + itm.a", "1", "config.invalid");
        let place = "expression `1 + itm.a`, line 1, column 5: there is no name `itm`";
        assert_eq!((error.message(), error.hint()), (place, Some("did you mean `item`?")));
        let error = check_error("inputs | length", "1", "config.invalid");
        assert_eq!(error.hint(), Some("names are item, index"));
    }

    #[test]
    fn a_plain_name_is_a_field() {
        let item = read_json(r#"{"price": 2, "in": 3}"#).unwrap();
        let eval = |text: &str| Expression::compile_key(text, &NAMES)?.eval(&[("item", &item)]);
        assert_eq!(eval("price").unwrap(), Value::from(2));
        assert_eq!(eval("in").unwrap(), Value::from(3));
        assert_eq!(eval("item.price * 2").unwrap(), Value::from(4));
        assert_eq!(eval("item").unwrap(), item);
        assert_eq!(eval("prise").unwrap_err().code(), "expression.undefined");
    }

    #[test]
    fn messages_do_not_show_secrets() {
        let item = Value::from("s3cret").tainted();
        let expression = Expression::compile("item | int", &NAMES).unwrap();
        let error = expression.eval(&[("item", &item)]).unwrap_err();
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        let length = Expression::compile("item | length", &NAMES).unwrap();
        assert!(length.eval(&[("item", &item)]).unwrap().is_tainted());
    }
}
