//! From tokens to the tree, for as much of the language as the tree can hold.
//!
//! The interpreter has compiled the text before, so it is known to be right; what binds tighter is as
//! there.

use std::sync::Arc;

use super::filter::Filter;
use super::operate::Operator;
use super::{Choice, Direct};
use crate::expression::compile::Segment;
use crate::expression::scan::{Token, TokenKind};
use crate::value::{Array, Value};

/// A name that stands for a slot, with the literal path after it.
pub(in crate::expression) struct Root {
    /// The index of its token.
    pub(in crate::expression) at: usize,
    /// The index of the token after the path.
    pub(in crate::expression) next: usize,
    pub(in crate::expression) slot: usize,
    /// What follows the slot.
    pub(in crate::expression) segments: Vec<Segment>,
}

/// How tightly operators bind; those of one level from left to right, and comparisons only once.
mod level {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const COMPARE: u8 = 4;
    pub(super) const ADD: u8 = 5;
    pub(super) const TEXT: u8 = 6;
    pub(super) const MULTIPLY: u8 = 7;
    pub(super) const POWER: u8 = 8;
}

#[derive(Clone, Copy)]
enum Joint {
    And,
    Or,
    Text,
    Operator(Operator),
}

/// The tree; `None` when something is left to the interpreter.
pub(in crate::expression) fn parse(text: &str, tokens: &[Token], roots: &[Root]) -> Option<Direct> {
    let mut parser = Parser { text, tokens, roots, at: 0 };
    let direct = parser.choice()?;
    (parser.at == tokens.len()).then_some(direct)
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    roots: &'a [Root],
    at: usize,
}

