//! A connection that may not be slow: what the other side owes comes in time, or it ends.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// From the first byte of a request, or from the beginning of the connection, to the end of the
    /// head.
    pub(crate) head: Duration,
    /// From an answer to the first byte of the next request.
    pub(crate) idle: Duration,
    /// For the other side to take anything at all of what it is sent.
    pub(crate) taking: Duration,
}

/// The times that the server gives.
pub(crate) const TIMES: Times = Times {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    taking: Duration::from_secs(60),
};

/// Why a connection was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Slow {
    #[error("the head of the request did not come in time")]
    Head,
    #[error("the connection was not used any more")]
    Idle,
    #[error("the answer was not taken")]
    Taking,
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The first byte of a request.
    Idle(Instant),
    /// The rest of its head.
    Head(Instant),
    /// The answer, which takes its time; a body has its own.
    Answer,
    /// It is no connection of HTTP any more.
    Upgraded,
}

/// What a connection is about, as those know who serve it.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Why the connection was ended.
    slow: Option<Slow>,
}

impl Pace {
    /// A client that connects has something to ask.
    pub(super) fn new() -> Self {
        let phase = Phase::Head(Instant::now());
        Self(Arc::new(Mutex::new(State { phase, slow: None })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the connection was ended, if the other side was slow.
    pub(super) fn slow(&self) -> Option<Slow> {
        self.state().slow
    }

    fn is_too_slow(&self, why: Slow) -> io::Error {
        self.state().slow = Some(why);
        io::Error::new(io::ErrorKind::TimedOut, why)
    }

    /// The head of a request is there.
    pub(super) fn has_head(&self) {
        self.state().phase = Phase::Answer;
    }

    pub(super) fn is_upgraded(&self) {
        self.state().phase = Phase::Upgraded;
    }

    /// The whole answer was given to whoever sends it.
    fn is_answered(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Answer) {
            state.phase = Phase::Idle(Instant::now());
        }
    }

    /// Some bytes came.
    fn came(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Idle(_)) {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// Some of an answer was taken: one that is long is given to whoever sends it long before.
    fn took(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Idle(_)) {
            state.phase = Phase::Idle(Instant::now());
        }
    }

    /// Until when something has to come, and what it means if nothing does.
    fn due(&self, times: &Times) -> Option<(Instant, Slow)> {
        match self.state().phase {
            Phase::Idle(since) => Some((since + times.idle, Slow::Idle)),
            Phase::Head(since) => Some((since + times.head, Slow::Head)),
            Phase::Answer | Phase::Upgraded => None,
        }
    }
}

/// Drops with the body of an answer: then it is answered.
pub(super) struct Answering(pub(super) Pace);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_answered();
    }
}

/// A connection that ends when the other side is slow.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    times: Times,
    /// Wakes whoever reads when something is due.
    reading: Pin<Box<Sleep>>,
    /// Since when nothing is taken of what is sent, and what wakes whoever writes.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace, times: Times) -> Self {
        let reading = Box::pin(sleep_until(Instant::now() + times.head));
        Self { stream, pace, times, reading, writing: None }
    }

    /// Notes whether the other side takes something.
    fn took<T>(&mut self, written: Poll<T>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = written {
            if self.writing.take().is_some() {
                // From here on it is idle, and nothing but this wakes whoever reads.
                cx.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(written));
        }
        let times = self.times;
        let sleep = || Box::pin(sleep_until(Instant::now() + times.taking));
        ready!(self.writing.get_or_insert_with(sleep).as_mut().poll(cx));
        Poll::Ready(Err(self.pace.is_too_slow(Slow::Taking)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer)?;
        if read.is_ready() && buffer.filled().len() == before {
            return Poll::Ready(Ok(()));
        }
        if read.is_ready() {
            self.pace.came();
        }
        if self.writing.is_some() && matches!(self.pace.state().phase, Phase::Idle(_)) {
            // The answer has not left yet.
            return read.map(Ok);
        }
        // Who sends a byte now and then is not in time either.
        let Some((at, why)) = self.pace.due(&self.times) else { return read.map(Ok) };
        if self.reading.deadline() != at {
            self.reading.as_mut().reset(at);
        }
        match self.reading.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(self.pace.is_too_slow(why))),
            Poll::Pending => read.map(Ok),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes)?;
        if written.is_ready() {
            self.pace.took();
        }
        self.took(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)?;
        if written.is_ready() {
            self.pace.took();
        }
        self.took(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx)?;
        self.took(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx)?;
        self.took(shut, cx)
    }
}
