//! Evaluating a compiled expression.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use minijinja::value::{Enumerator, Object as JinjaObject};
use minijinja::{ErrorKind, Value as Jinja};
use smallvec::SmallVec;

use super::bridge::{BridgeError, from_jinja, to_jinja};
use super::compare::original;
use super::compile::{Expression, Form, Segment};
use super::convert::ConversionError;
use super::error::ExpressionError;
use super::slot::Slot;
use crate::value::Value;

impl Expression {
    /// Evaluates the expression with one value per slot, in the order of [`Expression::slots`];
    /// `None` is undefined. The result is tainted if anything that was read is.
    ///
    /// # Errors
    /// `expression.undefined` when something undefined is used without `default` or `is defined`,
    /// `expression.too_expensive` when the fuel is used up, `expression.failed` for anything else.
    pub fn evaluate(&self, values: &[Option<Value>]) -> Result<Value, ExpressionError> {
        match &self.form {
            Form::Path(segments) => self.walk(values.first().and_then(Option::as_ref), segments),
            Form::Compiled(compiled) => {
                let tainted = values.iter().flatten().any(Value::is_tainted);
                let direct = compiled.direct.as_ref().and_then(|direct| direct.evaluate(values));
                let value = match direct {
                    Some(value) => value,
                    None => self.interpret(&compiled.interpreted, values, tainted)?,
                };
                Ok(if tainted { value.tainted() } else { value })
            }
        }
    }

    /// Evaluates the expression with values by name, for expressions over
    /// [`super::Roots::Names`].
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate_with(&self, names: &[(&str, &Value)]) -> Result<Value, ExpressionError> {
        let find = |slot: &Slot| match slot {
            Slot::Local(local) => {
                names.iter().find(|(name, _)| *name == &**local).map(|(_, value)| (*value).clone())
            }
            _ => None,
        };
        let values: SmallVec<[Option<Value>; 4]> = self.slots.iter().map(find).collect();
        self.evaluate(&values)
    }

    /// The interpreter is somebody else's and panics on odd numbers, as in `n is divisibleby(0)`; the
    /// thread that evaluates has more to do than one expression.
    pub(super) fn interpret(
        &self,
        compiled: &minijinja::Expression<'_, '_>,
        values: &[Option<Value>],
        tainted: bool,
    ) -> Result<Value, ExpressionError> {
        let slots: Arc<[Slot]> = Arc::from(&*self.slots);
        let root = Branch { slots, values: Arc::from(values), path: Vec::new() };
        let evaluate = || {
            let result = compiled.eval(Jinja::from_object(root));
            let result = result.map_err(|error| self.runtime_error(&error, tainted))?;
            from_jinja(&result).map_err(|error| self.result_error(&error))
        };
        catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or_else(|_| {
            let message = format!("`{}` failed: it cannot be calculated", self.text.trim());
            Err(ExpressionError::new("expression.failed", 0..self.text.len(), message))
        })
    }

    fn walk(&self, start: Option<&Value>, segments: &[Segment]) -> Result<Value, ExpressionError> {
        let Some(start) = start else { return Err(self.undefined()) };
        let mut tainted = matches!(start, Value::Tainted(_));
        let mut value = start;
        for segment in segments {
            value = step(value, segment).ok_or_else(|| self.undefined())?;
            tainted |= matches!(value, Value::Tainted(_));
        }
        let value = value.clone();
        Ok(if tainted { value.tainted() } else { value })
    }

    fn undefined(&self) -> ExpressionError {
        let message = format!("`{}` is undefined", self.text.trim());
        let error = ExpressionError::new("expression.undefined", 0..self.text.len(), message);
        let is_secret = |slot: &Slot| matches!(slot, Slot::Secret(_));
        if !self.slots.is_empty() && self.slots.iter().all(is_secret) {
            return error.hint(
                "whoever runs the workflow gives its secrets: `FLOW_SECRET_<NAME>`, or `--secrets-file`",
            );
        }
        let reads_nodes = self.slots.iter().any(|slot| matches!(slot, Slot::Node(_)));
        error.hint(match reads_nodes {
            true => {
                "a node that was skipped or failed has no outputs; `| default(…)` gives a value then"
            }
            false => "`| default(…)` gives a value where there is none",
        })
    }

