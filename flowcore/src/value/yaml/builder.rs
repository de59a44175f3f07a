//! Building values with their places out of the parser's events.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{
    ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag,
};

use super::super::json::decode_marker;
use super::super::{Array, MAX_DEPTH, Object, Value, escape_pointer};
use super::YamlProblem;
use super::scalar::{BadScalar, resolve};

/// How many values aliases may add in all: enough for settings that nodes share, and too few for a
/// small text to become a huge value.
const MAX_ALIASED: usize = 100_000;

/// A text with more problems than this is hostile, and must not cost more memory than its size.
const MAX_PROBLEMS: usize = 1_000;

/// A value with its place.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) range: Range<usize>,
    pub(super) below: Below,
    /// How many values it is made of, itself included.
    size: usize,
}

/// The places within a value.
pub(super) enum Below {
    Nothing,
    Items(Vec<Node>),
    Members(Vec<Member>),
}

/// A key with its place, and its value.
pub(super) struct Member {
    pub(super) key: Arc<str>,
    pub(super) key_range: Range<usize>,
    pub(super) node: Node,
}

/// Reads the only document of a text.
pub(super) fn read_document(text: &str) -> (Option<Node>, Vec<YamlProblem>) {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        text,
        parser: Parser::new_from_str_with_options(text, options),
        path: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        problems: Vec::new(),
    };
    match builder.document() {
        Ok(node) => (Some(node), builder.problems),
        Err(problem) => {
            builder.problems.push(*problem);
            (None, builder.problems)
        }
    }
}

enum Token {
    Key(Arc<str>),
    Index(usize),
}

struct Builder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    path: Vec<Token>,
    /// What aliases may refer to, with its size.
    anchors: HashMap<usize, (Value, usize)>,
    aliased: usize,
    problems: Vec<YamlProblem>,
}

