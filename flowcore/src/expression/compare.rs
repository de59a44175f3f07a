//! Comparing only what can be compared.
//!
//! minijinja orders values of different kinds by their kind, so `"10" > 9` would be true and `"5" > 9`
//! as well. Before it compiles an expression, each `a < b` becomes a call of a filter that refuses
//! such a pair. A chain, `a < b < c`, is left as it is: its middle would be evaluated twice.

use std::ops::Range;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value as Jinja};

use super::convert::ConversionError;
use super::scan::{Token, TokenKind};

/// The four operators that order, and the filters that stand for them. No expression can name them:
/// they are not among those that exist.
const ORDERS: [(&str, &str, Order); 4] = [
    ("<", "__lt", |a, b| a < b),
    ("<=", "__le", |a, b| a <= b),
    (">", "__gt", |a, b| a > b),
    (">=", "__ge", |a, b| a >= b),
];

type Order = fn(&Jinja, &Jinja) -> bool;

pub(super) fn register(environment: &mut Environment<'static>) {
    for (operator, filter, order) in ORDERS {
        environment.add_filter(filter, move |a: &Jinja, b: &Jinja| -> Result<bool, Error> {
            if a.is_undefined() || b.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            if is_comparable(a) && name(a) == name(b) {
                return Ok(order(a, b));
            }
            Err(Error::from(ConversionError::incomparable(operator, name(a), name(b))))
        });
    }
}

fn is_comparable(value: &Jinja) -> bool {
    matches!(
        value.kind(),
        ValueKind::Number
            | ValueKind::String
            | ValueKind::Bytes
            | ValueKind::Bool
            | ValueKind::Seq
            | ValueKind::Iterable
    )
}

/// What a value is, as messages of Flow name it.
fn name(value: &Jinja) -> &'static str {
    match value.kind() {
        ValueKind::None => "null",
        ValueKind::Bool => "a boolean",
        ValueKind::Number => "a number",
        ValueKind::String => "a string",
        ValueKind::Bytes => "bytes",
        ValueKind::Map => "an object",
        _ => "an array",
    }
}

/// An expression with its comparisons replaced, and where its parts were.
pub(super) struct Rewritten {
    pub(super) text: String,
    pub(super) origins: Box<[Origin]>,
}

/// A piece of the text that was copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    at: usize,
    was_at: usize,
    length: usize,
}

/// The place in the text as it was written of a place in the rewritten one.
pub(super) fn original(origins: &[Origin], range: Range<usize>) -> Range<usize> {
    let place = |at: usize| {
        let before = origins.iter().rev().find(|origin| origin.at <= at);
        before.map_or(0, |origin| origin.was_at + (at - origin.at).min(origin.length))
    };
    let start = place(range.start);
    start..place(range.end).max(start)
}

/// Replaces the comparisons; `None` when there are none.
pub(super) fn rewrite(text: &str, tokens: &[Token]) -> Option<Rewritten> {
    let mut finder = Finder { text, tokens, found: Vec::new() };
    finder.read();
    if finder.found.is_empty() {
        return None;
    }
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for Comparison { left, operator, filter, right } in finder.found {
        edits.push((left.start..left.start, "((".to_owned()));
        edits.push((operator, format!(")|{filter}((")));
        edits.push((right.end..right.end, ")))".to_owned()));
    }
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut rewritten, mut origins, mut at) = (String::new(), Vec::new(), 0);
    for (range, new) in edits {
        origins.push(Origin { at: rewritten.len(), was_at: at, length: range.start - at });
        rewritten.push_str(&text[at..range.start]);
        rewritten.push_str(&new);
        at = range.end;
    }
    origins.push(Origin { at: rewritten.len(), was_at: at, length: text.len() - at });
    rewritten.push_str(&text[at..]);
    Some(Rewritten { text: rewritten, origins: origins.into() })
}

struct Comparison {
    left: Range<usize>,
    operator: Range<usize>,
    filter: &'static str,
    right: Range<usize>,
}

