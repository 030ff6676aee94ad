//! Questions over gRPC: `strait.v1.Dns/Exchange`, one stream of batches each way; or, at a server that does not know
//! it, CoreDNS's unary `coredns.dns.DnsService/Query` for the life of the connection.
//!
//! The connection is made by the caller and used once: when it is lost, so is the link.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use prometheus::IntCounter;
use strait_proto::coredns::DnsPacket;
use strait_proto::coredns::dns_service_client::DnsServiceClient;
use strait_proto::v1::dns_client::DnsClient;
use strait_proto::v1::{Batch, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::dial::{self, chain};
use crate::exchange::{Exchange, LateWatch, LinkError, Queue};
use crate::link::Link;
use crate::stream::CLOSED;

/// Octets of questions in one batch; far below the message limit of any gRPC server.
const MAX_BATCH: usize = 32 * 1024;
/// Unary calls at a time; HTTP/2 servers commonly allow between 100 and 1,000 streams, and queue the rest.
const MAX_CALLS: usize = 1024;
/// What a server may send before we have read it.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// HTTP/2 pings, so that a connection that died silently is noticed even without questions.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Speaks gRPC on a connection.
pub(crate) async fn connect<T>(transport: T, patience: Duration, unmatched: IntCounter) -> Result<Link, String>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let lost = CancellationToken::new();
    let trouble = Trouble::default();
    let watched = Watched { inner: transport, trouble: trouble.clone(), _gone: lost.clone().drop_guard() };
    let mut transport = Some(TokioIo::new(watched));
    // Asked again after a loss, it has nothing to give: the supervisor makes the next connection.
    let connector = tower::service_fn(move |_: http::Uri| {
        let transport = transport.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { transport }
    });
    // Not `https`: TLS is the connector's, and tonic would insist on its own.
    let channel = Endpoint::from_static("http://peer")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|error| trouble.seen().unwrap_or_else(|| chain(&error)))?;
    let exchange = Exchange::new(Some(patience), unmatched);
    // Some servers send their headers only once something has come; the first batch is empty.
    let questions = Questions { exchange: Arc::clone(&exchange), ready: VecDeque::from([Batch::default()]) };
    match DnsClient::new(channel.clone()).exchange(questions).await {
        Ok(response) => Ok(Link::Batches(BatchLink::start(response.into_inner(), exchange, trouble))),
        Err(status) if status.code() == Code::Unimplemented => {
            Ok(Link::Unary(Box::new(UnaryLink::new(channel, patience, trouble, lost))))
        }
        Err(status) => Err(trouble.explain(&status)),
    }
}

/// What broke the connection first. HTTP/2 tells of it only that it did; here are the words.
#[derive(Clone, Default)]
struct Trouble(Arc<OnceLock<String>>);

impl Trouble {
    fn note<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome {
            self.0.get_or_init(|| dial::explain(error));
        }
        outcome
    }

    fn seen(&self) -> Option<String> {
        self.0.get().cloned()
    }

    /// Why a call failed: what the server said or, when the status is our own for a broken connection, what broke it.
    fn explain(&self, status: &Status) -> String {
        let of_connection = std::error::Error::source(status).is_some();
        self.seen().filter(|_| of_connection).unwrap_or_else(|| explain(status))
    }
}

/// What a server's status says, in words for people.
fn explain(status: &Status) -> String {
    let text = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    let cause = std::error::Error::source(status).map(chain).filter(|cause| !text.contains(cause.as_str()));
    match cause {
        Some(cause) => format!("gRPC {:?}: {text}: {cause}", status.code()),
        None => format!("gRPC {:?}: {text}", status.code()),
    }
}

/// Questions for the next batches, one after the other.
#[derive(Default)]
pub(crate) struct Batches {
    octets: Vec<u8>,
    /// Where each begins, and its id.
    begins: Vec<(usize, u16)>,
}

impl Queue for Batches {
    fn push(&mut self, id: u16, question: &[u8]) {
        self.begins.push((self.octets.len(), id));
        self.octets.extend_from_slice(question);
    }

    fn octets(&self) -> usize {
        self.octets.len()
    }
}

impl Batches {
    /// Splits what is queued into batches of bounded size. All messages are slices of one buffer.
    fn into_batches(self) -> VecDeque<Batch> {
        let Self { octets, begins } = self;
        let octets = Bytes::from(octets);
        let ends = begins.iter().skip(1).map(|(begin, _)| *begin).chain([octets.len()]);
        let mut batches: VecDeque<Batch> = VecDeque::with_capacity(1);
        let mut room = 0;
        for ((begin, id), end) in begins.iter().zip(ends) {
            if end - begin > room || batches.is_empty() {
                batches.push_back(Batch { messages: Vec::with_capacity(begins.len().min(MAX_BATCH / 64)) });
                room = MAX_BATCH;
            }
            room = room.saturating_sub(end - begin);
            if let Some(batch) = batches.back_mut() {
                batch.messages.push(Message { id: u64::from(*id), wire: octets.slice(*begin..end) });
            }
        }
        batches
    }
}

