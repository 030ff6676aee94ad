//! Trust anchors: single CA certificates in the form that chains are verified with (RFC 5280 section 6).

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::BundleError;
use crate::certificate::Facts;
use crate::tls::provider;
use crate::verify::Presenter;

/// One CA of a bundle, ready to verify with. Each stands alone, so that of two CAs with one subject the
/// right one is found, and one that has ended vouches no more.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    trust_domain: Option<String>,
    not_before: i64,
    not_after: i64,
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Anchor {
    /// Reads the certificate at `position` of a bundle.
    pub(crate) fn new(certificate: &CertificateDer<'static>, position: usize) -> Result<Self, BundleError> {
        let malformed = |detail: String| BundleError::Malformed { position, detail };
        let facts = Facts::read(certificate).map_err(malformed)?;
        if !facts.is_authority {
            return Err(BundleError::NotAuthority { position, subject: facts.subject });
        }
        let trust_domain = match facts.uris.as_slice() {
            [] => None,
            [uri] => uri.strip_prefix("spiffe://").map(|rest| rest.split('/').next().unwrap_or(rest).to_owned()),
            more => return Err(malformed(format!("{} URI SANs, at most one is allowed", more.len()))),
        };
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).map_err(|error| malformed(error.to_string()))?;
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Self { trust_domain, not_before: facts.not_before, not_after: facts.not_after, roots, clients })
    }

    /// What its URI SAN says, not yet checked to be a trust domain.
    pub(crate) fn claimed_trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }

    /// When it ends, seconds since 1970-01-01 UTC.
    pub(crate) fn not_after(&self) -> i64 {
        self.not_after
    }

    /// webpki does not look at the dates of a trust anchor.
    pub(crate) fn is_in_force(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).is_ok_and(|now| (self.not_before..=self.not_after).contains(&now))
    }

    /// Checks signatures, dates below the anchor, and the extended key usage.
    pub(crate) fn verify(
        &self,
        presenter: Presenter,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        match presenter {
            Presenter::Client => self.clients.verify_client_cert(leaf, intermediates, now).map(|_| ()),
            Presenter::Server => verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(leaf)?,
                &self.roots,
                intermediates,
                now,
                provider().signature_verification_algorithms.all,
            ),
        }
    }
}
