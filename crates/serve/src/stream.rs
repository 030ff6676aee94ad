//! DNS over a stream, plain or TLS: pipelined questions, answers in any order (RFC 7766 6.2.1.1).
//!
//! One task per connection. Every turn takes all messages that have come, collects all answers
//! that are ready, and only then writes, so that they leave together in one write.
//!
//! ```text
//! reader ─► Inbox ─► answered now ──────────────► Outbox ─► writer
//!               └──► Questions (in work) ────────┘
//! ```

mod inbox;
mod outbox;

use std::time::Duration;

use bytes::Bytes;
use strait_resolve::Now;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::StreamLimits;
use crate::common::Share;
use crate::limits::DRAIN_TIMEOUT;
use crate::metrics::Closed;
use crate::questions::{Questions, within};
use inbox::Inbox;
use outbox::Outbox;

/// How long a closed connection may linger for the client to take what was sent to it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Serves one connection to its end.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite>(
    stream: S,
    questions: Questions<()>,
    share: Share,
    limits: &StreamLimits,
    stop: &CancellationToken,
) -> Closed {
    let (reader, writer) = tokio::io::split(stream);
    let mut connection = Connection {
        reader,
        writer,
        inbox: Inbox::default(),
        outbox: Outbox::default(),
        questions,
        share,
        last_question: Instant::now(),
        message_began: None,
        ending: None,
    };
    let closed = connection.run(limits, stop).await;
    if matches!(closed, Closed::Client | Closed::Idle | Closed::Drained) {
        connection.close().await;
    }
    tracing::debug!(client = %connection.questions.client(), reason = closed.as_str(), "connection closed");
    closed
}

struct Connection<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    inbox: Inbox,
    outbox: Outbox,
    questions: Questions<()>,
    share: Share,
    /// When the last question came or the last answer left.
    last_question: Instant,
    /// When the first octet of an incomplete message came; none while reading pauses.
    message_began: Option<Instant>,
    /// Nothing is read any more: why, and when what is in work is given up.
    ending: Option<(Closed, Instant)>,
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    async fn run(&mut self, limits: &StreamLimits, stop: &CancellationToken) -> Closed {
        let timer = tokio::time::sleep(limits.idle_timeout);
        tokio::pin!(timer);
        loop {
            if let Err(closed) = self.take_messages() {
                return closed;
            }
            if let Some((closed, _)) = self.ending
                && self.questions.is_empty()
                && self.outbox.is_empty()
            {
                return closed;
            }
            if self.share.set_waiting(self.outbox.len()).is_err() {
                return Closed::Overloaded;
            }
            match self.is_idle() {
                true => self.share.set_idle(),
                false => self.share.set_busy(),
            }
            let reading = self.may_read();
            let deadline = self.deadline(limits);
            if let Some((at, _)) = deadline.filter(|(at, _)| *at < timer.deadline()) {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                () = stop.cancelled(), if self.ending.is_none() => self.end(Closed::Drained),
                () = self.share.evicted() => return Closed::Descriptors,
                ((), reply) = self.questions.next(), if self.outbox.has_room() => self.collect(reply),
                read = self.inbox.fill(&mut self.reader), if reading => match read {
                    Ok(0) => self.end(Closed::Client),
                    Ok(_) => {}
                    Err(_) => return Closed::Network,
                },
                written = self.outbox.write(&mut self.writer), if !self.outbox.is_empty() => {
                    if written.is_err() {
                        return Closed::Network;
                    }
                    self.last_question = Instant::now();
                }
                () = timer.as_mut(), if deadline.is_some() => match deadline {
                    Some((at, closed)) if at <= Instant::now() => return closed,
                    Some((at, _)) => timer.as_mut().reset(at),
                    None => {}
                },
            }
        }
    }

    /// Answers or takes into work every complete message there is room for.
    fn take_messages(&mut self) -> Result<(), Closed> {
        let mut taken = false;
        while self.questions.has_room() && self.outbox.has_room() {
            let Some(message) = self.inbox.next_message().map_err(|_| Closed::Malformed)? else { break };
            taken = true;
            let now = self.outbox.push_with(|reply| self.questions.answer_now(message, reply));
            match now {
                Now::Nothing => continue,
                Now::Reply => {}
                Now::Later(_) => self.questions.take((), Bytes::copy_from_slice(message)),
            }
            self.last_question = Instant::now();
        }
        self.message_began = match self.inbox.is_empty() || !self.may_read() {
            true => None,
            false if taken => Some(Instant::now()),
            false => self.message_began.or_else(|| Some(Instant::now())),
        };
        Ok(())
    }

    /// Puts an answer, and every other that is ready and finds room, into the outbox.
    fn collect(&mut self, reply: Option<Vec<u8>>) {
        self.last_question = Instant::now();
        let mut next = Some(reply);
        while let Some(reply) = next {
            if let Some(reply) = reply {
                self.outbox.push(&reply);
            }
            if !self.outbox.has_room() {
                return;
            }
            next = self.questions.next_ready().map(|((), reply)| reply);
        }
    }

    fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.questions.is_empty() && self.message_began.is_none()
    }

    fn may_read(&self) -> bool {
        self.ending.is_none() && self.questions.has_room() && self.outbox.has_room()
    }

    fn end(&mut self, why: Closed) {
        self.ending = Some((why, Instant::now() + DRAIN_TIMEOUT));
    }

    /// The next moment at which the connection ends if nothing happens, and why.
    fn deadline(&self, limits: &StreamLimits) -> Option<(Instant, Closed)> {
        let waiting = !self.outbox.is_empty();
        let idle = self.is_idle();
        [
            self.ending.map(|(closed, at)| (at, closed)),
            waiting.then(|| (self.outbox.owed_since() + limits.write_timeout, Closed::NotReading)),
            self.message_began.map(|began| (began + limits.message_timeout, Closed::SlowMessage)),
            idle.then(|| (self.last_question + limits.idle_timeout, Closed::Idle)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Says good-bye and lets the client take what was sent: closing with unread input would reset
    /// the connection and could destroy answers on their way.
    async fn close(&mut self) {
        let farewell = async {
            self.writer.shutdown().await?;
            let mut unread = [0; 512];
            while self.reader.read(&mut unread).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = within(CLOSE_TIMEOUT, farewell).await;
    }
}

#[cfg(test)]
mod tests;
