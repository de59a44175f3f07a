//! From text to an expression whose every name is known.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::ErrorKind;

use super::builtins::{environment, filters, functions, tests};
use super::compare::{Origin, rewrite};
use super::direct::{Direct, Root, parse};
use super::error::ExpressionError;
use super::scan::{Scanner, Token, TokenKind};
use super::slot::{EXECUTION_FIELDS, NodeSlot, Roots, Slot, WORKFLOW_FIELDS, WORKFLOW_ROOTS};
use crate::control::Local;
use crate::workflow::nearest;

/// The longest expression, in bytes.
///
/// Formulas are short; a bound keeps a hostile one from costing more than its own reading.
pub const MAX_EXPRESSION_LENGTH: usize = 16 * 1024;

/// The most operators in an expression: `.`, `|`, `+`, `and`…
///
/// `a+a+a…` nests once per operator, and the compiler behind this module recurses once per level:
/// some thousands would overflow the stack, which no program survives.
const MAX_OPERATORS: usize = 512;

/// The deepest nesting of brackets, for the same reason.
const MAX_NESTING: usize = 32;

/// A compiled expression.
pub struct Expression {
    pub(super) text: Arc<str>,
    pub(super) slots: Box<[Slot]>,
    pub(super) form: Form,
    /// Where the parts of what was compiled stand in the text, if that is another one.
    pub(super) origins: Box<[Origin]>,
}

/// How an expression is evaluated.
pub(super) enum Form {
    /// The first slot and what follows it: no interpreter needed.
    Path(Box<[Segment]>),
    /// Anything else.
    Compiled(Box<Compiled>),
}

/// For the interpreter, and for whoever can do without it.
pub(super) struct Compiled {
    pub(super) interpreted: minijinja::Expression<'static, 'static>,
    pub(super) direct: Option<Direct>,
}

/// One `.key` or `[index]` of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Segment {
    Key(Arc<str>),
    Index(usize),
}

impl Expression {
    /// Compiles an expression: the text inside `{{ }}`, or a `when`.
    ///
    /// # Errors
    /// [`ExpressionError`] for bad syntax, for a name, filter, test or function that does not
    /// exist, and for a path that is not literal where it must be.
    pub fn compile(text: &str, roots: Roots<'_>) -> Result<Self, ExpressionError> {
        let whole = 0..text.len();
        if text.len() > MAX_EXPRESSION_LENGTH {
            let message = format!("an expression has at most {MAX_EXPRESSION_LENGTH} bytes");
            return Err(ExpressionError::new("expression.too_long", whole, message));
        }
        if text.trim().is_empty() {
            return Err(ExpressionError::new(
                "expression.syntax",
                whole,
                "the expression is empty",
            ));
        }
        let tokens: Vec<Token> = Scanner::new(text, 0).collect();
        check_complexity(text, &tokens)?;
        let compiled = environment()
            .compile_expression_owned(text.to_owned())
            .map_err(|error| syntax_error(&error, text))?;
        let mut names =
            Names { text, tokens: &tokens, roots, slots: Vec::new(), found: Vec::new() };
        names.read()?;
        let Names { slots, found, .. } = names;
        if let [Root { at: 0, next, segments, .. }] = found.as_slice()
            && *next == tokens.len()
        {
            let form = Form::Path(segments.as_slice().into());
            let origins = Box::default();
            return Ok(Self { text: Arc::from(text), slots: slots.into(), form, origins });
        }
        let (interpreted, origins) = match rewrite(text, &tokens) {
            None => (compiled, Box::default()),
            Some(new) => {
                let compiled = environment().compile_expression_owned(new.text);
                let compiled = compiled.map_err(|_| {
                    let message = "the expression has too many levels of comparisons";
                    ExpressionError::new("expression.too_complex", whole, message)
                })?;
                (compiled, new.origins)
            }
        };
        // The interpreter finds `inputs.a` in `inputs` when both are read.
        let all_inputs = slots.len() > 1 && slots.contains(&Slot::Inputs);
        let direct = if all_inputs { None } else { parse(text, &tokens, &found) };
        let form = Form::Compiled(Box::new(Compiled { interpreted, direct }));
        Ok(Self { text: Arc::from(text), slots: slots.into(), form, origins })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the expression reads; [`Expression::evaluate`] takes one value for each.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

fn check_complexity(text: &str, tokens: &[Token]) -> Result<(), ExpressionError> {
    let (mut operators, mut nesting) = (0_usize, 0_usize);
    for token in tokens {
        match &token.kind {
            TokenKind::Sign('(' | '[' | '{') => nesting += 1,
            TokenKind::Sign(')' | ']' | '}') => nesting = nesting.saturating_sub(1),
            TokenKind::Sign(',' | ':') => {}
            TokenKind::Sign(_) => operators += 1,
            TokenKind::Name => {
                operators += usize::from(KEYWORDS.contains(&&text[token.range.clone()]))
            }
            TokenKind::Text(_) | TokenKind::Number(_) | TokenKind::Unclosed => {}
        }
        if operators > MAX_OPERATORS || nesting > MAX_NESTING {
            let message = format!(
                "an expression has at most {MAX_OPERATORS} operators and {MAX_NESTING} levels of brackets"
            );
            return Err(ExpressionError::new(
                "expression.too_complex",
                token.range.clone(),
                message,
            ));
        }
    }
    Ok(())
}

fn syntax_error(error: &minijinja::Error, text: &str) -> ExpressionError {
    let range = error.range().filter(|range| range.end <= text.len()).unwrap_or(0..text.len());
    let message = match error.kind() {
        ErrorKind::SyntaxError => error.detail().unwrap_or("bad syntax").to_owned(),
        _ => error.to_string(),
    };
    ExpressionError::new("expression.syntax", range, message)
}

const KEYWORDS: [&str; 12] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "True", "false", "False", "none"];

/// Finds out what the names of an expression stand for.
struct Names<'a> {
    text: &'a str,
    tokens: &'a [Token],
    roots: Roots<'a>,
    slots: Vec<Slot>,
    /// Each place where one is read.
    found: Vec<Root>,
}

