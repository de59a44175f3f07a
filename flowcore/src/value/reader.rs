//! A strict JSON reader that knows where it is.
//!
//! `serde_json` would lose three things that Flow promises: an integer beyond 64 bits becomes a
//! float without a word, a key that stands twice is dropped, and values have no place in the text.

use std::collections::HashSet;
use std::sync::Arc;

use super::json::decode_marker;
use super::{Array, MAX_DEPTH, Number, Object, Value, escape_pointer};

/// Why a text is not a JSON document that Flow accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// The byte at which it is wrong.
    pub offset: usize,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// Something else was expected here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The text ends in the middle.
    #[error("the text ends where {0} was expected")]
    UnexpectedEnd(&'static str),
    /// Text after the document.
    #[error("there is text after the end of the document")]
    Trailing,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("arrays and objects are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// An integer beyond 64 bits.
    #[error("the integer does not fit into 64 bits")]
    IntegerTooLarge,
    /// A number beyond the range of a 64-bit float.
    #[error("the number is beyond the range of a 64-bit float")]
    NumberTooLarge,
    /// A number in a form that JSON does not have.
    #[error("JSON does not write numbers like this")]
    BadNumber,
    /// An escape that JSON does not have.
    #[error("JSON does not have this escape")]
    BadEscape,
    /// Half of a surrogate pair.
    #[error("this escape is half of a surrogate pair")]
    LoneSurrogate,
    /// A control character that is not escaped.
    #[error("control characters in strings must be escaped")]
    ControlCharacter,
    /// A `$bytes` object that does not hold base64.
    #[error("{0}")]
    BadMarker(&'static str),
}

impl JsonErrorKind {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooDeep => "json.too_deep",
            Self::IntegerTooLarge => "json.integer_too_large",
            Self::NumberTooLarge => "json.number_too_large",
            Self::UnexpectedEnd(_) => "json.truncated",
            Self::BadMarker(_) => "json.bad_bytes",
            Self::Expected(_)
            | Self::Trailing
            | Self::BadNumber
            | Self::BadEscape
            | Self::LoneSurrogate
            | Self::ControlCharacter => "json.syntax",
        }
    }
}

/// A key that stands twice in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateKey {
    /// The JSON pointer to the member.
    pub pointer: String,
    /// The key.
    pub key: Arc<str>,
    /// The bytes of the second one, quotes included.
    pub range: std::ops::Range<usize>,
}

/// Reads a JSON document; of a key that stands twice the last value counts.
///
/// # Errors
/// [`JsonError`] with the byte at which the text is wrong.
pub fn read_json(text: &str) -> Result<Value, JsonError> {
    let mut reader = Reader::new(text);
    reader.document()
}

/// Reads a JSON document and lists the keys that stand twice.
///
/// # Errors
/// As [`read_json`].
pub fn read_json_reporting_duplicates(text: &str) -> Result<(Value, Vec<DuplicateKey>), JsonError> {
    let mut reader = Reader::new(text);
    reader.path = Some(Vec::new());
    let value = reader.document()?;
    Ok((value, reader.duplicates))
}

#[derive(Clone)]
enum PathToken {
    Key(Arc<str>),
    Index(usize),
}

/// Repeated keys share their text: a table of rows holds each column's name once.
const KEY_CACHE: usize = 64;

/// A text with more duplicate keys than this is hostile, and must not cost more memory than its
/// size.
const MAX_DUPLICATES: usize = 1_000;

/// Whether a key is among the entries already. Most objects are small and need no set; a large one
/// must not cost the square of its size.
fn is_duplicate(
    entries: &[(Arc<str>, Value)],
    seen: &mut HashSet<Arc<str>>,
    key: &Arc<str>,
) -> bool {
    if entries.len() < 16 {
        return entries.iter().any(|(other, _)| other == key);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().map(|(other, _)| other.clone()));
    }
    !seen.insert(key.clone())
}

pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) at: usize,
    depth: u8,
    keys: [Option<Arc<str>>; KEY_CACHE],
    /// Followed only when duplicates are reported.
    path: Option<Vec<PathToken>>,
    duplicates: Vec<DuplicateKey>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            keys: [const { None }; KEY_CACHE],
            path: None,
            duplicates: Vec::new(),
        }
    }

    fn document(&mut self) -> Result<Value, JsonError> {
        let value = self.value()?;
        self.space();
        if self.at < self.text.len() {
            return Err(self.error(JsonErrorKind::Trailing));
        }
        Ok(value)
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { kind, offset: self.at }
    }

    fn expected<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(self.error(match self.peek() {
            Some(_) => JsonErrorKind::Expected(what),
            None => JsonErrorKind::UnexpectedEnd(what),
        }))
    }

    pub(super) fn take(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        self.space();
        if self.peek() != Some(byte) {
            return self.expected(what);
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn value(&mut self) -> Result<Value, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::from(self.string()?.as_ref())),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.expected("a JSON value"),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, JsonError>,
    ) -> Result<Value, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(JsonErrorKind::TooDeep));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            let rest = &self.text[self.at..];
            return Err(self.error(if word.starts_with(rest) {
                JsonErrorKind::UnexpectedEnd("a JSON value")
            } else {
                JsonErrorKind::Expected("a JSON value")
            }));
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Array::new().into());
        }
        loop {
            self.enter(|| PathToken::Index(items.len()));
            items.push(self.value()?);
            self.leave();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.expected("`,` or `]`"),
            }
        }
        self.at += 1;
        Ok(Array::from_values(items).expect("the reader counts the depth").into())
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
        let mut seen = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Object::new().into());
        }
        loop {
            self.space();
            let key_start = self.at;
            if self.peek() != Some(b'"') {
                return self.expected("a key in double quotes");
            }
            let key = self.key()?;
            let key_end = self.at;
            self.take(b':', "`:`")?;
            self.enter(|| PathToken::Key(key.clone()));
            let value = self.value()?;
            if self.path.is_some()
                && is_duplicate(&entries, &mut seen, &key)
                && self.duplicates.len() < MAX_DUPLICATES
            {
                let pointer = self.pointer();
                self.duplicates.push(DuplicateKey {
                    pointer,
                    key: key.clone(),
                    range: key_start..key_end,
                });
            }
            self.leave();
            entries.push((key, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.expected("`,` or `}`"),
            }
        }
        self.at += 1;
        if let [(key, value)] = entries.as_slice()
            && key.starts_with('$')
            && let Some(marked) = decode_marker(key, value)
                .map_err(|why| JsonError { kind: JsonErrorKind::BadMarker(why), offset: start })?
        {
            return Ok(marked);
        }
        Ok(Object::from_list(entries).expect("the reader counts the depth").into())
    }

    fn enter(&mut self, token: impl FnOnce() -> PathToken) {
        if let Some(path) = &mut self.path {
            path.push(token());
        }
    }

    fn leave(&mut self) {
        if let Some(path) = &mut self.path {
            path.pop();
        }
    }

    fn pointer(&self) -> String {
        let tokens = self.path.as_deref().unwrap_or_default();
        tokens.iter().fold(String::new(), |pointer, token| match token {
            PathToken::Key(key) => format!("{pointer}/{}", escape_pointer(key)),
            PathToken::Index(index) => format!("{pointer}/{index}"),
        })
    }

    fn key(&mut self) -> Result<Arc<str>, JsonError> {
        let text = self.string()?;
        let bytes = text.as_bytes();
        let (first, last) = (bytes.first().copied(), bytes.last().copied());
        let hash = bytes.len() * 31
            + usize::from(first.unwrap_or(0)) * 7
            + usize::from(last.unwrap_or(0)) * 3;
        let slot = &mut self.keys[hash % KEY_CACHE];
        match slot {
            Some(key) if **key == *text => Ok(key.clone()),
            _ => Ok(slot.insert(Arc::from(text.as_ref())).clone()),
        }
    }

    pub(super) fn string(&mut self) -> Result<std::borrow::Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        let length = self.bytes()[start..]
            .iter()
            .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
        match length.map(|length| self.bytes()[start + length]) {
            Some(b'"') => {
                let end = start + length.unwrap_or_default();
                self.at = end + 1;
                Ok(self.text[start..end].into())
            }
            _ => self.escaped_string(start).map(Into::into),
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<String, JsonError> {
        let mut text = String::new();
        let mut run = start;
        loop {
            match self.peek() {
                Some(b'"') => {
                    text.push_str(&self.text[run..self.at]);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(&self.text[run..self.at]);
                    text.push(self.escape()?);
                    run = self.at;
                }
                Some(0..0x20) => return Err(self.error(JsonErrorKind::ControlCharacter)),
                Some(_) => self.at += 1,
                None => return self.expected("the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let letter = self.bytes().get(self.at + 1).copied();
        self.at += 2;
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            Some(_) => {
                return Err(JsonError { kind: JsonErrorKind::BadEscape, offset: start });
            }
            None => {
                self.at = self.text.len();
                return self.expected("the end of a string");
            }
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError { kind: JsonErrorKind::LoneSurrogate, offset: start };
        let first = self.hex()?;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if first >= 0xDC00 || !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            return Err(lone);
        }
        self.at += 2;
        let second = self.hex()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(lone)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let Some(digits) = self.bytes().get(self.at..self.at + 4) else {
            self.at = self.text.len();
            return self.expected("the end of a string");
        };
        let number = digits.iter().try_fold(0, |number, &digit| {
            char::from(digit).to_digit(16).map(|value| number * 16 + value)
        });
        let number = number.ok_or_else(|| self.error(JsonErrorKind::BadEscape))?;
        self.at += 4;
        Ok(number)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let bytes = self.bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let int_start = start + usize::from(bytes[start] == b'-');
        let mut end = digits(int_start);
        let bad = |offset| JsonError { kind: JsonErrorKind::BadNumber, offset };
        if end == int_start || (bytes[int_start] == b'0' && end > int_start + 1) {
            return Err(bad(start));
        }
        let mut is_integer = true;
        if bytes.get(end) == Some(&b'.') {
            is_integer = false;
            let fraction = end + 1;
            end = digits(fraction);
            if end == fraction {
                return Err(bad(start));
            }
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            is_integer = false;
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = end + 1 + sign;
            end = digits(exponent);
            if end == exponent {
                return Err(bad(start));
            }
        }
        let text = &self.text[start..end];
        let number = if is_integer && text != "-0" {
            let signed = text.parse::<i64>().map(Number::from);
            signed
                .or_else(|_| text.parse::<u64>().map(Number::from))
                .map_err(|_| JsonError { kind: JsonErrorKind::IntegerTooLarge, offset: start })?
        } else {
            let float: f64 = text.parse().map_err(|_| bad(start))?;
            Number::from_f64(float)
                .map_err(|_| JsonError { kind: JsonErrorKind::NumberTooLarge, offset: start })?
        };
        self.at = end;
        Ok(Value::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, code: &str, offset: usize) {
        let error = read_json(text).unwrap_err();
        assert_eq!((error.kind.code(), error.offset), (code, offset), "{text}: {error}");
    }

    #[test]
    fn bad_texts_are_refused_with_a_place() {
        check_error("", "json.truncated", 0);
        check_error("{\"a\": 1", "json.truncated", 7);
        check_error("[1, 2", "json.truncated", 5);
        check_error("\"abc", "json.truncated", 4);
        check_error("tru", "json.truncated", 0);
        check_error("[1 2]", "json.syntax", 3);
        check_error("[1,]", "json.syntax", 3);
        check_error("{a: 1}", "json.syntax", 1);
        check_error("{\"a\": 1} x", "json.syntax", 9);
        check_error("01", "json.syntax", 0);
        check_error("[1.]", "json.syntax", 1);
        check_error("// no\n1", "json.syntax", 0);
        check_error("18446744073709551616", "json.integer_too_large", 0);
        check_error("-9223372036854775809", "json.integer_too_large", 0);
        check_error("1e400", "json.number_too_large", 0);
        check_error(r#""\ud800""#, "json.syntax", 1);
        check_error(r#""\x""#, "json.syntax", 1);
        check_error("\"a\nb\"", "json.syntax", 2);
        check_error(&"[".repeat(10_000_000), "json.too_deep", 100);
        check_error(r#"[{"$bytes": "?"}]"#, "json.bad_bytes", 1);
    }

    #[test]
    fn good_texts_are_read() {
        assert_eq!(read_json("18446744073709551615").unwrap(), Value::from(u64::MAX));
        assert_eq!(read_json("-9223372036854775808").unwrap(), Value::from(i64::MIN));
        assert_eq!(read_json(r#""\u00e9\ud83d\ude00\n""#).unwrap(), Value::from("é😀\n"));
        assert_eq!(read_json(" [ ] ").unwrap(), Array::new().into());
        assert_eq!(read_json("1e2").unwrap().as_f64(), Some(100.0));
    }

    #[test]
    fn duplicates_are_listed() {
        let text = r#"{"a": 1, "b": [{"x": 1, "x": 2}], "a": 3}"#;
        let (value, duplicates) = read_json_reporting_duplicates(text).unwrap();
        assert_eq!(value.get("a"), Some(&Value::from(3)));
        let places: Vec<_> =
            duplicates.iter().map(|d| (d.pointer.as_str(), &text[d.range.clone()])).collect();
        assert_eq!(places, [("/b/0/x", "\"x\""), ("/a", "\"a\"")]);
    }

    #[test]
    fn duplicates_in_a_large_object_are_found_quickly_and_not_all_listed() {
        let keys = |range: std::ops::Range<u32>| range.map(|key| format!("\"{key}\": 0, "));
        let text: String = keys(0..200_000).chain(keys(100..5_000)).collect();
        let (value, duplicates) =
            read_json_reporting_duplicates(&format!("{{{text}\"x\": 0}}")).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 200_001);
        assert_eq!((duplicates.len(), &*duplicates[0].key), (MAX_DUPLICATES, "100"));
    }
}
