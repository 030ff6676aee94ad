//! Where a question came from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use strait_identity::Identity;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// DNS over UDP.
    Udp,
    /// DNS over TCP (RFC 7766).
    Tcp,
    /// DNS over TLS (RFC 7858).
    Dot,
    /// `strait.v1.Dns` or `coredns.dns.DnsService`.
    Grpc,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Dot, Self::Grpc];

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Dot => "dot",
            Self::Grpc => "grpc",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks, and over what.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The address asked from.
    pub client: SocketAddr,
    /// The address asked, where replies are to leave from it by our own doing: UDP on a wildcard address.
    pub local: Option<IpAddr>,
    /// The transport.
    pub transport: Transport,
    /// Who stands behind the connection; from the TLS session and nowhere else.
    pub identity: Option<Arc<Identity>>,
    /// The idle timeout of the connection in units of 100 ms, told to who asks (RFC 7828); streams only.
    pub keepalive: Option<u16>,
    /// When the question came, where a listener takes many at once and knows; none: when it is handed over.
    pub arrived: Option<Instant>,
}

impl Origin {
    /// Somebody of whom only the address and the transport are known.
    pub fn new(client: SocketAddr, transport: Transport) -> Self {
        Self { client, local: None, transport, identity: None, keepalive: None, arrived: None }
    }
}
