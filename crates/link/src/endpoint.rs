//! Endpoint URLs: `tls://host:853`, `grpc://host:8443`.

use std::fmt;
use std::str::FromStr;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// DNS over TLS; default port 853.
    Tls,
    /// gRPC: the stream of `strait.v1.Dns`, or, when the server does not know it, the unary call of CoreDNS; default port 8443.
    Grpc,
}

/// One address of a peer's gateways.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointUrl {
    /// The protocol.
    pub scheme: Scheme,
    /// A host name or an address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an endpoint: {why}; write tls://host:853 or grpc://host:8443")]
pub struct EndpointUrlError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for EndpointUrl {
    type Err = EndpointUrlError;

    fn from_str(text: &str) -> Result<Self, EndpointUrlError> {
        let _ = text;
        unimplemented!()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        unimplemented!()
    }
}