/// What goes up the stream: whenever HTTP/2 has room for more, all that is queued at that moment.
struct Questions {
    exchange: Arc<Exchange<Batches>>,
    ready: VecDeque<Batch>,
}

impl Stream for Questions {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        if let Some(batch) = self.ready.pop_front() {
            return Poll::Ready(Some(batch));
        }
        let mut queued = Batches::default();
        if ready!(self.exchange.poll_queued(cx, &mut queued)).is_none() {
            return Poll::Ready(None);
        }
        self.ready = queued.into_batches();
        Poll::Ready(self.ready.pop_front())
    }
}

/// One stream of batches each way.
pub(crate) struct BatchLink {
    pub(crate) exchange: Arc<Exchange<Batches>>,
    reader: AbortHandle,
}

impl BatchLink {
    fn start(answers: Streaming<Batch>, exchange: Arc<Exchange<Batches>>, trouble: Trouble) -> Self {
        let reader = Reader { answers, late: LateWatch::new(), exchange: Arc::clone(&exchange), trouble };
        Self { exchange, reader: tokio::spawn(reader.run()).abort_handle() }
    }
}

impl Drop for BatchLink {
    fn drop(&mut self) {
        self.reader.abort();
        self.exchange.fail(CLOSED);
    }
}

/// Takes answers from the stream.
struct Reader {
    answers: Streaming<Batch>,
    late: LateWatch,
    exchange: Arc<Exchange<Batches>>,
    trouble: Trouble,
}

impl Reader {
    async fn run(mut self) {
        let cause = poll_fn(|cx| self.poll(cx)).await;
        self.exchange.fail(&cause);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            match Pin::new(&mut self.answers).poll_next(cx) {
                Poll::Ready(Some(Ok(batch))) => {
                    self.exchange.deliver(batch.messages.into_iter().map(|m| (m.id, m.wire)))
                }
                Poll::Ready(Some(Err(status))) => return Poll::Ready(self.trouble.explain(&status)),
                Poll::Ready(None) => return Poll::Ready("the other end ended the stream".to_owned()),
                Poll::Pending => break,
            }
        }
        self.late.poll(cx, &self.exchange);
        Poll::Pending
    }
}

/// One call for each question.
pub(crate) struct UnaryLink {
    client: DnsServiceClient<Channel>,
    calls: Semaphore,
    /// After this long an answer is late.
    pub(crate) patience: Duration,
    trouble: Trouble,
    lost: CancellationToken,
}

impl UnaryLink {
    fn new(channel: Channel, patience: Duration, trouble: Trouble, lost: CancellationToken) -> Self {
        Self { client: DnsServiceClient::new(channel), calls: Semaphore::new(MAX_CALLS), patience, trouble, lost }
    }

    pub(crate) async fn ask(&self, question: &[u8]) -> Result<Bytes, LinkError> {
        let _call = self.calls.try_acquire().map_err(|_| LinkError::Full)?;
        let packet = DnsPacket { msg: Bytes::copy_from_slice(question) };
        // A clone is a handle on the same connection.
        match self.client.clone().query(packet).await {
            Ok(response) => Ok(response.into_inner().msg),
            Err(status) if self.is_lost() || status.code() == Code::Unavailable => {
                Err(LinkError::Lost(self.trouble.explain(&status).into()))
            }
            Err(status) => Err(LinkError::Failed(self.trouble.explain(&status).into())),
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

/// A transport that tells what broke it, and when HTTP/2 has let go of it.
struct Watched<T> {
    inner: T,
    trouble: Trouble,
    _gone: DropGuard,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.trouble.note(outcome)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.trouble.note(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.trouble.note(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.trouble.note(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.trouble.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded() {
        let mut queue = Batches::default();
        for id in 0..1000 {
            queue.push(id, &[0; 128]);
        }
        assert_eq!(queue.octets(), 128_000);
        let batches = queue.into_batches();
        assert_eq!(batches.iter().map(|b| b.messages.len()).sum::<usize>(), 1000);
        assert_eq!(batches.len(), 4);
        assert!(batches.iter().all(|b| b.messages.len() <= MAX_BATCH / 128));
    }

    #[test]
    fn a_batch_holds_each_question_with_its_id() {
        let mut queue = Batches::default();
        // Of every length, one longer than a batch is wont to be.
        let lengths = [12, 300, 0, MAX_BATCH + 1, 17];
        for (id, len) in lengths.into_iter().enumerate() {
            queue.push(id as u16, &vec![id as u8; len]);
        }
        let messages: Vec<Message> = queue.into_batches().into_iter().flat_map(|b| b.messages).collect();
        assert_eq!(messages.len(), lengths.len());
        for (id, (message, len)) in messages.into_iter().zip(lengths).enumerate() {
            assert_eq!((message.id, message.wire), (id as u64, Bytes::from(vec![id as u8; len])));
        }
    }
}
