//! From a rule as JSON to one whose operators and paths are known.

use std::sync::Arc;

use datalogic_rs::datavalue::OwnedDataValue;

use super::data::{Tree, to_number};
use super::engine::{STEP, engine, operators};
use super::{Logic, LogicProblem, Read};
use crate::expression::compile::{Expression, Form};
use crate::expression::error::ExpressionError;
use crate::expression::slot::{Roots, WORKFLOW_ROOTS};
use crate::value::{Object, Value, escape_pointer};
use crate::workflow::nearest;

/// The most operators in a rule, as in an expression.
const MAX_OPERATORS: usize = 512;

/// What the paths of a rule lead into.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// One value.
    Data,
    /// The names of a workflow file.
    Workflow(Roots<'a>),
}

/// Compiles a rule, or gives every problem that it has.
pub(super) fn compile(rule: &Value, scope: Scope<'_>) -> Result<Logic, Vec<LogicProblem>> {
    let mut reader = Reader {
        scope,
        operators: 0,
        reads: Vec::new(),
        tree: Tree::Branch(Vec::new()),
        problems: Vec::new(),
    };
    let rule = reader.rule(rule, "", 0);
    if reader.operators > MAX_OPERATORS {
        let message = format!("a rule has at most {MAX_OPERATORS} operators");
        reader.problem("", ExpressionError::new("logic.too_complex", 0..0, message));
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let compiled = engine().compile(rule).map_err(|error| {
        let error = ExpressionError::new("logic.syntax", 0..0, error.to_string());
        vec![LogicProblem { pointer: String::new(), at_key: false, error }]
    })?;
    Ok(Logic { compiled, reads: reader.reads.into(), tree: reader.tree })
}

/// The argument of an operator that is evaluated for every item, or with an error, as its data.
fn inner_argument(operator: &str, count: usize) -> Option<usize> {
    match operator {
        "map" | "filter" | "reduce" | "all" | "some" | "none" | "group_by" | "distinct" => Some(1),
        "sort" => Some(2),
        // The last one handles the error; the only one is what may fail.
        "try" if count > 1 => Some(count - 1),
        _ => None,
    }
}

struct Reader<'a> {
    scope: Scope<'a>,
    operators: usize,
    reads: Vec<Read>,
    tree: Tree,
    problems: Vec<LogicProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, pointer: &str, error: ExpressionError) {
        self.problems.push(LogicProblem { pointer: pointer.to_owned(), at_key: false, error });
    }

    fn key_problem(&mut self, pointer: &str, error: ExpressionError) {
        self.problems.push(LogicProblem { pointer: pointer.to_owned(), at_key: true, error });
    }

    /// A rule, or a part of one, as the engine takes it. `depth` counts the bodies around it, which
    /// have data of their own.
    fn rule(&mut self, value: &Value, pointer: &str, depth: usize) -> OwnedDataValue {
        match value {
            Value::Null => OwnedDataValue::Null,
            Value::Bool(value) => OwnedDataValue::Bool(*value),
            Value::Number(number) => match to_number(*number) {
                Ok(number) => OwnedDataValue::Number(number),
                Err(error) => {
                    let error = ExpressionError::new("logic.syntax", 0..0, error.to_string());
                    self.problem(pointer, error);
                    OwnedDataValue::Null
                }
            },
            Value::String(text) => OwnedDataValue::String(text.to_string()),
            Value::Bytes(_) | Value::Tainted(_) => {
                let message = format!("a rule holds no {}", value.kind());
                self.problem(pointer, ExpressionError::new("logic.syntax", 0..0, message));
                OwnedDataValue::Null
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                OwnedDataValue::Array(
                    items
                        .map(|(index, item)| self.rule(item, &format!("{pointer}/{index}"), depth))
                        .collect(),
                )
            }
            Value::Object(object) => self.operator(object, pointer, depth),
        }
    }

    fn operator(&mut self, object: &Object, pointer: &str, depth: usize) -> OwnedDataValue {
        let mut entries = object.iter();
        let (Some((name, argument)), None) = (entries.next(), entries.next()) else {
            let message = format!(
                "an object in a rule is an operator, with one key; this one has {}",
                object.len()
            );
            let error = ExpressionError::new("logic.syntax", 0..0, message)
                .hint("several conditions are joined by `and` or `or`: {\"and\": [{…}, {…}]}");
            self.problem(pointer, error);
            return OwnedDataValue::Null;
        };
        self.operators += 1;
        let pointer = format!("{pointer}/{}", escape_pointer(name));
        if !operators().contains(&&**name) {
            let message = format!("JSONLogic has no operator `{name}`");
            let error = ExpressionError::new("logic.unknown_operator", 0..0, message)
                .suggest(nearest(name, operators().iter().copied()));
            self.key_problem(&pointer, error);
        }
        let single = [argument.clone()];
        let (arguments, is_single): (Vec<&Value>, bool) = match argument {
            Value::Array(items) => (items.iter().collect(), false),
            _ => (single.iter().collect(), true),
        };
        let place = |index: usize| match is_single {
            true => pointer.clone(),
            false => format!("{pointer}/{index}"),
        };
        self.paths(name, &arguments, &place, depth);
        let inner = inner_argument(name, arguments.len());
        let compiled = arguments.iter().enumerate().map(|(index, argument)| {
            let is_inner = inner == Some(index);
            let compiled = self.rule(argument, &place(index), depth + usize::from(is_inner));
            if is_inner { step(compiled) } else { compiled }
        });
        let mut compiled: Vec<OwnedDataValue> = compiled.collect();
        // Compares each item with all before it: counted as if it had a key.
        if &**name == "distinct" && compiled.len() == 1 {
            let item = ("var".to_owned(), OwnedDataValue::String(String::new()));
            compiled.push(step(OwnedDataValue::Object(vec![item])));
        }
        let compiled = OwnedDataValue::Array(compiled);
        OwnedDataValue::Object(vec![(name.to_string(), compiled)])
    }

    /// What an operator reads by path.
    fn paths(
        &mut self,
        operator: &str,
        arguments: &[&Value],
        place: &dyn Fn(usize) -> String,
        depth: usize,
    ) {
        let dotted = |text: &str| text.split('.').map(Arc::from).collect::<Vec<Arc<str>>>();
        match operator {
            // Within a body it reads the body's own data.
            "var" | "exists" | "missing" | "missing_some" if depth > 0 => {}
            "var" => match arguments.first() {
                Some(Value::String(text)) if !text.is_empty() => {
                    self.read(dotted(text), &place(0), Some(text));
                }
                Some(Value::Number(number)) => {
                    self.read(vec![number.to_string().into()], &place(0), None);
                }
                _ => self.read_everything(&place(0)),
            },
            "val" => self.val(arguments, place, depth),
            "exists" => self.keys(arguments, &place(0)),
            "missing" => {
                for (index, argument) in arguments.iter().enumerate() {
                    self.missing(argument, &place(index));
                }
            }
            "missing_some" => {
                if let Some(paths) = arguments.get(1) {
                    self.missing(paths, &place(1));
                }
            }
            _ => {}
        }
    }

    /// The paths of `missing`: texts, or an array of them.
    fn missing(&mut self, argument: &Value, pointer: &str) {
        match argument {
            Value::String(text) => {
                self.read(text.split('.').map(Arc::from).collect(), pointer, Some(text));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.missing(item, &format!("{pointer}/{index}"));
                }
            }
            _ => self.read_everything(pointer),
        }
    }

    /// `val` reads one key per argument; `[[1], …]` leaves as many bodies.
    fn val(&mut self, arguments: &[&Value], place: &dyn Fn(usize) -> String, depth: usize) {
        let level = arguments.first().and_then(|first| first.as_array()?.first()?.as_i64());
        let leaves = level.map_or(0, i64::unsigned_abs);
        let keys = &arguments[usize::from(level.is_some())..];
        let is_outside = leaves >= depth as u64;
        // `index` and `key` of a level are those of the item.
        let is_about_item = level.is_some() && depth > 0 && {
            matches!(keys, [Value::String(key)] if matches!(&**key, "index" | "key"))
        };
        if is_outside && !is_about_item {
            self.keys(keys, &place(usize::from(level.is_some())));
        }
    }

    fn keys(&mut self, keys: &[&Value], pointer: &str) {
        let path: Option<Vec<Arc<str>>> = keys
            .iter()
            .map(|key| match key {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string().into()),
                _ => None,
            })
            .collect();
        match path {
            Some(path) if !path.is_empty() => {
                let only = match keys {
                    [Value::String(text)] => Some(&**text),
                    _ => None,
                };
                self.read(path, pointer, only);
            }
            _ => self.read_everything(pointer),
        }
    }

    /// All of the data: it is not known what, or it is wanted whole.
    fn read_everything(&mut self, pointer: &str) {
        if let Scope::Workflow(_) = self.scope {
            let message = "a path in `when` stands there literally, as a text";
            let error = ExpressionError::new("expression.needs_literal", 0..0, message)
                .hint("such as `inputs.limit` or `nodes.fetch.status`");
            self.problem(pointer, error);
            return;
        }
        self.add(pointer, false, None, Vec::new());
    }

    fn read(&mut self, path: Vec<Arc<str>>, pointer: &str, written: Option<&str>) {
        let Scope::Workflow(roots) = self.scope else {
            self.add(pointer, false, None, path[..before_index(&path, 0)].to_vec());
            return;
        };
        match expression(&path, roots) {
            Ok((expression, used)) => {
                let is_verbatim = written.is_some_and(|text| text.starts_with(expression.text()));
                self.add(pointer, is_verbatim, Some(expression), path[..used].to_vec());
            }
            Err(mut error) => {
                if written.is_none_or(|text| error.range.end > text.len()) {
                    error.range = 0..0;
                }
                self.problem(pointer, error);
            }
        }
    }

    fn add(
        &mut self,
        pointer: &str,
        is_verbatim: bool,
        expression: Option<Expression>,
        path: Vec<Arc<str>>,
    ) {
        self.tree.insert(&path, self.reads.len());
        let path = path.into();
        self.reads.push(Read { pointer: pointer.to_owned(), is_verbatim, expression, path });
    }
}

