//! Bounds of stream transports.

use std::time::Duration;

/// From `stop` until questions still in work are given up.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of TCP, DNS over TLS and gRPC; each has a reason in `docs/architecture.md`.
#[derive(Debug, Clone)]
pub struct StreamLimits {
    /// Connections per listener; over it the newest are closed and counted.
    /// One client address may hold a quarter of them.
    pub max_connections: usize,
    /// Questions of one connection in work at a time; over it reading pauses.
    pub max_in_flight: usize,
    /// From accept to a finished handshake.
    pub handshake_timeout: Duration,
    /// From the first octet of a message to its last.
    pub message_timeout: Duration,
    /// Without a question.
    pub idle_timeout: Duration,
    /// A client that does not read its answers for this long is cut off.
    pub write_timeout: Duration,
}

impl StreamLimits {
    /// The idle timeout in the units of edns-tcp-keepalive (RFC 7828 3.1: 100 ms).
    pub(crate) fn keepalive(&self) -> u16 {
        u16::try_from(self.idle_timeout.as_millis() / 100).unwrap_or(u16::MAX)
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_in_flight: 256,
            handshake_timeout: Duration::from_secs(3),
            message_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(5),
        }
    }
}
