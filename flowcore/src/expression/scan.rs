//! The tokens of an expression: enough to know what it reads and where it ends.

use std::ops::Range;

/// A token and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A name or keyword.
    Name,
    /// A string; the text between the quotes if it holds no escapes.
    Text(Option<String>),
    /// A number; its value if it is a small integer.
    Number(Option<usize>),
    /// A string that does not end.
    Unclosed,
    /// One character of anything else.
    Sign(char),
}

/// The tokens of `text`, lazily.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    fn end_while(&self, from: usize, keep: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[from..];
        from + rest.find(|c| !keep(c)).unwrap_or(rest.len())
    }

    fn string(&self, start: usize, quote: char) -> (TokenKind, usize) {
        let mut escaped = false;
        let mut plain = true;
        for (offset, c) in self.text[start + 1..].char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => {
                    escaped = true;
                    plain = false;
                }
                c if c == quote => {
                    let inner = start + 1..start + 1 + offset;
                    let text = plain.then(|| self.text[inner.clone()].to_owned());
                    return (TokenKind::Text(text), inner.end + 1);
                }
                _ => {}
            }
        }
        (TokenKind::Unclosed, self.text.len())
    }
}

impl Iterator for Scanner<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let start = self.end_while(self.at, char::is_whitespace);
        let first = self.text[start..].chars().next()?;
        let (kind, end) = match first {
            '"' | '\'' => self.string(start, first),
            c if c.is_ascii_digit() => {
                let end = self.end_while(start, |c| c.is_ascii_alphanumeric() || c == '_');
                (TokenKind::Number(self.text[start..end].parse().ok()), end)
            }
            c if c.is_alphanumeric() || c == '_' => {
                (TokenKind::Name, self.end_while(start, |c| c.is_alphanumeric() || c == '_'))
            }
            c => (TokenKind::Sign(c), start + c.len_utf8()),
        };
        self.at = end;
        Some(Token { kind, range: start..end })
    }
}

/// Finds the `}}` that ends the expression which starts at `start`, outside of strings and braces.
pub(super) fn find_end(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for token in Scanner::new(text, start) {
        match token.kind {
            TokenKind::Sign('{') => depth += 1,
            TokenKind::Sign('}') if depth > 0 => depth -= 1,
            TokenKind::Sign('}') if text[token.range.end..].starts_with('}') => {
                return Some(token.range.start);
            }
            TokenKind::Unclosed => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, end: Option<&str>) {
        assert_eq!(find_end(text, 0).map(|end| &text[..end]), end, "{text}");
    }

    #[test]
    fn the_end_is_outside_of_strings_and_braces() {
        check("a }}", Some("a "));
        check("'}}' }} x", Some("'}}' "));
        check(r#""\"}}" }}"#, Some(r#""\"}}" "#));
        check("{'a': {'b': 1}}}}", Some("{'a': {'b': 1}}"));
        check("a } }", None);
        check("'a }}", None);
        check("", None);
    }
}
