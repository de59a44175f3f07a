//! CSV as text: RFC 4180 with any delimiter.
//!
//! The `csv` crate takes a quote that is never closed, and text after a closing quote, without a
//! word, so half of a file may end up in one cell. This reader refuses both with the line, and
//! copies nothing that has no doubled quote in it. Its tests compare it with that crate.

use std::borrow::Cow;

use flowcore::NodeError;

/// Why a text is not CSV.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CsvError {
    /// The text ends within a quoted cell.
    #[error("the quoted cell that begins in line {line} is never closed")]
    Unclosed {
        /// The line in which the cell begins, from 1.
        line: usize,
    },
    /// Something other than a delimiter comes after a quoted cell.
    #[error("there is text after a closing quote in line {line}")]
    AfterQuote {
        /// The line, from 1.
        line: usize,
    },
}

/// The delimiter that configs leave out.
pub(super) fn comma() -> char {
    ','
}

/// What configs leave out about the header.
pub(super) fn yes() -> bool {
    true
}

/// Refuses delimiters that mean something else.
///
/// # Errors
/// `config.invalid`.
pub(super) fn check_delimiter(delimiter: char) -> Result<(), NodeError> {
    if matches!(delimiter, '"' | '\n' | '\r') {
        return Err(NodeError::config(format!("{delimiter:?} cannot be a delimiter")));
    }
    Ok(())
}

/// Reads records one by one. Empty lines are skipped.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    delimiter: char,
    trim: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a text. With `trim`, white space around cells is left out, but not
    /// within quotes.
    pub(super) fn new(text: &'a str, delimiter: char, trim: bool) -> Self {
        Self { text, at: 0, line: 1, delimiter, trim }
    }

    /// Reads the next record into `cells`; returns its line, or `None` at the end.
    ///
    /// # Errors
    /// [`CsvError`].
    pub(super) fn record(
        &mut self,
        cells: &mut Vec<Cow<'a, str>>,
    ) -> Result<Option<usize>, CsvError> {
        cells.clear();
        while self.line_break() {}
        if self.rest().is_empty() {
            return Ok(None);
        }
        let line = self.line;
        loop {
            cells.push(self.cell()?);
            if !self.take(self.delimiter) {
                self.line_break();
                return Ok(Some(line));
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    /// Takes `\n`, `\r\n` or `\r`.
    fn line_break(&mut self) -> bool {
        let found = self.take('\r') | self.take('\n');
        self.line += usize::from(found);
        found
    }

    fn cell(&mut self) -> Result<Cow<'a, str>, CsvError> {
        self.space();
        if self.take('"') { self.quoted() } else { Ok(Cow::Borrowed(self.unquoted())) }
    }

    /// Skips what `trim` leaves out.
    fn space(&mut self) {
        let is_space = |c: char| c.is_whitespace() && !is_break(c) && c != self.delimiter;
        if self.trim {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_space).len();
        }
    }

    fn unquoted(&mut self) -> &'a str {
        let rest = self.rest();
        let end = if self.delimiter.is_ascii() {
            let delimiter = u32::from(self.delimiter);
            let ends = |b: u8| u32::from(b) == delimiter || matches!(b, b'\n' | b'\r');
            rest.bytes().position(ends)
        } else {
            rest.find([self.delimiter, '\n', '\r'])
        };
        let cell = &rest[..end.unwrap_or(rest.len())];
        self.at += cell.len();
        if self.trim { cell.trim_end() } else { cell }
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, CsvError> {
        let (start, line) = (self.at, self.line);
        let mut doubled = false;
        loop {
            let length = self.rest().find('"').ok_or(CsvError::Unclosed { line })?;
            self.at += length + 1;
            if !self.take('"') {
                break;
            }
            doubled = true;
        }
        let cell = &self.text[start..self.at - 1];
        self.line += line_breaks(cell);
        self.space();
        let ends = self.rest().chars().next().is_none_or(|c| c == self.delimiter || is_break(c));
        if !ends {
            return Err(CsvError::AfterQuote { line: self.line });
        }
        Ok(if doubled { Cow::Owned(cell.replace("\"\"", "\"")) } else { Cow::Borrowed(cell) })
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn line_breaks(text: &str) -> usize {
    let alone = |(at, _): (usize, &str)| text.as_bytes().get(at + 1) != Some(&b'\n');
    text.matches('\n').count() + text.match_indices('\r').filter(|m| alone(*m)).count()
}

/// Writes one record, with a line break at its end. Cells that need quotes get them.
pub(super) fn write_record<'a>(
    text: &mut String,
    cells: impl ExactSizeIterator<Item = Cow<'a, str>>,
    delimiter: char,
) {
    // A record of one empty cell would be an empty line, which readers skip.
    let alone = cells.len() == 1;
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(delimiter);
        }
        if needs_quotes(&cell, delimiter) || (alone && cell.is_empty()) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push('\n');
}

