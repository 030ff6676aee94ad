//! Names made of addresses: those of pods, and of endpoints that ask for none of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;

/// Which names pods have: `10-1-2-3.<namespace>.pod.<zone>` (specification 2.6, as the known server does it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PodMode {
    /// None.
    #[default]
    Off,
    /// Whatever address the name holds, in every namespace that exists: nothing vouches that there is such a pod.
    Insecure,
    /// The addresses of the pods that there are in that namespace. Pods are watched for it.
    Verified,
}

/// The longest text of an address, in octets.
const MAX_TEXT: usize = 45;

/// The address as a label: `10-1-2-3`, and all eight groups of an IPv6 address, so that no hyphen comes first or last.
pub(crate) fn dashed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{a}-{b}-{c}-{d}")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments();
            format!("{a:x}-{b:x}-{c:x}-{d:x}-{e:x}-{f:x}-{g:x}-{h:x}")
        }
    }
}

/// The address that a label in lower case holds. IPv6 also in the shortened form that the known server uses.
pub(crate) fn parse_dashed(label: &[u8]) -> Option<IpAddr> {
    let with = |separator: u8, parse: &dyn Fn(&str) -> Option<IpAddr>| {
        let mut buffer = [0; MAX_TEXT];
        let text = buffer.get_mut(..label.len())?;
        for (to, from) in text.iter_mut().zip(label) {
            *to = match from {
                b'-' => separator,
                octet if octet.is_ascii_hexdigit() => *octet,
                _ => return None,
            };
        }
        parse(str::from_utf8(text).ok()?)
    };
    with(b'.', &|text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
        .or_else(|| with(b':', &|text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::Label;

    #[test]
    fn labels_hold_addresses() {
        let cases = [
            ("10-1-2-3", Some("10.1.2.3")),
            // Fully written, as told, and shortened, as the known server has it.
            ("2001-db8-0-0-0-0-0-1", Some("2001:db8::1")),
            ("2001-db8--1", Some("2001:db8::1")),
            // Three hyphens, and yet no IPv4 address.
            ("fd00--1-2", Some("fd00::1:2")),
            ("10-1-2", None),
            ("10-1-2-256", None),
            ("10-1-2-03", None),
            ("10.1.2.3", None),
            ("web-1", None),
            ("", None),
            ("2001-db8-0-0-0-0-0-1-2", None),
        ];
        for (label, address) in cases {
            assert_eq!(parse_dashed(label.as_bytes()), address.map(|a| a.parse().unwrap()), "{label}");
        }
        assert_eq!(parse_dashed(&[b'1'; 63]), None, "longer than any address");
    }

    proptest! {
        #[test]
        fn every_address_is_a_label_and_comes_back(v6 in any::<bool>(), bits in any::<u128>()) {
            let address = if v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) };
            let label = dashed(address);
            prop_assert!(Label::new(&label).is_some(), "{}", label);
            prop_assert_eq!(parse_dashed(label.as_bytes()), Some(address));
        }

        #[test]
        fn no_label_panics(label in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_dashed(&label);
        }
    }
}
