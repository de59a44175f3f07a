//! Expressions that the nodes for records evaluate for every item.

use std::sync::{Arc, LazyLock};

use flowcore::{NodeError, Value};
use minijinja::Environment;
use minijinja::value::{Enumerator, Object as Dynamic, Value as Inner};

use super::language;
use crate::deep_stack;

/// Steps that one evaluation may take. An expression has no loops: the longest one needs less.
const FUEL: u64 = 100_000;

/// The longest expression, in bytes. Longer ones are programs.
const MAX_LENGTH: usize = 32 * 1024;

/// Up to this length, in bytes, an expression is compiled on the stack at hand: it has at most half
/// as many operators, and a thousand need half of a stack of 2 MiB.
const SHORT: usize = 1024;

/// Stack for compiling one byte of an expression; a chain of one-byte operators needs half of it
/// without optimisation.
const STACK_PER_BYTE: usize = 4096;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| language::environment(FUEL));

/// A compiled expression.
pub(super) struct Expression {
    text: Box<str>,
    /// The names of a plain path such as `item.address.city`, which needs no evaluation.
    path: Option<Box<[Box<str>]>>,
    compiled: minijinja::Expression<'static, 'static>,
}

impl Expression {
    /// Compiles an expression in which these names may stand.
    ///
    /// # Errors
    /// `config.invalid` saying what is wrong.
    pub(super) fn compile(text: &str, names: &[&str]) -> Result<Self, NodeError> {
        if text.len() > MAX_LENGTH {
            return Err(invalid(text, &format!("it is longer than {MAX_LENGTH} bytes")));
        }
        if text.len() <= SHORT {
            return Self::compile_here(text, names);
        }
        deep_stack::run(text.len() * STACK_PER_BYTE, || Self::compile_here(text, names))?
    }

