//! Names that are never asked upstream: special-use names and the reverse zones of private addresses.
//!
//! A question for them that leaves the site tells strangers about it, loads servers that cannot know,
//! and may be answered by whoever likes (RFC 6761, 6303, 7686, 8375, 9476). They are answered here.

use std::sync::Arc;

use strait_wire::{Answer, Class, Flags, Message, Name, Question, Rcode, Rdata, Record, RecordType};

use crate::{Ask, BoxFuture, Route, Source, SourceError};

/// Names that do not exist anywhere outside: `invalid` and `test` (RFC 6761 6.2, 6.4), `onion` (RFC 7686 2), `alt`
/// (RFC 9476 3), `home.arpa` (RFC 8375 4) and `local`, which is multicast's (RFC 6762 22.1).
const NOWHERE: [&str; 6] = ["invalid", "test", "onion", "alt", "home.arpa", "local"];

/// The reverse zones of RFC 6303 section 4 and RFC 7793; those that come in runs are added by [`reverse_zones`].
const REVERSE: [&str; 15] = [
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];

/// The TTL of what is made up here, in seconds (RFC 6303 3).
const TTL: u32 = 10_800;

/// The routes of kind `special`, for a resolver with upstreams or without.
///
/// A zone that is configured wins: pass the names of all other routes, and what lies in one of them is left out.
/// The root does not count, since these names are to be kept from exactly that.
pub fn special_routes(configured: &[Name]) -> Vec<Route> {
    special_zones()
        .filter_map(|(zone, special)| Some((zone.parse::<Name>().ok()?, special)))
        .filter(|(zone, _)| !configured.iter().any(|other| !other.is_root() && zone.is_within(other)))
        .map(|(zone, special)| Route {
            source: Arc::new(SpecialZone { apex: zone.clone(), special }),
            zone,
            kind: "special",
            cached: false,
        })
        .collect()
}

/// Zones that mean something of their own in every cluster, with all that lies in them.
const OF_EVERY_CLUSTER: [&str; 4] = ["in-addr.arpa", "ip6.arpa", "cluster.local", "clusterset.local"];

/// The zone for whose sake `suffix` cannot be another cluster's: a special-use or reverse zone that `suffix` is or holds,
/// or one of every cluster's own that `suffix` overlaps.
pub fn reserved_zone(suffix: &Name) -> Option<Name> {
    let parsed = |zone: &str| zone.parse::<Name>().ok();
    let special = special_zones().filter_map(|(zone, _)| parsed(&zone));
    let of_every_cluster = || OF_EVERY_CLUSTER.into_iter().filter_map(parsed);
    of_every_cluster()
        .find(|zone| suffix.is_within(zone))
        .or_else(|| special.chain(of_every_cluster()).find(|zone| zone.is_within(suffix)))
}

/// The zones answered here.
fn special_zones() -> impl Iterator<Item = (String, Special)> {
    let empty = NOWHERE.iter().map(|zone| (*zone).to_owned()).chain(reverse_zones()).map(|zone| (zone, Special::Empty));
    empty.chain([("localhost".to_owned(), Special::Localhost)])
}

fn reverse_zones() -> impl Iterator<Item = String> {
    // RFC 1918: 172.16.0.0/12; RFC 6598: 100.64.0.0/10.
    let private = (16..32).map(|octet| format!("{octet}.172.in-addr.arpa"));
    let shared = (64..128).map(|octet| format!("{octet}.100.in-addr.arpa"));
    // The unspecified and the loopback address of IPv6.
    let unspecified = (0..2).map(|last| format!("{last}.{}ip6.arpa", "0.".repeat(31)));
    REVERSE.iter().map(|zone| (*zone).to_owned()).chain(private).chain(shared).chain(unspecified)
}

/// What a special zone holds.
#[derive(Clone, Copy)]
enum Special {
    /// Nothing but its apex.
    Empty,
    /// The loopback addresses, at and below the apex (RFC 6761 6.3).
    Localhost,
}

/// A zone that is made up.
struct SpecialZone {
    apex: Name,
    special: Special,
}

impl Source for SpecialZone {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        let question = &ask.question;
        let records = self.records(question);
        let exists = !records.is_empty() || question.name == self.apex || matches!(self.special, Special::Localhost);
        let mut message = Message::response(question.clone(), if exists { Rcode::NOERROR } else { Rcode::NXDOMAIN });
        message.flags = message.flags.with(Flags::AA, true);
        if records.is_empty() {
            message.authorities.push(self.record(self.apex.clone(), RecordType::SOA, self.soa()));
        }
        message.answers = records;
        Answer::new(&message).ok()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        let answer = self.answer_now(ask);
        Box::pin(async move { answer.ok_or_else(|| SourceError::BadAnswer("the answer is too long".to_owned())) })
    }
}

impl SpecialZone {
    fn records(&self, question: &Question) -> Vec<Record> {
        let loopback = is_loopback_pointer(&question.name);
        let data = match (self.special, question.rtype) {
            (Special::Localhost, RecordType::A) => Rdata::opaque(vec![127, 0, 0, 1]),
            (Special::Localhost, RecordType::AAAA) => Rdata::opaque(std::net::Ipv6Addr::LOCALHOST.octets().to_vec()),
            (Special::Empty, RecordType::PTR) if loopback => Rdata::name(&localhost()),
            (_, RecordType::SOA) if question.name == self.apex => self.soa(),
            // RFC 6303 3: the zone's own name, since it has no servers.
            (_, RecordType::NS) if question.name == self.apex => Rdata::name(&self.apex),
            _ => return Vec::new(),
        };
        vec![self.record(question.name.clone(), question.rtype, data)]
    }

    fn record(&self, name: Name, rtype: RecordType, rdata: Rdata) -> Record {
        Record { name, rtype, class: Class::IN, ttl: TTL, rdata }
    }

    /// RFC 6303 3: `@ IN SOA @ nobody.invalid. 1 3600 1200 604800 10800`.
    fn soa(&self) -> Rdata {
        let nobody = Name::from_labels([b"nobody".as_slice(), b"invalid"]).unwrap_or_else(|_| Name::root());
        Rdata::soa(&self.apex, &nobody, [1, 3_600, 1_200, 604_800, TTL])
    }
}

fn localhost() -> Name {
    Name::from_labels([b"localhost".as_slice()]).unwrap_or_else(|_| Name::root())
}

/// Whether the name is the reverse of 127.0.0.1 or ::1.
fn is_loopback_pointer(name: &Name) -> bool {
    let v4 = || name.labels().eq([b"1".as_slice(), b"0", b"0", b"127", b"in-addr", b"arpa"]);
    let v6 = || {
        let zeros = std::iter::repeat_n(b"0".as_slice(), 31);
        name.labels().eq([b"1".as_slice()].into_iter().chain(zeros).chain([b"ip6".as_slice(), b"arpa"]))
    };
    v4() || v6()
}

#[cfg(test)]
mod tests;