/// A root name and the literal path after it.
struct Path {
    segments: Vec<Segment>,
    /// The bytes from the root to the last segment.
    range: Range<usize>,
    /// The index of the token after it.
    next: usize,
}

impl Names<'_> {
    fn read(&mut self) -> Result<(), ExpressionError> {
        let mut at = 0;
        while at < self.tokens.len() {
            at = match self.tokens[at].kind {
                TokenKind::Name => self.name(at)?,
                _ => at + 1,
            };
        }
        Ok(())
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &self.text[token.range.clone()])
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == TokenKind::Sign(sign))
    }

    /// Reads the name at `at`; gives the index after it.
    fn name(&mut self, at: usize) -> Result<usize, ExpressionError> {
        let before = at.checked_sub(1).map_or("", |before| self.word(before));
        let word = self.word(at);
        match before {
            "." => return Ok(at + 1),
            "|" => return self.known(at, "filter", "expression.unknown_filter", filters()),
            "is" if word == "not" => return Ok(at + 1),
            "is" => return self.known(at, "test", "expression.unknown_test", tests()),
            "not" if at >= 2 && self.word(at - 2) == "is" => {
                return self.known(at, "test", "expression.unknown_test", tests());
            }
            _ => {}
        }
        if KEYWORDS.contains(&word) || word == "None" {
            return Ok(at + 1);
        }
        let is_keyword_argument = self.is_sign(at + 1, '=') && !self.is_sign(at + 2, '=');
        if is_keyword_argument && matches!(before, "(" | ",") {
            return Ok(at + 1);
        }
        if self.is_sign(at + 1, '(') {
            return self.known(at, "function", "expression.unknown_function", functions());
        }
        self.root(at)
    }

    fn known(
        &self,
        at: usize,
        kind: &str,
        code: &'static str,
        names: &[&'static str],
    ) -> Result<usize, ExpressionError> {
        let word = self.word(at);
        if names.contains(&word) {
            return Ok(at + 1);
        }
        let range = self.tokens[at].range.clone();
        Err(ExpressionError::new(code, range, format!("there is no {kind} `{word}`"))
            .suggest(nearest(word, names.iter().copied())))
    }

    fn root(&mut self, at: usize) -> Result<usize, ExpressionError> {
        let path = self.follow(at);
        let next = path.next;
        let root = self.word(at).to_owned();
        let (slot, used) = match self.roots {
            Roots::Workflow => self.workflow_slot(&root, &path)?,
            Roots::Names(names) if names.contains(&root.as_str()) => {
                (Slot::Local(Arc::from(root.as_str())), 0)
            }
            Roots::Names(names) => return Err(self.unknown_name(at, &root, names)),
        };
        let known = self.slots.iter().position(|known| *known == slot);
        let index = known.unwrap_or(self.slots.len());
        if known.is_none() {
            self.slots.push(slot);
        }
        self.found.push(Root { at, next, slot: index, segments: path.segments[used..].to_vec() });
        Ok(next)
    }

    fn unknown_name(&self, at: usize, word: &str, names: &[&str]) -> ExpressionError {
        let range = self.tokens[at].range.clone();
        let message = format!("there is no name `{word}`");
        ExpressionError::new("expression.unknown_name", range, message)
            .suggest(nearest(word, names.iter().copied()))
            .hint(format!("names are {}", names.join(", ")))
    }

    /// Follows the literal `.key`, `["key"]` and `[0]` after the root at `at`. The last key before
    /// a `(` is a method, not a part of the path.
    fn follow(&self, at: usize) -> Path {
        let mut segments = Vec::new();
        let mut next = at + 1;
        loop {
            let (segment, after) = if self.is_sign(next, '.') && self.is_word(next + 1) {
                (Segment::Key(Arc::from(self.word(next + 1))), next + 2)
            } else if self.is_sign(next, '[') && self.is_sign(next + 2, ']') {
                match &self.tokens[next + 1].kind {
                    TokenKind::Text(Some(text)) => {
                        (Segment::Key(Arc::from(text.as_str())), next + 3)
                    }
                    TokenKind::Number(Some(index)) => (Segment::Index(*index), next + 3),
                    _ => break,
                }
            } else {
                break;
            };
            if self.is_sign(after, '(') {
                break;
            }
            segments.push(segment);
            next = after;
        }
        Path { segments, range: self.tokens[at].range.start..self.tokens[next - 1].range.end, next }
    }

    fn is_word(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == TokenKind::Name)
    }

    /// The slot of a path, and how many of its segments the slot covers.
    fn workflow_slot(&self, root: &str, path: &Path) -> Result<(Slot, usize), ExpressionError> {
        let key = |index: usize| match path.segments.get(index) {
            Some(Segment::Key(key)) => Some(key.clone()),
            Some(Segment::Index(_)) | None => None,
        };
        let literal = |form: &str| {
            let message = format!("`{root}` is only reachable as `{form}`");
            ExpressionError::new("expression.needs_literal", path.range.clone(), message)
        };
        match root {
            "inputs" => Ok(key(0).map_or((Slot::Inputs, 0), |name| (Slot::Input(name), 1))),
            "nodes" => match (key(0), key(1)) {
                (Some(id), Some(port)) => {
                    Ok((Slot::Node(NodeSlot { id, port, node: u32::MAX }), 2))
                }
                _ => Err(literal("nodes.<id>.<port>")
                    .hint("an id with `-` is written `nodes[\"my-node\"].port`")),
            },
            "input" => {
                key(0).map(|port| (Slot::Port(port), 1)).ok_or_else(|| literal("input.<port>"))
            }
            "secrets" => {
                key(0).map(|name| (Slot::Secret(name), 1)).ok_or_else(|| literal("secrets.<name>"))
            }
            "execution" => {
                { self.field(path, key(0), "execution", &EXECUTION_FIELDS).map(Slot::Execution) }
                    .map(|slot| (slot, 1))
            }
            "workflow" => {
                { self.field(path, key(0), "workflow", &WORKFLOW_FIELDS).map(Slot::Workflow) }
                    .map(|slot| (slot, 1))
            }
            _ if Local::of(root).is_some() => {
                Ok((Local::of(root).map_or(Slot::Inputs, Slot::Scope), 0))
            }
            _ => {
                let at = self.tokens.iter().position(|token| token.range.start == path.range.start);
                Err(self.unknown_name(at.unwrap_or(0), root, &WORKFLOW_ROOTS))
            }
        }
    }

    fn field(
        &self,
        path: &Path,
        field: Option<Arc<str>>,
        root: &str,
        fields: &[&str],
    ) -> Result<Arc<str>, ExpressionError> {
        match field {
            Some(field) if fields.contains(&&*field) => Ok(field),
            field => {
                let found = field.as_deref().unwrap_or_default();
                let message = format!("`{root}` has no field `{found}`");
                Err(ExpressionError::new("expression.unknown_name", path.range.clone(), message)
                    .suggest(nearest(found, fields.iter().copied()))
                    .hint(format!("its fields are {}", fields.join(", "))))
            }
        }
    }
}
