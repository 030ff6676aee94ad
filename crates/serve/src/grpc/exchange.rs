//! `strait.v1.Dns/Exchange`: batches of questions up, batches of answers down, in any order.
//! Everything that is ready when HTTP/2 has room for it leaves in one batch.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use strait_proto::v1::dns_server::Dns;
use strait_proto::v1::{Batch, Message};
use strait_resolve::{Now, Pending};
use strait_wire::MAX_MESSAGE_LEN;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;
use tokio_util::sync::{PollSemaphore, WaitForCancellationFutureOwned};
use tonic::{Request, Response, Status, Streaming};

use super::delivery::Held;
use super::{GrpcServer, MAX_BATCH_MESSAGES, peer};
use crate::StreamLimits;
use crate::common::Account;
use crate::questions::Questions;

/// Octets of answers that make a batch full; while more are waiting, no further question is taken and no further
/// answer made.
const FULL: usize = 64 << 10;

#[tonic::async_trait]
impl Dns for GrpcServer {
    type ExchangeStream = Exchange;

    async fn exchange(&self, request: Request<Streaming<Batch>>) -> Result<Response<Exchange>, Status> {
        let peer = peer(request.extensions())?.clone();
        let place = Arc::clone(&peer.streams)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many Exchange streams on this connection; one is enough"))?;
        let questions = Questions::new(Arc::clone(&self.respond), self.origin(&peer), self.limits.max_in_flight);
        let exchange = Exchange {
            incoming: request.into_inner(),
            pending: Vec::new().into_iter(),
            waiting: None,
            room: PollSemaphore::new(peer.room),
            questions,
            answers: Answers::default(),
            account: self.common.account(),
            limits: self.limits.clone(),
            idle: Box::pin(tokio::time::sleep(self.limits.idle_timeout)),
            last_question: Instant::now(),
            stopped: Box::pin(self.stop.clone().cancelled_owned()),
            ending: false,
            ended: false,
        };
        let mut response = Response::new(exchange);
        response.extensions_mut().insert(Held::new(place));
        Ok(response)
    }
}

/// One stream. HTTP/2 asks for its next batch while the client takes answers; while it does not, nothing is read, and
/// the connection is cut off ([`super::delivery`]).
pub(crate) struct Exchange {
    incoming: Streaming<Batch>,
    /// Of the last batch, what is not taken yet.
    pending: std::vec::IntoIter<Message>,
    /// A question that needs work and waits for room.
    waiting: Option<(u64, Pending)>,
    /// Room for questions in work, shared by all streams of the connection.
    room: PollSemaphore,
    questions: Questions<(u64, OwnedSemaphorePermit)>,
    answers: Answers,
    /// The octets ready, in the sum of all connections.
    account: Account,
    limits: StreamLimits,
    idle: Pin<Box<Sleep>>,
    /// When the last question came or the last answer left.
    last_question: Instant,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Nothing is read any more.
    ending: bool,
    ended: bool,
}