/// What stands between two boundaries on one level of brackets: operands and what compares them.
#[derive(Default)]
struct Segment {
    /// The first token, and the last one so far.
    operand: Option<(usize, usize)>,
    left: Option<Range<usize>>,
    /// The operators, `in` and `==` included, each with its filter if it orders.
    operators: Vec<(Range<usize>, Option<&'static str>)>,
}

struct Finder<'a> {
    text: &'a str,
    tokens: &'a [Token],
    found: Vec<Comparison>,
}

impl Finder<'_> {
    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &self.text[token.range.clone()])
    }

    fn read(&mut self) {
        let mut levels = vec![Segment::default()];
        let mut at = 0;
        while at < self.tokens.len() {
            let length = self.operator(at).map(|(_, length)| length);
            let is_name = matches!(self.tokens[at].kind, TokenKind::Name);
            let before = at.checked_sub(1).map_or("", |before| self.word(before));
            let is_negated = before == "not" && at >= 2 && self.word(at - 2) == "is";
            let is_named = is_name && (matches!(before, "." | "|" | "is") || is_negated);
            let word = self.word(at).to_owned();
            let level = levels.last_mut().expect("the outermost level stays");
            match (length, word.as_str()) {
                (Some(length), _) if !is_named => {
                    let filter = self.operator(at).and_then(|(filter, _)| filter);
                    let range = self.tokens[at].range.start..self.tokens[at + length - 1].range.end;
                    if level.left.is_none() {
                        level.left = level.operand.map(|operand| self.range(operand));
                    }
                    level.operators.push((range, filter));
                    level.operand = None;
                    at += length;
                    continue;
                }
                (_, "(" | "[" | "{") => {
                    extend(level, at);
                    levels.push(Segment::default());
                }
                (_, ")" | "]" | "}") => {
                    let inner = levels.pop().unwrap_or_default();
                    self.close(inner);
                    if levels.is_empty() {
                        levels.push(Segment::default());
                    }
                    extend(levels.last_mut().expect("pushed above"), at);
                }
                (_, "," | ":" | "=") => self.close(std::mem::take(level)),
                (_, "and" | "or" | "if" | "else" | "not") if is_name && !is_named => {
                    // `is not` belongs to its operand.
                    self.close(std::mem::take(level));
                }
                _ => extend(level, at),
            }
            at += 1;
        }
        levels.into_iter().for_each(|segment| self.close(segment));
    }

    fn range(&self, (first, last): (usize, usize)) -> Range<usize> {
        self.tokens[first].range.start..self.tokens[last].range.end
    }

    /// A segment with one operator, which orders, is a comparison.
    fn close(&mut self, segment: Segment) {
        let (Some(left), Some(right)) = (segment.left, segment.operand) else { return };
        if let [(operator, Some(filter))] = segment.operators.as_slice() {
            let (operator, right) = (operator.clone(), self.range(right));
            self.found.push(Comparison { left, operator, filter, right });
        }
    }

    /// What compares, if it begins at `at`: its filter if it orders, and its tokens.
    fn operator(&self, at: usize) -> Option<(Option<&'static str>, usize)> {
        let joined = |next: usize| {
            let ends = self.tokens[at].range.end;
            self.tokens.get(next).is_some_and(|token| token.range.start == ends)
        };
        let two = (self.word(at + 1) == "=" && joined(at + 1)).then_some(2);
        let order = |operator: &str| {
            ORDERS.iter().find(|(name, _, _)| *name == operator).map(|(_, filter, _)| *filter)
        };
        match (self.word(at), two) {
            ("<", Some(_)) => Some((order("<="), 2)),
            (">", Some(_)) => Some((order(">="), 2)),
            ("<", None) => Some((order("<"), 1)),
            (">", None) => Some((order(">"), 1)),
            ("=" | "!", Some(_)) => Some((None, 2)),
            ("in", _) => Some((None, 1)),
            ("not", _) if self.word(at + 1) == "in" => Some((None, 2)),
            _ => None,
        }
    }
}

