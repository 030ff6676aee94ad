//! Peers: DNS over TLS and gRPC behind one accept loop with mutual TLS.
//!
//! A connection is counted as a handshake until its peer is verified, and as a connection from
//! then on; strangers never take the places of peers.

use std::net::SocketAddr;
use std::sync::Arc;

use strait_datagram::Sharing;
use strait_identity::{Alpn, Identity, Rejection, ServerTls, TrustStore};
use strait_resolve::{Origin, Respond, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{Open, next_connection};
use crate::bind::{BindError, tcp};
use crate::common::Common;
use crate::gate::Gate;
use crate::grpc::{GrpcServer, PeerStream};
use crate::handshake::{Handshaker, Verified};
use crate::handshakes::{Handshakes, Place};
use crate::limits::DRAIN_TIMEOUT;
use crate::metrics::{Closed, Refused};
use crate::questions::Questions;
use crate::rejections::RejectionLog;
use crate::{ServeMetrics, StreamLimits, stream, tenure};

/// Verified HTTP/2 connections on their way to the gRPC server.
const HTTP2_BACKLOG: usize = 64;

/// Is told of connections of peers.
pub trait ConnectionObserver: Send + Sync + 'static {
    /// A connection's identity has been verified.
    fn opened(&self, identity: &Identity);
    /// A connection told of by `opened` is gone.
    fn closed(&self, identity: &Identity);
    /// A handshake failed because of the certificate.
    fn rejected(&self, client: SocketAddr, rejection: &Rejection);
}

/// What peer listeners need.
pub struct PeerListenerSettings {
    /// The configuration for handshakes.
    pub tls: Arc<ServerTls>,
    /// The trust in force: a connection whose certificate it no longer believes is closed at once.
    pub trust: watch::Receiver<Arc<TrustStore>>,
    /// Bounds.
    pub limits: StreamLimits,
    /// Is told of connections.
    pub observer: Arc<dyn ConnectionObserver>,
    /// Further gRPC services. They find an `Arc<Identity>` in each request's extensions. Streams of
    /// theirs that are still open five seconds after `stop` are cut.
    pub services: tonic::service::Routes,
}

/// Bound sockets, not yet served.
pub struct PeerListeners {
    sockets: Vec<(SocketAddr, Alpn, TcpListener)>,
}

impl PeerListeners {
    /// Binds each address; a connection that offers no ALPN is taken for what `default` says.
    /// `dot` and `h2` are both served on every address.
    pub async fn bind(addresses: &[(SocketAddr, Alpn)]) -> Result<Self, BindError> {
        let bind_one = |&(address, alpn): &(SocketAddr, Alpn)| {
            let transport = transport_of(alpn).as_str();
            let listener = tcp(address, transport, Sharing::Alone)?;
            let bound = listener.local_addr().map_err(|source| BindError { address, transport, source, hint: "" })?;
            Ok((bound, alpn, listener))
        };
        Ok(Self { sockets: addresses.iter().map(bind_one).collect::<Result<_, _>>()? })
    }

    /// The addresses bound.
    pub fn addresses(&self) -> Vec<(SocketAddr, Alpn)> {
        self.sockets.iter().map(|(address, alpn, _)| (*address, *alpn)).collect()
    }

    /// Serves until `stop`, then finishes what is in work and returns. Dropping the future stops it too.
    pub async fn serve(
        self,
        respond: Arc<dyn Respond>,
        settings: PeerListenerSettings,
        metrics: Arc<ServeMetrics>,
        stop: CancellationToken,
    ) {
        let PeerListenerSettings { tls, trust, limits, observer, services } = settings;
        let stop = stop.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let abort = CancellationToken::new();
        let _abort_when_dropped = abort.clone().drop_guard();

        let (http2, incoming) = mpsc::channel(HTTP2_BACKLOG);
        let common = Common::new();
        let grpc = GrpcServer {
            respond: Arc::clone(&respond),
            limits: limits.clone(),
            common: Arc::clone(&common),
            stop: stop.clone(),
        };
        let mut loops = JoinSet::new();
        loops.spawn(grpc.serve(incoming, services));

        let log = RejectionLog::default();
        let handshaker = Handshaker { tls, limits, metrics, observer, log };
        let (stopping, aborting) = (stop.clone(), abort.clone());
        let shared = Shared { handshaker, respond, trust, http2, common, stop: stopping, abort: aborting };
        let shared = Arc::new(shared);
        for (_, default, listener) in self.sockets {
            loops.spawn(accept_peers(listener, default, Arc::clone(&shared)));
        }
        drop(shared);

        stop.cancelled().await;
        let finished = async { while loops.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, finished).await.is_err() {
            abort.cancel();
            while loops.join_next().await.is_some() {}
        }
    }
}

