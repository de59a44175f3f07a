//! Standard output and standard error, checked.
//!
//! `println!` panics when a pipe is closed; everything here reports it instead, and the process
//! then ends quietly.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width};

use crate::error::CliError;
use crate::messages::Messages;

/// How wide texts are that go into a file or a pipe.
const WIDTH_ELSEWHERE: usize = 120;
/// The least width that is heeded: in less, nothing can be laid out.
const LEAST_WIDTH: usize = 40;

/// Standard output for data, standard error for everything else.
pub(crate) struct Output {
    data: DataWriter,
    styled_data: bool,
    messages: Arc<Messages>,
}

impl Output {
    /// Both, with colours as chosen.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let choose = |auto: ColorChoice| if choice == ColorChoice::Auto { auto } else { choice };
        let data = choose(AutoStream::choice(&io::stdout()));
        let messages = choose(AutoStream::choice(&io::stderr()));
        Self {
            data: DataWriter::new(),
            styled_data: data != ColorChoice::Never,
            messages: Arc::new(Messages::new(messages != ColorChoice::Never)),
        }
    }

    /// Whether a person looks at standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// How wide a text on standard output should be: as the terminal, if it is one.
    pub(crate) fn text_width(&self) -> usize {
        width(terminal_size::terminal_size_of(io::stdout()))
    }

    /// How wide the lines of a list may be: as the terminal, or as they are, one for each entry, for
    /// programs such as `grep`.
    pub(crate) fn list_width(&self) -> usize {
        if self.is_terminal() { self.text_width() } else { usize::MAX }
    }

    /// How wide a message may be: as the terminal, if standard error is one.
    pub(crate) fn message_width(&self) -> usize {
        width(terminal_size::terminal_size_of(io::stderr()))
    }

    /// Writes data to standard output, as it is.
    pub(crate) fn data(&mut self, text: &str) -> Result<(), CliError> {
        self.data.write(text)
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
        self.data.flush()
    }

    /// Standard error.
    pub(crate) fn messages(&self) -> &Arc<Messages> {
        &self.messages
    }

    /// Writes a message and a line break to standard error.
    pub(crate) fn message(&self, text: &str) {
        self.messages.line(text);
    }
}

fn width(size: Option<(Width, Height)>) -> usize {
    size.map_or(WIDTH_ELSEWHERE, |(Width(columns), _)| usize::from(columns).max(LEAST_WIDTH))
}

/// Standard output: buffered, and an error is an error.
pub(crate) struct DataWriter(BufWriter<io::Stdout>);

impl DataWriter {
    /// Standard output, with a buffer of its own.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Writes a text as it is.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), CliError> {
        self.0.write_all(text.as_bytes()).map_err(CliError::Output)
    }

    /// Hands everything written so far to the system.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.0.flush().map_err(CliError::Output)
    }
}
