//! Trust bundles: the CA certificates of one trust domain each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::TrustDomain;

/// The CA certificates that vouch for one trust domain, and for no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file or text is not a trust bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Helpers extend this with precise variants (file, what is wrong, what to do).
    #[error("{0}")]
    Invalid(String),
}

impl TrustBundle {
    /// Reads PEM text. With `trust_domain` none, it is taken from the certificates' `spiffe://<trust domain>` URI SAN,
    /// on which all of them must agree. Refuses: no certificate, a leaf (not a CA), an expired CA, another trust domain's SAN.
    pub fn from_pem(pem: &str, trust_domain: Option<TrustDomain>) -> Result<Self, BundleError> {
        let _ = (pem, trust_domain);
        unimplemented!()
    }

    /// Reads a PEM file; errors name the file.
    pub fn from_file(path: &Path, trust_domain: Option<TrustDomain>) -> Result<Self, BundleError> {
        let _ = (path, trust_domain);
        unimplemented!()
    }

    /// The trust domain it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The CA certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The certificates as PEM text.
    pub fn to_pem(&self) -> String {
        unimplemented!()
    }
}

/// The bundles believed now, one per trust domain. Immutable; a change makes a new store.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    bundles: HashMap<TrustDomain, Arc<TrustBundle>>,
}

impl TrustStore {
    /// A store of these bundles; two for one trust domain are joined.
    pub fn new(bundles: impl IntoIterator<Item = TrustBundle>) -> Self {
        let _ = bundles;
        unimplemented!()
    }

    /// The bundle of a trust domain.
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.bundles.get(trust_domain)
    }
}
