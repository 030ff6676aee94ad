//! Answers on their way out of a stream: all that is ready leaves in one write.

use std::io;

use strait_resolve::Now;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// Octets waiting to be written over which no further question is read and no further answer made.
const FULL: usize = 64 << 10;
/// What an empty outbox may keep allocated.
const KEPT: usize = 4 << 10;

/// The octets not yet written.
pub(super) struct Outbox {
    buffer: Vec<u8>,
    written: usize,
    /// The writer may hold octets of ours.
    unflushed: bool,
    /// Since when the client owes it to take what waits, or, of more, the next [`FULL`] octets.
    owed_since: Instant,
    /// What it has taken since.
    taken: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { buffer: Vec::new(), written: 0, unflushed: false, owed_since: Instant::now(), taken: 0 }
    }
}

impl Outbox {
    /// Appends what `answer` writes, as one message, if it says that it is a reply.
    pub(super) fn push_with(&mut self, answer: impl FnOnce(&mut Vec<u8>) -> Now) -> Now {
        if self.is_empty() {
            self.owe();
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0, 0]);
        let now = answer(&mut self.buffer);
        let length = u16::try_from(self.buffer.len() - start - 2);
        match (&now, length) {
            (Now::Reply, Ok(length)) => self.buffer[start..start + 2].copy_from_slice(&length.to_be_bytes()),
            // Nothing that a length cannot tell is ever made; if it were, silence is better than a broken stream.
            _ => self.buffer.truncate(start),
        }
        now
    }

    /// Appends one message.
    pub(super) fn push(&mut self, message: &[u8]) {
        self.push_with(|buffer| {
            buffer.extend_from_slice(message);
            Now::Reply
        });
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

    fn owe(&mut self) {
        self.owed_since = Instant::now();
        self.taken = 0;
    }

    /// Whether more may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.len() < FULL
    }

    /// Writes once, or flushes when all is written. Cancel safe.
    pub(super) async fn write<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.buffer.is_empty() {
            writer.flush().await?;
            self.unflushed = false;
            return Ok(());
        }
        match writer.write(&self.buffer[self.written..]).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => {
                self.written += n;
                self.taken += n;
            }
        }
        if self.taken >= FULL {
            self.owe();
        }
        self.unflushed = true;
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
            self.written = 0;
        } else if self.written >= FULL {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
