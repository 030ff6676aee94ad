//! Ranges of addresses that a cluster calls its own: how many, how wide, and which it may call so unasked.

use crate::IpNet;

/// The most ranges of a cluster: it has one or two for services, and one for pods or a few.
pub const MAX_RANGES: usize = 64;

/// The most reverse zones that the ranges of a cluster need: eight ranges that end between labels at the worst place.
pub const MAX_REVERSE_ZONES: usize = 1_024;

/// The widest range of a cluster: what RFC 1918 has in one piece, and for IPv6 what a site has (RFC 4193 3.1, RFC 6177 2).
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 48;

/// Private (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) addresses: those of nobody else in the world.
const PRIVATE: [IpNet; 5] = [
    IpNet::v4([10, 0, 0, 0], 8),
    IpNet::v4([172, 16, 0, 0], 12),
    IpNet::v4([192, 168, 0, 0], 16),
    IpNet::v4([100, 64, 0, 0], 10),
    IpNet::v6(0xfc00, 7),
];

/// Why a range is not one of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than a cluster has: a range is /{shortest} or longer")]
pub struct TooWide {
    /// The least length.
    pub shortest: u8,
}

impl IpNet {
    /// Whether a cluster can have so many addresses.
    pub fn check_width(&self) -> Result<(), TooWide> {
        let shortest = if self.is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
        if self.prefix() < shortest { Err(TooWide { shortest }) } else { Ok(()) }
    }

    /// Whether all its addresses are private, shared or unique local ones.
    pub fn is_private(&self) -> bool {
        PRIVATE.iter().any(|private| private.holds(self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_cluster_may_call_its_own() {
        // (range, whether it is narrow enough, whether it is private)
        let cases = [
            ("10.0.0.0/8", true, true),
            ("10.96.0.0/12", true, true),
            ("172.16.0.0/12", true, true),
            ("192.168.7.0/24", true, true),
            ("100.64.0.0/10", true, true),
            ("fd00:b::/108", true, true),
            ("fd00:b::/48", true, true),
            ("fd00::/47", false, true),
            // Half of it is private.
            ("172.0.0.0/8", true, false),
            ("10.0.0.0/7", false, false),
            ("0.0.0.0/0", false, false),
            ("8.8.8.0/24", true, false),
            ("::/0", false, false),
            ("2001:db8::/48", true, false),
            // Link-local and loopback addresses are every machine's.
            ("169.254.0.0/16", true, false),
            ("127.0.0.0/8", true, false),
        ];
        for (text, narrow, private) in cases {
            let range: IpNet = text.parse().unwrap();
            assert_eq!((range.check_width().is_ok(), range.is_private()), (narrow, private), "{text}");
        }
    }
}
