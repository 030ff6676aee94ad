//! Who speaks: SPIFFE identities, trust bundles, certificates, and the TLS configurations made of them.
//!
//! The only crate that decides whether a certificate is believed. It opens no socket: `serve` and
//! `link` ask it for configurations, and for the [`Identity`] behind a finished handshake.

mod bundle;
mod credentials;
mod issue;
mod reject;
mod spiffe;
mod tls;

pub use bundle::{BundleError, TrustBundle, TrustStore};
pub use credentials::{Credentials, CredentialsError};
pub use issue::{CertificateAuthority, IssueError, IssuedCertificate, LeafRequest};
pub use reject::{Rejection, rejection_of};
pub use spiffe::{Identity, Role, SpiffeId, SpiffeIdError, TrustDomain, TrustDomainError};
pub use tls::{Alpn, PeerExpectation, ServerTls, client_config, identity_of, public_client_config, server_config};
