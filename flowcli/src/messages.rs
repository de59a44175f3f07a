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

/// The most bytes that are held back while a question is open.
const MOST_HELD: usize = 256 * 1024;

/// The lines that the next ones replace.
#[derive(Default)]
struct Picture {
    lines: Vec<String>,
    /// What is to be written when the open question is answered.
    held: Option<Held>,
}

#[derive(Default)]
struct Held {
    text: String,
    /// How many texts were too many.
    lost: usize,
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
        let mut picture = self.lock();
        let text = if self.styled { text.to_owned() } else { strip_str(text).to_string() };
        if let Some(held) = &mut picture.held {
            return held.push(&text);
        }
        put(&(erase(&picture) + &text + &join(&picture.lines)));
    }

    /// Replaces the live picture. Its lines must fit the terminal, or they cannot be erased.
    pub(crate) fn draw(&self, lines: Vec<String>) {
        let mut picture = self.lock();
        let strip = |line: String| if self.styled { line } else { strip_str(&line).to_string() };
        let lines: Vec<String> = lines.into_iter().map(strip).collect();
        if picture.held.is_some() {
            // It is drawn when the question is answered.
            picture.lines = lines;
            return;
        }
        let text = erase(&picture) + &join(&lines);
        picture.lines = lines;
        put(&text);
    }

    /// Asks a question in the place of the picture. Whoever answers types below it, so until
    /// [`Messages::resume`] nothing else is written.
    pub(crate) fn ask(&self, question: &str) {
        let mut picture = self.lock();
        let question =
            if self.styled { question.to_owned() } else { strip_str(question).to_string() };
        let is_first = picture.held.is_none();
        let erased = if is_first { erase(&picture) } else { String::new() };
        picture.held.get_or_insert_default();
        put(&(erased + &question));
    }

    /// Writes what was held back while a question was open, after `end`, and draws the picture again.
    pub(crate) fn resume(&self, end: &str) {
        let mut picture = self.lock();
        if let Some(held) = picture.held.take() {
            put(&(end.to_owned() + &held.into_text() + &join(&picture.lines)));
        }
    }

    /// Leaves the live picture where it is, as text like any other.
    pub(crate) fn settle(&self) {
        let mut picture = self.lock();
        let lines = std::mem::take(&mut picture.lines);
        if let Some(held) = &mut picture.held {
            held.push(&join(&lines));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn push(&mut self, text: &str) {
        if self.text.len() + text.len() <= MOST_HELD {
            self.text.push_str(text);
        } else {
            self.lost += 1;
        }
    }

    fn into_text(self) -> String {
        match self.lost {
            0 => self.text,
            lost => format!("{}({lost} more messages came meanwhile)\n", self.text),
        }
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
