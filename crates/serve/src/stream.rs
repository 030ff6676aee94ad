//! DNS over a stream, plain or TLS: pipelined questions, answers in any order (RFC 7766 6.2.1.1).
//!
//! One task per connection. Every turn takes all messages that have come, collects all answers
//! that are ready, and only then writes, so that they leave together in one write.
//!
//! ```text
//! stream ─► Inbox ─► answered now ─────────────► Outbox ─► stream
//!               └──► Questions ─► Mailbox ──────┘
//! ```

mod inbox;
mod outbox;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use strait_resolve::Now;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};
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
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    questions: Questions<()>,
    share: Share,
    limits: &StreamLimits,
    stop: &CancellationToken,
) -> Closed {
    let now = Instant::now();
    let timer = Box::pin(tokio::time::sleep(limits.idle_timeout));
    let mut connection = Connection {
        stream,
        inbox: Inbox::default(),
        outbox: Outbox::new(now),
        questions,
        share,
        limits,
        timer,
        now,
        last_question: now,
        message_began: None,
        ending: None,
    };
    let closed = connection.run(stop).await;
    if matches!(closed, Closed::Client | Closed::Idle | Closed::Drained) {
        connection.close().await;
    }
    tracing::debug!(client = %connection.questions.client(), reason = closed.as_str(), "connection closed");
    closed
}

struct Connection<'a, S> {
    stream: S,
    inbox: Inbox,
    outbox: Outbox,
    questions: Questions<()>,
    share: Share,
    limits: &'a StreamLimits,
    timer: Pin<Box<Sleep>>,
    /// When this turn began.
    now: Instant,
    /// When the last question came or the last answer left.
    last_question: Instant,
    /// When the first octet of an incomplete message came; none while reading pauses.
    message_began: Option<Instant>,
    /// Nothing is read any more: why, and when what is in work is given up.
    ending: Option<(Closed, Instant)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self, stop: &CancellationToken) -> Closed {
        let evicted = self.share.eviction();
        let mut stopped = std::pin::pin!(stop.cancelled());
        let mut evicted = std::pin::pin!(evicted.cancelled());
        poll_fn(|cx| {
            if self.ending.is_none() && stopped.as_mut().poll(cx).is_ready() {
                self.now = Instant::now();
                self.end(Closed::Drained);
            }
            if evicted.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Closed::Descriptors);
            }
            match self.turn(cx) {
                Ok(()) => self.poll_end(cx),
                Err(closed) => Poll::Ready(closed),
            }
        })
        .await
    }

    /// Takes all that has come, collects all answers that are ready, and writes them, until nothing moves.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        self.now = Instant::now();
        loop {
            self.take_messages()?;
            if self.read(cx)? {
                continue;
            }
            let collected = self.collect(cx);
            // What waits before it is written counts, for it may stay.
            self.share.set_waiting(self.outbox.len()).map_err(|_| Closed::Overloaded)?;
            let wrote = !self.outbox.is_empty() && self.write(cx)?;
            if !collected && !wrote {
                return Ok(());
            }
        }
    }

    /// Answers or takes into work every complete message there is room for.
    fn take_messages(&mut self) -> Result<(), Closed> {
        let mut taken = false;
        while self.questions.has_room() && self.outbox.has_room() {
            let Some(message) = self.inbox.next_message().map_err(|_| Closed::Malformed)? else { break };
            taken = true;
            let questions = &self.questions;
            let answer = |reply: &mut Vec<u8>| questions.answer_now(message, reply);
            match self.outbox.push_with(self.now, answer, |now| matches!(now, Now::Reply)) {
                Now::Nothing => continue,
                Now::Reply => {}
                Now::Later(unanswered) => {
                    let pending = unanswered.keep();
                    self.questions.take((), pending);
                }
            }
            self.last_question = self.now;
        }
        self.message_began = match self.inbox.is_empty() || !self.may_read() {
            true => None,
            false if taken => Some(self.now),
            false => self.message_began.or(Some(self.now)),
        };
        Ok(())
    }

    /// Reads once; false when there is nothing to read, or no room for it.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        if !self.may_read() {
            return Ok(false);
        }
        match self.inbox.poll_fill(cx, &mut self.stream) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => self.end(Closed::Client),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => return Err(Closed::Network),
        }
        Ok(true)
    }

    /// Makes every answer that is ready and finds room; false when there is none.
    fn collect(&mut self, cx: &mut Context<'_>) -> bool {
        let mut collected = false;
        while self.outbox.has_room() && !self.questions.is_empty() {
            let questions = &mut self.questions;
            let answer = |reply: &mut Vec<u8>| questions.poll_write(cx, reply);
            let is_reply = |reply: &Poll<((), bool)>| matches!(reply, Poll::Ready(((), true)));
            if self.outbox.push_with(self.now, answer, is_reply).is_pending() {
                break;
            }
            (collected, self.last_question) = (true, self.now);
        }
        collected
    }

    /// Writes what waits; false when the client takes nothing.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        let wrote = self.outbox.poll_write(cx, &mut self.stream, self.now).map_err(|_| Closed::Network)?;
        if wrote {
            self.last_question = self.now;
            // Less than before is never refused.
            let _ = self.share.set_waiting(self.outbox.len());
        }
        Ok(wrote)
    }

    /// Whether the connection ends now: its work is done, or one of its times is up.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        if let Some((closed, _)) = self.ending
            && self.questions.is_empty()
            && self.outbox.is_empty()
        {
            return Poll::Ready(closed);
        }
        match self.is_idle() {
            true => self.share.set_idle(),
            false => self.share.set_busy(),
        }
        let Some((at, closed)) = self.deadline() else { return Poll::Pending };
        // Mostly the deadline has moved away since the timer was set: the timer finds that out when it fires.
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if at <= Instant::now() {
                return Poll::Ready(closed);
            }
            self.timer.as_mut().reset(at);
        }
        Poll::Pending
    }

    fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.questions.is_empty() && self.message_began.is_none()
    }

    fn may_read(&self) -> bool {
        self.ending.is_none() && self.questions.has_room() && self.outbox.has_room()
    }

    fn end(&mut self, why: Closed) {
        self.ending = Some((why, self.now + DRAIN_TIMEOUT));
    }

    /// The next moment at which the connection ends if nothing happens, and why.
    fn deadline(&self) -> Option<(Instant, Closed)> {
        let waiting = !self.outbox.is_empty();
        let idle = self.is_idle();
        [
            self.ending.map(|(closed, at)| (at, closed)),
            waiting.then(|| (self.outbox.owed_since() + self.limits.write_timeout, Closed::NotReading)),
            self.message_began.map(|began| (began + self.limits.message_timeout, Closed::SlowMessage)),
            idle.then(|| (self.last_question + self.limits.idle_timeout, Closed::Idle)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Says good-bye and lets the client take what was sent: closing with unread input would reset
    /// the connection and could destroy answers on their way.
    async fn close(&mut self) {
        let farewell = async {
            self.stream.shutdown().await?;
            let mut unread = [0; 512];
            while self.stream.read(&mut unread).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = within(CLOSE_TIMEOUT, farewell).await;
    }
}

#[cfg(test)]
mod tests;