/// Boxed, because it is large and seldom.
type Fatal = Box<YamlProblem>;

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Fatal> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.range(&span))),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..self.text.len());
        let text = self.text.get(range.clone()).unwrap_or_default();
        range.start..range.start + text.trim_end().len()
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let at = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
        let end = at + self.text[at..].chars().next().map_or(0, char::len_utf8);
        let code = match error.kind() {
            ErrorKind::RecursionLimitExceeded => "yaml.too_deep",
            _ => "yaml.syntax",
        };
        let (message, pointer) = (error.info(), String::new());
        Box::new(YamlProblem { code, message, pointer, range: at..end })
    }

    fn problem(&self, code: &'static str, range: Range<usize>, message: &str) -> Fatal {
        let pointer = self.path.iter().fold(String::new(), |pointer, token| match token {
            Token::Key(key) => format!("{pointer}/{}", escape_pointer(key)),
            Token::Index(index) => format!("{pointer}/{index}"),
        });
        Box::new(YamlProblem { code, message: message.to_owned(), pointer, range })
    }

    /// Notes a problem that does not keep the rest from being read.
    fn report(&mut self, code: &'static str, range: Range<usize>, message: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            let problem = self.problem(code, range, message);
            self.problems.push(*problem);
        }
    }

    fn document(&mut self) -> Result<Node, Fatal> {
        let nothing = Node { value: Value::Null, range: 0..0, below: Below::Nothing, size: 1 };
        loop {
            let (event, _) = self.next()?;
            match event {
                Event::DocumentStart(..) => break,
                Event::StreamEnd => return Ok(nothing),
                _ => {}
            }
        }
        let first = self.next()?;
        let node = self.node(first)?;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(node),
                (Event::DocumentStart(..), range) => {
                    let message = "a workflow file holds one document";
                    return Err(self.problem("yaml.several_documents", range, message));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, (event, range): (Event<'a>, Range<usize>)) -> Result<Node, Fatal> {
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, range),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), &range);
                (Node { value, range, below: Below::Nothing, size: 1 }, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", &range);
                (self.nested(range, |builder, range| builder.sequence(range, style))?, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", &range);
                (self.nested(range, |builder, range| builder.mapping(range, style))?, anchor)
            }
            _ => return Err(self.problem("yaml.syntax", range, "a value was expected")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.value.clone(), node.size));
        }
        Ok(node)
    }

    fn nested(
        &mut self,
        range: Range<usize>,
        read: impl FnOnce(&mut Self, Range<usize>) -> Result<Node, Fatal>,
    ) -> Result<Node, Fatal> {
        if self.path.len() >= usize::from(MAX_DEPTH) {
            return Err(self.too_deep(range));
        }
        read(self, range)
    }

    fn too_deep(&self, range: Range<usize>) -> Fatal {
        let message = format!("sequences and mappings are nested deeper than {MAX_DEPTH} levels");
        self.problem("yaml.too_deep", range, &message)
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<Node, Fatal> {
        let Some((value, size)) = self.anchors.get(&id).cloned() else {
            let message = "the alias stands within what it refers to";
            return Err(self.problem("yaml.recursive_alias", range, message));
        };
        self.aliased = self.aliased.saturating_add(size);
        if self.aliased > MAX_ALIASED {
            let message = format!("aliases add more than {MAX_ALIASED} values");
            return Err(self.problem("yaml.too_many_aliases", range, &message));
        }
        Ok(Node { value, range, below: Below::Nothing, size })
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        range: &Range<usize>,
    ) -> Value {
        let core = tag.and_then(Tag::core_suffix);
        if tag.is_some() && core.is_none_or(|core| matches!(core, "seq" | "map")) {
            self.check_tag(tag, "str", range);
        }
        let is_text = style != ScalarStyle::Plain && core.is_none_or(|core| core == "str");
        if is_text || core == Some("str") {
            return Value::from(text);
        }
        let (code, message) = match resolve(text) {
            Ok(value) => return value,
            Err(BadScalar::IntegerTooLarge) => {
                ("yaml.integer_too_large", "the integer does not fit into 64 bits")
            }
            Err(BadScalar::NotFinite) => ("yaml.not_finite", "JSON has no such number"),
        };
        self.report(code, range.clone(), message);
        Value::Null
    }

    /// Reports a tag that is not the one of the core schema for this kind of node.
    fn check_tag(&mut self, tag: Option<&Tag>, kind: &str, range: &Range<usize>) {
        let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(kind)) else { return };
        let shown = tag.original();
        // The tag stands before the node.
        let start = self.text[..range.start].rfind(&shown).unwrap_or(range.start);
        let message = format!("the tag `{shown}` is not read");
        self.report("yaml.unknown_tag", start..start + shown.len(), &message);
    }

    fn sequence(&mut self, start: Range<usize>, style: StructureStyle) -> Result<Node, Fatal> {
        let mut items: Vec<Node> = Vec::new();
        let end = loop {
            self.path.push(Token::Index(items.len()));
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                self.path.pop();
                break next.1;
            }
            items.push(self.node(next)?);
            self.path.pop();
        };
        let range = whole(&start, &end, style, items.last().map(|item| item.range.end));
        let values = items.iter().map(|item| item.value.clone());
        let value = Array::from_values(values).map_err(|_| self.too_deep(range.clone()))?;
        let size = items.iter().map(|item| item.size).sum::<usize>() + 1;
        Ok(Node { value: value.into(), range, below: Below::Items(items), size })
    }

    fn mapping(&mut self, start: Range<usize>, style: StructureStyle) -> Result<Node, Fatal> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        let end = loop {
            let (event, key_range) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break key_range;
            }
            let key = self.key(event, &key_range)?;
            self.path.push(Token::Key(key.clone()));
            let next = self.next()?;
            let node = self.node(next)?;
            if &*key == "<<" {
                let message = "merge keys are not read: write the keys out";
                self.report("yaml.merge_key", key_range, message);
            } else {
                if !seen.insert(key.clone()) {
                    let message = format!("the key `{key}` stands twice in one mapping");
                    self.report("yaml.duplicate_key", key_range.clone(), &message);
                }
                members.push(Member { key, key_range, node });
            }
            self.path.pop();
        };
        let range = whole(&start, &end, style, members.last().map(|member| member.node.range.end));
        let value = self.object(&members, &range)?;
        let size = members.iter().map(|member| member.node.size).sum::<usize>() + 1;
        Ok(Node { value, range, below: Below::Members(members), size })
    }

    fn key(&mut self, event: Event<'a>, range: &Range<usize>) -> Result<Arc<str>, Fatal> {
        match event {
            Event::Scalar(text, ..) => Ok(Arc::from(text.as_ref())),
            other => {
                let node = self.node((other, range.clone()))?;
                Err(self.problem("yaml.bad_key", node.range, "keys are plain texts"))
            }
        }
    }

    fn object(&mut self, members: &[Member], range: &Range<usize>) -> Result<Value, Fatal> {
        if let [only] = members {
            match decode_marker(&only.key, &only.node.value) {
                Ok(Some(marked)) => return Ok(marked),
                Ok(None) => {}
                Err(why) => {
                    self.report("yaml.bad_bytes", range.clone(), why);
                    return Ok(Value::Null);
                }
            }
        }
        let entries = members.iter().map(|member| (member.key.clone(), member.node.value.clone()));
        let object = Object::from_entries(entries).map_err(|_| self.too_deep(range.clone()))?;
        Ok(object.into())
    }
}

/// The bytes of a sequence or mapping; a block ends with its last child, because what follows it
/// may be blank lines and comments.
fn whole(
    start: &Range<usize>,
    end: &Range<usize>,
    style: StructureStyle,
    last: Option<usize>,
) -> Range<usize> {
    match style {
        StructureStyle::Flow => start.start..end.end,
        StructureStyle::Block => start.start..last.unwrap_or(start.end).max(start.end),
    }
}
