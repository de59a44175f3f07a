//! The one way to standard error: messages, logs, and a live picture below them.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anstream::adapter::strip_str;

/// Standard error, shared by all who write to it.
///
/// A live picture is at the bottom of the terminal; what is written meanwhile goes above it. When
/// standard error is closed nobody reads it, and nothing is lost.
pub(crate) struct Messages {
    styled: bool,
    picture: Mutex<Picture>,
}

/// The lines that the next ones replace.
#[derive(Default)]
struct Picture {
    lines: Vec<String>,
}

impl Messages {
    /// Messages with or without colours.
    pub(crate) fn new(styled: bool) -> Self {
        Self { styled, picture: Mutex::default() }
    }

    /// Whether colours are shown.
    pub(crate) fn is_styled(&self) -> bool {
        self.styled
    }

    /// Writes a text and a line break.
    pub(crate) fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Writes a text as it is.
    pub(crate) fn write(&self, text: &str) {
        let picture = self.lock();
        let text = if self.styled { text.to_owned() } else { strip_str(text).to_string() };
        put(&(erase(&picture) + &text + &join(&picture.lines)));
    }

    /// Replaces the live picture. Its lines must fit the terminal, or they cannot be erased.
    pub(crate) fn draw(&self, lines: Vec<String>) {
        let mut picture = self.lock();
        let strip = |line: String| if self.styled { line } else { strip_str(&line).to_string() };
        let lines: Vec<String> = lines.into_iter().map(strip).collect();
        let text = erase(&picture) + &join(&lines);
        picture.lines = lines;
        put(&text);
    }

    /// Leaves the live picture where it is, as text like any other.
    pub(crate) fn settle(&self) {
        self.lock().lines.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What moves the cursor to the first line of a picture and clears everything from there.
fn erase(picture: &Picture) -> String {
    match picture.lines.len() {
        0 => String::new(),
        lines => format!("\x1b[{lines}A\r\x1b[J"),
    }
}

fn join(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// In one piece, so that nothing comes between.
fn put(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
