//! Address ranges, and the reverse zones that hold them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use strait_wire::Name;

/// An address range: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

/// Why text is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address range: write 10.0.0.0/8, fd00::/8 or a single address")]
pub struct IpNetError {
    /// The text.
    pub text: String,
}

impl IpNet {
    /// An IPv4 range.
    pub const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        let [a, b, c, d] = octets;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    /// An IPv6 range of that first group.
    pub const fn v6(first: u16, prefix: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix }
    }

    /// Whether the range holds `address`; IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.contains_canonical(address.to_canonical())
    }

    pub(crate) fn contains_canonical(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let differ = net.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let differ = net.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// How many bits all its addresses have in common.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether its addresses are of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// The same range written with its first address: two ranges of the same addresses are equal so.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, prefix: self.prefix }
    }

    /// Whether every address of `other` is one of its. Of two ranges that have an address in common one holds the other.
    pub fn holds(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains_canonical(other.address)
    }

    /// How many zones [`IpNet::reverse_zones`] makes of it: 1 to 128.
    pub fn reverse_zone_count(&self) -> usize {
        let bits = if self.is_ipv4() { 8 } else { 4 };
        1 << (self.prefix.div_ceil(bits) * bits - self.prefix)
    }

    /// The zones under `in-addr.arpa` or `ip6.arpa` that hold its addresses (RFC 1035 3.5, RFC 3596 2.5): one when its
    /// length ends at a label, up to 128 otherwise.
    pub fn reverse_zones(&self) -> Vec<Name> {
        // Bits of a label, and of an address; the address as a number.
        let (bits, all, number, suffix): (u8, u8, u128, &[&[u8]]) = match self.address {
            IpAddr::V4(address) => (8, 32, address.to_bits().into(), &[b"in-addr", b"arpa"]),
            IpAddr::V6(address) => (4, 128, address.to_bits(), &[b"ip6", b"arpa"]),
        };
        let labels = self.prefix.div_ceil(bits);
        let free = labels * bits - self.prefix;
        let of = |number: u128| {
            let first = (0..labels).rev().map(|label| {
                let value = number >> (bits * (labels - 1 - label)) & ((1 << bits) - 1);
                if bits == 8 { format!("{value}") } else { format!("{value:x}") }
            });
            let first: Vec<String> = first.collect();
            // 34 short labels at most.
            Name::from_labels(first.iter().map(String::as_bytes).chain(suffix.iter().copied())).ok()
        };
        // The labels as a number, the free bits cleared. Without labels there is nothing left to shift.
        let base = number.checked_shr(u32::from(all - labels * bits)).unwrap_or(0) >> free << free;
        (0..1u128 << free).filter_map(|within| of(base + within)).collect()
    }
}

impl From<IpAddr> for IpNet {
    fn from(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }.normalized()
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for IpNet {
    type Err = IpNetError;

    fn from_str(text: &str) -> Result<Self, IpNetError> {
        let error = || IpNetError { text: text.to_owned() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| error())?,
            Some(_) => return Err(error()),
        };
        match prefix <= longest {
            true => Ok(Self { address, prefix }.normalized()),
            false => Err(error()),
        }
    }
}

