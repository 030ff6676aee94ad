//! The questions of one connection that are in work.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::FutureExt;
use futures_util::stream::FuturesUnordered;
use strait_resolve::{BoxFuture, Now, Origin, Respond};

/// Octets of questions of one connection in work at a time; over it reading pauses. A question is
/// seldom longer than 100 octets, so only odd traffic comes near.
const MAX_OCTETS_IN_WORK: usize = 256 << 10;

/// Octets of answers that the questions of one connection in work may come to. An answer counts as long as the
/// longest that the connection has got; over it no further question is taken.
const MAX_ANSWERS_IN_WORK: usize = 256 << 10;

/// What an answer counts for at least, so that all 256 questions may be in work while answers are ordinary.
const ORDINARY_ANSWER: usize = 1 << 10;

/// Questions in work; `K` comes back with each answer.
///
/// An answer is made when [`Questions::next`] is awaited, and not before: while its client does not read, a
/// connection's task leaves it be. Nobody else waits for that, since exchanges are tasks of their own.
pub(crate) struct Questions<K> {
    respond: Arc<dyn Respond>,
    origin: Arc<Origin>,
    max: usize,
    octets: usize,
    longest_answer: usize,
    in_work: FuturesUnordered<BoxFuture<'static, Answered<K>>>,
}

struct Answered<K> {
    key: K,
    octets: usize,
    reply: Option<Vec<u8>>,
}

impl<K: Send + 'static> Questions<K> {
    /// No questions yet, at most `max` of them.
    pub(crate) fn new(respond: Arc<dyn Respond>, origin: Origin, max: usize) -> Self {
        let origin = Arc::new(origin);
        let longest_answer = ORDINARY_ANSWER;
        Self { respond, origin, max, octets: 0, longest_answer, in_work: FuturesUnordered::new() }
    }

    pub(crate) fn client(&self) -> SocketAddr {
        self.origin.client
    }

    /// Answers what needs no waiting.
    pub(crate) fn answer_now(&self, packet: &[u8], reply: &mut Vec<u8>) -> Now {
        self.respond.respond_now(packet, &self.origin, reply)
    }

    /// Takes a question into work.
    pub(crate) fn take(&mut self, key: K, packet: Bytes) {
        let respond = Arc::clone(&self.respond);
        let origin = Arc::clone(&self.origin);
        let octets = packet.len();
        self.octets += octets;
        self.in_work.push(Box::pin(async move {
            let reply = respond.respond(&packet, &origin).await;
            Answered { key, octets, reply }
        }));
    }

    /// The next question to be answered; waits for ever when there is none in work.
    pub(crate) async fn next(&mut self) -> (K, Option<Vec<u8>>) {
        match self.in_work.next().await {
            Some(answered) => self.done(answered),
            None => std::future::pending().await,
        }
    }

    /// The next question that is answered already. Ask only while there is room for an answer.
    pub(crate) fn next_ready(&mut self) -> Option<(K, Option<Vec<u8>>)> {
        let answered = self.in_work.next().now_or_never().flatten()?;
        Some(self.done(answered))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_work.is_empty()
    }

    /// Whether another question may be taken into work.
    pub(crate) fn has_room(&self) -> bool {
        let answers = (self.in_work.len() + 1) * self.longest_answer;
        self.in_work.is_empty()
            || (self.in_work.len() < self.max && self.octets < MAX_OCTETS_IN_WORK && answers <= MAX_ANSWERS_IN_WORK)
    }

    fn done(&mut self, answered: Answered<K>) -> (K, Option<Vec<u8>>) {
        self.octets -= answered.octets;
        let length = answered.reply.as_ref().map_or(0, Vec::len);
        self.longest_answer = self.longest_answer.max(length);
        (answered.key, answered.reply)
    }
}

/// Runs `work` and drops it when it takes longer than `patience`. None: it was dropped.
pub(crate) async fn within<T>(patience: std::time::Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(patience, work).await.ok()
}
