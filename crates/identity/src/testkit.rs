//! Certificates as nobody should issue them, and handshakes in memory.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, SignatureScheme};
use rustls_pki_types::ServerName;

use crate::tls::provider;
use crate::{CertificateAuthority, Credentials, LeafRequest, TrustBundle, TrustStore, pem_text};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn authority(trust_domain: &str) -> CertificateAuthority {
    CertificateAuthority::create(&trust_domain.parse().unwrap(), 30 * DAY).unwrap()
}

/// An authority that ended an hour ago, with the subject, name and form of a proper one.
pub(crate) fn expired_authority(trust_domain: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
    params.not_before = time::OffsetDateTime::now_utc() - 30 * DAY;
    params.not_after = time::OffsetDateTime::now_utc() - Duration::from_secs(3600);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(crate) fn bundle(authority: &CertificateAuthority) -> TrustBundle {
    TrustBundle::from_pem(authority.certificate_pem(), None).unwrap()
}

pub(crate) fn trust<const N: usize>(authorities: [&CertificateAuthority; N]) -> Arc<TrustStore> {
    Arc::new(TrustStore::new(authorities.map(bundle)))
}

pub(crate) fn leaf_request(id: &str) -> LeafRequest {
    LeafRequest { id: id.parse().unwrap(), dns_names: vec![], addresses: vec![], lifetime: DAY }
}

/// Credentials as `gatewayctl pki issue` makes them, through files.
pub(crate) fn credentials(authority: &CertificateAuthority, id: &str) -> Credentials {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let issued = authority.issue(&leaf_request(id)).unwrap();
    std::fs::write(&certificate, issued.certificate_pem).unwrap();
    std::fs::write(&key, issued.key_pem).unwrap();
    Credentials::load(&certificate, &key).unwrap()
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

/// A leaf that says what `shape` makes it say, PEM certificate and key.
pub(crate) fn forge_pem(
    ca_pem: &str,
    ca_key: &str,
    uris: &[&str],
    shape: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let issuer = Issuer::from_ca_cert_pem(ca_pem, KeyPair::from_pem(ca_key).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|text| uri(text)).collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = time::OffsetDateTime::now_utc() - DAY;
    params.not_after = time::OffsetDateTime::now_utc() + DAY;
    shape(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}

pub(crate) fn certified(certificate: &str, key: &str) -> Arc<CertifiedKey> {
    let chain = pem_text::certificates(certificate).unwrap();
    let key = provider().key_provider.load_private_key(pem_text::private_key(key).unwrap().unwrap()).unwrap();
    Arc::new(CertifiedKey::new(chain, key))
}

pub(crate) fn forge(
    authority: &CertificateAuthority,
    uris: &[&str],
    shape: impl FnOnce(&mut CertificateParams),
) -> Arc<CertifiedKey> {
    let (certificate, key) = forge_pem(authority.certificate_pem(), authority.key_pem(), uris, shape);
    certified(&certificate, &key)
}

/// Presents one certificate, whatever it is, or none.
#[derive(Debug, Clone)]
pub(crate) struct Presents(pub(crate) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

impl ResolvesServerCert for Presents {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// Both ends of a handshake: the connection, or the error as tokio-rustls reports it.
pub(crate) struct Handshake {
    pub(crate) server: io::Result<ServerConnection>,
    pub(crate) client: io::Result<ClientConnection>,
}

pub(crate) fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Handshake {
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let name = ServerName::try_from("gateway.test").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let (mut server_error, mut client_error) = (None, None);
    while client.wants_write() || server.wants_write() {
        client_error = client_error.or(transfer(&mut server, &mut client));
        server_error = server_error.or(transfer(&mut client, &mut server));
    }
    Handshake { server: server_error.map_or(Ok(server), Err), client: client_error.map_or(Ok(client), Err) }
}

/// Carries what one end has to say to the other; the error is the other's.
fn transfer<A, B>(
    from: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<A>>,
    to: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<B>>,
) -> Option<io::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match to.read_tls(&mut rest) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if let Err(error) = to.process_new_packets() {
            return Some(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    None
}
