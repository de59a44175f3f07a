//! What an expression may call.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior};

use super::bounded::bound_filters;

/// Steps that one evaluation may take.
///
/// Far above what a formula needs and far below what anyone would wait for: a few milliseconds.
const FUEL: u64 = 100_000;

/// The filters, by name.
pub fn filters() -> &'static [&'static str] {
    &[
        "abs",
        "attr",
        "base64",
        "base64_decode",
        "batch",
        "bool",
        "bytes",
        "capitalize",
        "chain",
        "count",
        "d",
        "default",
        "dictsort",
        "escape",
        "e",
        "first",
        "float",
        "format",
        "from_json",
        "groupby",
        "indent",
        "int",
        "items",
        "join",
        "json",
        "last",
        "length",
        "lines",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "pprint",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "round",
        "safe",
        "select",
        "selectattr",
        "shell_quote",
        "slice",
        "sort",
        "split",
        "string",
        "sum",
        "title",
        "tojson",
        "trim",
        "unique",
        "upper",
        "zip",
    ]
}

/// The tests, by name: what may follow `is`.
pub fn tests() -> &'static [&'static str] {
    &[
        "boolean",
        "defined",
        "divisibleby",
        "endingwith",
        "eq",
        "equalto",
        "escaped",
        "even",
        "false",
        "filter",
        "float",
        "ge",
        "greaterthan",
        "gt",
        "in",
        "integer",
        "iterable",
        "le",
        "lessthan",
        "lower",
        "lt",
        "mapping",
        "ne",
        "none",
        "number",
        "odd",
        "safe",
        "sameas",
        "sequence",
        "startingwith",
        "string",
        "test",
        "true",
        "undefined",
        "upper",
    ]
}

/// The functions, by name.
pub fn functions() -> &'static [&'static str] {
    &["dict", "range"]
}

/// The environment that compiles and evaluates every expression: constant, without templates.
pub(super) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Errors then say where they are.
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        environment.remove_global("debug");
        environment.remove_global("namespace");
        environment.add_filter("shell_quote", shell_quote);
        bound_filters(&mut environment);
        super::compare::register(&mut environment);
        super::convert::register(&mut environment);
        environment
    });
    &ENVIRONMENT
}

/// The text as one word of a POSIX shell.
fn shell_quote(value: &minijinja::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod names {
    use minijinja::ErrorKind;

    use super::*;

    fn error_kind(expression: &str) -> Option<ErrorKind> {
        let compiled = environment().compile_expression_owned(expression.to_owned()).unwrap();
        compiled.eval(()).err().map(|error| error.kind())
    }

    #[test]
    fn every_name_exists() {
        for name in filters() {
            assert_ne!(error_kind(&format!("1|{name}")), Some(ErrorKind::UnknownFilter), "{name}");
        }
        for name in tests() {
            assert_ne!(error_kind(&format!("1 is {name}")), Some(ErrorKind::UnknownTest), "{name}");
        }
        for name in functions() {
            assert_ne!(
                error_kind(&format!("{name}()")),
                Some(ErrorKind::UnknownFunction),
                "{name}"
            );
        }
        assert_eq!(error_kind("1|nothing"), Some(ErrorKind::UnknownFilter));
    }

    #[test]
    fn shell_words_are_quoted() {
        let value = minijinja::Value::from("it's; rm -rf $HOME");
        assert_eq!(shell_quote(&value), r"'it'\''s; rm -rf $HOME'");
    }
}
