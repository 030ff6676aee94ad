//! Trust bundles: the CA certificates of one trust domain each.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::TrustDomain;
use crate::anchor::Anchor;
use crate::certificate::{moment, now};
use crate::pem_text;

/// CA certificates in one bundle. Two are usual while a CA is replaced; far more is a mistake, such as
/// the public roots, and would make every handshake try them all.
pub const MAX_BUNDLE_CERTIFICATES: usize = 16;

/// The CA certificates that vouch for one trust domain, and for no other.
#[derive(Debug, Clone)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    certificates: Vec<CertificateDer<'static>>,
    anchors: Arc<[Anchor]>,
}

/// Why a file or text is not a trust bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the file says is not a bundle.
    #[error("{}: {source}", file.display())]
    InFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<BundleError>,
    },
    /// The PEM text is damaged.
    #[error("damaged PEM text: {0}; copy the ca.crt again")]
    Pem(String),
    /// It has no certificate.
    #[error("no certificate in it; the ca.crt of the cluster is needed (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// It has a private key, which nobody may be given.
    #[error("a private key is in it; give the CA certificate (ca.crt) alone, and keep the key at home")]
    PrivateKey,
    /// It has more certificates than a trust domain needs.
    #[error(
        "{0} certificates in it, at most {MAX_BUNDLE_CERTIFICATES} are accepted; keep the CAs of this trust domain only"
    )]
    TooMany(usize),
    /// A certificate cannot be read.
    #[error("certificate {position} is malformed: {detail}; copy the ca.crt again")]
    Malformed {
        /// Which, from 1.
        position: usize,
        /// What is wrong.
        detail: String,
    },
    /// A certificate is a leaf.
    #[error("certificate {position} ({subject}) is not a CA; give the cluster's ca.crt, not a leaf such as tls.crt")]
    NotAuthority {
        /// Which, from 1.
        position: usize,
        /// Its subject.
        subject: String,
    },
    /// Nothing in it counts any more.
    #[error("every CA in it has expired, the last one at {}; get the new ca.crt of that cluster", moment(*.not_after))]
    Expired {
        /// When the last one ended, seconds since 1970-01-01 UTC.
        not_after: i64,
    },
    /// A certificate names another trust domain.
    #[error(
        "certificate {position} is the CA of {claimed}, but {expected} is wanted; a bundle holds the CAs of one trust domain"
    )]
    OtherTrustDomain {
        /// Which, from 1.
        position: usize,
        /// What its URI SAN says.
        claimed: String,
        /// What was asked for, or what the certificates before it say.
        expected: TrustDomain,
    },
    /// Nobody says which trust domain it is.
    #[error(
        "no certificate in it names a trust domain (URI SAN spiffe://<trust domain>); say which: --trust-domain on the command line, trustDomain in a file"
    )]
    NoTrustDomain,
}

impl TrustBundle {
    /// Reads PEM text. With `trust_domain` none, it is taken from the certificates' `spiffe://<trust domain>` URI SAN,
    /// on which all of them must agree. Refuses: no certificate, a leaf (not a CA), nothing but expired CAs (one may
    /// linger while its successor is here), another trust domain's SAN, a private key.
    pub fn from_pem(pem: &str, trust_domain: Option<TrustDomain>) -> Result<Self, BundleError> {
        let bundle = Self::from_known_pem(pem, trust_domain)?;
        match bundle.not_after() {
            not_after if not_after < now() => Err(BundleError::Expired { not_after }),
            _ => Ok(bundle),
        }
    }

    /// Reads PEM text that was accepted before, by the same rules but one: all its CAs may have expired since. Such a
    /// bundle vouches for nobody, and must not keep a stored set of peers from being read.
    pub fn from_known_pem(pem: &str, trust_domain: Option<TrustDomain>) -> Result<Self, BundleError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(BundleError::PrivateKey);
        }
        let certificates = pem_text::certificates(pem).map_err(BundleError::Pem)?;
        match certificates.len() {
            0 => return Err(BundleError::NoCertificate),
            many if many > MAX_BUNDLE_CERTIFICATES => return Err(BundleError::TooMany(many)),
            _ => {}
        }
        let mut agreed = trust_domain;
        let mut anchors = Vec::with_capacity(certificates.len());
        for (position, certificate) in (1..).zip(&certificates) {
            let anchor = Anchor::new(certificate, position)?;
            if let Some(claimed) = anchor.claimed_trust_domain() {
                agree(&mut agreed, claimed, position)?;
            }
            anchors.push(anchor);
        }
        let trust_domain = agreed.ok_or(BundleError::NoTrustDomain)?;
        Ok(Self { trust_domain, certificates, anchors: anchors.into() })
    }

    /// When the last of its CAs ends, seconds since 1970-01-01 UTC: from then on it vouches for nobody.
    pub fn not_after(&self) -> i64 {
        self.anchors.iter().map(Anchor::not_after).max().unwrap_or(i64::MIN)
    }

    /// Reads a PEM file; errors name the file.
    pub fn from_file(path: &Path, trust_domain: Option<TrustDomain>) -> Result<Self, BundleError> {
        let pem = std::fs::read_to_string(path)
            .map_err(|source| BundleError::Unreadable { file: path.to_owned(), source })?;
        Self::from_pem(&pem, trust_domain)
            .map_err(|source| BundleError::InFile { file: path.to_owned(), source: Box::new(source) })
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
        self.certificates.iter().map(pem_text::encode).collect()
    }

    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// This bundle with the certificates of `other` that it lacks.
    fn joined(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        let mut anchors = self.anchors.to_vec();
        for (certificate, anchor) in other.certificates.iter().zip(other.anchors.iter()) {
            if !joined.certificates.contains(certificate) {
                joined.certificates.push(certificate.clone());
                anchors.push(anchor.clone());
            }
        }
        joined.anchors = anchors.into();
        joined
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain && self.certificates == other.certificates
    }
}

impl Eq for TrustBundle {}

fn agree(agreed: &mut Option<TrustDomain>, claimed: &str, position: usize) -> Result<(), BundleError> {
    let parsed = claimed.parse().ok();
    match (&agreed, parsed) {
        (Some(expected), parsed) if parsed.as_ref() != Some(expected) => {
            let (claimed, expected) = (claimed.to_owned(), expected.clone());
            Err(BundleError::OtherTrustDomain { position, claimed, expected })
        }
        (Some(_), _) => Ok(()),
        (None, Some(parsed)) => {
            *agreed = Some(parsed);
            Ok(())
        }
        (None, None) => {
            let detail = format!("its URI SAN names {claimed:?}, which is not a trust domain");
            Err(BundleError::Malformed { position, detail })
        }
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
        let mut store = Self::default();
        for bundle in bundles {
            let joined = match store.get(&bundle.trust_domain) {
                Some(present) => present.joined(&bundle),
                None => bundle,
            };
            store.bundles.insert(joined.trust_domain.clone(), Arc::new(joined));
        }
        store
    }

    /// The bundle of a trust domain.
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<&Arc<TrustBundle>> {
        self.bundles.get(trust_domain)
    }

    /// Every bundle.
    pub fn bundles(&self) -> impl Iterator<Item = &Arc<TrustBundle>> {
        self.bundles.values()
    }
}

#[cfg(test)]
mod tests;
