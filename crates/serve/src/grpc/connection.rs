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
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::{PING_INTERVAL, PING_TIMEOUT, Peer};
use crate::metrics::Closed;
use crate::peers::PeerConnection;

/// No octet for this long and the connection is closed. A live peer answers pings sooner; one that
/// never begins to speak HTTP/2 gets none.
const SILENCE: Duration = Duration::from_secs(PING_INTERVAL.as_secs() + PING_TIMEOUT.as_secs() + 5);

/// The stream under HTTP/2.
pub(crate) struct PeerStream {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    over: BoxFuture<'static, Closed>,
    silence: Pin<Box<Sleep>>,
    ended: bool,
    connection: PeerConnection,
}

impl PeerStream {
    /// The stream of `connection`, until `over`.
    pub(crate) fn new(
        stream: TlsStream<TcpStream>,
        client: SocketAddr,
        connection: PeerConnection,
        over: BoxFuture<'static, Closed>,
        max_in_flight: usize,
    ) -> Self {
        let identity = Arc::clone(connection.identity());
        let peer = Peer { client, identity, room: Arc::new(Semaphore::new(max_in_flight)) };
        let silence = Box::pin(tokio::time::sleep(SILENCE));
        Self { stream, peer, over, silence, ended: false, connection }
    }

    /// An error once the tenure is over. The task that is polling is woken when that happens.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended
            && let Poll::Ready(closed) = self.over.as_mut().poll(cx)
        {
            self.end(closed);
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

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
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

impl AsyncWrite for PeerStream {
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