/// The keys before the first index at `from` or later. An index leads into an array, which is read
/// whole: in the data it has to be one.
fn before_index(path: &[Arc<str>], from: usize) -> usize {
    let is_index = |key: &Arc<str>| key.parse::<usize>().is_ok();
    let index = path.iter().skip(from).position(is_index);
    index.map_or(path.len(), |index| from + index)
}

/// A path as an expression, so that both languages know the same names and say the same of others.
/// Gives how many keys of the path are in it: not an index, nor what cannot be written.
fn expression(path: &[Arc<str>], roots: Roots<'_>) -> Result<(Expression, usize), ExpressionError> {
    let root = path.first().map_or("", |root| &**root);
    let unknown = || {
        let message = format!("there is no name `{root}`");
        ExpressionError::new("expression.unknown_name", 0..root.len(), message)
            .suggest(nearest(root, WORKFLOW_ROOTS))
            .hint(format!("names are {}", WORKFLOW_ROOTS.join(", ")))
    };
    if !is_name(root) {
        return Err(unknown());
    }
    // The id of a node and the names of inputs and ports may be numbers.
    let from = if root == "nodes" { 3 } else { 2 };
    let mut text = root.to_owned();
    let mut used = 1;
    for key in path[..before_index(path, from)].iter().skip(1) {
        if is_name(key) {
            text.push('.');
            text.push_str(key);
        } else if key.contains(['"', '\\']) {
            break;
        } else {
            text.push_str(&format!("[\"{key}\"]"));
        }
        used += 1;
    }
    let expression = Expression::compile(&text, roots)?;
    // A keyword, such as `true`, is an expression and no path.
    match expression.form {
        Form::Path(_) => Ok((expression, used)),
        Form::Compiled(_) => Err(unknown()),
    }
}

fn is_name(key: &str) -> bool {
    let starts_well = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Puts the operator that counts around a body.
fn step(body: OwnedDataValue) -> OwnedDataValue {
    OwnedDataValue::Object(vec![(STEP.to_owned(), OwnedDataValue::Array(vec![body]))])
}
