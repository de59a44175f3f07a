//! Values that hold expressions: a node's config, a workflow's outputs.

use std::sync::Arc;

use super::compile::Expression;
use super::error::ExpressionError;
use super::scan::find_end;
use super::slot::{Roots, Slot};
use crate::value::{Array, Object, Value, escape_pointer};

/// A value whose strings may hold expressions in `{{ }}`.
///
/// A string that is exactly one expression keeps the type of its result; otherwise results are
/// rendered into the text. Only `{{ … }}` is syntax; a literal `{{` is written `{{{{`.
#[derive(Debug)]
pub enum Template {
    /// No expression inside.
    Constant(Value),
    /// Exactly one expression.
    Expression(Expression),
    /// Text with expressions.
    Text(Box<[Piece]>),
    /// An array with expressions somewhere inside.
    Array(Box<[Template]>),
    /// An object with expressions somewhere inside.
    Object(Box<[(Arc<str>, Template)]>),
}

/// A piece of a text with expressions.
#[derive(Debug)]
pub enum Piece {
    /// As it is.
    Literal(Arc<str>),
    /// Rendered.
    Expression {
        /// Its first byte in the text.
        at: usize,
        /// The expression.
        expression: Expression,
    },
}

/// An error and the JSON pointer, below the template, of the string that it is in.
pub(crate) type PlacedError = (String, ExpressionError);

impl Template {
    /// Compiles the expressions of a value in a workflow; every error comes with the JSON pointer,
    /// below the value, of the string that it is in.
    pub(crate) fn compile(value: &Value, pointer: &str, errors: &mut Vec<PlacedError>) -> Self {
        Self::compile_within(value, Roots::Workflow, pointer, errors)
    }

    /// As [`Template::compile`], with other names.
    pub(crate) fn compile_within(
        value: &Value,
        roots: Roots<'_>,
        pointer: &str,
        errors: &mut Vec<PlacedError>,
    ) -> Self {
        match value {
            Value::String(text) => {
                let mut report = |error| errors.push((pointer.to_owned(), error));
                Self::compile_text(text, roots, &mut report)
            }
            Value::Array(array) if may_hold_expressions(value) => {
                let items = array.iter().enumerate();
                let items: Box<[_]> = items
                    .map(|(index, item)| {
                        Self::compile_within(item, roots, &format!("{pointer}/{index}"), errors)
                    })
                    .collect();
                if items.iter().all(Self::is_unchanged) {
                    return Self::Constant(value.clone());
                }
                Self::Array(items)
            }
            Value::Object(object) if may_hold_expressions(value) => {
                let entries: Box<[_]> = object
                    .iter()
                    .map(|(key, item)| {
                        let pointer = format!("{pointer}/{}", escape_pointer(key));
                        (key.clone(), Self::compile_within(item, roots, &pointer, errors))
                    })
                    .collect();
                if entries.iter().all(|(_, entry)| entry.is_unchanged()) {
                    return Self::Constant(value.clone());
                }
                Self::Object(entries)
            }
            _ => Self::Constant(value.clone()),
        }
    }

