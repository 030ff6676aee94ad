//! TLS configurations: 1.3 only between clusters, both ends authenticated by SPIFFE identity.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};

use crate::{Credentials, Identity, Role, TrustDomain, TrustStore};

/// The protocols a peer listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// DNS over TLS (RFC 7858), `dot`.
    Dot,
    /// HTTP/2 for gRPC, `h2`.
    H2,
}

impl Alpn {
    /// The protocol identifier.
    pub const fn id(self) -> &'static [u8] {
        match self {
            Self::Dot => b"dot",
            Self::H2 => b"h2",
        }
    }
}

/// Who must stand at the other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerExpectation {
    /// Its trust domain.
    pub trust_domain: TrustDomain,
    /// Its role; a peer's endpoints are gateways.
    pub role: Role,
}

/// The server configuration in force, replaced as a whole on every change of trust, so that no
/// session of the old trust can be resumed.
pub struct ServerTls {
    config: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Starts with this configuration.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config: ArcSwap::new(config) }
    }

    /// The configuration for the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Puts another in force.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.config.store(config);
    }
}

/// A server configuration: TLS 1.3, client certificate required, verified by SPIFFE identity against
/// `trust` (each bundle for its own trust domain only), ALPN `dot` and `h2`, no early data.
pub fn server_config(credentials: &Credentials, trust: Arc<TrustStore>) -> Arc<ServerConfig> {
    let _ = (credentials, trust);
    unimplemented!()
}

/// A client configuration for links: TLS 1.3, our certificate, the server verified against `trust` and `expected`.
pub fn client_config(
    credentials: &Credentials,
    trust: Arc<TrustStore>,
    expected: PeerExpectation,
    alpn: Alpn,
) -> Arc<ClientConfig> {
    let _ = (credentials, trust, expected, alpn);
    unimplemented!()
}

/// A client configuration for DNS-over-TLS upstreams: strict (RFC 8310), name checked against public
/// roots or against the CAs of `ca` (PEM text); no client certificate.
pub fn public_client_config(ca: Option<&str>) -> Result<Arc<ClientConfig>, crate::BundleError> {
    let _ = ca;
    unimplemented!()
}

/// The identity behind a finished handshake, from the certificates rustls holds.
pub fn identity_of(
    certificates: Option<&[rustls_pki_types::CertificateDer<'_>]>,
) -> Result<Identity, crate::Rejection> {
    let _ = certificates;
    unimplemented!()
}