impl Stream for Exchange {
    type Item = Result<Batch, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_batch(cx)).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl Exchange {
    /// The next batch: all answers that are there. None at the end.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Batch>, Status>> {
        if !self.ending && self.stopped.as_mut().poll(cx).is_ready() {
            self.ending = true;
        }
        loop {
            self.take_messages(cx)?;
            if self.read(cx)? {
                continue;
            }
            // A question that is done may leave its place to one that waits.
            if !self.collect(cx) {
                break;
            }
        }
        let waiting = self.account.set(self.answers.octets.len());
        waiting.map_err(|_| Status::resource_exhausted("too many answers wait to be read"))?;
        if !self.answers.is_empty() {
            self.last_question = Instant::now();
            // Less than before is never refused.
            let _ = self.account.set(0);
            return Poll::Ready(Ok(Some(self.answers.take())));
        }
        match self.is_done() {
            true if self.ending => Poll::Ready(Ok(None)),
            true => self.poll_idle(cx),
            false => Poll::Pending,
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Batch>, Status>> {
        loop {
            ready!(self.idle.as_mut().poll(cx));
            let ends = self.last_question + self.limits.idle_timeout;
            if ends <= Instant::now() {
                return Poll::Ready(Ok(None));
            }
            self.idle.as_mut().reset(ends);
        }
    }

    /// Reads one batch; false when there is none, or no room for it.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Status> {
        if !self.may_read() {
            return Ok(false);
        }
        match Pin::new(&mut self.incoming).poll_next(cx) {
            Poll::Ready(Some(batch)) => self.take_batch(batch?)?,
            Poll::Ready(None) => self.ending = true,
            Poll::Pending => return Ok(false),
        }
        Ok(true)
    }

    fn take_batch(&mut self, batch: Batch) -> Result<(), Status> {
        if batch.messages.len() > MAX_BATCH_MESSAGES {
            return Err(Status::invalid_argument(format!("a batch has at most {MAX_BATCH_MESSAGES} messages")));
        }
        if batch.messages.iter().any(|message| message.wire.is_empty()) {
            return Err(Status::invalid_argument("a message of the batch is empty"));
        }
        if !batch.messages.is_empty() {
            self.last_question = Instant::now();
        }
        self.pending = batch.messages.into_iter();
        Ok(())
    }

    /// Answers at once what can be, and takes into work what there is room for, up to a question that must wait for it.
    fn take_messages(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        while self.answers.has_room() {
            if let Some((id, pending)) = self.waiting.take() {
                let place = match self.questions.has_room() {
                    true => self.room.poll_acquire(cx),
                    false => Poll::Pending,
                };
                // The room is never closed, so there is always a place in the end.
                let Poll::Ready(Some(place)) = place else {
                    self.waiting = Some((id, pending));
                    break;
                };
                self.questions.take((id, place), pending);
            }
            let Some(message) = self.pending.next() else {
                // Gives the memory of the batch back.
                self.pending = Vec::new().into_iter();
                break;
            };
            if message.wire.len() > MAX_MESSAGE_LEN {
                return Err(Status::invalid_argument("a DNS message has at most 65,535 octets"));
            }
            let questions = &self.questions;
            let answer = |reply: &mut Vec<u8>| questions.answer_now(&message.wire, reply);
            if let Now::Later(unanswered) =
                self.answers.push_with(answer, |now| matches!(now, Now::Reply).then_some(message.id))
            {
                self.waiting = Some((message.id, unanswered.keep()));
            }
        }
        Ok(())
    }

    /// Makes every answer that is ready and finds room; false when there is none.
    fn collect(&mut self, cx: &mut Context<'_>) -> bool {
        let mut collected = false;
        while self.answers.has_room() && !self.questions.is_empty() {
            let questions = &mut self.questions;
            let answer = |reply: &mut Vec<u8>| questions.poll_write(cx, reply);
            let of_whom = |answered: &Poll<((u64, OwnedSemaphorePermit), bool)>| match answered {
                Poll::Ready(((id, _), true)) => Some(*id),
                _ => None,
            };
            if self.answers.push_with(answer, of_whom).is_pending() {
                break;
            }
            collected = true;
        }
        collected
    }

    fn may_read(&self) -> bool {
        !self.ending && self.waiting.is_none() && self.pending.len() == 0 && self.answers.has_room()
    }

    fn is_done(&self) -> bool {
        self.questions.is_empty() && self.waiting.is_none() && self.answers.is_empty() && self.pending.len() == 0
    }
}

/// Answers that are ready, one behind the other.
#[derive(Default)]
struct Answers {
    octets: Vec<u8>,
    places: Vec<(u64, Range<usize>)>,
}

impl Answers {
    /// Appends what `answer` writes, if it is an answer to the question that `of_whom` names.
    fn push_with<T>(&mut self, answer: impl FnOnce(&mut Vec<u8>) -> T, of_whom: impl FnOnce(&T) -> Option<u64>) -> T {
        let start = self.octets.len();
        let outcome = answer(&mut self.octets);
        match of_whom(&outcome) {
            Some(id) => self.places.push((id, start..self.octets.len())),
            None => self.octets.truncate(start),
        }
        outcome
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn has_room(&self) -> bool {
        self.octets.len() < FULL
    }

    /// All of them, as slices of one buffer. They are never more than a batch may hold: one beyond [`FULL`].
    fn take(&mut self) -> Batch {
        let octets = Bytes::from(std::mem::take(&mut self.octets));
        let message = |(id, place): (u64, Range<usize>)| Message { id, wire: octets.slice(place) };
        Batch { messages: self.places.drain(..).map(message).collect() }
    }
}
