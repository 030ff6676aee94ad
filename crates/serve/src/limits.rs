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
    /// Handshakes of one listener under way at a time; over it the oldest of the client that has most is closed.
    /// One costs about a millisecond, so 512 are half a second of work.
    pub max_handshakes: usize,
    /// Questions of one connection in work at a time; over it reading pauses.
    pub max_in_flight: usize,
    /// From accept to a finished handshake.
    pub handshake_timeout: Duration,
    /// From the first octet of a message to its last.
    pub message_timeout: Duration,
    /// Without a question.
    pub idle_timeout: Duration,
    /// A client that takes neither all that waits for it nor 64 KiB of it in this time is cut off.
    pub write_timeout: Duration,
}

/// Of the file descriptors a process may have, connections take at most one in this many: what is left is for
/// questions to others, files and the admin pages.
const CONNECTIONS_SHARE: u64 = 2;
/// And handshakes at most one in this many.
const HANDSHAKES_SHARE: u64 = 8;

/// Questions of a peer's connection in work at a time. A node-agent has one connection for all that its node asks a
/// cluster: names that hang must not hold back the others, up to as many as an agent lets wait for a peer.
const PEER_IN_FLIGHT: usize = 4096;

impl StreamLimits {
    /// The bounds of connections of verified peers.
    pub fn of_peers() -> Self {
        Self { max_in_flight: PEER_IN_FLIGHT, ..Self::default() }
    }

    /// Lowers the limits to what a process with so many file descriptors and listeners can serve.
    pub fn for_descriptors(mut self, descriptors: u64, listeners: usize) -> Self {
        let each = |share: u64| usize::try_from(descriptors / share).unwrap_or(usize::MAX) / listeners.max(1);
        let wanted = (self.max_connections, self.max_handshakes);
        self.max_connections = self.max_connections.min(each(CONNECTIONS_SHARE)).max(1);
        self.max_handshakes = self.max_handshakes.min(each(HANDSHAKES_SHARE)).max(1);
        if wanted != (self.max_connections, self.max_handshakes) {
            tracing::warn!(
                descriptors,
                listeners,
                max_connections = self.max_connections,
                max_handshakes = self.max_handshakes,
                wanted_connections = wanted.0,
                wanted_handshakes = wanted.1,
                "the hard limit of open files (RLIMIT_NOFILE) is low: each listener takes fewer connections; \
                 raise the limit of the container or service"
            );
        }
        self
    }

    /// The idle timeout in the units of edns-tcp-keepalive (RFC 7828 3.1: 100 ms).
    pub(crate) fn keepalive(&self) -> u16 {
        u16::try_from(self.idle_timeout.as_millis() / 100).unwrap_or(u16::MAX)
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_handshakes: 512,
            max_in_flight: 256,
            handshake_timeout: Duration::from_secs(3),
            message_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_half_of_the_descriptors() {
        // Descriptors, listeners, connections and handshakes of each.
        let cases = [(1 << 20, 2, 4096, 512), (1024, 1, 512, 128), (1024, 2, 256, 64), (16, 4, 2, 1), (0, 0, 1, 1)];
        for (descriptors, listeners, connections, handshakes) in cases {
            let limits = StreamLimits::default().for_descriptors(descriptors, listeners);
            assert_eq!((limits.max_connections, limits.max_handshakes), (connections, handshakes), "{descriptors}");
        }
    }
}
