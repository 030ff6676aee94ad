//! Our own certificate and key, read from files and read again when they change.
//!
//! Handshakes take the pair in force at that moment; connections that stand are not touched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureScheme};

use crate::certificate::{claimed_identity, moment, now};
use crate::tls::provider;
use crate::{Identity, Rejection, SpiffeId, pem_text};

/// Why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The PEM text of a file is damaged.
    #[error("{}: damaged PEM text: {detail}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The certificate file has no certificate.
    #[error("{}: no certificate in it; the leaf, then its intermediates, are needed (-----BEGIN CERTIFICATE-----)", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// The key file has no private key.
    #[error("{}: no private key in it; one is needed (-----BEGIN PRIVATE KEY-----)", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The key is of a kind that cannot be used.
    #[error("{}: the private key cannot be used: {detail}; ECDSA P-256 or P-384, Ed25519 or RSA is needed", file.display())]
    UnusableKey {
        /// The file.
        file: PathBuf,
        /// Why.
        detail: String,
    },
    /// Certificate and key do not belong together.
    #[error("{}: not the key of the certificate in {}; give the two files that were issued together", key.display(), certificate.display())]
    OtherKey {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The certificate has no usable identity.
    #[error("{}: {rejection}; issue one: gatewayctl pki issue", file.display())]
    NoIdentity {
        /// The file.
        file: PathBuf,
        /// What is wrong with the identity.
        rejection: Rejection,
    },
    /// The certificate does not count yet.
    #[error("{}: not valid before {}; check this machine's clock", file.display(), moment(*.not_before))]
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// When it begins, seconds since 1970-01-01 UTC.
        not_before: i64,
    },
    /// The certificate has ended.
    #[error("{}: expired at {}; issue a new one: gatewayctl pki issue", file.display(), moment(*.not_after))]
    Expired {
        /// The file.
        file: PathBuf,
        /// When it ended, seconds since 1970-01-01 UTC.
        not_after: i64,
    },
    /// The files were replaced by those of somebody else.
    #[error("{}: it is for {now}, but this process runs as {before}; put a certificate for {before} there, or restart to run as {now}", file.display())]
    OtherIdentity {
        /// The file.
        file: PathBuf,
        /// Who we are.
        before: SpiffeId,
        /// Whose it is.
        now: SpiffeId,
    },
}

impl CredentialsError {
    /// The file to look at.
    pub fn file(&self) -> &Path {
        match self {
            Self::OtherKey { key, .. } => key,
            Self::Unreadable { file, .. }
            | Self::Pem { file, .. }
            | Self::NoCertificate { file }
            | Self::NoKey { file }
            | Self::UnusableKey { file, .. }
            | Self::NoIdentity { file, .. }
            | Self::NotYetValid { file, .. }
            | Self::Expired { file, .. }
            | Self::OtherIdentity { file, .. } => file,
        }
    }
}

/// A certificate chain with its key, and the identity it claims. Cheap to clone; all clones see a reload.
#[derive(Debug, Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Pair>,
}

#[derive(Debug)]
struct Pair {
    certified_key: Arc<CertifiedKey>,
    identity: Identity,
    /// Seconds since 1970-01-01 UTC.
    not_before: i64,
    texts: Texts,
}

impl Credentials {
    /// Reads PEM files. Refuses, each with its own message: unreadable file, no certificate or key in it, key of another
    /// certificate, no or several SPIFFE URI SANs, not yet valid, expired.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let (credentials, outdated) = Self::load_even_outdated(certificate, key)?;
        outdated.map_or(Ok(credentials), Err)
    }

    /// As [`Credentials::load`], but a certificate that is expired or not yet valid is told beside the result: for a
    /// program that has other work than what the certificate is for, and will find a renewed one in the same place.
    pub fn load_even_outdated(
        certificate: &Path,
        key: &Path,
    ) -> Result<(Self, Option<CredentialsError>), CredentialsError> {
        let pair = Pair::parse(certificate, key, Texts::read(certificate, key)?)?;
        let outdated = pair.check_dates(certificate).err();
        let current = ArcSwap::from_pointee(pair);
        let inner = Inner { certificate: certificate.to_owned(), key: key.to_owned(), current };
        Ok((Self { inner: Arc::new(inner) }, outdated))
    }

    /// The identity in force now.
    pub fn id(&self) -> SpiffeId {
        self.inner.current.load().identity.id.clone()
    }

    /// When the certificate in force ends, seconds since 1970-01-01 UTC.
    pub fn not_after(&self) -> i64 {
        self.inner.current.load().identity.not_after
    }

    /// When the certificate in force began, likewise.
    pub fn not_before(&self) -> i64 {
        self.inner.current.load().not_before
    }

    /// The chain and key in force now, for rustls.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.inner.current.load().certified_key)
    }

    /// Reads the files again when they have changed; a bad new pair changes nothing and is the error.
    /// True when a new pair is in force. Connections made from now on use it.
    pub fn reload(&self) -> Result<bool, CredentialsError> {
        let Inner { certificate, key, current } = &*self.inner;
        let texts = Texts::read(certificate, key)?;
        if texts == current.load().texts {
            return Ok(false);
        }
        let pair = Pair::parse(certificate, key, texts)?;
        pair.check_dates(certificate)?;
        // Routes, delegations and the path of a question are made from the identity at the start.
        let (before, now) = (self.id(), pair.identity.id.clone());
        if now != before {
            return Err(CredentialsError::OtherIdentity { file: certificate.clone(), before, now });
        }
        current.store(Arc::new(pair));
        Ok(true)
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified_key())
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.certified_key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The texts of both files, kept to tell whether they have changed.
#[derive(PartialEq, Eq)]
struct Texts {
    certificate: String,
    key: String,
}

impl Texts {
    fn read(certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let read = |file: &Path| {
            std::fs::read_to_string(file)
                .map_err(|source| CredentialsError::Unreadable { file: file.to_owned(), source })
        };
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }
}

/// Never prints the key.
impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

impl Pair {
    fn parse(certificate: &Path, key: &Path, texts: Texts) -> Result<Self, CredentialsError> {
        let pem_error = |file: &Path| {
            let file = file.to_owned();
            move |detail| CredentialsError::Pem { file, detail }
        };
        let chain = pem_text::certificates(&texts.certificate).map_err(pem_error(certificate))?;
        let private = pem_text::private_key(&texts.key).map_err(pem_error(key))?;
        let leaf = chain.first().ok_or_else(|| CredentialsError::NoCertificate { file: certificate.to_owned() })?;
        let private = private.ok_or_else(|| CredentialsError::NoKey { file: key.to_owned() })?;
        let (identity, facts) = claimed_identity(leaf)
            .map_err(|rejection| CredentialsError::NoIdentity { file: certificate.to_owned(), rejection })?;
        let certified_key = CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CredentialsError::OtherKey { certificate: certificate.to_owned(), key: key.to_owned() }
            }
            other => CredentialsError::UnusableKey { file: key.to_owned(), detail: other.to_string() },
        })?;
        Ok(Self { certified_key: Arc::new(certified_key), identity, not_before: facts.not_before, texts })
    }

    /// Refuses what every peer would refuse by its dates.
    fn check_dates(&self, file: &Path) -> Result<(), CredentialsError> {
        let (file, not_before, not_after) = (file.to_owned(), self.not_before, self.identity.not_after);
        match now() {
            now if not_before > now => Err(CredentialsError::NotYetValid { file, not_before }),
            now if not_after < now => Err(CredentialsError::Expired { file, not_after }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
