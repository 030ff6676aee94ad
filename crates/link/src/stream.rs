//! Questions over one TCP or TLS connection: pipelined, answered out of order (RFC 7766 6.2.1.1, 7858 3.3).
//!
//! One task reads and writes: woken once, it takes all answers that have come, and writes everything queued at that
//! moment as one buffer, which is one write, and one TLS record where it fits (16 KiB).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use prometheus::IntCounter;
use strait_wire::Header;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::io::poll_read_buf;

use crate::dial::explain;
use crate::exchange::{Asked, Exchange, LateWatch, LinkError, Queue};

/// Octets read at once; a TLS record has no more.
const READ_BUFFER: usize = 16 * 1024;
/// What the buffer of questions may keep allocated between two bursts.
const KEPT: usize = 64 * 1024;
/// How long saying good-bye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Questions with their two-octet lengths (RFC 1035 4.2.2).
#[derive(Default)]
pub(crate) struct Frames(Vec<u8>);

impl Queue for Frames {
    fn push(&mut self, id: u16, question: &[u8]) {
        // Questions are at most a few hundred octets.
        self.0.extend_from_slice(&(question.len() as u16).to_be_bytes());
        self.0.extend_from_slice(&id.to_be_bytes());
        self.0.extend_from_slice(question.get(2..).unwrap_or_default());
    }

    fn octets(&self) -> usize {
        self.0.len()
    }
}

/// A connection. Dropping it closes it.
pub(crate) struct StreamLink {
    pub(crate) exchange: Arc<Exchange<Frames>>,
}

impl StreamLink {
    /// Takes a connection over. With `idle` it is closed when nobody has asked for so long.
    pub(crate) fn start<T>(transport: T, idle: Option<Duration>, unmatched: IntCounter) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::run(transport, idle, Exchange::new(None, unmatched))
    }

    /// Takes a connection over that is kept; whoever waits for longer than `patience` is told so.
    pub(crate) fn keep<T>(transport: T, patience: Duration, unmatched: IntCounter) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::run(transport, None, Exchange::new(Some(patience), unmatched))
    }

    fn run<T>(transport: T, idle: Option<Duration>, exchange: Arc<Exchange<Frames>>) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        tokio::spawn(Driver::new(transport, idle, Arc::clone(&exchange)).run());
        Self { exchange }
    }

    /// Sends a question, whose first two octets are overwritten with an id, and waits for the answer.
    pub(crate) async fn ask(&self, question: &[u8]) -> Result<Bytes, LinkError> {
        Ok(self.send(question)?.answer().await?.0)
    }

    /// Sends a question, whose first two octets are overwritten with an id.
    pub(crate) fn send(&self, question: &[u8]) -> Result<Asked<'_, Frames>, LinkError> {
        self.exchange.ask(question)
    }
}

impl Drop for StreamLink {
    fn drop(&mut self) {
        self.exchange.close();
    }
}

/// Reads and writes.
struct Driver<T> {
    transport: T,
    exchange: Arc<Exchange<Frames>>,
    inbox: BytesMut,
    outbox: Frames,
    written: usize,
    unflushed: bool,
    late: LateWatch,
    idle: Option<Idle>,
}

/// The end of a connection that nobody uses.
struct Idle {
    after: Duration,
    timer: Pin<Box<Sleep>>,
    last_answer: Instant,
}

/// What is said of a connection that was dropped.
pub(crate) const CLOSED: &str = "we closed the connection";

/// Why a connection ended, when it was not an error.
type Ended = io::Result<&'static str>;

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    fn new(transport: T, idle: Option<Duration>, exchange: Arc<Exchange<Frames>>) -> Self {
        let timer = |after| Idle { after, timer: Box::pin(sleep(after)), last_answer: Instant::now() };
        Self {
            transport,
            exchange,
            inbox: BytesMut::new(),
            outbox: Frames::default(),
            written: 0,
            unflushed: false,
            late: LateWatch::new(),
            idle: idle.map(timer),
        }
    }

    async fn run(mut self) {
        match poll_fn(|cx| self.poll(cx)).await {
            Ok(cause) => self.exchange.fail(cause),
            Err(error) => self.exchange.fail(&explain(&error)),
        }
        // A goodbye that cannot be said is none.
        let _ = tokio::time::timeout(GOODBYE, self.transport.shutdown()).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if let Poll::Ready(ended) = self.poll_read(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(ended) = self.poll_write(cx) {
            return Poll::Ready(ended);
        }
        self.late.poll(cx, &self.exchange);
        self.poll_idle(cx)
    }

    /// Takes all answers that have come.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            self.inbox.reserve(READ_BUFFER);
            if ready!(poll_read_buf(Pin::new(&mut self.transport), cx, &mut self.inbox))? == 0 {
                return Poll::Ready(Ok("the other end closed the connection"));
            }
            if let Some(idle) = &mut self.idle {
                idle.last_answer = Instant::now();
            }
            let inbox = &mut self.inbox;
            self.exchange.deliver(std::iter::from_fn(|| next_answer(inbox)));
        }
    }

    /// Writes all that is queued, until there is nothing, or no room for it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if self.written < self.outbox.0.len() {
                let rest = &self.outbox.0[self.written..];
                match Pin::new(&mut self.transport).poll_write(cx, rest)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(count) => self.written += count,
                    Poll::Pending => return self.poll_closed(cx),
                }
                self.unflushed = true;
                continue;
            }
            if self.unflushed {
                if Pin::new(&mut self.transport).poll_flush(cx)?.is_pending() {
                    return self.poll_closed(cx);
                }
                self.unflushed = false;
            }
            self.outbox.0.clear();
            self.outbox.0.shrink_to(KEPT);
            self.written = 0;
            if ready!(self.exchange.poll_queued(cx, &mut self.outbox)).is_none() {
                return Poll::Ready(Ok(CLOSED));
            }
        }
    }

    /// While nothing can be written.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.exchange.poll_closed(cx).map(|()| Ok(CLOSED))
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        loop {
            ready!(idle.timer.as_mut().poll(cx));
            let ends = idle.last_answer + idle.after;
            let now = Instant::now();
            if ends <= now && self.exchange.is_idle() {
                return Poll::Ready(Ok("the connection was idle"));
            }
            idle.timer.as_mut().reset(if ends <= now { now + idle.after } else { ends });
        }
    }
}

/// The next whole message in `buffer` and its id. What is too short for a header belongs to nobody.
fn next_answer(buffer: &mut BytesMut) -> Option<(u64, Bytes)> {
    let len = usize::from(u16::from_be_bytes(*buffer.first_chunk()?));
    if buffer.len() < 2 + len {
        return None;
    }
    buffer.advance(2);
    let message = buffer.split_to(len).freeze();
    let id = Header::parse(&message).map_or(NO_ID, |header| u64::from(header.id));
    Some((id, message))
}

/// Not an id of any question: it does not fit 16 bits.
const NO_ID: u64 = u64::MAX;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
