//! Where the parts of a JSON text stand.

use super::reader::{JsonError, Reader};
use super::unescape_pointer;

/// Where a value stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The key of the member, quotes included, when the value is a member of an object.
    pub(crate) key: Option<std::ops::Range<usize>>,
    /// The value.
    pub(crate) value: std::ops::Range<usize>,
}

/// Finds where the values at these JSON pointers stand, in one pass over a text that
/// [`read_json`] accepted. A pointer to something that is not there gets the place of its nearest
/// ancestor.
pub(crate) fn locate(text: &str, pointers: &[&str]) -> Vec<Span> {
    let mut wanted = Wanted::default();
    for (index, pointer) in pointers.iter().enumerate() {
        wanted.add(pointer, index);
    }
    let whole = Span { key: None, value: 0..text.len() };
    let mut locator = Locator { reader: Reader::new(text), found: vec![whole; pointers.len()] };
    // A text that was accepted cannot fail here; what was found by then is good.
    let _ = locator.value(Some(&wanted), None);
    locator.found
}

/// The pointers, as a tree of their tokens.
#[derive(Default)]
struct Wanted {
    here: Vec<usize>,
    below: std::collections::HashMap<String, Wanted>,
}

impl Wanted {
    fn add(&mut self, pointer: &str, index: usize) {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            node = node.below.entry(unescape_pointer(token)).or_default();
        }
        node.here.push(index);
    }

    fn mark(&self, found: &mut [Span], span: &Span) {
        self.here.iter().for_each(|&index| found[index] = span.clone());
        self.below.values().for_each(|child| child.mark(found, span));
    }
}

struct Locator<'a> {
    reader: Reader<'a>,
    found: Vec<Span>,
}

impl Locator<'_> {
    fn value(
        &mut self,
        wanted: Option<&Wanted>,
        key: Option<std::ops::Range<usize>>,
    ) -> Result<(), JsonError> {
        self.reader.space();
        let start = self.reader.at;
        let Some(wanted) = wanted else {
            return self.reader.value().map(drop);
        };
        let end = {
            self.reader.value()?;
            self.reader.at
        };
        wanted.mark(&mut self.found, &Span { key, value: start..end });
        if !wanted.below.is_empty() {
            self.reader.at = start;
            match self.reader.peek() {
                Some(b'{') => self.members(wanted)?,
                Some(b'[') => self.items(wanted)?,
                _ => {}
            }
            self.reader.at = end;
        }
        Ok(())
    }

    fn members(&mut self, wanted: &Wanted) -> Result<(), JsonError> {
        self.reader.at += 1;
        loop {
            self.reader.space();
            let start = self.reader.at;
            if self.reader.peek() != Some(b'"') {
                return Ok(());
            }
            let name = self.reader.string()?;
            let key = start..self.reader.at;
            self.reader.take(b':', "`:`")?;
            self.value(wanted.below.get(name.as_ref()), Some(key))?;
            self.reader.space();
            if self.reader.peek() != Some(b',') {
                return Ok(());
            }
            self.reader.at += 1;
        }
    }

    fn items(&mut self, wanted: &Wanted) -> Result<(), JsonError> {
        self.reader.at += 1;
        for index in 0.. {
            self.reader.space();
            if self.reader.peek() == Some(b']') {
                return Ok(());
            }
            self.value(wanted.below.get(&index.to_string()), None)?;
            self.reader.space();
            if self.reader.peek() != Some(b',') {
                return Ok(());
            }
            self.reader.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_located() {
        let text = r#"{"nodes": [{"id": "a"}, {"id": "b/c", "config": {"x": [1, 22]}}]}"#;
        let pointers = ["/nodes/1/config/x/1", "/nodes/0/id", "/nodes/1/missing/deep", ""];
        let spans = locate(text, &pointers);
        let value = |index: usize| &text[spans[index].value.clone()];
        assert_eq!(value(0), "22");
        assert_eq!(value(1), "\"a\"");
        assert_eq!(spans[1].key.clone().map(|key| &text[key]), Some("\"id\""));
        assert!(value(2).starts_with("{\"id\": \"b/c\""));
        assert_eq!(value(3), text);
    }
}
