//! Who speaks: SPIFFE identities, trust bundles, certificates, and the TLS configurations made of them.
//!
//! The only crate that decides whether a certificate is believed. It opens no socket: `serve` and
//! `link` ask it for configurations, and for the [`Identity`] behind a finished handshake.

mod anchor;
mod bundle;
mod certificate;
mod credentials;
mod issue;
mod pem_text;
mod reject;
mod spiffe;
#[cfg(test)]
mod testkit;
mod tls;
mod verify;

pub use bundle::{BundleError, MAX_BUNDLE_CERTIFICATES, TrustBundle, TrustStore};
pub use certificate::moment;
pub use credentials::{Credentials, CredentialsError};
pub use issue::{CertificateAuthority, IssueError, IssuedCertificate, LeafRequest};
pub use reject::{Rejection, rejection_of};
pub use spiffe::{Identity, Role, SpiffeId, SpiffeIdError, TrustDomain, TrustDomainError};
pub use tls::{Alpn, PeerExpectation, ServerTls, client_config, identity_of, public_client_config, server_config};
