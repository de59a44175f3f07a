//! jq filters: compiling and running them.

use flowcore::{Cancellation, NodeError, Value};
use jaq_core::compile::Undefined;
use jaq_core::load::lex::{Lexer, Token};
use jaq_core::load::parse::{Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Ctx, Exn, Vars};
use jaq_json::Val;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::text::position;
use super::functions::{DEFINITIONS, functions, is_left_out};
use super::limits::{Limited, MAX_STEPS, Run, STACK, Stop};
use super::rewrite::guarded;
use super::value::{from_jq, to_jq};
use crate::deep_stack;

/// The longest filter, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Stack for compiling one byte of a filter. Without optimisation, parsing a chain of one-byte
/// operators needs a third of it.
const STACK_PER_BYTE: usize = 32 * 1024;

/// Stack for compiling the definitions that every filter may use.
const LEAST_STACK: usize = 16 * 1024 * 1024;

/// The definition that the filter becomes.
const MAIN: &str = "flow_main";

/// Which results of a filter come out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Results {
    /// The first result; having none is an error.
    #[default]
    First,
    /// An array of all results.
    All,
}

/// A compiled filter.
pub(super) struct Filter {
    compiled: jaq_core::Filter<Limited>,
    /// How often a run may pass the guard.
    pub(super) max_steps: u64,
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// `config.invalid` with line and column.
    pub(super) fn compile(text: &str) -> Result<Self, NodeError> {
        if text.len() > MAX_LENGTH {
            return Err(NodeError::config(format!("the filter is longer than {MAX_LENGTH} bytes")));
        }
        let stack = LEAST_STACK + text.len() * STACK_PER_BYTE;
        let compiled = deep_stack::run(stack, || compile(text))??;
        Ok(Self { compiled, max_steps: MAX_STEPS })
    }

    /// Runs the filter on a stack of its own.
    ///
    /// # Errors
    /// `jq.failed`, `jq.too_deep`, `jq.too_large`, `jq.out_of_fuel`, `jq.cancelled`, `jq.no_value`,
    /// `value.too_deep`, `value.not_finite`.
    pub(super) fn run(
        &self,
        input: &Value,
        values: &Value,
        results: Results,
        cancellation: &Cancellation,
    ) -> Result<Vec<Value>, NodeError> {
        let hide = input.is_tainted() || values.is_tainted();
        deep_stack::run(STACK, || {
            let run = Run::new(&self.compiled.lut, cancellation, self.max_steps);
            let context = Ctx::<Limited>::new(&run, Vars::new([to_jq(values)]));
            let found = self.compiled.id.run((context, to_jq(input))).map(|result| {
                let value = result.and_then(|value| {
                    run.check(&value, false)?;
                    Ok(value)
                });
                from_jq(&value.map_err(|exception| failure(exception, hide))?)
            });
            match results {
                Results::First => found.take(1).collect(),
                Results::All => found.collect(),
            }
        })?
    }
}

fn compile(text: &str) -> Result<jaq_core::Filter<Limited>, NodeError> {
    let body = guarded(parse(text)?);
    let main = Def { name: MAIN, args: Vec::new(), body };
    let arena = Arena::default();
    let modules = Loader::new(DEFINITIONS.iter().cloned().chain([main]))
        .load(&arena, File { code: MAIN, path: () })
        .expect("it is a name");
    jaq_core::Compiler::default()
        .with_funs(functions())
        .with_global_vars(["$values"])
        .compile(modules)
        .map_err(|errors| undefined(text, errors.into_iter().flat_map(|(_, errors)| errors)))
}

fn parse(text: &str) -> Result<Term<&str>, NodeError> {
    let nothing = || NodeError::config("the filter is empty");
    let tokens = Lexer::new(text).lex().map_err(|errors| match errors.first() {
        Some((expected, rest)) => invalid(text, rest, &format!("expected {}", expected.as_str())),
        None => nothing(),
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| match errors.first() {
        Some((expected, Some(Token(found, _)))) => {
            let problem = format!("expected {}, and found `{}`", expected.as_str(), start(found));
            invalid(text, found, &problem)
        }
        Some((expected, None)) => {
            let problem = format!("expected {}, and the filter ends", expected.as_str());
            invalid(text, &text[text.len()..], &problem)
        }
        None => nothing(),
    })
}

/// The beginning of a token, which may be a whole block.
fn start(token: &str) -> &str {
    let end = token.char_indices().map(|(at, _)| at).nth(1).unwrap_or(token.len());
    if token.starts_with(['(', '[', '{', '"']) { &token[..end] } else { token }
}

fn undefined<'a>(text: &str, mut errors: impl Iterator<Item = (&'a str, Undefined)>) -> NodeError {
    let Some((name, kind)) = errors.next() else {
        return NodeError::config("the filter does not compile");
    };
    let arguments = match kind {
        Undefined::Filter(0) => String::new(),
        Undefined::Filter(count) => format!(" with {count} arguments"),
        _ => String::new(),
    };
    let problem = format!("there is no {} `{name}`{arguments}", kind.as_str());
    let error = invalid(text, name, &problem);
    if is_left_out(name) {
        return error.with_hint(
            "a filter sees nothing but its input: give it what it needs in `values`, as `$values`",
        );
    }
    error
}

/// An error at a part of the filter's text.
fn invalid(text: &str, part: &str, problem: &str) -> NodeError {
    // The parts of jaq's errors are slices of the text.
    let offset = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let (line, column) = position(text, offset);
    NodeError::config(format!("filter, line {line}, column {column}: {problem}"))
}

fn failure(exception: Exn<'_, Val>, hide: bool) -> NodeError {
    match exception.get_err() {
        Ok(_) if hide => {
            NodeError::new("jq.failed", "the filter failed on a value with a secret in it")
        }
        Ok(error) => NodeError::new("jq.failed", message(&error.into_val())),
        Err(exception) => Stop::from_code(exception.get_halt().unwrap_or_default()).error(),
    }
}

/// The text of what a filter raised, cut where it gets long.
fn message(raised: &Val) -> String {
    const LONGEST: usize = 300;
    let text = match raised {
        Val::TStr(text) => String::from_utf8_lossy(text).into_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
