//! The records of an execution as a server sends them, through cuts and restarts.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{ExecutionId, NodeMessage, Record};
use reqwest::Response;
use tokio::time::{Instant, sleep};

use super::api::has_type;
use super::problem::Problem;
use super::{Api, Ask, ServerError};
use crate::messages::Messages;

/// How long a server that is gone is waited for: a restart takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pauses between two attempts to reach a server: from the first they double, up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The longest event that is read: outputs of 64 MiB, with room for how JSON writes them.
const MOST: usize = 512 << 20;

/// What a server says of an execution.
pub(super) enum Heard {
    Record(Box<Record>),
    Message(Box<NodeMessage>),
}

/// The records of an execution after one of them, and those that come.
pub(super) struct Stream {
    api: Arc<Api>,
    id: ExecutionId,
    after: u64,
    open: Option<Response>,
    text: Text,
    /// Since when nothing was heard, and the next pause.
    trouble: Option<(Instant, Duration)>,
    messages: Option<Arc<Messages>>,
}

impl Stream {
    pub(super) fn new(api: Arc<Api>, id: ExecutionId, after: u64) -> Self {
        let (open, text, trouble) = (None, Text::default(), None);
        Self { api, id, after, open, text, trouble, messages: None }
    }

    /// From now on people are told when the server is gone.
    pub(super) fn tell(&mut self, messages: Arc<Messages>) {
        self.messages = Some(messages);
    }

    /// What comes next. There is always more: the last record says that it is the last.
    ///
    /// A server that is gone is asked again; what was heard already does not come twice.
    pub(super) async fn next(&mut self) -> Result<Heard, ServerError> {
        loop {
            if let Some(event) = self.text.take()? {
                if let Some(heard) = self.read(&event)? {
                    return Ok(heard);
                }
                continue;
            }
            let Some(response) = &mut self.open else {
                self.connect().await?;
                continue;
            };
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    self.trouble = None;
                    self.text.push(&bytes)?;
                }
                // The server stops, or the connection is cut.
                Ok(None) | Err(_) => {
                    self.open = None;
                    self.text = Text::default();
                    self.pause().await?;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ServerError> {
        let id = self.id.to_string();
        let ask = Ask::get(["executions", &id, "events"])
            .query("records", Some("true".to_owned()))
            .header("accept", "text/event-stream")
            .header("last-event-id", &self.after.to_string());
        match self.api.begin(ask).await {
            Ok(response) if has_type(&response, "text/event-stream") => self.open = Some(response),
            Ok(response) => {
                let (url, status) = (self.api.url().to_owned(), response.status().as_u16());
                return Err(ServerError::NotFlow { url, status });
            }
            Err(error) if passes(&error) => self.pause().await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits a little, unless the server was away too long.
    async fn pause(&mut self) -> Result<(), ServerError> {
        let (since, pause) = *self.trouble.get_or_insert((Instant::now(), PAUSES.0));
        if since.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(ServerError::Lost { url: self.api.url().to_owned(), seconds });
        }
        if pause > PAUSES.0
            && let Some(messages) = self.messages.take()
        {
            messages.line("the server is gone; waiting for it");
        }
        sleep(pause).await;
        self.trouble = Some((since, (pause * 2).min(PAUSES.1)));
        Ok(())
    }

    fn read(&mut self, event: &str) -> Result<Option<Heard>, ServerError> {
        let field = |name: &str| {
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
            let value = event.lines().find_map(value);
            value.map(|value| value.strip_prefix(' ').map_or(value.clone(), str::to_owned))
        };
        // What only says that the stream lives has no data.
        let Some(data) = field("data") else { return Ok(None) };
        let unreadable = |error: serde_json::Error| ServerError::Unreadable(error.to_string());
        if field("event").as_deref() == Some("problem") {
            let problem: Problem = serde_json::from_str(&data).map_err(unreadable)?;
            return Err(ServerError::Refused(Box::new(problem)));
        }
        if field("id").is_none() {
            let message = serde_json::from_str(&data).map_err(unreadable)?;
            return Ok(Some(Heard::Message(Box::new(message))));
        }
        let record: Record = serde_json::from_str(&data).map_err(unreadable)?;
        if record.seq <= self.after {
            return Ok(None);
        }
        self.after = record.seq;
        Ok(Some(Heard::Record(Box::new(record))))
    }
}

/// Whether another attempt may be answered otherwise.
fn passes(error: &ServerError) -> bool {
    match error {
        ServerError::Unreachable { .. } => true,
        ServerError::Refused(problem) => matches!(problem.status, 429 | 503),
        // What stands in front of a server says that it is gone.
        ServerError::NotFlow { status, .. } => matches!(status, 502..=504),
        _ => false,
    }
}

/// Text as it comes, to be taken event by event.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    /// How far no end of an event was found.
    seen: usize,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) -> Result<(), ServerError> {
        if self.bytes.len() + bytes.len() > MOST {
            return Err(ServerError::TooLarge { mib: MOST >> 20 });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next event that has come whole.
    fn take(&mut self) -> Result<Option<String>, ServerError> {
        let rest = &self.bytes[self.seen..];
        let Some(end) = rest.windows(2).position(|two| two == b"\n\n") else {
            self.seen = self.bytes.len().saturating_sub(1);
            return Ok(None);
        };
        let end = self.seen + end + 2;
        let event: Vec<u8> = self.bytes.drain(..end).collect();
        self.seen = 0;
        let text = String::from_utf8(event);
        text.map(Some).map_err(|error| ServerError::Unreadable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_however_they_come() {
        let whole = "event: a\ndata: {\"x\": \"é\"}\n\n: alive\n\ndata: 2\n\n";
        for size in 1..whole.len() {
            let (mut text, mut found) = (Text::default(), Vec::new());
            for part in whole.as_bytes().chunks(size) {
                text.push(part).unwrap();
                while let Some(event) = text.take().unwrap() {
                    found.push(event);
                }
            }
            let expected = ["event: a\ndata: {\"x\": \"é\"}\n\n", ": alive\n\n", "data: 2\n\n"];
            assert_eq!(found, expected, "{size}");
            assert!(text.bytes.is_empty());
        }
    }
}
