//! Who may ask what: decided for every question before the cache is looked at; and who may be told what, after it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use strait_wire::{Answer, Ede, QueryView};

use crate::{Origin, Transport};

/// The verdict on a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Admit,
    /// Say nothing (a stranger's UDP packet may bear a forged address).
    Drop,
    /// REFUSED, and why.
    Refuse(Ede),
}

/// Decides whether a question is answered at all.
pub trait Admit: Send + Sync {
    /// Must be cheap: it runs for every question, cached or not.
    fn admit(&self, origin: &Origin, query: &QueryView<'_>) -> Admission;

    /// Whether an answer that holds other names than the one asked for ([`Answer::names_others`]) may be told to who
    /// asks, and why not. Asked wherever the answer comes from, the cache as well: that does not know who asks.
    fn may_tell(&self, origin: &Origin, query: &QueryView<'_>, answer: &Answer) -> Result<(), Ede> {
        let _ = (origin, query, answer);
        Ok(())
    }

    /// Told once of every admitted question, when it is answered; `admit` may run more than once for it.
    fn answered(&self, origin: &Origin) {
        let _ = origin;
    }

    /// Whether a message that is no readable question is told so; silence otherwise.
    fn tells_refusals(&self, origin: &Origin) -> bool {
        let _ = origin;
        true
    }
}

/// An address range: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        let [a, b, c, d] = octets;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(first: u16, prefix: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix }
    }

    /// Whether the range holds `address`; IPv4-mapped IPv6 addresses count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.contains_canonical(address.to_canonical())
    }

    fn contains_canonical(&self, address: IpAddr) -> bool {
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

/// Admits by client address: the node-agent's rule. Others are dropped on UDP, refused on streams.
#[derive(Debug, Clone)]
pub struct AccessList {
    allowed: Vec<IpNet>,
}

impl AccessList {
    /// Admits the addresses in `allowed`.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Loopback, private (RFC 1918), shared (RFC 6598), link-local and unique-local (RFC 4193) addresses.
    pub fn local() -> Self {
        let loopback6 = IpNet { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 };
        Self::new(vec![
            IpNet::v4([127, 0, 0, 0], 8),
            IpNet::v4([10, 0, 0, 0], 8),
            IpNet::v4([172, 16, 0, 0], 12),
            IpNet::v4([192, 168, 0, 0], 16),
            IpNet::v4([100, 64, 0, 0], 10),
            IpNet::v4([169, 254, 0, 0], 16),
            loopback6,
            IpNet::v6(0xfe80, 10),
            IpNet::v6(0xfc00, 7),
        ])
    }

    /// The ranges admitted.
    pub fn ranges(&self) -> &[IpNet] {
        &self.allowed
    }

    fn allows(&self, origin: &Origin) -> bool {
        let address = origin.client.ip().to_canonical();
        self.allowed.iter().any(|net| net.contains_canonical(address))
    }
}

impl Admit for AccessList {
    fn admit(&self, origin: &Origin, _query: &QueryView<'_>) -> Admission {
        match origin.transport {
            _ if self.allows(origin) => Admission::Admit,
            Transport::Udp => Admission::Drop,
            _ => Admission::Refuse(Ede::new(Ede::PROHIBITED, "this address is not in the list of allowed clients")),
        }
    }

    fn tells_refusals(&self, origin: &Origin) -> bool {
        origin.transport != Transport::Udp || self.allows(origin)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{origin_from, query};

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
    fn the_default_list_admits_local_clients_only() {
        let packet = query("example.com", "A");
        let view = QueryView::parse(&packet).unwrap();
        let cases = [
            ("127.0.0.1", true),
            ("::1", true),
            ("10.9.8.7", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.168.1.1", true),
            ("100.127.255.255", true),
            ("100.128.0.0", false),
            ("169.254.20.10", true),
            ("fe80::1", true),
            ("fd12::1", true),
            ("203.0.113.1", false),
            ("2001:db8::1", false),
        ];
        for (client, admitted) in cases {
            let udp = origin_from(client, Transport::Udp);
            let verdict = AccessList::local().admit(&udp, &view);
            assert_eq!(verdict, if admitted { Admission::Admit } else { Admission::Drop }, "{client}");
            assert_eq!(AccessList::local().tells_refusals(&udp), admitted, "{client}");
            // On a stream the address is no forgery: a refusal helps, and harms nobody.
            let tcp = origin_from(client, Transport::Tcp);
            let verdict = AccessList::local().admit(&tcp, &view);
            assert_eq!(verdict == Admission::Admit, admitted, "{client}");
            assert!(verdict != Admission::Drop && AccessList::local().tells_refusals(&tcp), "{client}");
        }
    }
}
