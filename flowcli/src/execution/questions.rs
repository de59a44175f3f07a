//! Approvals, asked for on the terminal.

use std::io::{self, BufRead};
use std::sync::{Arc, mpsc as blocking};
use std::thread;

use flowcore::Value;
use tokio::sync::mpsc;

use super::running::Running;
use super::signals::approval;
use crate::messages::Messages;
use crate::report::human::{BOLD, clean, clean_lines, paint};
use crate::report::progress::{Question, Watch};

const PROMPT: &str = "approve? [y]es or [n]o, and a reason if you like: ";
const AGAIN: &str = "please answer with `y` or `n`: ";
/// The longest message that is shown, in characters.
const MOST_LETTERS: usize = 4_000;

/// Asks for one approval after the other.
pub(super) struct Asker {
    watch: Arc<Watch>,
    messages: Arc<Messages>,
    open: Option<Question>,
    answers: Option<Answers>,
}

/// What calls for the asker.
pub(super) enum Call {
    /// A node began to wait, or does not wait any more.
    Change,
    /// Somebody answered; nothing when there will be no answer.
    Answer(Option<String>),
}

impl Asker {
    pub(super) fn new(watch: Arc<Watch>, messages: Arc<Messages>) -> Self {
        Self { watch, messages, open: None, answers: None }
    }

    /// What calls for it next. Cancel safe.
    pub(super) async fn next(&mut self) -> Call {
        match self.answers.as_mut().filter(|answers| answers.is_reading) {
            Some(answers) => tokio::select! {
                () = self.watch.questions_changed() => Call::Change,
                line = answers.lines.recv() => Call::Answer(line),
            },
            None => {
                self.watch.questions_changed().await;
                Call::Change
            }
        }
    }

    /// Does what it was called for.
    pub(super) async fn heed(&mut self, call: Call, execution: &Running) {
        if let Call::Answer(line) = call {
            self.take(line, execution).await;
        }
        let is_over = |open: &Question| !self.watch.still_asks(open);
        if self.open.as_ref().is_some_and(is_over) {
            self.close();
        }
        if self.open.is_none()
            && let Some(question) = self.watch.next_question()
        {
            self.ask(question);
        }
    }

    /// Asks no more, and gives the terminal back to everybody else.
    pub(super) fn close(&mut self) {
        if self.open.take().is_some() {
            self.messages.resume("\n");
        }
    }

    fn ask(&mut self, question: Question) {
        let message = match &question.message {
            Some(Value::String(text)) => clean_lines(text),
            Some(value) => clean(&value.to_json_text()),
            None => "an approval is waited for".to_owned(),
        };
        let message: String = message.chars().take(MOST_LETTERS).collect();
        // What was typed before the question was not meant as its answer.
        forget_typed();
        let id = paint(BOLD, &clean(&question.address));
        self.messages.ask(&format!("{id}: {message}\n{PROMPT}"));
        self.open = Some(question);
        self.read();
    }

    /// Reads a line, unless one is being read already.
    fn read(&mut self) {
        if self.answers.is_none() {
            self.answers = Answers::start().ok();
        }
        if let Some(answers) = self.answers.as_mut().filter(|answers| !answers.is_reading) {
            answers.is_reading = answers.requests.send(()).is_ok();
        }
    }

    async fn take(&mut self, line: Option<String>, execution: &Running) {
        if let Some(answers) = &mut self.answers {
            answers.is_reading = false;
        }
        let Some(question) = &self.open else { return };
        let Some(line) = line else {
            self.watch.cannot_ask();
            self.close();
            return;
        };
        let Some((approved, reason)) = understand(&line) else {
            self.messages.ask(AGAIN);
            self.read();
            return;
        };
        // One that does not wait any more needs no answer.
        let key = question.key.as_deref();
        execution.signal(&question.name, key, approval(approved, reason)).await;
        self.watch.answered(question);
        self.open = None;
        self.messages.resume("");
    }
}

/// Whether a line approves, and why: `y`, `no`, `yes it was tested`.
fn understand(line: &str) -> Option<(bool, Option<&str>)> {
    let line = line.trim();
    let (word, reason) = line.split_once([' ', ',', ':']).unwrap_or((line, ""));
    let reason = Some(reason.trim()).filter(|reason| !reason.is_empty());
    match word.to_ascii_lowercase().as_str() {
        "y" | "yes" => Some((true, reason)),
        "n" | "no" => Some((false, reason)),
        _ => None,
    }
}

/// A thread that reads a line whenever it is told to: reading cannot be given up, and a line that
/// nobody asked for must not be taken for an answer.
struct Answers {
    requests: blocking::Sender<()>,
    lines: mpsc::Receiver<String>,
    is_reading: bool,
}

impl Answers {
    fn start() -> io::Result<Self> {
        let (requests, asked) = blocking::channel();
        // At most one line is read at a time.
        let (sender, lines) = mpsc::channel(1);
        let work = move || {
            while asked.recv().is_ok() {
                let mut line = String::new();
                match io::stdin().lock().read_line(&mut line) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                }
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("flow-answers".to_owned()).spawn(work)?;
        Ok(Self { requests, lines, is_reading: false })
    }
}

#[cfg(unix)]
fn forget_typed() {
    // A terminal that cannot forget is asked all the same.
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
}

#[cfg(not(unix))]
fn forget_typed() {}

#[cfg(test)]
mod tests {
    use super::understand;

    #[test]
    fn answers_are_understood() {
        assert_eq!(understand("y\n"), Some((true, None)));
        assert_eq!(understand(" Yes, it was tested \n"), Some((true, Some("it was tested"))));
        assert_eq!(understand("no not today"), Some((false, Some("not today"))));
        assert_eq!(understand("N"), Some((false, None)));
        for unclear in ["", "\n", "yess", "maybe", "1"] {
            assert_eq!(understand(unclear), None, "{unclear}");
        }
    }
}
