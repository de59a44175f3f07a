//! Where the events of an execution are kept, and how far they are safe.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use flowcore::ExecutionEvent;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::durable::StoreJournal;
use crate::journal::{Journal, JournalError};
use crate::store::{MessageId, Progress};

/// How many events may be on their way to safety before the execution waits for them.
///
/// A few megabytes at most, unless the values are large; and enough that nodes without effects run on
/// through many flushes.
const MAX_UNSAFE: u64 = 10_000;

/// Where the events of one execution are kept.
pub(crate) enum Ledger {
    /// Nowhere.
    Nowhere,
    /// In a journal.
    Journal(JournalLedger),
    /// In a store.
    Store(Box<StoreJournal>),
}

/// A journal that the program gave.
pub(crate) struct JournalLedger {
    journal: Arc<dyn Journal>,
    taken_seq: u64,
    safe_seq: u64,
    asked: Option<BoxFuture<'static, (u64, Result<(), JournalError>)>>,
}

impl Ledger {
    pub(crate) fn of(journal: Arc<dyn Journal>) -> Self {
        if !journal.is_enabled() {
            return Self::Nowhere;
        }
        Self::Journal(JournalLedger { journal, taken_seq: 0, safe_seq: 0, asked: None })
    }

    /// Whether events are wanted.
    #[inline]
    pub(super) fn is_enabled(&self) -> bool {
        !matches!(self, Self::Nowhere)
    }

    /// Hands events over, in order.
    pub(super) async fn take(
        &mut self,
        events: &[ExecutionEvent],
        taken: Vec<MessageId>,
        progress: Progress,
    ) -> Result<(), JournalError> {
        match self {
            Self::Nowhere => return Ok(()),
            Self::Journal(ledger) => {
                let last = events.iter().rev().find_map(ExecutionEvent::seq);
                ledger.taken_seq = last.unwrap_or(ledger.taken_seq);
                ledger.journal.append(events).await?;
            }
            Self::Store(journal) => journal.append(events, taken, progress)?,
        }
        // Often it is safe at once.
        poll_fn(|cx| match self.poll_safer(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending if self.unsafe_events() < MAX_UNSAFE => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn unsafe_events(&self) -> u64 {
        match self {
            Self::Nowhere => 0,
            Self::Journal(ledger) => ledger.taken_seq - ledger.safe_seq,
            Self::Store(journal) => journal.unsafe_events(),
        }
    }

    /// How large the history is, in bytes; 0 where that does not matter.
    pub(super) fn history_bytes(&self) -> u64 {
        match self {
            Self::Nowhere | Self::Journal(_) => 0,
            Self::Store(journal) => journal.history_bytes(),
        }
    }

    /// Everything up to this event is safe; without a journal, everything always is.
    #[inline]
    pub(super) fn safe_seq(&self) -> u64 {
        match self {
            Self::Nowhere => u64::MAX,
            Self::Journal(ledger) => ledger.safe_seq,
            Self::Store(journal) => journal.safe_seq(),
        }
    }

    /// Whether everything that was handed over is safe.
    pub(super) fn is_confirmed(&self) -> bool {
        match self {
            Self::Nowhere => true,
            Self::Journal(ledger) => ledger.safe_seq == ledger.taken_seq,
            Self::Store(journal) => journal.is_confirmed(),
        }
    }

    /// Ready when more is safe than before. Cancel safe.
    pub(super) fn poll_safer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        match self {
            Self::Nowhere => Poll::Pending,
            Self::Journal(ledger) => ledger.poll_safer(cx),
            Self::Store(journal) => journal.poll_safer(cx),
        }
    }
}

impl JournalLedger {
    fn poll_safer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        if self.asked.is_none() && self.safe_seq < self.taken_seq {
            let (journal, seq) = (self.journal.clone(), self.taken_seq);
            self.asked = Some(async move { (seq, journal.durable(seq).await) }.boxed());
        }
        let Some(asked) = &mut self.asked else { return Poll::Pending };
        let (seq, answer) = ready!(asked.poll_unpin(cx));
        self.asked = None;
        answer?;
        self.safe_seq = seq;
        Poll::Ready(Ok(()))
    }
}