/// Whether a reader would take the cell for something else: delimiters, quotes, line breaks, white
/// space that may be trimmed, and a byte order mark.
fn needs_quotes(cell: &str, delimiter: char) -> bool {
    cell.contains([delimiter, '"', '\n', '\r'])
        || cell.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}')
        || cell.ends_with(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, delimiter: char, trim: bool) -> Result<Vec<Vec<String>>, CsvError> {
        let mut reader = Reader::new(text, delimiter, trim);
        let (mut cells, mut records) = (Vec::new(), Vec::new());
        while reader.record(&mut cells)?.is_some() {
            records.push(cells.iter().map(ToString::to_string).collect());
        }
        Ok(records)
    }

    #[track_caller]
    fn check(text: &str, expected: &[&[&str]]) {
        assert_eq!(read(text, ',', false).unwrap(), expected, "{text:?}");
    }

    #[test]
    fn records_are_read() {
        check("", &[]);
        check("\n\r\n\n", &[]);
        check("a,b\n1,2", &[&["a", "b"], &["1", "2"]]);
        check("a,b\r\n1,2\r\n", &[&["a", "b"], &["1", "2"]]);
        check("a\rb\r\r", &[&["a"], &["b"]]);
        check("a,\n,b\n,", &[&["a", ""], &["", "b"], &["", ""]]);
        check("\"a,\n\"\"b\"\"\",\"\"\nx", &[&["a,\n\"b\"", ""], &["x"]]);
        check("a\"b, \"c\" \n", &[&["a\"b", " \"c\" "]]);
        check("\"\"\n", &[&[""]]);
    }

    #[test]
    fn trimming_leaves_quoted_space_alone() {
        let trimmed = read(" a ,\t\" b \" , c d\n  \n", ',', true).unwrap();
        assert_eq!(trimmed, [vec!["a", " b ", "c d"], vec![""]]);
        assert_eq!(read("a\t\tb", '\t', true).unwrap(), [["a", "", "b"]]);
    }

    #[test]
    fn delimiters_may_be_any_character() {
        assert_eq!(read("a;b,c\n", ';', false).unwrap(), [["a", "b,c"]]);
        assert_eq!(read("a→\"b→\"→é\n", '→', false).unwrap(), [["a", "b→", "é"]]);
    }

    #[test]
    fn what_others_let_pass_is_refused() {
        assert_eq!(read("a\n\n\"b\nc", ',', false), Err(CsvError::Unclosed { line: 3 }));
        assert_eq!(read("\"a\r\nb\rc\" x", ',', false), Err(CsvError::AfterQuote { line: 3 }));
        assert_eq!(read("\"a\"b\"", ',', false), Err(CsvError::AfterQuote { line: 1 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_accepted_reads_as_with_the_csv_crate(text in "[ab\",\r\n ]{0,30}") {
            let records = read(&text, ',', false);
            prop_assume!(records.is_ok());
            let mut other = csv::ReaderBuilder::new();
            let other = other.has_headers(false).flexible(true).from_reader(text.as_bytes());
            let other: Vec<Vec<String>> = other
                .into_records()
                .map(|record| record.unwrap().iter().map(str::to_owned).collect())
                .collect();
            prop_assert_eq!(records.unwrap(), other);
        }

        #[test]
        fn what_is_written_is_read_again(
            records in proptest::collection::vec(
                proptest::collection::vec("[ab\",;\r\n\t \u{feff}é]{0,4}|\\PC{0,3}", 1..4), 0..5
            ),
            delimiter in prop_oneof![Just(','), Just(';'), Just('\t'), Just('é')],
            trim in any::<bool>(),
        ) {
            let mut text = String::new();
            for record in &records {
                write_record(&mut text, record.iter().map(|c| Cow::from(c.as_str())), delimiter);
            }
            let marked = text.starts_with('\u{feff}');
            prop_assert!(!marked);
            prop_assert_eq!(read(&text, delimiter, trim).unwrap(), records);
        }
    }
}