fn extend(segment: &mut Segment, at: usize) {
    segment.operand = Some(segment.operand.map_or((at, at), |(first, _)| (first, at)));
}

#[cfg(test)]
mod tests {
    use super::super::scan::Scanner;
    use super::super::{Expression, Roots};
    use super::*;
    use crate::value::Value;

    #[track_caller]
    fn check_rewritten(text: &str, expected: &str) {
        let tokens: Vec<Token> = Scanner::new(text, 0).collect();
        let rewritten = rewrite(text, &tokens).map_or_else(|| text.to_owned(), |new| new.text);
        assert_eq!(rewritten, expected);
    }

    #[test]
    fn comparisons_are_calls() {
        check_rewritten("a < b", "((a )|__lt(( b)))");
        check_rewritten("f(a <= b.c, x=1)", "f(((a )|__le(( b.c))), x=1)");
        check_rewritten("(a > b) >= c", "(((((a )|__gt(( b)))) )|__ge(( c)))");
        for same in ["a == b", "a < b < c", "a in b < c", "a is lt(3)", "'a < b'", "a <"] {
            check_rewritten(same, same);
        }
    }

    fn evaluate(text: &str) -> Result<String, (String, String)> {
        let names = [
            ("n", Value::from(3)),
            ("s", Value::from("10")),
            ("none_", Value::Null),
            ("list", Value::try_from(vec![Value::from(1), Value::from(2)]).unwrap()),
        ];
        let roots = names.each_ref().map(|(name, _)| *name);
        let expression = Expression::compile(text, Roots::Names(&roots)).unwrap();
        let values: Vec<(&str, &Value)> =
            names.iter().map(|(name, value)| (*name, value)).collect();
        let result = expression.evaluate_with(&values);
        result
            .map(|value| value.to_json_text())
            .map_err(|error| (error.code.to_owned(), text[error.range.clone()].to_owned()))
    }

    #[test]
    fn what_is_of_one_kind_compares_as_ever() {
        for (text, expected) in [
            ("n > 2", "true"),
            ("n>=3", "true"),
            ("1 < n and n < 3", "false"),
            ("s < '2'", "true"),
            ("not n < 3", "true"),
            ("'a' if n < 3 else 'b'", "\"b\""),
            ("[n < 3, n <= 3]", "[false,true]"),
            ("{'k': n < 4}", "{\"k\":true}"),
            ("(n + 1) * 2 > n ** 2 - 2", "true"),
            ("(n > 1) == (n > 2)", "true"),
            ("1 < n < 5", "true"),
            ("list | length > 1", "true"),
            ("n > list[0] and list[1] > list | first", "true"),
            ("n is odd and n is not number or n in list", "false"),
            ("2.5 < n", "true"),
            ("list < [1, 3]", "true"),
            ("false < true", "true"),
            ("range(n) | list | length > 2", "true"),
            ("dict(a=n > 2)", "{\"a\":true}"),
            ("list[n > 2:]", "[2]"),
            ("n in [1, 2] or n > 2", "true"),
            ("n is not in([1]) and n not in [1]", "true"),
            ("(list | map('string')) < ['9']", "true"),
        ] {
            assert_eq!(evaluate(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_is_an_error_with_its_place() {
        for text in [
            "s > 9",
            "n < s",
            "n > none_",
            "list > 1",
            "n > 1 and (s >= n)",
            "{'a': 1} < {'a': 2}",
            "true > 0",
        ] {
            let (code, place) = evaluate(text).unwrap_err();
            assert_eq!(code, "expression.not_comparable", "{text}");
            assert!(!place.is_empty() && text.contains(&place), "{text}: {place}");
        }
        assert_eq!(evaluate("n > list[9]").unwrap_err().0, "expression.undefined");
        // Guards are heeded: what is not evaluated does not fail.
        assert_eq!(evaluate("s is number and s > 9"), Ok("false".to_owned()));
    }
}
