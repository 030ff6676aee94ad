//! From an accepted TCP connection to a verified peer, or to the reason why not.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use strait_identity::{Alpn, Identity, Rejection, ServerTls, identity_of, rejection_of};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::peers::ConnectionObserver;
use crate::questions::within;
use crate::rejections::RejectionLog;
use crate::{ServeMetrics, StreamLimits};

/// A connection whose other end is known.
pub(crate) struct Verified {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) identity: Arc<Identity>,
    /// What it showed, leaf first.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) alpn: Alpn,
}

/// Why a handshake led to nothing.
#[derive(Debug)]
enum Failure {
    /// The certificate was not believed.
    Rejected(Rejection),
    /// The client does not believe our certificate, or does not like our parameters.
    RefusedByClient(io::Error),
    /// What came is not the TLS we speak.
    Tls(io::Error),
    /// The network failed.
    Network(io::Error),
    /// It took too long.
    Timeout,
}

/// Makes handshakes and tells of those that fail.
pub(crate) struct Handshaker {
    pub(crate) tls: Arc<ServerTls>,
    pub(crate) limits: StreamLimits,
    pub(crate) metrics: Arc<ServeMetrics>,
    pub(crate) observer: Arc<dyn ConnectionObserver>,
    pub(crate) log: RejectionLog,
}

impl Handshaker {
    /// The verified peer; none when the handshake failed, which has been told then.
    pub(crate) async fn shake(&self, tcp: TcpStream, client: SocketAddr, default: Alpn) -> Option<Verified> {
        let handshake = handshake(tcp, &self.tls, default);
        let failure = match within(self.limits.handshake_timeout, handshake).await {
            Some(Ok(verified)) => return Some(verified),
            Some(Err(failure)) => failure,
            None => Failure::Timeout,
        };
        self.tell(client, &failure);
        None
    }

    fn tell(&self, client: SocketAddr, failure: &Failure) {
        self.metrics.handshake_failed(failure.reason());
        match failure {
            Failure::Rejected(rejection) => {
                self.observer.rejected(client, rejection);
                self.log.tell(client, rejection);
            }
            Failure::RefusedByClient(error) | Failure::Tls(error) | Failure::Network(error) => {
                tracing::debug!(%client, reason = failure.reason(), %error, "handshake failed");
            }
            Failure::Timeout => tracing::debug!(%client, reason = failure.reason(), "handshake failed"),
        }
    }
}

impl Failure {
    fn reason(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.reason(),
            Self::RefusedByClient(_) => "refused_by_client",
            Self::Tls(_) => "tls",
            Self::Network(_) => "network",
            Self::Timeout => "timeout",
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if let Some(rejection) = rejection_of(&error) {
            return Self::Rejected(rejection);
        }
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::AlertReceived(_)) => Self::RefusedByClient(error),
            Some(_) => Self::Tls(error),
            None => Self::Network(error),
        }
    }
}

async fn handshake(tcp: TcpStream, tls: &ServerTls, default: Alpn) -> Result<Verified, Failure> {
    let stream = TlsAcceptor::from(tls.current()).accept(tcp).await?;
    let session = stream.get_ref().1;
    let certificates = session.peer_certificates().unwrap_or_default().to_vec();
    let identity = identity_of(Some(&certificates)).map_err(Failure::Rejected)?;
    // rustls has settled on one of ours, or the client offered none.
    let alpn = match session.alpn_protocol() {
        Some(chosen) if chosen == Alpn::Dot.id() => Alpn::Dot,
        Some(chosen) if chosen == Alpn::H2.id() => Alpn::H2,
        Some(_) => return Err(Failure::Rejected(Rejection::NoCommonProtocol)),
        None => default,
    };
    Ok(Verified { stream, identity: Arc::new(identity), certificates, alpn })
}
