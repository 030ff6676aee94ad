//! Who may ask what: decided for every question before the cache is looked at; and who may be told what, after it.

use std::net::{IpAddr, Ipv6Addr};

use strait_wire::{Answer, Ede, QueryView};

use crate::{IpNet, Origin, Transport};

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

    /// Whether who asks is outside the cluster, and told of it what [`Source::told_outside`](crate::Source::told_outside)
    /// says.
    fn is_outside(&self, origin: &Origin) -> bool {
        let _ = origin;
        false
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
        let loopback6 = IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST));
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
