//! TLS configurations: 1.3 only between clusters, both ends authenticated by SPIFFE identity.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{
    ALL_VERSIONS, ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion, WantsVerifier,
    WantsVersions,
};
use rustls_pki_types::CertificateDer;

use crate::certificate::claimed_identity;
use crate::verify::PeerVerifier;
use crate::{BundleError, Credentials, Identity, Rejection, Role, SpiffeId, TrustDomain, TrustStore, pem_text};

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
///
/// No session is resumed: rustls does not look at the certificate again on resumption, so a ticket
/// would outlive the trust it was given under. Links live long; a full handshake each costs nothing.
pub fn server_config(credentials: &Credentials, trust: Arc<TrustStore>) -> Arc<ServerConfig> {
    let verifier = PeerVerifier::of_clients(trust, provider());
    let mut config = tls13(ServerConfig::builder_with_provider(provider()))
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(credentials.clone()));
    config.alpn_protocols = vec![Alpn::Dot.id().to_vec(), Alpn::H2.id().to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// A client configuration for links: TLS 1.3, our certificate, the server verified against `trust` and `expected`.
pub fn client_config(
    credentials: &Credentials,
    trust: Arc<TrustStore>,
    expected: PeerExpectation,
    alpn: Alpn,
) -> Arc<ClientConfig> {
    let expected = SpiffeId { trust_domain: expected.trust_domain, role: expected.role };
    let verifier = PeerVerifier::of_server(trust, expected, provider());
    let mut config = tls13(ClientConfig::builder_with_provider(provider()))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(credentials.clone()));
    config.alpn_protocols = vec![alpn.id().to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Arc::new(config)
}

/// A client configuration for DNS-over-TLS upstreams: strict (RFC 8310), name checked against public
/// roots or against the CAs of `ca` (PEM text); no client certificate. TLS 1.2 is still spoken: these
/// servers are other people's.
pub fn public_client_config(ca: Option<&str>) -> Result<Arc<ClientConfig>, BundleError> {
    let roots = match ca {
        Some(pem) => private_roots(pem)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let mut config = versions(ClientConfig::builder_with_provider(provider()), ALL_VERSIONS)
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![Alpn::Dot.id().to_vec()];
    Ok(Arc::new(config))
}

/// The CAs of an upstream. They are nobody's trust domain, so nothing but their form is checked.
fn private_roots(pem: &str) -> Result<RootCertStore, BundleError> {
    let certificates = pem_text::certificates(pem).map_err(BundleError::Pem)?;
    if certificates.is_empty() {
        return Err(BundleError::NoCertificate);
    }
    let mut roots = RootCertStore::empty();
    for (position, certificate) in (1..).zip(certificates) {
        roots.add(certificate).map_err(|error| BundleError::Malformed { position, detail: error.to_string() })?;
    }
    Ok(roots)
}

/// The identity behind a finished handshake, from the certificates rustls holds.
pub fn identity_of(certificates: Option<&[CertificateDer<'_>]>) -> Result<Identity, Rejection> {
    let leaf = certificates.and_then(<[_]>::first).ok_or(Rejection::NoCertificate)?;
    claimed_identity(leaf).map(|(identity, _)| identity)
}

/// The one TLS provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

fn tls13<Side: rustls::ConfigSide>(builder: ConfigBuilder<Side, WantsVersions>) -> ConfigBuilder<Side, WantsVerifier> {
    versions(builder, &[&TLS13])
}

#[expect(clippy::expect_used, reason = "fails only for a provider without cipher suites of a version; ring has both")]
fn versions<Side: rustls::ConfigSide>(
    builder: ConfigBuilder<Side, WantsVersions>,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<Side, WantsVerifier> {
    builder.with_protocol_versions(versions).expect("ring has cipher suites of TLS 1.2 and 1.3")
}

#[cfg(test)]
mod tests;