fn transport_of(alpn: Alpn) -> Transport {
    match alpn {
        Alpn::Dot => Transport::Dot,
        Alpn::H2 => Transport::Grpc,
    }
}

/// What every connection of every address needs.
struct Shared {
    handshaker: Handshaker,
    respond: Arc<dyn Respond>,
    trust: watch::Receiver<Arc<TrustStore>>,
    http2: mpsc::Sender<PeerStream>,
    common: Arc<Common>,
    stop: CancellationToken,
    abort: CancellationToken,
}

/// Accepts on one address until `stop`, then waits for its connections.
async fn accept_peers(listener: TcpListener, default: Alpn, shared: Arc<Shared>) {
    let Handshaker { metrics, limits, .. } = &shared.handshaker;
    let handshakes = Handshakes::new(limits.max_handshakes);
    let connections = Gate::new(limits.max_connections);
    let tasks = TaskTracker::new();
    let transport = transport_of(default);
    let next = || next_connection(&listener, transport, metrics, &shared.common, &shared.stop);
    while let Some((tcp, client)) = next().await {
        let handshake = handshakes.enter(client.ip());
        let shared = Arc::clone(&shared);
        let connections = Arc::clone(&connections);
        tasks.spawn(async move { shared.serve_peer(tcp, client, default, handshake, &connections).await });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

impl Shared {
    async fn serve_peer(
        &self,
        tcp: TcpStream,
        client: SocketAddr,
        default: Alpn,
        handshake: Place,
        connections: &Arc<Gate>,
    ) {
        let verified = tokio::select! {
            biased;
            () = self.stop.cancelled() => return,
            () = handshake.given_up() => {
                return self.handshaker.metrics.transport(transport_of(default)).refused(Refused::Handshakes);
            }
            verified = self.handshaker.shake(tcp, client, default) => verified,
        };
        let Some(Verified { stream, identity, certificates, alpn }) = verified else { return };
        handshake.verified();
        let transport = transport_of(alpn);
        let metrics = &self.handshaker.metrics;
        let pass = match connections.enter(client.ip()) {
            Ok(pass) => pass,
            Err(full) => return metrics.transport(transport).refused(full.into()),
        };
        tracing::debug!(%client, identity = %identity.id, %transport, "peer connected");
        let mut connection = PeerConnection::new(
            Open::new(transport, metrics, pass),
            Arc::clone(&identity),
            Arc::clone(&self.handshaker.observer),
        );
        // The trust may have changed since the handshake began; this looks at what is in force now.
        let over = tenure::over(Arc::clone(&identity), certificates, self.trust.clone(), self.abort.clone());
        let limits = &self.handshaker.limits;
        match alpn {
            Alpn::Dot => {
                let keepalive = Some(limits.keepalive());
                let origin = Origin { identity: Some(identity), keepalive, ..Origin::new(client, transport) };
                let questions = Questions::new(Arc::clone(&self.respond), origin, limits.max_in_flight);
                let closed = tokio::select! {
                    biased;
                    closed = over => closed,
                    closed = stream::serve(stream, questions, self.common.share(), limits, &self.stop) => closed,
                };
                connection.set_reason(closed);
            }
            Alpn::H2 => {
                let stream = PeerStream::new(stream, client, connection, Box::pin(over), limits);
                // An error means that the gRPC server has stopped; the connection ends with it.
                let _ = self.http2.send(stream).await;
            }
        }
    }
}

/// A verified peer's connection in the books, the observer's included, from its opening to its end.
pub(crate) struct PeerConnection {
    open: Open,
    identity: Arc<Identity>,
    observer: Arc<dyn ConnectionObserver>,
}

impl PeerConnection {
    pub(crate) fn new(open: Open, identity: Arc<Identity>, observer: Arc<dyn ConnectionObserver>) -> Self {
        observer.opened(&identity);
        Self { open, identity, observer }
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Why it ends, if not because the client closed it.
    pub(crate) fn set_reason(&mut self, closed: Closed) {
        self.open.set_reason(closed);
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        self.observer.closed(&self.identity);
    }
}

#[cfg(test)]
mod tests;