    fn compile_here(text: &str, names: &[&str]) -> Result<Self, NodeError> {
        let compiled = ENVIRONMENT
            .compile_expression_owned(text.to_owned())
            .map_err(|error| invalid(text, &language::describe(&error)))?;
        let known = |name: &str| {
            names.contains(&name) || ENVIRONMENT.globals().any(|(global, _)| global == name)
        };
        let mut unknown: Vec<_> =
            compiled.undeclared_variables(false).into_iter().filter(|name| !known(name)).collect();
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            let names = names.join("`, `");
            return Err(invalid(text, &format!("there is no `{name}` here"))
                .with_hint(format!("these names can be used: `{names}`")));
        }
        Ok(Self { text: text.into(), path: plain_path(text), compiled })
    }

    /// Compiles the expression for a field of `item`, or an expression: a text that is a plain
    /// name, and none of these, names a field.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub(super) fn compile_key(text: &str, names: &[&str]) -> Result<Self, NodeError> {
        let is_field = is_name(text) && !names.contains(&text);
        let mut expression = if is_field {
            Self::compile(&format!("item[\"{text}\"]"), names)?
        } else {
            Self::compile(text, names)?
        };
        if is_field {
            expression.path = Some(["item".into(), text.into()].into());
        }
        Ok(expression)
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// `expression.undefined`, `expression.no_value`, `expression.failed`, `value.too_deep`,
    /// `value.not_finite`.
    pub(super) fn eval(&self, scope: &[(&'static str, &Value)]) -> Result<Value, NodeError> {
        match self.follow_path(scope) {
            Some(value) => Ok(value.clone()),
            // A path that leads nowhere fails here, like everything that fails.
            None => self.eval_compiled(scope).map_err(|error| self.explain(&error, scope)),
        }
    }

    fn follow_path<'a>(&self, scope: &[(&'static str, &'a Value)]) -> Option<&'a Value> {
        let (root, fields) = self.path.as_deref()?.split_first()?;
        let (_, value) = scope.iter().find(|(name, _)| *name == &**root)?;
        fields.iter().try_fold(*value, |value, field| value.get(field))
    }

    fn eval_compiled(&self, scope: &[(&'static str, &Value)]) -> Result<Value, NodeError> {
        let scope = scope.iter().map(|(name, value)| (*name, (*value).clone())).collect();
        let result = self.compiled.eval(Inner::from_object(Scope(scope)));
        language::from_language(&result.map_err(|error| language::failure(&error))?)
    }

    /// Adds the expression's text, and takes out what may show a secret.
    fn explain(&self, error: &NodeError, scope: &[(&'static str, &Value)]) -> NodeError {
        let text = shorten(&self.text);
        let message = if scope.iter().any(|(_, value)| value.is_tainted()) {
            format!("expression `{text}` failed on a value with a secret in it")
        } else {
            format!("expression `{text}`: {}", error.message())
        };
        let explained = NodeError::new(error.code().to_owned(), message);
        if error.code() == "expression.undefined" {
            return explained.with_hint("say what to take instead: `item.name | default(none)`");
        }
        explained
    }
}

/// The names of a path such as `item.address.city`.
fn plain_path(text: &str) -> Option<Box<[Box<str>]>> {
    let names: Box<[Box<str>]> = text.trim().split('.').map(Into::into).collect();
    names.iter().all(|name| is_name(name)).then_some(names)
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn invalid(text: &str, problem: &str) -> NodeError {
    NodeError::config(format!("expression `{}`: {problem}", shorten(text)))
}

/// The beginning of a text, for a message.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The names that an expression sees.
#[derive(Debug)]
struct Scope(Vec<(&'static str, Value)>);

impl Dynamic for Scope {
    fn get_value(self: &Arc<Self>, key: &Inner) -> Option<Inner> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Inner> {
        let (_, value) = self.0.iter().find(|(name, _)| *name == key)?;
        Some(language::to_language(value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Inner::from(*name)).collect())
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
        check("range(3) | list", "0", "[0,1,2]");
        check("item.items", r#"{"items": 1}"#, "1");
        check("'a' in item and 'b' not in item", r#"{"a": 1}"#, "true");
        check("item ~ ''", r#"{"z": 1, "a": null}"#, r#""{\"z\":1,\"a\":null}""#);
    }

    #[track_caller]
    fn check_error(text: &str, item: &str, code: &str) -> NodeError {
        let error = eval(text, item).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
        error
    }

    #[test]
    fn failures_have_codes() {
        check_error("item.a.b", "{}", "expression.undefined");
        check_error("item.a", "null", "expression.undefined");
        check_error("item + 1", "[]", "expression.failed");
        check_error("item | no_such_filter", "1", "expression.failed");
        check_error("range", "1", "expression.no_value");
        check_error("item * 10", "18446744073709551615", "expression.no_value");
        check_error("item | float", "\"nan\"", "value.not_finite");
    }

    #[test]
    fn bad_expressions_are_refused_before_anything_runs() {
        check_error("item.", "1", "config.invalid");
        check_error("", "1", "config.invalid");
        check_error("{{ item }}", "1", "config.invalid");
        let error = check_error("itm.a + 1", "1", "config.invalid");
        assert_eq!(error.message(), "expression `itm.a + 1`: there is no `itm` here");
        assert_eq!(error.hint(), Some("these names can be used: `item`, `index`"));
    }

    #[test]
    fn long_chains_do_not_overflow_the_stack() {
        let chain = |unit: &str| format!("{}1", unit.repeat(MAX_LENGTH / unit.len() - 1));
        for unit in ["-", "1+", "1~", "not ", "1**", "1 if 1 else ", "1 and ", "("] {
            let _ = Expression::compile(&chain(unit), &NAMES);
        }
        for unit in [".a", "|abs", "()", " is odd", "[0]"] {
            let text = format!("item{}", unit.repeat((MAX_LENGTH - 4) / unit.len()));
            let _ = Expression::compile(&text, &NAMES);
        }
        check_error(&"1+".repeat(MAX_LENGTH), "1", "config.invalid");
        let short = "-".repeat(SHORT - 1) + "1";
        assert!(Expression::compile(&short, &NAMES).is_ok());
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
    }
}
