//! Answers on their way out of a stream: all that is ready leaves in one write.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// Octets waiting to be written over which no further question is read and no further answer made.
const FULL: usize = 64 << 10;
/// What an empty outbox may keep allocated: a TLS record.
const KEPT: usize = 16 << 10;

/// The octets not yet written.
pub(super) struct Outbox {
    buffer: Vec<u8>,
    written: usize,
    /// The stream may hold octets of ours.
    unflushed: bool,
    /// Since when the client owes it to take what waits, or, of more, the next [`FULL`] octets.
    owed_since: Instant,
    /// What it has taken since.
    taken: usize,
}

impl Outbox {
    pub(super) fn new(now: Instant) -> Self {
        Self { buffer: Vec::new(), written: 0, unflushed: false, owed_since: now, taken: 0 }
    }

    /// Appends what `answer` writes, as one message, if `is_reply` finds that it is one.
    pub(super) fn push_with<T>(
        &mut self,
        now: Instant,
        answer: impl FnOnce(&mut Vec<u8>) -> T,
        is_reply: impl FnOnce(&T) -> bool,
    ) -> T {
        if self.is_empty() {
            self.owe(now);
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0, 0]);
        let outcome = answer(&mut self.buffer);
        match u16::try_from(self.buffer.len() - start - 2) {
            Ok(length) if is_reply(&outcome) => {
                self.buffer[start..start + 2].copy_from_slice(&length.to_be_bytes());
            }
            // Nothing that a length cannot tell is ever made; if it were, silence is better than a broken stream.
            _ => self.buffer.truncate(start),
        }
        outcome
    }

    /// Whether everything is written and flushed.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && !self.unflushed
    }

    /// Octets that wait.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Since when the client owes it to take what waits, or, of more, the next 64 KiB: a client that takes an
    /// octet now and then makes no progress.
    pub(super) fn owed_since(&self) -> Instant {
        self.owed_since
    }

    fn owe(&mut self, now: Instant) {
        self.owed_since = now;
        self.taken = 0;
    }

    /// Whether more may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.len() < FULL
    }

    /// Writes as much as the stream takes, and flushes when all is written. The result is whether it took anything.
    pub(super) fn poll_write<S>(&mut self, cx: &mut Context<'_>, stream: &mut S, now: Instant) -> io::Result<bool>
    where
        S: AsyncWrite + Unpin,
    {
        let mut wrote = false;
        while self.written < self.buffer.len() {
            let Poll::Ready(count) = Pin::new(&mut *stream).poll_write(cx, &self.buffer[self.written..])? else {
                break;
            };
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.written += count;
            self.taken += count;
            (self.unflushed, wrote) = (true, true);
            if self.taken >= FULL {
                self.owe(now);
            }
        }
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
            self.written = 0;
            if self.unflushed && Pin::new(stream).poll_flush(cx)?.is_ready() {
                (self.unflushed, wrote) = (false, true);
            }
        } else if self.written >= FULL {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        Ok(wrote)
    }
}
