//! Questions over one TCP or TLS connection: pipelined, answered out of order (RFC 7766 6.2.1.1, 7858 3.3).
//!
//! Everything queued at a moment is one buffer and one write, and so one TLS record where it fits.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use prometheus::IntCounter;
use strait_wire::Header;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::dial::explain;
use crate::exchange::{Exchange, LinkError, Queue};

/// Octets read at once.
const READ_BUFFER: usize = 64 * 1024;

/// Questions with their two-octet lengths (RFC 1035 4.2.2), ids drawn at random.
#[derive(Default)]
pub(crate) struct Frames(Vec<u8>);

impl Queue for Frames {
    fn draw_id(&mut self) -> u64 {
        u64::from(rand::random::<u16>())
    }

    fn push(&mut self, id: u64, question: &[u8]) {
        // Ids come from `draw_id`; questions are at most a few hundred octets.
        self.0.extend_from_slice(&(question.len() as u16).to_be_bytes());
        self.0.extend_from_slice(&(id as u16).to_be_bytes());
        self.0.extend_from_slice(question.get(2..).unwrap_or_default());
    }

    fn octets(&self) -> usize {
        self.0.len()
    }
}

/// A connection. Dropping it closes it.
pub(crate) struct StreamLink {
    pub(crate) exchange: Arc<Exchange<Frames>>,
    _close: DropGuard,
}

impl StreamLink {
    /// Takes a connection over. With `idle` it is closed when nobody has asked for so long.
    pub(crate) fn start<T>(transport: T, idle: Option<Duration>, unmatched: IntCounter) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let exchange = Exchange::new(unmatched);
        let close = CancellationToken::new();
        tokio::spawn(run(transport, idle, Arc::clone(&exchange), close.clone()));
        Self { exchange, _close: close.drop_guard() }
    }

    /// Sends a question, whose first two octets are overwritten with an id, and waits for the answer.
    pub(crate) async fn ask(&self, question: &[u8]) -> Result<Bytes, LinkError> {
        self.exchange.ask(question).await
    }
}

async fn run<T>(transport: T, idle: Option<Duration>, exchange: Arc<Exchange<Frames>>, close: CancellationToken)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, mut writer) = tokio::io::split(transport);
    let ended = tokio::select! {
        ended = read(reader, idle, &exchange) => ended,
        ended = write(&mut writer, &exchange) => ended,
        () = close.cancelled() => Ok("we closed the connection"),
    };
    match ended {
        Ok(cause) => exchange.fail(cause),
        Err(error) => exchange.fail(&explain(&error)),
    }
    // A goodbye that cannot be said is none.
    let _ = tokio::time::timeout(Duration::from_secs(1), writer.shutdown()).await;
}

async fn write<T>(writer: &mut WriteHalf<T>, exchange: &Exchange<Frames>) -> io::Result<&'static str>
where
    T: AsyncWrite,
{
    loop {
        let frames = exchange.take_queued().await;
        writer.write_all(&frames.0).await?;
        writer.flush().await?;
    }
}

async fn read<T>(
    mut reader: ReadHalf<T>,
    idle: Option<Duration>,
    exchange: &Exchange<Frames>,
) -> io::Result<&'static str>
where
    T: AsyncRead,
{
    let mut buffer = BytesMut::with_capacity(READ_BUFFER);
    loop {
        buffer.reserve(READ_BUFFER / 2);
        let read = reader.read_buf(&mut buffer);
        let count = match idle {
            None => read.await?,
            Some(idle) => match tokio::time::timeout(idle, read).await {
                Ok(count) => count?,
                Err(_) if exchange.is_idle() => return Ok("the connection was idle"),
                Err(_) => continue,
            },
        };
        if count == 0 {
            return Ok("the other end closed the connection");
        }
        exchange.deliver(std::iter::from_fn(|| next_answer(&mut buffer)));
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
