//! Where a question came from.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

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
    /// The transport.
    pub transport: Transport,
    /// Who stands behind the connection; from the TLS session and nowhere else.
    pub identity: Option<Arc<Identity>>,
    /// The idle timeout of the connection in units of 100 ms, told to who asks (RFC 7828); streams only.
    pub keepalive: Option<u16>,
}