    fn runtime_error(&self, error: &minijinja::Error, tainted: bool) -> ExpressionError {
        let whole = 0..self.text.len();
        let range = error.range().map(|range| match &*self.origins {
            [] => range,
            origins => original(origins, range),
        });
        let range = range.filter(|range| range.end <= whole.end).unwrap_or(whole);
        match error.kind() {
            ErrorKind::UndefinedError => {
                let message = format!("something in `{}` is undefined", self.text.trim());
                ExpressionError { message, range, ..self.undefined() }
            }
            ErrorKind::OutOfFuel => {
                let message = format!("`{}` takes too many steps", self.text.trim());
                ExpressionError::new("expression.too_expensive", range, message)
            }
            kind => {
                if let Some(conversion) = conversion_error(error) {
                    let message = format!("`{}` failed: {conversion}", self.text.trim());
                    let failed = ExpressionError::new(conversion.code, range, message);
                    return ExpressionError { hint: conversion.hint.map(str::to_owned), ..failed };
                }
                // Details may show values, such as the numbers of a sum that is too large.
                let detail = error.detail().filter(|_| !tainted);
                let shown = detail.map_or_else(|| kind.to_string(), str::to_owned);
                let message = format!("`{}` failed: {shown}", self.text.trim());
                let failed = ExpressionError::new("expression.failed", range, message);
                // minijinja has no kind of its own for operands that do not fit.
                match error.detail().is_some_and(|detail| detail.contains("unsupported types")) {
                    true => failed.hint(OPERANDS_HINT),
                    false => failed,
                }
            }
        }
    }

    fn result_error(&self, error: &BridgeError) -> ExpressionError {
        match error {
            BridgeError::Undefined => self.undefined(),
            BridgeError::IntegerTooLarge | BridgeError::NotData | BridgeError::Value(_) => {
                let message = format!("`{}` failed: {error}", self.text.trim());
                ExpressionError::new("expression.failed", 0..self.text.len(), message)
            }
        }
    }
}

/// What to do where an operator meets values of kinds that do not go together.
const OPERANDS_HINT: &str = "`| int` or `| float` makes a number of a text, `~` joins texts, and `| string` makes a text of a value";

/// The conversion that failed, if that is what went wrong.
fn conversion_error(error: &minijinja::Error) -> Option<&ConversionError> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(conversion) = error.downcast_ref() {
            return Some(conversion);
        }
        source = error.source();
    }
    None
}

fn step<'a>(value: &'a Value, segment: &Segment) -> Option<&'a Value> {
    match (value.untainted(), segment) {
        (Value::Object(object), Segment::Key(key)) => object.get(key),
        (Value::Array(array), Segment::Index(index)) => array.get(*index),
        _ => None,
    }
}

/// A name, or the beginning of a dotted one, as minijinja looks it up: `nodes`, then `nodes.fetch`,
/// then the value of `nodes.fetch.json`.
#[derive(Debug)]
struct Branch {
    slots: Arc<[Slot]>,
    values: Arc<[Option<Value>]>,
    path: Vec<Arc<str>>,
}

/// The full name of a slot, as its parts.
fn name_of(slot: &Slot) -> SmallVec<[&str; 3]> {
    match slot {
        Slot::Inputs => SmallVec::from_slice(&["inputs"]),
        Slot::Input(name) => SmallVec::from_slice(&["inputs", name]),
        Slot::Node(node) => SmallVec::from_slice(&["nodes", &node.id, &node.port]),
        Slot::Port(port) => SmallVec::from_slice(&["input", port]),
        Slot::Execution(field) => SmallVec::from_slice(&["execution", field]),
        Slot::Workflow(field) => SmallVec::from_slice(&["workflow", field]),
        Slot::Secret(name) => SmallVec::from_slice(&["secrets", name]),
        Slot::Local(name) => SmallVec::from_slice(&[&**name]),
        Slot::Scope(local) => SmallVec::from_slice(&[local.as_str()]),
    }
}