impl Parser<'_> {
    fn word(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &self.text[token.range.clone()])
    }

    /// Takes the next token if it is this one.
    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.word(0) == word;
        self.at += usize::from(is_next);
        is_next
    }

    fn choice(&mut self) -> Option<Direct> {
        let then = self.operation(level::OR)?;
        if !self.takes("if") {
            return Some(then);
        }
        let condition = self.operation(level::OR)?;
        // Without it, the result would be undefined in a way of its own.
        if !self.takes("else") {
            return None;
        }
        let otherwise = self.choice()?;
        Some(Direct::Choice(Box::new(Choice { condition, then, otherwise })))
    }

    /// Operators that bind at least as tightly.
    fn operation(&mut self, lowest: u8) -> Option<Direct> {
        let mut left = if lowest <= level::NOT && self.takes("not") {
            Direct::Not(Box::new(self.operation(level::NOT)?))
        } else {
            self.filtered()?
        };
        while let Some((joint, level, length)) = self.joint().filter(|found| found.1 >= lowest) {
            self.at += length;
            let right = self.operation(level + 1)?;
            left = match (joint, left) {
                (Joint::And, left) => Direct::And(Box::new((left, right))),
                (Joint::Or, left) => Direct::Or(Box::new((left, right))),
                (Joint::Text, Direct::Text(mut pieces)) => {
                    pieces.push(right);
                    Direct::Text(pieces)
                }
                (Joint::Text, left) => Direct::Text(vec![left, right]),
                (Joint::Operator(operator), left) => {
                    Direct::Binary(operator, Box::new((left, right)))
                }
            };
            // `a < b < c` has a meaning of its own.
            let is_chain = || self.joint().is_some_and(|(_, next, _)| next == level::COMPARE);
            if level == level::COMPARE && is_chain() {
                return None;
            }
        }
        Some(left)
    }

    /// The operator at the front, its level, and its tokens.
    fn joint(&self) -> Option<(Joint, u8, usize)> {
        let ends = self.tokens.get(self.at)?.range.end;
        let next = self.tokens.get(self.at + 1);
        let second = next.filter(|next| next.range.start == ends).map_or("", |_| self.word(1));
        let (operator, level, length) = match (self.word(0), second) {
            ("or", _) => return Some((Joint::Or, level::OR, 1)),
            ("and", _) => return Some((Joint::And, level::AND, 1)),
            ("~", _) => return Some((Joint::Text, level::TEXT, 1)),
            ("=", "=") => (Operator::Equal, level::COMPARE, 2),
            ("!", "=") => (Operator::NotEqual, level::COMPARE, 2),
            ("<", "=") => (Operator::LessOrEqual, level::COMPARE, 2),
            ("<", _) => (Operator::Less, level::COMPARE, 1),
            (">", "=") => (Operator::GreaterOrEqual, level::COMPARE, 2),
            (">", _) => (Operator::Greater, level::COMPARE, 1),
            ("in", _) => (Operator::In, level::COMPARE, 1),
            ("not", _) if self.word(1) == "in" => (Operator::NotIn, level::COMPARE, 2),
            ("+", _) => (Operator::Add, level::ADD, 1),
            ("-", _) => (Operator::Subtract, level::ADD, 1),
            ("*", "*") => (Operator::Power, level::POWER, 2),
            ("*", _) => (Operator::Multiply, level::MULTIPLY, 1),
            ("/", "/") => (Operator::FloorDivide, level::MULTIPLY, 2),
            ("/", _) => (Operator::Divide, level::MULTIPLY, 1),
            ("%", _) => (Operator::Remainder, level::MULTIPLY, 1),
            _ => return None,
        };
        Some((Joint::Operator(operator), level, length))
    }

    /// An operand with its filters and tests.
    fn filtered(&mut self) -> Option<Direct> {
        let mut operand = self.signed()?;
        loop {
            if self.takes("|") {
                operand = self.filter(operand)?;
            } else if self.takes("is") {
                operand = self.test(operand)?;
            } else {
                return Some(operand);
            }
        }
    }

    fn filter(&mut self, operand: Direct) -> Option<Direct> {
        let name = self.word(0).to_owned();
        self.at += 1;
        let is_called = self.takes("(");
        if matches!(name.as_str(), "default" | "d") {
            let other = if is_called { self.choice()? } else { Direct::Constant(Value::from("")) };
            let is_whole = !is_called || self.takes(")");
            return is_whole.then(|| Direct::Default(Box::new((operand, other))));
        }
        let filter = Filter::of(&name).filter(|_| !is_called)?;
        Some(Direct::Filter(filter, Box::new(operand)))
    }

    fn test(&mut self, operand: Direct) -> Option<Direct> {
        let is_negated = self.takes("not");
        let operand = Box::new(operand);
        let (test, is_negated) = match self.word(0) {
            "defined" => (Direct::IsDefined(operand), is_negated),
            "undefined" => (Direct::IsDefined(operand), !is_negated),
            "none" => (Direct::IsNone(operand), is_negated),
            _ => return None,
        };
        self.at += 1;
        // Much of what might follow would be an argument.
        let ends = ["", ")", "]", "}", ",", "=", "!", "<", ">", "|", "and", "or", "else", "is"];
        if !ends.contains(&self.word(0)) {
            return None;
        }
        Some(if is_negated { Direct::Not(Box::new(test)) } else { test })
    }

    /// An operand, perhaps with a sign, which is of less weight than what follows the operand.
    fn signed(&mut self) -> Option<Direct> {
        if self.takes("-") {
            return Some(Direct::Negative(Box::new(self.signed()?)));
        }
        let mut operand = self.primary()?;
        loop {
            let key = match self.word(0) {
                "[" => {
                    self.at += 1;
                    let key = self.choice()?;
                    if !self.takes("]") {
                        return None;
                    }
                    key
                }
                "." if self.kind(1) == Some(&TokenKind::Name) => {
                    let key = Value::from(self.word(1));
                    self.at += 2;
                    Direct::Constant(key)
                }
                "." | "(" => return None,
                _ => return Some(operand),
            };
            operand = Direct::Item(Box::new((operand, key)));
        }
    }

    fn kind(&self, ahead: usize) -> Option<&TokenKind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    fn primary(&mut self) -> Option<Direct> {
        let constant = match self.kind(0)? {
            TokenKind::Name => match self.word(0) {
                "true" | "True" => Value::Bool(true),
                "false" | "False" => Value::Bool(false),
                "none" | "None" => Value::Null,
                _ => return self.path(),
            },
            TokenKind::Text(Some(text)) => Value::from(text.as_str()),
            TokenKind::Number(Some(number)) => self.number(*number)?,
            TokenKind::Sign('(') => {
                self.at += 1;
                let inner = self.choice()?;
                return self.takes(")").then_some(inner);
            }
            TokenKind::Sign('[') => return self.array(),
            TokenKind::Sign('{') => return self.object(),
            TokenKind::Text(None)
            | TokenKind::Number(None)
            | TokenKind::Unclosed
            | TokenKind::Sign(_) => return None,
        };
        self.at += 1;
        Some(Direct::Constant(constant))
    }

    fn path(&mut self) -> Option<Direct> {
        let root = self.roots.iter().find(|root| root.at == self.at)?;
        self.at = root.next;
        Some(Direct::Path { slot: root.slot, segments: root.segments.as_slice().into() })
    }

    /// The number whose digits are at the front; leaves its last token.
    fn number(&mut self, whole: usize) -> Option<Value> {
        if self.word(1) != "." {
            return Some(Value::from(whole as u64));
        }
        let range = self.tokens[self.at].range.start..self.tokens.get(self.at + 2)?.range.end;
        let text = &self.text[range];
        let is_plain = |c: char| c.is_ascii_digit() || c == '.';
        if !text.chars().all(is_plain) || !self.word(2).starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.at += 2;
        text.parse::<f64>().ok().and_then(|float| Value::try_from(float).ok())
    }

    fn array(&mut self) -> Option<Direct> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.takes("]") {
            if !items.is_empty() && !self.takes(",") {
                return None;
            }
            items.push(self.choice()?);
        }
        let constant = |item: &Direct| match item {
            Direct::Constant(value) => Some(value.clone()),
            _ => None,
        };
        let constants: Option<Vec<_>> = items.iter().map(constant).collect();
        Some(match constants.and_then(|values| Array::from_values(values).ok()) {
            Some(array) => Direct::Constant(Value::Array(array)),
            None => Direct::Array(items.into()),
        })
    }

    fn object(&mut self) -> Option<Direct> {
        self.at += 1;
        let mut entries: Vec<(Arc<str>, Direct)> = Vec::new();
        while !self.takes("}") {
            if !entries.is_empty() && !self.takes(",") {
                return None;
            }
            let Some(TokenKind::Text(Some(key))) = self.kind(0) else { return None };
            let key = Arc::from(key.as_str());
            self.at += 1;
            if !self.takes(":") {
                return None;
            }
            entries.push((key, self.choice()?));
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let is_twice = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!is_twice).then(|| Direct::Object(entries.into()))
    }
}
