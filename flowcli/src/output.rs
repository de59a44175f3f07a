//! The one way to standard output and standard error.
//!
//! `println!` panics when a pipe is closed; everything here reports it instead, and the process
//! then ends quietly.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width};

use crate::error::CliError;

/// How wide texts are that go into a file or a pipe.
const WIDTH_ELSEWHERE: usize = 120;
/// The least width that is heeded: in less, nothing can be laid out.
const LEAST_WIDTH: usize = 40;

fn width(size: Option<(Width, Height)>) -> usize {
    size.map_or(WIDTH_ELSEWHERE, |(Width(columns), _)| usize::from(columns).max(LEAST_WIDTH))
}

/// Standard output for data, standard error for everything else.
pub(crate) struct Output {
    data: BufWriter<io::Stdout>,
    styled_data: bool,
    messages: AutoStream<io::Stderr>,
}

impl Output {
    /// Both, with colours as chosen.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let choose = |auto: ColorChoice| if choice == ColorChoice::Auto { auto } else { choice };
        let data = choose(AutoStream::choice(&io::stdout()));
        let messages = choose(AutoStream::choice(&io::stderr()));
        Self {
            data: BufWriter::new(io::stdout()),
            styled_data: data != ColorChoice::Never,
            messages: AutoStream::new(io::stderr(), messages),
        }
    }

    /// How wide a message may be: as the terminal, if standard error is one.
    pub(crate) fn message_width(&self) -> usize {
        width(terminal_size::terminal_size_of(io::stderr()))
    }

    /// How wide a text on standard output should be: as the terminal, if it is one.
    pub(crate) fn text_width(&self) -> usize {
        width(terminal_size::terminal_size_of(io::stdout()))
    }

    /// Whether a person looks at standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether standard error shows colours.
    pub(crate) fn has_styled_messages(&self) -> bool {
        self.messages.current_choice() != ColorChoice::Never
    }

    /// Writes data to standard output, as it is.
    pub(crate) fn data(&mut self, text: &str) -> Result<(), CliError> {
        self.data.write_all(text.as_bytes()).map_err(CliError::Output)
    }

    /// Writes a text for people, which may have colours, to standard output.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), CliError> {
        if self.styled_data {
            return self.data(text);
        }
        let plain = anstream::adapter::strip_str(text).to_string();
        self.data(&plain)
    }

    /// Hands everything written so far to the system.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.data.flush().map_err(CliError::Output)
    }

    /// Writes a message and a line break to standard error. When that is closed nobody reads it,
    /// and nothing is lost.
    pub(crate) fn message(&mut self, text: &str) {
        let _ = writeln!(self.messages, "{text}");
    }
}
