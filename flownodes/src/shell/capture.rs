//! What a program writes: kept up to a limit, and told line by line while it runs.

use flowcore::{NodeContext, NodeEvent};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A longer line is told in pieces, so that an event stays small.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// How much is read at once; what a pipe holds on Linux.
const CHUNK_BYTES: usize = 64 * 1024;

/// The program wrote more than it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// One output stream of a program.
pub(super) struct Capture<'a> {
    ctx: &'a NodeContext,
    event: fn(String) -> NodeEvent,
    limit: usize,
    bytes: Vec<u8>,
    /// Up to here the bytes were told.
    told: usize,
}

impl<'a> Capture<'a> {
    /// Standard output, up to `limit` bytes.
    pub(super) fn stdout(ctx: &'a NodeContext, limit: usize) -> Self {
        Self::new(ctx, limit, |line| NodeEvent::StdoutLine { line })
    }

    /// Standard error, up to `limit` bytes.
    pub(super) fn stderr(ctx: &'a NodeContext, limit: usize) -> Self {
        Self::new(ctx, limit, |line| NodeEvent::StderrLine { line })
    }

    fn new(ctx: &'a NodeContext, limit: usize, event: fn(String) -> NodeEvent) -> Self {
        Self { ctx, event, limit, bytes: Vec::new(), told: 0 }
    }

    /// Reads to the end. Cancel safe: what was read is kept.
    pub(super) async fn read(&mut self, mut pipe: impl AsyncRead + Unpin) -> Result<(), TooLarge> {
        loop {
            self.bytes.reserve(CHUNK_BYTES);
            let start = self.bytes.len();
            match pipe.read_buf(&mut self.bytes).await {
                // A pipe that fails has as little to say as one that ended.
                Ok(0) | Err(_) => break,
                Ok(_) => self.tell_lines(start),
            }
            if self.bytes.len() > self.limit {
                return Err(TooLarge);
            }
        }
        Ok(())
    }

    /// Tells the line that has no end, if there is one, and returns everything.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.told < self.bytes.len() {
            self.tell(self.bytes.len());
        }
        self.bytes
    }

    /// Tells the lines that end at or after `start`.
    fn tell_lines(&mut self, start: usize) {
        let ends: Vec<usize> = self.bytes[start..]
            .iter()
            .enumerate()
            .filter_map(|(at, byte)| (*byte == b'\n').then_some(start + at))
            .collect();
        for end in ends {
            self.tell_pieces(end);
            self.tell(end);
            self.told = end + 1;
        }
        self.tell_pieces(self.bytes.len());
    }

    /// Tells what of the line that goes on to `end` is too long for one event.
    fn tell_pieces(&mut self, end: usize) {
        while end - self.told > MAX_LINE_BYTES {
            self.tell(self.told + MAX_LINE_BYTES);
        }
    }

    /// Tells the bytes up to `end`.
    fn tell(&mut self, end: usize) {
        let line = &self.bytes[self.told..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.ctx.emit(|| (self.event)(String::from_utf8_lossy(line).into_owned()));
        self.told = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    async fn lines(chunks: &[&[u8]], limit: usize) -> (Result<(), TooLarge>, Vec<String>) {
        let recorder = Recorder::shared();
        let ctx = NodeContext::builder().sink(recorder.clone()).build();
        let mut capture = Capture::stdout(&ctx, limit);
        let mut result = Ok(());
        for chunk in chunks {
            result = result.and(capture.read(*chunk).await);
        }
        assert_eq!(capture.finish(), chunks.concat());
        let lines = recorder.events().into_iter().map(|event| match event {
            NodeEvent::StdoutLine { line } => line,
            other => panic!("{other:?}"),
        });
        (result, lines.collect())
    }

    #[tokio::test]
    async fn lines_are_told_whatever_the_chunks() {
        let (result, told) = lines(&[b"on", b"e\ntwo\r\n\nth", b"ree\n", b"\xff last"], 100).await;
        assert_eq!(result, Ok(()));
        assert_eq!(told, ["one", "two", "", "three", "\u{fffd} last"]);
        assert_eq!(lines(&[b""], 0).await, (Ok(()), Vec::new()));
    }

    #[tokio::test]
    async fn a_long_line_is_told_in_pieces() {
        let long = vec![b'x'; 2 * MAX_LINE_BYTES + 5];
        let (_, told) = lines(&[&long, b"y\n"], usize::MAX).await;
        let lengths: Vec<usize> = told.iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, MAX_LINE_BYTES, 6]);
    }

    #[tokio::test]
    async fn the_limit_is_the_last_byte_that_fits() {
        assert_eq!(lines(&[b"1234"], 4).await.0, Ok(()));
        assert_eq!(lines(&[b"12345"], 4).await.0, Err(TooLarge));
    }
}