    /// Whether this is the value as it was written: a text with a literal `{{{{` is not.
    fn is_unchanged(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    fn compile_text(
        text: &Arc<str>,
        roots: Roots<'_>,
        report: &mut dyn FnMut(ExpressionError),
    ) -> Self {
        if !text.contains("{{") {
            return Self::Constant(Value::String(text.clone()));
        }
        let mut pieces = split(text, roots, report);
        match pieces.as_mut_slice() {
            // What stands further back follows an expression that does not compile.
            [Piece::Expression { at: 2, .. }] => match pieces.pop() {
                Some(Piece::Expression { expression, .. }) => Self::Expression(expression),
                Some(Piece::Literal(_)) | None => unreachable!("the only piece is an expression"),
            },
            _ => Self::Text(pieces.into()),
        }
    }

    /// Whether nothing has to be evaluated.
    pub fn is_constant(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Expression(_) => false,
            Self::Text(pieces) => pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))),
            Self::Array(items) => items.iter().all(Self::is_constant),
            Self::Object(entries) => entries.iter().all(|(_, entry)| entry.is_constant()),
        }
    }

    /// Calls `visit` with every expression inside.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        match self {
            Self::Constant(_) => {}
            Self::Expression(expression) => visit(expression),
            Self::Text(pieces) => pieces.iter().for_each(|piece| match piece {
                Piece::Expression { expression, .. } => visit(expression),
                Piece::Literal(_) => {}
            }),
            Self::Array(items) => items.iter().for_each(|item| item.visit(visit)),
            Self::Object(entries) => entries.iter().for_each(|(_, entry)| entry.visit(visit)),
        }
    }

    /// Calls `visit` with every expression inside: the JSON pointer of the string that it is in, its
    /// offset in that string, and the expression.
    pub(crate) fn visit_mut(
        &mut self,
        pointer: &str,
        visit: &mut dyn FnMut(&str, usize, &mut Expression),
    ) {
        match self {
            Self::Constant(_) => {}
            Self::Expression(expression) => visit(pointer, 2, expression),
            Self::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Expression { at, expression } = piece {
                        visit(pointer, *at, expression);
                    }
                }
            }
            Self::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.visit_mut(&format!("{pointer}/{index}"), visit);
                }
            }
            Self::Object(entries) => {
                for (key, entry) in entries {
                    entry.visit_mut(&format!("{pointer}/{}", escape_pointer(key)), visit);
                }
            }
        }
    }

    /// The value with every expression replaced by its result. `lookup` gives the value of a slot,
    /// or `None` for undefined.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn resolve(
        &self,
        lookup: &mut dyn FnMut(&Slot) -> Option<Value>,
    ) -> Result<Value, ExpressionError> {
        self.resolve_with(&mut |expression| evaluate(expression, lookup))
    }

    /// As [`Template::resolve`], with another way to evaluate an expression.
    pub(crate) fn resolve_with(
        &self,
        evaluate: &mut dyn FnMut(&Expression) -> Result<Value, ExpressionError>,
    ) -> Result<Value, ExpressionError> {
        let too_deep = |error: crate::ValueError| {
            ExpressionError::new("expression.failed", 0..0, error.to_string())
        };
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Expression(expression) => evaluate(expression),
            Self::Text(pieces) => render(pieces, evaluate),
            Self::Array(items) => {
                let items: Result<Vec<_>, _> =
                    items.iter().map(|item| item.resolve_with(evaluate)).collect();
                Array::from_values(items?).map(Value::Array).map_err(too_deep)
            }
            Self::Object(entries) => {
                let entries: Result<Vec<_>, ExpressionError> = entries
                    .iter()
                    .map(|(key, entry)| Ok((key.clone(), entry.resolve_with(evaluate)?)))
                    .collect();
                Object::from_entries(entries?).map(Value::Object).map_err(too_deep)
            }
        }
    }
}

/// Evaluates an expression with values that `lookup` finds.
pub(crate) fn evaluate(
    expression: &Expression,
    lookup: &mut dyn FnMut(&Slot) -> Option<Value>,
) -> Result<Value, ExpressionError> {
    let values: smallvec::SmallVec<[Option<Value>; 4]> =
        expression.slots().iter().map(lookup).collect();
    expression.evaluate(&values)
}

fn render(
    pieces: &[Piece],
    evaluate: &mut dyn FnMut(&Expression) -> Result<Value, ExpressionError>,
) -> Result<Value, ExpressionError> {
    let mut text = String::new();
    let mut tainted = false;
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Expression { expression, .. } => {
                let value = evaluate(expression)?;
                tainted |= value.is_tainted();
                push_text(&mut text, &value);
            }
        }
    }
    let value = Value::from(text);
    Ok(if tainted { value.tainted() } else { value })
}

/// Strings as they are, everything else as compact JSON.
fn push_text(text: &mut String, value: &Value) {
    match value.as_str() {
        Some(string) => text.push_str(string),
        None => {
            text.push_str(&serde_json::to_string(&value.reveal()).expect("a value has a JSON form"))
        }
    }
}

fn may_hold_expressions(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{"),
        Value::Array(array) => array.iter().any(may_hold_expressions),
        Value::Object(object) => object.values().any(may_hold_expressions),
        _ => false,
    }
}

