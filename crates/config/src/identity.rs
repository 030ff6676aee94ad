//! `identity`: our own certificate, key and trust bundle.

use strait_identity::{Credentials, TrustBundle};

/// Who this daemon is, and who vouches for it.
#[derive(Debug, Clone)]
pub struct OwnIdentity {
    /// Certificate and key.
    pub credentials: Credentials,
    /// The CAs of our own trust domain.
    pub trust_bundle: TrustBundle,
}
