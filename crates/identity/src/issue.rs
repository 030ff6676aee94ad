//! A cluster's own certificate authority: what `gatewayctl pki` and the lab issue with.

use std::net::IpAddr;
use std::time::Duration;

use crate::{SpiffeId, TrustDomain};

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Helpers extend this with precise variants.
    #[error("{0}")]
    Invalid(String),
}

/// A CA certificate (URI SAN `spiffe://<trust domain>`) and its key.
pub struct CertificateAuthority {
    _private: (),
}

/// What a leaf certificate is to say.
#[derive(Debug, Clone)]
pub struct LeafRequest {
    /// The URI SAN.
    pub id: SpiffeId,
    /// DNS SANs, for clients that can only check names.
    pub dns_names: Vec<String>,
    /// IP SANs, likewise.
    pub addresses: Vec<IpAddr>,
    /// From now on; never beyond the CA's own end.
    pub lifetime: Duration,
}

/// A certificate chain and its key, PEM.
pub struct IssuedCertificate {
    /// Leaf first, without the root.
    pub certificate_pem: String,
    /// PKCS #8.
    pub key_pem: String,
}

impl CertificateAuthority {
    /// A new self-signed authority for a trust domain.
    pub fn create(trust_domain: &TrustDomain, lifetime: Duration) -> Result<Self, IssueError> {
        let _ = (trust_domain, lifetime);
        unimplemented!()
    }

    /// An authority from its PEM texts.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IssueError> {
        let _ = (certificate, key);
        unimplemented!()
    }

    /// The trust domain it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        unimplemented!()
    }

    /// The CA certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        unimplemented!()
    }

    /// The CA key, PEM (PKCS #8).
    pub fn key_pem(&self) -> &str {
        unimplemented!()
    }

    /// Issues a leaf for both client and server use. The identity must be of this trust domain.
    pub fn issue(&self, request: &LeafRequest) -> Result<IssuedCertificate, IssueError> {
        let _ = request;
        unimplemented!()
    }
}
