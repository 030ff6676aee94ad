//! Peers: DNS over TLS and gRPC behind one accept loop with mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use strait_identity::{Alpn, Identity, Rejection, ServerTls, TrustStore};
use strait_resolve::Respond;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{BindError, ServeMetrics, StreamLimits};

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
    /// The trust in force: a connection whose trust domain is no longer in it is closed within a second.
    pub trust: watch::Receiver<Arc<TrustStore>>,
    /// Bounds.
    pub limits: StreamLimits,
    /// Is told of connections.
    pub observer: Arc<dyn ConnectionObserver>,
    /// Further gRPC services. They find an `Arc<Identity>` in each request's extensions.
    pub services: tonic::service::Routes,
}

/// Bound sockets, not yet served.
pub struct PeerListeners {
    _private: (),
}

impl PeerListeners {
    /// Binds each address; a connection that offers no ALPN is taken for what `default` says.
    /// `dot` and `h2` are both served on every address.
    pub async fn bind(addresses: &[(SocketAddr, Alpn)]) -> Result<Self, BindError> {
        let _ = addresses;
        Ok(Self { _private: () })
    }

    /// The addresses bound.
    pub fn addresses(&self) -> Vec<(SocketAddr, Alpn)> {
        unimplemented!()
    }

    /// Serves until `stop`, then finishes what is in work and returns.
    pub async fn serve(
        self,
        respond: Arc<dyn Respond>,
        settings: PeerListenerSettings,
        metrics: Arc<ServeMetrics>,
        stop: CancellationToken,
    ) {
        let _ = (respond, settings, metrics, stop);
        unimplemented!()
    }
}
