//! Messages for people.

use std::error::Error;

use annotate_snippets::renderer::{
    DEFAULT_EMPHASIS_STYLE, DEFAULT_ERROR_STYLE, DEFAULT_HELP_STYLE, DEFAULT_NOTE_STYLE,
    DEFAULT_WARNING_STYLE,
};
use anstyle::Style;

use crate::error::CliError;

/// Headings and names.
pub(crate) const BOLD: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// A text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// Why a command could not do what was asked, and what to do about it.
pub(crate) fn error(error: &CliError) -> String {
    failure(Some(error.code()), &chain(error), error.hint().as_deref())
}

/// An error with all its causes.
pub(crate) fn chain(error: &CliError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

/// A failure with its code and what to do about it.
pub(crate) fn failure(code: Option<&str>, message: &str, hint: Option<&str>) -> String {
    titled(DEFAULT_ERROR_STYLE, "error", code, message, hint)
}

/// As [`failure`], for something that is only worth worrying about.
pub(crate) fn caution(code: Option<&str>, message: &str, hint: Option<&str>) -> String {
    titled(DEFAULT_WARNING_STYLE, "warning", code, message, hint)
}

fn titled(
    style: Style,
    word: &str,
    code: Option<&str>,
    message: &str,
    hint: Option<&str>,
) -> String {
    let code = code.map_or_else(String::new, |code| format!("[{code}]"));
    let name = paint(style, &format!("{word}{code}"));
    let hint = hint.map_or_else(String::new, |hint| format!("\n{}", help(hint)));
    format!("{name}: {}{hint}", paint(DEFAULT_EMPHASIS_STYLE, &clean(message)))
}

/// Something to know about the message above.
pub(crate) fn note(text: &str) -> String {
    format!("  = {}: {}", paint(DEFAULT_NOTE_STYLE, "note"), clean(text))
}

/// What to do about the message above.
pub(crate) fn help(text: &str) -> String {
    format!("  = {}: {}", paint(DEFAULT_HELP_STYLE, "help"), clean(text))
}

/// Something that is worth worrying about.
pub(crate) fn warning(text: &str) -> String {
    format!("{}: {}", paint(DEFAULT_WARNING_STYLE, "warning"), clean(text))
}

/// `1 error`, `2 errors`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A number as people write it: `10,000`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text from outside on one line, without anything that a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { harmless(c) }).collect()
}

/// As [`clean`], for a text of several lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { c } else { harmless(c) }).collect()
}

fn harmless(c: char) -> char {
    // The marks that change the direction of writing can make a line read as another one.
    let reorders = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    if c.is_control() || reorders { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_are_harmless() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{9b}d\u{202e}e"), "a\u{fffd}[31mb c\u{fffd}d\u{fffd}e");
        assert_eq!(clean_lines("a\n\tb\r"), "a\n\tb\u{fffd}");
        let numbers = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((count(1, "error"), count(0, "node")), ("1 error".into(), "0 nodes".into()));
    }
}
