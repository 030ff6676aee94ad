//! The one place where a certificate is believed or refused.
//!
//! The leaf's SPIFFE ID chooses the bundle, and only that bundle's CAs can vouch for it: the CA of one
//! cluster can never speak for another. Host names are not identity and are not looked at.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::bundle::TrustBundle;
use crate::certificate::{Facts, claimed_identity};
use crate::{Identity, Rejection, SpiffeId, TrustStore};

/// Intermediate certificates accepted in one chain; more would buy a stranger signature checks.
const MAX_INTERMEDIATES: usize = 4;

/// Which end presents the certificate, and so which extended key usage it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presenter {
    Client,
    Server,
}

impl Presenter {
    fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Decides on one chain: who it is, or why it is nobody.
fn judge(
    trust: &TrustStore,
    presenter: Presenter,
    expected: Option<&SpiffeId>,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Identity, Rejection> {
    let (identity, facts) = claimed_identity(leaf)?;
    let presented = identity.id.clone();
    if let Some(expected) = expected.filter(|expected| **expected != presented) {
        return Err(Rejection::OtherName { presented, expected: expected.clone() });
    }
    if intermediates.len() > MAX_INTERMEDIATES {
        let detail = format!("{} intermediate certificates, at most {MAX_INTERMEDIATES} are", intermediates.len());
        return Err(Rejection::Invalid { presented, detail });
    }
    let Some(bundle) = trust.get(&presented.trust_domain) else {
        return Err(Rejection::UnknownTrustDomain { presented });
    };
    match vouched(bundle, presenter, leaf, intermediates, now) {
        Ok(()) => Ok(identity),
        Err(Doubt::Stranger) => Err(name_signer(trust, presenter, presented, leaf, intermediates, now)),
        Err(Doubt::AuthorityExpired(not_after)) => Err(Rejection::AuthorityExpired { presented, not_after }),
        Err(Doubt::Other(error)) => Err(explain(error, presenter, presented, &facts)),
    }
}

impl TrustStore {
    /// Judges again a client whose handshake was verified under another trust: whether its certificates,
    /// leaf first, would be believed now.
    pub fn still_believes(&self, certificates: &[CertificateDer<'_>]) -> Result<Identity, Rejection> {
        let (leaf, intermediates) = certificates.split_first().ok_or(Rejection::NoCertificate)?;
        judge(self, Presenter::Client, None, leaf, intermediates, UnixTime::now())
    }
}

/// Why a bundle does not vouch for a chain.
enum Doubt {
    /// None of its CAs signed it.
    Stranger,
    /// A CA that ended at this moment signed it.
    AuthorityExpired(i64),
    /// One did, or it cannot be said, and something else is wrong.
    Other(CertificateError),
}

fn vouched(
    bundle: &TrustBundle,
    presenter: Presenter,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Doubt> {
    let mut doubt = Doubt::Stranger;
    for anchor in bundle.anchors() {
        match anchor.verify(presenter, leaf, intermediates, now) {
            Ok(()) if anchor.is_in_force(now) => return Ok(()),
            Ok(()) => doubt = Doubt::AuthorityExpired(anchor.not_after()),
            // Another CA with this one's subject fails by signature: as unknown as any.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => {}
            Err(rustls::Error::InvalidCertificate(error)) => doubt = Doubt::Other(error),
            Err(error) => doubt = Doubt::Other(CertificateError::Other(rustls::OtherError(Arc::new(error)))),
        }
    }
    Err(doubt)
}

/// Its own bundle's CAs did not sign: says whether those of another trust domain did.
fn name_signer(
    trust: &TrustStore,
    presenter: Presenter,
    presented: SpiffeId,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Rejection {
    let signer = trust
        .bundles()
        .filter(|bundle| *bundle.trust_domain() != presented.trust_domain)
        .find(|bundle| vouched(bundle, presenter, leaf, intermediates, now).is_ok());
    match signer {
        Some(bundle) => Rejection::WrongTrustDomain { presented, signer: bundle.trust_domain().clone() },
        None => Rejection::UnknownCa { presented },
    }
}

fn explain(error: CertificateError, presenter: Presenter, presented: SpiffeId, facts: &Facts) -> Rejection {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Rejection::Expired { presented, not_after: facts.not_after }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Rejection::NotYetValid { presented, not_before: facts.not_before }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Rejection::Usage { presented, needed: presenter.word() }
        }
        other => Rejection::Invalid { presented, detail: other.to_string() },
    }
}

/// Believes the other end of a handshake: of clients, any identity whose trust domain is in the store; of
/// servers, exactly the one that was dialled.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    trust: Arc<TrustStore>,
    expected: Option<SpiffeId>,
    provider: Arc<CryptoProvider>,
}

impl PeerVerifier {
    /// For a server: whoever comes with an identity.
    pub(crate) fn of_clients(trust: Arc<TrustStore>, provider: Arc<CryptoProvider>) -> Self {
        Self { trust, expected: None, provider }
    }

    /// For a client: this server and no other.
    pub(crate) fn of_server(trust: Arc<TrustStore>, expected: SpiffeId, provider: Arc<CryptoProvider>) -> Self {
        Self { trust, expected: Some(expected), provider }
    }

    fn judge(
        &self,
        presenter: Presenter,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Identity, rustls::Error> {
        judge(&self.trust, presenter, self.expected.as_ref(), leaf, intermediates, now).map_err(Rejection::into_tls)
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The configurations offer TLS 1.3 alone; were 1.2 ever negotiated, it stops here.
fn refuse_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
}

impl ClientCertVerifier for PeerVerifier {
    /// None: naming our CAs to whoever connects would tell strangers who our peers are.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(Presenter::Client, leaf, intermediates, now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(Presenter::Server, leaf, intermediates, now).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refuse_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
