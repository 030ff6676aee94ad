//! `strait.v1.Dns/Exchange`: batches of questions up, batches of answers down, in any order.
//! Everything that is ready at a moment leaves in one batch.

use std::sync::Arc;

use bytes::Bytes;
use strait_proto::v1::dns_server::Dns;
use strait_proto::v1::{Batch, Message};
use strait_resolve::Now;
use strait_wire::MAX_MESSAGE_LEN;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::delivery::Held;
use super::{GrpcServer, MAX_BATCH_MESSAGES, peer};
use crate::StreamLimits;
use crate::common::Account;
use crate::questions::{Questions, within};

/// Octets of answers that make a batch full; while more are waiting, no further question is taken and no further
/// answer made.
const FULL: usize = 64 << 10;

#[tonic::async_trait]
impl Dns for GrpcServer {
    type ExchangeStream = ReceiverStream<Result<Batch, Status>>;

    async fn exchange(&self, request: Request<Streaming<Batch>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let peer = peer(request.extensions())?.clone();
        let place = Arc::clone(&peer.streams)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many Exchange streams on this connection; one is enough"))?;
        let questions = Questions::new(Arc::clone(&self.respond), self.origin(&peer), self.limits.max_in_flight);
        let exchange = Exchange {
            incoming: request.into_inner(),
            pending: Vec::new().into_iter(),
            waiting: None,
            room: peer.room,
            questions,
            ready: Vec::new(),
            ready_octets: 0,
            ready_since: Instant::now(),
            account: self.common.account(),
            last_question: Instant::now(),
            ending: false,
        };
        // One batch is with the transport, the next one grows meanwhile.
        let (answers, outgoing) = mpsc::channel(1);
        let (stop, limits) = (self.stop.clone(), self.limits.clone());
        // The task ends with the stream of answers, and that with its connection.
        tokio::spawn(async move {
            if let Err(status) = exchange.run(&answers, &stop, &limits).await {
                // A client that does not read does not get to know why either.
                let _ = within(limits.write_timeout, answers.send(Err(status))).await;
            }
        });
        let mut response = Response::new(ReceiverStream::new(outgoing));
        response.extensions_mut().insert(Held::new(place));
        Ok(response)
    }
}

/// One stream.
struct Exchange {
    incoming: Streaming<Batch>,
    /// Of the last batch, what is not taken yet.
    pending: std::vec::IntoIter<Message>,
    /// A question that needs work and waits for room.
    waiting: Option<Message>,
    room: Arc<Semaphore>,
    questions: Questions<(u64, OwnedSemaphorePermit)>,
    ready: Vec<Message>,
    ready_octets: usize,
    /// When the transport last took a batch, or the first answer became ready after that.
    ready_since: Instant,
    /// The octets ready, in the sum of all connections.
    account: Account,
    /// When the last question came or the last answer left.
    last_question: Instant,
    /// Nothing is read any more.
    ending: bool,
}

impl Exchange {
    async fn run(
        mut self,
        answers: &mpsc::Sender<Result<Batch, Status>>,
        stop: &CancellationToken,
        limits: &StreamLimits,
    ) -> Result<(), Status> {
        loop {
            self.take_messages()?;
            if self.ending && self.is_done() {
                return Ok(());
            }
            let waiting = self.account.set(self.ready_octets);
            waiting.map_err(|_| Status::resource_exhausted("too many answers wait to be read"))?;
            let idle = !self.ending && self.is_done();
            let reading = !self.ending && self.waiting.is_none() && self.has_room();
            let room = Arc::clone(&self.room);
            tokio::select! {
                biased;
                () = answers.closed() => return Ok(()),
                () = stop.cancelled(), if !self.ending => self.ending = true,
                place = room.acquire_owned(), if self.waiting.is_some() && self.questions.has_room() => {
                    if let (Ok(place), Some(Message { id, wire })) = (place, self.waiting.take()) {
                        // A copy: what came is a slice of its whole batch.
                        self.questions.take((id, place), Bytes::copy_from_slice(&wire));
                    }
                }
                ((id, _), reply) = self.questions.next(), if self.has_room() => self.collect(id, reply),
                batch = self.incoming.message(), if reading => match batch? {
                    Some(batch) => self.take_batch(batch)?,
                    None => self.ending = true,
                },
                slot = answers.reserve(), if !self.ready.is_empty() => {
                    let Ok(slot) = slot else { return Ok(()) };
                    slot.send(Ok(self.next_batch()));
                    self.last_question = Instant::now();
                }
                () = tokio::time::sleep_until(self.ready_since + limits.write_timeout), if !self.ready.is_empty() => {
                    return Err(Status::deadline_exceeded("answers are not being read"));
                }
                () = tokio::time::sleep_until(self.last_question + limits.idle_timeout), if idle => return Ok(()),
            }
        }
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

    /// Answers at once what can be, up to a question that must wait for room.
    fn take_messages(&mut self) -> Result<(), Status> {
        while self.waiting.is_none() && self.has_room() {
            let Some(message) = self.pending.next() else { break };
            if message.wire.len() > MAX_MESSAGE_LEN {
                return Err(Status::invalid_argument("a DNS message has at most 65,535 octets"));
            }
            let mut reply = Vec::new();
            match self.questions.answer_now(&message.wire, &mut reply) {
                Now::Reply => self.push(message.id, reply),
                Now::Nothing => {}
                Now::Later(_) => self.waiting = Some(message),
            }
        }
        if self.pending.len() == 0 {
            // Gives the memory of the batch back.
            self.pending = Vec::new().into_iter();
        }
        Ok(())
    }

    fn collect(&mut self, id: u64, reply: Option<Vec<u8>>) {
        let mut next = Some((id, reply));
        while let Some((id, reply)) = next {
            if let Some(reply) = reply {
                self.push(id, reply);
            }
            if !self.has_room() {
                return;
            }
            next = self.questions.next_ready().map(|((id, _), reply)| (id, reply));
        }
    }

    fn push(&mut self, id: u64, reply: Vec<u8>) {
        if self.ready.is_empty() {
            self.ready_since = Instant::now();
        }
        self.ready_octets += reply.len();
        self.ready.push(Message { id, wire: Bytes::from(reply) });
    }

    /// What is ready, up to the first answer that makes the batch full.
    fn next_batch(&mut self) -> Batch {
        let mut octets = 0;
        let full = self.ready.iter().position(|message| {
            octets += message.wire.len();
            octets >= FULL
        });
        let messages: Vec<Message> = self.ready.drain(..full.map_or(self.ready.len(), |at| at + 1)).collect();
        self.ready_octets -= octets;
        self.ready_since = Instant::now();
        Batch { messages }
    }

    fn has_room(&self) -> bool {
        self.ready_octets < FULL
    }

    fn is_done(&self) -> bool {
        self.questions.is_empty() && self.waiting.is_none() && self.ready.is_empty() && self.pending.len() == 0
    }
}