impl JinjaObject for Branch {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Jinja> {
        let depth = self.path.len();
        let is_below = |name: &[&str]| {
            name.len() > depth
                && name[depth] == key
                && self.path.iter().zip(name).all(|(have, want)| **have == **want)
        };
        let mut longer = false;
        for (slot, value) in self.slots.iter().zip(self.values.iter()) {
            let name = name_of(slot);
            if is_below(&name) {
                if name.len() == depth + 1 {
                    return value.as_ref().map(to_jinja);
                }
                longer = true;
            }
        }
        longer.then(|| {
            let mut path = self.path.clone();
            path.push(Arc::from(key));
            let (slots, values) = (self.slots.clone(), self.values.clone());
            Jinja::from_object(Self { slots, values, path })
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, Roots, Slot};
    use crate::value::{Value, read_json};

    fn lookup(slot: &Slot) -> Option<Value> {
        let json = match slot {
            Slot::Input(name) if &**name == "limit" => "3",
            Slot::Input(name) if &**name == "name" => "\"ada\"",
            Slot::Node(node) if &*node.id == "fetch" && &*node.port == "json" => {
                r#"{"items": [{"price": 2.5}, {"price": 4}], "big": 18446744073709551615}"#
            }
            Slot::Node(node) if &*node.id == "my-node" => "true",
            Slot::Execution(_) => "\"e\"",
            Slot::Secret(_) => return Some(Value::from("s3cret").tainted()),
            _ => return None,
        };
        Some(read_json(json).unwrap())
    }

    fn evaluate(text: &str) -> Result<Value, (String, String)> {
        let code = |error: super::ExpressionError| {
            (error.code.to_owned(), text[error.range.clone()].to_owned())
        };
        let expression = Expression::compile(text, Roots::Workflow).map_err(code)?;
        let values: Vec<_> = expression.slots().iter().map(lookup).collect();
        expression.evaluate(&values).map_err(code)
    }

    #[track_caller]
    fn check(text: &str, json: &str) {
        assert_eq!(evaluate(text).map(|value| value.to_json_text()), Ok(json.to_owned()), "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, code: &str, place: &str) {
        assert_eq!(evaluate(text), Err((code.to_owned(), place.to_owned())), "{text}");
    }

    #[test]
    fn expressions_keep_types() {
        check("inputs.limit", "3");
        check(" inputs.limit > 2 and inputs.name == 'ada' ", "true");
        check("nodes.fetch.json.items[1].price", "4");
        check("nodes.fetch.json.items[0]['price'] * 2", "5.0");
        check("nodes.fetch.json.big", "18446744073709551615");
        check("nodes[\"my-node\"].ok", "true");
        check("nodes.fetch.json.items", r#"[{"price":2.5},{"price":4}]"#);
        check("nodes.fetch.json.items | map(attribute='price') | sum", "6.5");
        check("{'a': inputs.limit, 'b': [1, none, true]}", r#"{"a":3,"b":[1,null,true]}"#);
        check("nodes.skipped.out | default(7)", "7");
        check("nodes.skipped.out is defined", "false");
        check("nodes.skipped.out is not defined", "true");
        check("inputs.name ~ '-' ~ inputs.limit", "\"ada-3\"");
        check("inputs.name | shell_quote", "\"'ada'\"");
        check("range(3) | list", "[0,1,2]");
        check("'nodes.x' if inputs.limit else none", "\"nodes.x\"");
        check("inputs.name | replace('a', inputs.name)", "\"adadada\"");
        check("execution.id", "\"e\"");
    }

    #[test]
    fn names_are_checked_when_compiling() {
        check_error("inptus.limit", "expression.unknown_name", "inptus");
        check_error("1 + nodes.fetch", "expression.needs_literal", "nodes.fetch");
        check_error("nodes[inputs.name].x", "expression.needs_literal", "nodes");
        check_error("execution.nothing", "expression.unknown_name", "execution.nothing");
        check_error("inputs.name | uper", "expression.unknown_filter", "uper");
        check_error("inputs.name is strng", "expression.unknown_test", "strng");
        check_error("now()", "expression.unknown_function", "now");
        check_error("1 +", "expression.syntax", "+");
        check_error("  ", "expression.syntax", "  ");
        check_error("inputs.limit )", "expression.syntax", ")");
    }

    #[test]
    fn undefined_fails() {
        check_error("nodes.skipped.out", "expression.undefined", "nodes.skipped.out");
        check_error("nodes.fetch.json.nothing", "expression.undefined", "nodes.fetch.json.nothing");
        check_error("nodes.fetch.json.nothing | upper", "expression.undefined", "upper");
        let (code, _) = evaluate("nodes.fetch.json.nothing + 1").unwrap_err();
        assert_eq!(code, "expression.failed");
    }

    #[test]
    fn the_hint_fits_what_is_undefined() {
        for (text, hint) in [
            ("nodes.skipped.out", "a node that was skipped"),
            ("inputs.limit.nothing", "`| default(…)` gives a value where"),
            (
                "secrets.token ~ 1",
                "whoever runs the workflow gives its secrets: `FLOW_SECRET_<NAME>`",
            ),
        ] {
            let expression = Expression::compile(text, Roots::Workflow).unwrap();
            let error = expression.evaluate(&vec![None; expression.slots().len()]).unwrap_err();
            assert!(error.hint.as_ref().unwrap().starts_with(hint), "{error:?}");
        }
    }

    #[test]
    fn taint_passes_on() {
        assert!(evaluate("secrets.token").unwrap().is_tainted());
        assert!(evaluate("'Bearer ' ~ secrets.token").unwrap().is_tainted());
        assert_eq!(evaluate("'Bearer ' ~ secrets.token").unwrap().as_str(), Some("Bearer s3cret"));
        assert!(evaluate("secrets.token | length").unwrap().is_tainted());
        assert!(!evaluate("inputs.name").unwrap().is_tainted());
    }

    #[test]
    fn a_panic_of_the_interpreter_is_a_failure() {
        check_error(
            "inputs.limit is divisibleby(0)",
            "expression.failed",
            "inputs.limit is divisibleby(0)",
        );
        check("inputs.limit is divisibleby(3)", "true");
    }

    #[test]
    fn hostile_expressions_are_refused() {
        let too_complex = [
            "(".repeat(10_000),
            "not ".repeat(4_000) + "1",
            "-".repeat(10_000) + "1",
            "1".to_owned() + &"+1".repeat(8_000),
            "[".repeat(10_000),
            "1".to_owned() + &"|abs".repeat(4_000),
            "inputs".to_owned() + &".a".repeat(8_000),
        ];
        for text in too_complex {
            assert_eq!(evaluate(&text).unwrap_err().0, "expression.too_complex", "{text}");
        }
        assert_eq!(evaluate("range(1000000000) | list").unwrap_err().0, "expression.failed");
        assert_eq!(evaluate("2 ** 9999999").unwrap_err().0, "expression.failed");
        // As complex as it may be: the process lives.
        for text in [
            "not ".repeat(511) + "1",
            "-".repeat(511) + "1",
            "1".to_owned() + &"+1".repeat(511),
            "inputs".to_owned() + &".a".repeat(511),
            "1".to_owned() + &"|abs".repeat(511),
            "1".to_owned() + &" if 1 else 1".repeat(255),
            "[".repeat(31) + &"]".repeat(31),
            "1".to_owned() + &" is odd".repeat(511),
            "1".to_owned() + &", 1".repeat(4000),
            "(".repeat(31) + "1" + &"<1)".repeat(31),
            "1<1,".repeat(500) + "1",
        ] {
            let _ = evaluate(&text);
        }
        assert_eq!(evaluate(&"1".repeat(20_000)).unwrap_err().0, "expression.too_long");
    }
}