impl IpNet {
    /// A range written in IPv4-mapped form is the IPv4 range, since that is how addresses are compared.
    fn normalized(self) -> Self {
        match self.address.to_canonical() {
            IpAddr::V4(address) if self.address.is_ipv6() && self.prefix >= 96 => {
                Self { address: IpAddr::V4(address), prefix: self.prefix - 96 }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let cases = [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            // Host bits in the text do not matter.
            ("10.1.2.3/8", "10.9.9.9", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            // A mapped address counts as IPv4 (RFC 4291 2.5.5.2), on either side.
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
            ("::/0", "10.1.1.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fc00::1", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
        ];
        for (net, address, held) in cases {
            assert_eq!(net.parse::<IpNet>().unwrap().contains(address.parse().unwrap()), held, "{net} {address}");
        }
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        for text in
            ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "example.com", "10.0.0.0/8/8"]
        {
            let error = text.parse::<IpNet>().unwrap_err();
            assert!(error.to_string().contains("write 10.0.0.0/8"), "{text}");
        }
    }

    #[test]
    fn a_range_needs_as_many_zones_as_its_length_says() {
        // (range, how many, the first, the last)
        let cases = [
            ("10.0.0.0/8", 1, "10.in-addr.arpa.", "10.in-addr.arpa."),
            ("10.96.0.0/12", 16, "96.10.in-addr.arpa.", "111.10.in-addr.arpa."),
            ("10.96.5.7/12", 16, "96.10.in-addr.arpa.", "111.10.in-addr.arpa."),
            ("10.96.0.0/9", 128, "0.10.in-addr.arpa.", "127.10.in-addr.arpa."),
            ("10.96.0.4", 1, "4.0.96.10.in-addr.arpa.", "4.0.96.10.in-addr.arpa."),
            ("10.96.0.4/30", 4, "4.0.96.10.in-addr.arpa.", "7.0.96.10.in-addr.arpa."),
            ("0.0.0.0/0", 1, "in-addr.arpa.", "in-addr.arpa."),
            ("fd00::/8", 1, "d.f.ip6.arpa.", "d.f.ip6.arpa."),
            ("fd00::/10", 4, "0.d.f.ip6.arpa.", "3.d.f.ip6.arpa."),
            ("::/0", 1, "ip6.arpa.", "ip6.arpa."),
        ];
        for (range, count, first, last) in cases {
            let range: IpNet = range.parse().unwrap();
            let zones = range.reverse_zones();
            assert_eq!((zones.len(), range.reverse_zone_count()), (count, count), "{range}");
            assert_eq!(
                (zones[0].to_string(), zones[count - 1].to_string()),
                (first.to_owned(), last.to_owned()),
                "{range}"
            );
        }
    }

    #[test]
    fn a_range_holds_those_that_lie_within_it() {
        // (range, another, whether it holds that)
        let cases = [
            ("10.0.0.0/8", "10.96.0.0/12", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.96.0.0/12", "10.0.0.0/8", false),
            ("10.96.0.0/12", "10.112.0.0/12", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("fd00::/8", "fd00:b::/108", true),
            // Addresses of one family are none of the other.
            ("::/0", "10.0.0.0/8", false),
            ("0.0.0.0/0", "fd00::/8", false),
        ];
        for (range, other, holds) in cases {
            let (range, other): (IpNet, IpNet) = (range.parse().unwrap(), other.parse().unwrap());
            assert_eq!(range.holds(&other), holds, "{range} {other}");
        }
    }

    #[test]
    fn one_range_has_one_canonical_form() {
        for (text, canonical) in [
            ("10.96.5.7/12", "10.96.0.0/12"),
            ("10.96.5.7", "10.96.5.7/32"),
            ("10.96.5.7/0", "0.0.0.0/0"),
            ("fd00:b::5/108", "fd00:b::/108"),
            ("fd00::1/0", "::/0"),
        ] {
            assert_eq!(text.parse::<IpNet>().unwrap().canonical().to_string(), canonical, "{text}");
        }
    }

    proptest! {
        /// Every address of a range lies in exactly one of its zones.
        #[test]
        fn zones_of_a_range_hold_its_addresses(bits in any::<u32>(), prefix in 0..=32u8, within in any::<u32>()) {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let [a, b, c, d] = Ipv4Addr::from(bits & mask | within & !mask).octets();
            let asked: Name = format!("{d}.{c}.{b}.{a}.in-addr.arpa").parse().unwrap();
            let zones = IpNet { address: IpAddr::V4(bits.into()), prefix }.reverse_zones();
            prop_assert_eq!(zones.iter().filter(|zone| asked.is_within(zone)).count(), 1);
        }
    }
}
