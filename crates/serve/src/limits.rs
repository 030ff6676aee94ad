//! Bounds of stream transports.

use std::time::Duration;

/// Bounds of TCP, DNS over TLS and gRPC; each has a reason in `docs/architecture.md`.
#[derive(Debug, Clone)]
pub struct StreamLimits {
    /// Connections per listener; over it the newest are closed and counted.
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
