//! Why a certificate was not believed: one word for metrics, one sentence for the log.

/// Why the other end of a handshake was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It sent no certificate.
    #[error("no client certificate")]
    NoCertificate,
    /// Helpers extend this: unknown trust domain, unknown CA, CA of another trust domain, expired, not yet valid, other name, no SPIFFE SAN, ...
    #[error("{0}")]
    Other(String),
}

impl Rejection {
    /// A word for metrics, such as `expired`, `unknown_ca`, `wrong_trust_domain`.
    pub fn reason(&self) -> &'static str {
        unimplemented!()
    }
}

/// The rejection behind a failed handshake, when it was one of ours and not the network's.
pub fn rejection_of(error: &std::io::Error) -> Option<Rejection> {
    let _ = error;
    unimplemented!()
}
