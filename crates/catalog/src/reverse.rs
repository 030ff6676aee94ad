//! Addresses and the names they have: zones under `in-addr.arpa` and `ip6.arpa` (RFC 1035 3.5, RFC 3596 2.5).
//!
//! A zone is one name; `IpNet::reverse_zones` says which a range of addresses needs. An address within the zone that
//! nobody has does not exist. Names above addresses all exist: nobody looks whether one of them is in use, and to say
//! that such a name does not exist would deny every address below it (RFC 8020).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, Flags, Message, Name, NameError, Question, Rcode, Rdata, RecordType};

use crate::Catalog;
use crate::lookup::Relative;
use crate::source::records::service_name;
use crate::source::{Authority, below, lies_ready, marked, may_tell};

/// The most names of one address that are told.
const MAX_NAMES: usize = 64;

/// The names of the addresses of a zone under `in-addr.arpa` or `ip6.arpa`.
pub struct ReverseZone {
    catalog: Arc<ArcSwap<Catalog>>,
    /// The zone that the names lie in.
    names: Name,
    authority: Authority,
}

/// What a name under `in-addr.arpa` or `ip6.arpa` is.
enum Found {
    Apex,
    Address(IpAddr),
    Empty,
    Nothing,
}

impl ReverseZone {
    /// The zone `apex` under `in-addr.arpa` or `ip6.arpa`, which tells names in the zone `names`, where also its name
    /// server is.
    pub fn new(catalog: Arc<ArcSwap<Catalog>>, apex: Name, names: Name) -> Result<Self, NameError> {
        let ttl = catalog.load().settings().ttl;
        let authority = Authority::new(apex.to_lowercase(), below(&names, &[b"ns", b"dns"])?, &names, ttl)?;
        Ok(Self { catalog, names, authority })
    }

    /// The zone.
    pub fn apex(&self) -> &Name {
        &self.authority.apex
    }

    fn find(&self, lower: &[u8]) -> Option<Found> {
        Relative::new(lower, self.authority.apex.as_wire())?;
        Some(match lower == self.authority.apex.as_wire() {
            true => Found::Apex,
            false => parse(lower),
        })
    }

    fn look_up(&self, ask: &Ask) -> Result<Answer, SourceError> {
        let catalog = self.catalog.load();
        may_tell(&catalog)?;
        self.authority.check(&ask.question.name)?;
        Ok(marked(&catalog, self.answer(&catalog, &ask.question)))
    }

    fn answer(&self, catalog: &Catalog, question: &Question) -> Answer {
        let name = &question.name;
        let is_asked = |rtype: RecordType| [rtype, RecordType::ANY].contains(&question.rtype);
        let mut message = Message::response(question.clone(), Rcode::NOERROR);
        message.flags = message.flags.with(Flags::AA, true);
        match self.find(name.to_lowercase().as_wire()).unwrap_or(Found::Nothing) {
            Found::Apex if is_asked(RecordType::SOA) => message.answers.push(self.authority.soa.clone()),
            Found::Apex if question.rtype == RecordType::NS => {
                let server = Rdata::name(&self.authority.name_server);
                message.answers.push(self.authority.record(name, RecordType::NS, server));
            }
            Found::Address(address) => match self.names_of(catalog, address) {
                names if names.is_empty() => message.rcode = Rcode::NXDOMAIN,
                names if is_asked(RecordType::PTR) => {
                    let record = |to: &Name| self.authority.record(name, RecordType::PTR, Rdata::name(to));
                    message.answers.extend(names.iter().map(record));
                }
                _ => {}
            },
            Found::Nothing => message.rcode = Rcode::NXDOMAIN,
            Found::Apex | Found::Empty => {}
        }
        if message.answers.is_empty() {
            message.authorities.push(self.authority.soa.clone());
        }
        // 64 records of a name each always fit.
        Answer::new(&message).unwrap_or_else(|_| Answer::failure(question.clone(), Rcode::SERVFAIL, None))
    }

    /// The names of an address, those of services before those of endpoints.
    fn names_of(&self, catalog: &Catalog, address: IpAddr) -> Vec<Name> {
        let mut owners: Vec<_> = catalog.owners(address).collect();
        owners.sort_by_key(|service| service.id());
        let (mut services, mut endpoints) = (Vec::new(), Vec::new());
        for service in owners.into_iter().take(MAX_NAMES) {
            let id = service.id().as_wire();
            let (is_own, names) = service.names_of(address);
            services.extend(is_own.then(|| service_name(id, &self.names)).flatten());
            for name in names {
                let label = name.label();
                endpoints.extend(service_name(&[&[label.len() as u8], label.as_bytes(), id].concat(), &self.names));
            }
        }
        services.into_iter().chain(endpoints).take(MAX_NAMES).collect()
    }
}

impl Source for ReverseZone {
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        let catalog = self.catalog.load();
        if rtype == RecordType::ANY || !lies_ready(&catalog) {
            return None;
        }
        match self.find(lower)? {
            Found::Address(address) if catalog.owners(address).next().is_none() => Some(self.authority.no_name()),
            Found::Address(_) if rtype != RecordType::PTR => Some(self.authority.no_data()),
            Found::Empty => Some(self.authority.no_data()),
            Found::Nothing => Some(self.authority.no_name()),
            Found::Address(_) | Found::Apex => None,
        }
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.look_up(ask).ok()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(self.look_up(ask)))
    }
}

/// What a name in wire form and lower case is.
fn parse(lower: &[u8]) -> Found {
    if let Some(labels) = lower.strip_suffix(b"\x07in-addr\x04arpa\x00") {
        return parse_labels::<4>(labels, decimal, |octets| Ipv4Addr::from(octets).into());
    }
    if let Some(labels) = lower.strip_suffix(b"\x03ip6\x04arpa\x00") {
        let address = |nibbles: [u8; 32]| {
            let bits = nibbles.iter().fold(0u128, |bits, nibble| bits << 4 | u128::from(*nibble));
            Ipv6Addr::from_bits(bits).into()
        };
        return parse_labels::<32>(labels, nibble, address);
    }
    Found::Nothing
}

/// The labels hold the parts of an address, the last part first.
fn parse_labels<const PARTS: usize>(
    mut labels: &[u8],
    part: impl Fn(&[u8]) -> Option<u8>,
    address: impl Fn([u8; PARTS]) -> IpAddr,
) -> Found {
    let (mut parts, mut count) = ([0; PARTS], 0);
    while let Some((len, rest)) = labels.split_first() {
        let Some((label, rest)) = rest.split_at_checked(usize::from(*len)) else { return Found::Nothing };
        let (Some(value), Some(place)) = (part(label), parts.get_mut(count)) else { return Found::Nothing };
        *place = value;
        count += 1;
        labels = rest;
    }
    if count < PARTS {
        return Found::Empty;
    }
    parts.reverse();
    Found::Address(address(parts))
}

/// A number up to 255, without zeros before it.
fn decimal(label: &[u8]) -> Option<u8> {
    let is_plain = label.iter().all(u8::is_ascii_digit) && (label.len() == 1 || label.first() != Some(&b'0'));
    str::from_utf8(label).ok().filter(|_| is_plain)?.parse().ok()
}

/// One hexadecimal digit.
fn nibble(label: &[u8]) -> Option<u8> {
    let [digit] = label else { return None };
    char::from(*digit).to_digit(16).map(|value| value as u8)
}
