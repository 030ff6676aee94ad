//! Our own certificate and key, read from files and read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::SpiffeId;

/// Why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Helpers extend this with precise variants (file, what is wrong, what to do).
    #[error("{0}")]
    Invalid(String),
}

/// A certificate chain with its key, and the identity it claims. Cheap to clone; all clones see a reload.
#[derive(Debug, Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    #[allow(dead_code)]
    certificate: PathBuf,
    #[allow(dead_code)]
    key: PathBuf,
}

impl Credentials {
    /// Reads PEM files. Refuses, each with its own message: unreadable file, no certificate or key in it, key of another
    /// certificate, no or several SPIFFE URI SANs, not yet valid, expired.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let _ = (certificate, key);
        unimplemented!()
    }

    /// The identity in force now.
    pub fn id(&self) -> SpiffeId {
        unimplemented!()
    }

    /// When the certificate in force ends, seconds since 1970-01-01 UTC.
    pub fn not_after(&self) -> i64 {
        unimplemented!()
    }

    /// The chain and key in force now, for rustls.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        unimplemented!()
    }

    /// Reads the files again when they have changed; a bad new pair changes nothing and is the error.
    /// True when a new pair is in force. Connections made from now on use it.
    pub fn reload(&self) -> Result<bool, CredentialsError> {
        let _ = &self.inner;
        unimplemented!()
    }
}
