//! What has been read of a stream, cut into messages (RFC 1035 4.2.2: a two-octet length, then the message).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use strait_wire::{Header, MAX_MESSAGE_LEN};
use tokio::io::{AsyncRead, ReadBuf};

/// Read at a time from a quiet connection.
const SMALL: usize = 2 << 10;
/// Read at a time from a busy one: a TLS record.
const MEDIUM: usize = 16 << 10;
/// The most that is ever held.
const LARGE: usize = 2 + MAX_MESSAGE_LEN;
/// So many small reads in a row make a connection quiet.
const CALM: u8 = 64;

/// The octets read and not yet taken.
#[derive(Default)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Small reads in a row.
    calm: u8,
}

/// A length that no message can have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotDns;

impl Inbox {
    /// The next complete message. A frame too short for a header is not DNS.
    pub(super) fn next_message(&mut self) -> Result<Option<&[u8]>, NotDns> {
        let held = &self.buffer[self.start..self.end];
        let Some((length, rest)) = held.split_first_chunk::<2>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length < Header::LEN {
            return Err(NotDns);
        }
        let message = rest.get(..length);
        if message.is_some() {
            self.start += 2 + length;
        }
        Ok(message)
    }

    /// Whether nothing is held, not even the beginning of a message.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads once. The result is the number of octets; 0 at the end of the stream.
    pub(super) fn poll_fill<S>(&mut self, cx: &mut Context<'_>, stream: &mut S) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        self.calm = if self.end + read < SMALL { self.calm.saturating_add(1) } else { 0 };
        self.end += read;
        Poll::Ready(Ok(read))
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let size = match self.buffer.len() {
            // The last read left no room, or a message needs more.
            full if self.end == full || full == SMALL && self.calm == 0 => match full {
                0 => SMALL,
                SMALL => MEDIUM,
                _ => LARGE,
            },
            size if self.calm >= CALM && self.end < SMALL && size > SMALL => SMALL,
            size => size,
        };
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        } else if self.buffer.len() > size {
            self.buffer.truncate(size);
            self.buffer.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    impl Inbox {
        async fn fill(&mut self, stream: &mut &[u8]) -> io::Result<usize> {
            std::future::poll_fn(|cx| self.poll_fill(cx, stream)).await
        }
    }

    fn frame(len: usize, fill: u8) -> Vec<u8> {
        let mut frame = (len as u16).to_be_bytes().to_vec();
        frame.resize(2 + len, fill);
        frame
    }

    #[tokio::test]
    async fn messages_come_out_however_the_octets_came_in() {
        let lengths = [12, 13, 300, 5000, 65_535, 12, 40_000];
        let sent: Vec<u8> = lengths.iter().enumerate().flat_map(|(i, &len)| frame(len, i as u8)).collect();
        for piece in [1, 7, 1000, 100_000] {
            let mut inbox = Inbox::default();
            let mut got = Vec::new();
            for mut chunk in sent.chunks(piece) {
                while !chunk.is_empty() {
                    inbox.fill(&mut chunk).await.unwrap();
                    while let Some(message) = inbox.next_message().unwrap() {
                        got.push(message.to_vec());
                    }
                }
            }
            let expected: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(i, &len)| vec![i as u8; len]).collect();
            assert!(got == expected, "in pieces of {piece}");
            assert!(inbox.is_empty());
        }
    }

    #[tokio::test]
    async fn a_frame_too_short_for_a_header_is_not_dns() {
        for len in [0, 1, 11] {
            let mut inbox = Inbox::default();
            inbox.fill(&mut frame(len, 0).as_slice()).await.unwrap();
            assert_eq!(inbox.next_message(), Err(NotDns), "{len}");
        }
    }

    #[tokio::test]
    async fn a_quiet_connection_holds_little() {
        let mut inbox = Inbox::default();
        let burst: Vec<u8> = (0..1000).flat_map(|_| frame(100, 1)).collect();
        let mut burst = burst.as_slice();
        while !burst.is_empty() {
            inbox.fill(&mut burst).await.unwrap();
            while inbox.next_message().unwrap().is_some() {}
        }
        assert!(inbox.buffer.len() > SMALL, "a busy one reads much at a time");
        assert!(inbox.buffer.len() <= LARGE);
        for _ in 0..=CALM {
            inbox.fill(&mut frame(100, 1).as_slice()).await.unwrap();
            inbox.next_message().unwrap();
        }
        inbox.make_room();
        assert_eq!(inbox.buffer.len(), SMALL);
    }
}
