//! The journal of one execution, in a store.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use flowcore::value::{Codec, StoredError};
use flowcore::{EventBody, ExecutionEvent, ExecutionId, Record};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Sleep;

use super::history_size::HistorySize;
use super::log_lines::LogLines;
use super::{Durable, blobs_of};
use crate::histogram::Histogram;
use crate::journal::JournalError;
use crate::store::{Append, Appended, MessageId, Progress, Store, StoreError};

/// How long the journal waits before it asks a store again that is out of reach or full: this long
/// after the first time, then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// It never waits longer than this: work goes on soon after there is room again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The journal of one execution, as its owner writes it.
///
/// Events are handed to the store at once and in order. What the store has not confirmed is kept here,
/// and when the store fails all of it is sent again: a repetition of what was done changes nothing.
pub(crate) struct StoreJournal {
    store: Arc<dyn Store>,
    codec: Codec,
    execution: ExecutionId,
    fence: u64,
    /// The last event that was handed to the store.
    taken_seq: u64,
    /// The last event that the store has confirmed.
    safe_seq: u64,
    /// What the store has not confirmed, in order.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Until the store is asked again.
    pause: Option<Pin<Box<Sleep>>>,
    next_wait: Duration,
    logs: LogLines,
    durations: Arc<Histogram>,
    /// How large the history is, with what is on its way.
    size: HistorySize,
    /// Why nothing more can be kept.
    failure: Option<JournalError>,
    /// The end was handed over: nothing comes after it.
    has_ended: bool,
}

/// What is kept of an execution when its journal goes on.
#[derive(Default)]
pub(crate) struct Written {
    /// The number of the last event.
    pub(crate) last_seq: u64,
    /// The number of the last line of its log.
    pub(crate) last_line: u64,
    /// How large its history is.
    pub(crate) size: HistorySize,
}

struct Unconfirmed {
    append: Append,
    since: Instant,
    answer: BoxFuture<'static, Result<Appended, StoreError>>,
}

impl StoreJournal {
    /// The journal of an execution that has this fence, after what is written already.
    pub(crate) fn new(
        durable: &Durable,
        execution: ExecutionId,
        fence: u64,
        written: Written,
    ) -> Self {
        let Written { last_seq, last_line, size } = written;
        Self {
            store: durable.store.clone(),
            codec: durable.codec.clone(),
            durations: durable.append_durations.clone(),
            execution,
            fence,
            taken_seq: last_seq,
            safe_seq: last_seq,
            unconfirmed: VecDeque::new(),
            pause: None,
            next_wait: FIRST_WAIT,
            logs: LogLines::after(last_line),
            size,
            failure: None,
            has_ended: false,
        }
    }

    /// The last event that was handed to the store.
    pub(crate) fn taken_seq(&self) -> u64 {
        self.taken_seq
    }

    pub(crate) fn safe_seq(&self) -> u64 {
        self.safe_seq
    }

    pub(crate) fn unsafe_events(&self) -> u64 {
        self.taken_seq - self.safe_seq
    }

    /// How large the history is, in bytes, with what is on its way.
    pub(crate) fn history_bytes(&self) -> u64 {
        self.size.bytes()
    }

    /// Whether the store has confirmed everything.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// Hands events to the store, with the messages that they come from, and how the execution
    /// stands after them.
    pub(crate) fn append(
        &mut self,
        events: &[ExecutionEvent],
        taken: Vec<MessageId>,
        progress: Progress,
    ) -> Result<(), JournalError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        // With the end the store forgets what was still to be told, and it takes no more.
        if self.has_ended {
            return Ok(());
        }
        self.has_ended = progress.status.is_terminal();
        let records = events.iter().filter_map(|event| match &event.body {
            EventBody::Fact(record) => Some(&**record),
            EventBody::Message(_) => None,
        });
        let records: Vec<&Record> = records.collect();
        let (first_line, logs) = self.logs.of(events);
        if records.is_empty() && logs.is_empty() && taken.is_empty() && !progress.release {
            return Ok(());
        }
        let stored = match records.is_empty() {
            true => flowcore::value::Stored::default(),
            false => self.codec.write(&records).map_err(unwritable)?,
        };
        self.size.add_events(&stored.text);
        stored.apart.iter().for_each(|(digest, bytes)| self.size.add_apart(*digest, bytes));
        let first_seq = self.taken_seq + 1;
        self.taken_seq = records.last().map_or(self.taken_seq, |record| record.seq);
        let append = Append {
            execution: self.execution,
            fence: self.fence,
            first_seq,
            last_seq: self.taken_seq,
            segment: stored.text,
            blobs: blobs_of(stored.apart),
            taken,
            first_line,
            logs,
            progress,
        };
        let answer = self.store.append(append.clone());
        self.unconfirmed.push_back(Unconfirmed { append, since: Instant::now(), answer });
        Ok(())
    }

    /// Ready when the store has confirmed more than before, or never will.
    pub(crate) fn poll_safer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                self.ask_again();
            }
            let Some(first) = self.unconfirmed.front_mut() else { return Poll::Pending };
            match ready!(first.answer.poll_unpin(cx)) {
                Ok(Appended::Committed) => {
                    self.safe_seq = first.append.last_seq;
                    self.durations.count(first.since.elapsed());
                    self.unconfirmed.pop_front();
                    self.next_wait = FIRST_WAIT;
                    return Poll::Ready(Ok(()));
                }
                Ok(Appended::Fenced) => return self.fail(JournalError::fenced()),
                Ok(Appended::OutOfOrder { last_seq }) => {
                    let message = format!("events end with {last_seq}, as nobody wrote them");
                    return self.fail(JournalError::new(message));
                }
                Err(error) if error.is_transient() => {
                    let id = self.execution;
                    tracing::warn!(execution_id = %id, %error, "the store is asked again");
                    self.pause = Some(Box::pin(tokio::time::sleep(self.next_wait)));
                    self.next_wait = (self.next_wait * 2).min(LONGEST_WAIT);
                }
                Err(error) => return self.fail(error.into()),
            }
        }
    }

    /// Said once; from then on nothing is on its way any more.
    fn fail(&mut self, failure: JournalError) -> Poll<Result<(), JournalError>> {
        self.unconfirmed.clear();
        self.failure = Some(failure.clone());
        Poll::Ready(Err(failure))
    }

    fn ask_again(&mut self) {
        for unconfirmed in &mut self.unconfirmed {
            unconfirmed.answer = self.store.append(unconfirmed.append.clone());
        }
    }
}

fn unwritable(error: StoredError) -> JournalError {
    match error {
        StoredError::NoKey => StoreError::NoSealingKey.into(),
        other => JournalError::new(other.to_string()),
    }
}