/// Splits a text into literals and expressions; those that do not compile are reported and left out,
/// so that the others are looked at as well.
fn split(text: &str, roots: Roots<'_>, report: &mut dyn FnMut(ExpressionError)) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        literal.push_str(&text[at..open]);
        if text[open + 2..].starts_with("{{") {
            literal.push_str("{{");
            at = open + 4;
            continue;
        }
        let start = open + 2;
        let Some(end) = find_end(text, start) else {
            let place = open..text.len();
            let error = ExpressionError::new("expression.unclosed", place, "`{{` has no `}}`");
            report(error.hint("a literal `{{` is written `{{{{`"));
            return pieces;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        match Expression::compile(&text[start..end], roots) {
            Ok(expression) => pieces.push(Piece::Expression { at: start, expression }),
            Err(error) => report(error.shifted(start)),
        }
        at = end + 2;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::read_json;

    fn resolve(json: &str) -> Result<String, (String, &'static str)> {
        let mut errors = Vec::new();
        let template = Template::compile(&read_json(json).unwrap(), "", &mut errors);
        if let Some((pointer, error)) = errors.into_iter().next() {
            return Err((pointer, error.code));
        }
        let mut lookup = |slot: &Slot| match slot {
            Slot::Input(name) if &**name == "n" => Some(Value::from(3)),
            Slot::Input(name) if &**name == "list" => Some(read_json("[1, null]").unwrap()),
            Slot::Secret(_) => Some(Value::from("s3cret").tainted()),
            _ => None,
        };
        let value = template.resolve(&mut lookup).map_err(|error| (String::new(), error.code))?;
        Ok(value.to_json_text())
    }

    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(resolve(json), Ok(expected.to_owned()), "{json}");
    }

    #[test]
    fn strings_with_expressions_are_resolved() {
        check(r#""{{ inputs.n }}""#, "3");
        check(r#""n={{ inputs.n }}, {{inputs.list}}""#, r#""n=3, [1,null]""#);
        check(r#"{"a": ["{{ inputs.n }}", 1], "b": "x"}"#, r#"{"a":[3,1],"b":"x"}"#);
        check(r#""{{ {'a': {'b': 1}} }}""#, r#"{"a":{"b":1}}"#);
        check(r#""{{ '}}' }}""#, r#""}}""#);
        check(r#"" {{ inputs.n }}""#, r#"" 3""#);
        check(r#"["Bearer {{ secrets.t }}"]"#, r#"["•••"]"#);
    }

    #[test]
    fn everything_else_is_text() {
        for text in [
            "len=${#name}",
            "awk '{%s}'",
            "{% raw %} {# no comment #}",
            "a }} b",
            "{ { } }",
            "line\n",
        ] {
            let json = serde_json::to_string(text).unwrap();
            check(&json, &json);
        }
        check(
            r#""docker inspect --format '{{{{.State}}'""#,
            r#""docker inspect --format '{{.State}}'""#,
        );
        check(r#""{{{{ {{ inputs.n }} }}""#, r#""{{ 3 }}""#);
        check(r#"{"a": "{{{{"}"#, r#"{"a":"{{"}"#);
    }

    #[test]
    fn errors_have_a_place() {
        let bad = |json: &str| resolve(json).unwrap_err();
        assert_eq!(bad(r#"{"a": [1, "{{ 1 + }}"]}"#), ("/a/1".to_owned(), "expression.syntax"));
        assert_eq!(bad(r#""{{ inputs.n""#), (String::new(), "expression.unclosed"));
        assert_eq!(bad(r#""{{ inputs.nothing }}""#).1, "expression.undefined");
    }

    #[test]
    fn every_expression_of_a_text_is_looked_at() {
        let text = Value::from("{{ 1 + }} {{ inputs.n }} {{ nope }} {{ inputs.m }} {{ x");
        let mut errors = Vec::new();
        let template = Template::compile(&text, "/a", &mut errors);
        let found: Vec<_> =
            errors.iter().map(|(_, error)| (error.code, error.range.start)).collect();
        let expected = [
            ("expression.syntax", 5),
            ("expression.unknown_name", 28),
            ("expression.unclosed", 51),
        ];
        assert_eq!(found, expected);
        let mut read = Vec::new();
        template.visit(&mut |expression| read.push(expression.text().trim().to_owned()));
        assert_eq!(read.join(" "), "inputs.n inputs.m");
    }
}
