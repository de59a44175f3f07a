//! What nodes write, on its way to the log of their execution.

use std::collections::HashMap;

use flowcore::{EventBody, ExecutionEvent, Instance, NodeEvent, NodeMessage};

use crate::store::LogLine;

/// How much of what one attempt writes is kept: 1 MiB.
const MAX_PER_ATTEMPT: usize = 1 << 20;

/// Counts what attempts write.
pub(super) struct LogLines {
    /// The number of the next line.
    next: u64,
    written: HashMap<(Instance, u32), usize>,
}

impl LogLines {
    /// Goes on after the line with this number.
    pub(super) fn after(last: u64) -> Self {
        Self { next: last + 1, written: HashMap::new() }
    }

    /// The lines among these events, and the number of the first. What an attempt writes beyond its
    /// limit is left out, and its last line says so.
    pub(super) fn of(&mut self, events: &[ExecutionEvent]) -> (u64, Vec<LogLine>) {
        let first = self.next;
        let lines = events.iter().filter_map(|event| match &event.body {
            EventBody::Fact(record) => {
                // What an attempt that has ended wrote need not be counted any longer.
                if !self.written.is_empty()
                    && let Some(instance) = record.event.instance()
                {
                    self.written.retain(|(of, _), _| *of != instance);
                }
                None
            }
            EventBody::Message(message) => self.line(event, message),
        });
        let lines: Vec<LogLine> = lines.collect();
        self.next += lines.len() as u64;
        (first, lines)
    }

    fn line(&mut self, event: &ExecutionEvent, message: &NodeMessage) -> Option<LogLine> {
        let (kind, text) = text_of(&message.event)?;
        let written = self.written.entry((message.instance, message.attempt)).or_default();
        if *written > MAX_PER_ATTEMPT {
            return None;
        }
        *written += text.len();
        let is_last = *written > MAX_PER_ATTEMPT;
        let text =
            if is_last { "what follows is not kept: 1 MiB is full".to_owned() } else { text };
        Some(LogLine {
            number: 0,
            at: message.at,
            node: event.node_id().unwrap_or_default().to_owned(),
            attempt: message.attempt,
            kind: kind.to_owned(),
            text,
        })
    }
}

/// What is kept of something that a node says; how far it is, is of no use afterwards.
fn text_of(event: &NodeEvent) -> Option<(&'static str, String)> {
    Some(match event {
        NodeEvent::Info { message } => ("info", message.clone()),
        NodeEvent::Warning { message } => ("warning", message.clone()),
        NodeEvent::Data { value } => ("data", value.to_json_text()),
        NodeEvent::StdoutLine { line } => ("stdout", line.clone()),
        NodeEvent::StderrLine { line } => ("stderr", line.clone()),
        _ => return None,
    })
}
