//! A verified connection as tonic takes it: it carries its peer, ends when its tenure is over, and
//! stays in the books until tonic lets go of it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use strait_resolve::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::delivery::due;
use super::{PING_INTERVAL, PING_TIMEOUT, Peer};
use crate::StreamLimits;
use crate::metrics::Closed;
use crate::peers::PeerConnection;

/// No octet for this long and the connection is closed. A live peer answers pings sooner; one that
/// never begins to speak HTTP/2 gets none.
const SILENCE: Duration = Duration::from_secs(PING_INTERVAL.as_secs() + PING_TIMEOUT.as_secs() + 5);

/// The stream under HTTP/2.
pub(crate) struct PeerStream<S = TlsStream<TcpStream>> {
    stream: S,
    peer: Peer,
    over: BoxFuture<'static, Closed>,
    silence: Pin<Box<Sleep>>,
    /// When to look for answers that the client lets wait, and how long it may.
    unread: Pin<Box<Sleep>>,
    patience: Duration,
    ended: bool,
    connection: PeerConnection,
}

impl<S> PeerStream<S> {
    /// The stream of `connection`, until `over`.
    pub(crate) fn new(
        stream: S,
        client: SocketAddr,
        connection: PeerConnection,
        over: BoxFuture<'static, Closed>,
        limits: &StreamLimits,
    ) -> Self {
        let peer = Peer::new(client, Arc::clone(connection.identity()), limits.max_in_flight);
        let silence = Box::pin(tokio::time::sleep(SILENCE));
        let patience = limits.write_timeout;
        let unread = Box::pin(tokio::time::sleep(patience));
        Self { stream, peer, over, silence, unread, patience, ended: false, connection }
    }

    /// An error once the tenure is over, or the client does not read its answers. The task that is polling is woken when that happens.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended
            && let Poll::Ready(closed) = self.over.as_mut().poll(cx)
        {
            self.end(closed);
        }
        while !self.ended && self.unread.as_mut().poll(cx).is_ready() {
            let due = due(self.peer.deliveries.oldest(), self.patience);
            match due <= Instant::now() {
                true => self.end(Closed::NotReading),
                false => self.unread.as_mut().reset(due),
            }
        }
        match self.ended {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    fn end(&mut self, closed: Closed) {
        self.ended = true;
        self.connection.set_reason(closed);
        tracing::debug!(client = %self.peer.client, reason = closed.as_str(), "connection closed");
    }
}

impl<S> Connected for PeerStream<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PeerStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
        } else if self.silence.as_mut().poll(cx).is_ready() {
            self.end(Closed::Idle);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PeerStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strait_resolve::Transport;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::ServeMetrics;
    use crate::testkit::{metrics, patient, peer_connection};

    struct Given {
        client: DuplexStream,
        server: PeerStream<DuplexStream>,
        cut: CancellationToken,
        metrics: Arc<ServeMetrics>,
    }

    fn given() -> Given {
        let (client, stream) = duplex(64);
        let (cut, metrics) = (CancellationToken::new(), metrics());
        let over = cut.clone().cancelled_owned();
        let over = Box::pin(async move {
            over.await;
            Closed::TrustRemoved
        });
        let address = "192.0.2.1:40000".parse().unwrap();
        let server = PeerStream::new(stream, address, peer_connection(&metrics), over, &patient());
        Given { client, server, cut, metrics }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_speaks_is_cut_off() {
        let Given { client, mut server, metrics, .. } = given();
        let began = Instant::now();
        let error = server.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), SILENCE.as_secs());
        drop((client, server));
        assert_eq!(metrics.closed_count(Transport::Grpc, Closed::Idle), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn every_octet_counts_as_a_sign_of_life() {
        let Given { mut client, mut server, .. } = given();
        for _ in 0..4 {
            tokio::time::sleep(SILENCE - Duration::from_secs(1)).await;
            client.write_u8(7).await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn the_end_of_the_tenure_wakes_a_reader_and_a_writer() {
        for writes in [false, true] {
            let Given { client, mut server, cut, metrics } = given();
            let blocked = tokio::spawn(async move {
                match writes {
                    true => server.write_all(&[0; 1000]).await.unwrap_err(),
                    false => server.read_u8().await.unwrap_err(),
                }
            });
            tokio::task::yield_now().await;
            assert!(!blocked.is_finished());
            cut.cancel();
            assert_eq!(blocked.await.unwrap().kind(), io::ErrorKind::ConnectionAborted);
            assert_eq!(metrics.closed_count(Transport::Grpc, Closed::TrustRemoved), 1);
            drop(client);
        }
    }
}
