//! Answers that are made when they are asked for: aliases, ports, endpoints, pods, and the zone itself.

use std::collections::HashSet;
use std::net::IpAddr;

use strait_wire::{
    Answer, Ede, Flags, MAX_ALIASES, MAX_MESSAGE_LEN, Message, Name, Question, Rcode, Rdata, Record, RecordType,
};

use super::CatalogZone;
use crate::lookup::{Found, Relative, find};
use crate::service::{ServiceView, Target, address_data, in_order, type_of};
use crate::{Catalog, Protocol, SCHEMA_VERSION};

/// What the records of an answer may take, in octets: then it fits a message, with its question and the names on the way.
const MAX_RECORDS_LEN: usize = MAX_MESSAGE_LEN - (MAX_ALIASES + 2) * Name::MAX_LEN;
/// The owner of a record in the answer section: a pointer to a name that stands there already (RFC 1035 4.1.4).
const OWNER_LEN: usize = 2;
/// Type, class, TTL and length of a record.
const HEAD_LEN: usize = 10;
/// The weights of equal SRV records add up to that, as far as there are not more of them (RFC 2782).
const WEIGHTS: usize = 100;

/// What `zone` says to the question, which lies within it.
pub(super) fn answer(zone: &CatalogZone, catalog: &Catalog, question: &Question) -> Answer {
    let mut answering = Answering { zone, catalog, room: MAX_RECORDS_LEN, message: empty(question) };
    if let Err(ede) = answering.follow(question) {
        return Answer::failure(question.clone(), Rcode::SERVFAIL, Some(ede));
    }
    // There is room for every record that is put in.
    Answer::new(&answering.message).unwrap_or_else(|_| Answer::failure(question.clone(), Rcode::SERVFAIL, None))
}

fn empty(question: &Question) -> Message {
    let mut message = Message::response(question.clone(), Rcode::NOERROR);
    message.flags = message.flags.with(Flags::AA, true);
    message
}

/// An answer being put together.
struct Answering<'a> {
    zone: &'a CatalogZone,
    catalog: &'a Catalog,
    room: usize,
    message: Message,
}

impl Answering<'_> {
    /// Fills the sections, from alias to alias within the zone; the error says why there is no answer.
    fn follow(&mut self, question: &Question) -> Result<(), Ede> {
        let mut name = question.name.clone();
        let mut passed = vec![name.clone()];
        loop {
            let Some(target) = self.tell(&name, question.rtype)? else { return Ok(()) };
            if !target.is_within(self.zone.apex()) {
                return Ok(());
            }
            if passed.len() > MAX_ALIASES || passed.contains(&target) {
                let from = &question.name;
                let text =
                    format!("the aliases from {from} go in a circle or are more than {MAX_ALIASES}, at {target}");
                return Err(Ede::new(Ede::OTHER, text));
            }
            passed.push(target.clone());
            name = target;
        }
    }

    /// Adds what there is to say about a name; where it leads, when it is an alias to follow.
    fn tell(&mut self, name: &Name, rtype: RecordType) -> Result<Option<Name>, Ede> {
        let lower = name.to_lowercase();
        let apex = self.zone.apex().as_wire();
        let Some(relative) = Relative::new(lower.as_wire(), apex) else { return Ok(None) };
        let before = self.message.answers.len();
        let any = rtype == RecordType::ANY;
        let is_asked = |kind: RecordType| any || rtype == kind;
        match find(self.catalog, &relative) {
            Found::Nothing => {
                self.message.rcode = Rcode::NXDOMAIN;
            }
            Found::Empty => {}
            Found::Apex => {
                if is_asked(RecordType::SOA) {
                    let soa = self.zone.authority.soa.clone();
                    self.answer(soa);
                } else if rtype == RecordType::NS {
                    let server = &self.zone.authority.name_server;
                    self.answer(self.record(name, RecordType::NS, Rdata::name(server)));
                    self.beside(server, &self.zone.settings.name_server);
                }
            }
            Found::Version if is_asked(RecordType::TXT) => {
                let version = [&[SCHEMA_VERSION.len() as u8], SCHEMA_VERSION.as_bytes()].concat();
                self.answer(self.record(name, RecordType::TXT, Rdata::opaque(version)));
            }
            Found::NameServer => self.addresses(name, rtype, &self.zone.settings.name_server),
            Found::Endpoint(service, label) => {
                let mut addresses: Vec<_> = service.endpoint(label).collect();
                in_order(&mut addresses);
                self.addresses(name, rtype, &addresses);
            }
            Found::Pod(address) => self.addresses(name, rtype, &[address]),
            Found::Port(service, port, protocol) if is_asked(RecordType::SRV) => {
                self.targets(name, service, Some((port, protocol)));
            }
            Found::Service(service) => match service.alias() {
                Some(target) => {
                    let target = self.told(target)?;
                    self.answer(self.record(name, RecordType::CNAME, Rdata::name(&target)));
                    return Ok((!is_asked(RecordType::CNAME)).then_some(target));
                }
                None if rtype == RecordType::SRV => self.targets(name, service, None),
                None => {
                    for family in [RecordType::A, RecordType::AAAA].into_iter().filter(|family| is_asked(*family)) {
                        // Any set will do for ANY (RFC 8482 4.1).
                        if self.message.answers.len() == before {
                            self.addresses(name, family, &service.addresses(family));
                        }
                    }
                }
            },
            Found::Version | Found::Port(..) => {}
        }
        if self.message.answers.len() == before {
            let soa = self.zone.authority.soa.clone();
            self.message.authorities.push(soa);
        }
        Ok(None)
    }

    /// An alias as it is told here: what lies in the home zone lies under this one.
    fn told(&self, target: &Name) -> Result<Name, Ede> {
        match target.replace_suffix(&self.zone.settings.home, self.zone.apex()) {
            None => Ok(target.clone()),
            Some(mapped) => mapped.map_err(|_| {
                let text = "where the alias leads is too long a name under this zone";
                Ede::new(Ede::INVALID_DATA, text)
            }),
        }
    }

    /// The SRV records of a service's ports, and the addresses of their targets (RFC 2782).
    fn targets(&mut self, name: &Name, service: &ServiceView, port: Option<(&[u8], Protocol)>) {
        let targets = service.targets(port);
        let own = self.below_apex(service.id().as_wire());
        // As they come; what is asked for is told once (RFC 2181 5).
        let mut told = HashSet::new();
        let named = targets.iter().filter_map(|target| Some((target, self.name_of(target, service, own.as_ref()?)?)));
        let named: Vec<_> = named.filter(|(target, name)| told.insert((target.port, name.clone()))).collect();
        // At most 100.
        let weight = (WEIGHTS / named.len().max(1)).max(1) as u16;
        for (target, target_name) in &named {
            let rdata = Rdata::srv(0, weight, target.port, target_name);
            self.answer(self.record(name, RecordType::SRV, rdata));
        }
        let mut beside = HashSet::new();
        for target in targets {
            let Some(own) = &own else { return };
            match target.endpoint {
                None if beside.is_empty() => {
                    let addresses = [RecordType::A, RecordType::AAAA].map(|family| service.addresses(family)).concat();
                    beside.extend(&addresses);
                    self.beside(own, &addresses);
                }
                None => {}
                Some(endpoint) if beside.insert(endpoint.address()) => {
                    if let Some(endpoint_name) = self.name_of(&target, service, own) {
                        self.beside(&endpoint_name, &[endpoint.address()]);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// What a target is called; none when that is too long for a name.
    fn name_of(&self, target: &Target<'_>, service: &ServiceView, own: &Name) -> Option<Name> {
        let Some(endpoint) = &target.endpoint else { return Some(own.clone()) };
        let label = endpoint.label();
        self.below_apex(&[&[label.len() as u8], label.as_bytes(), service.id().as_wire()].concat())
    }

    /// The name `<labels>.svc.<zone>`; none when that is too long for a name.
    fn below_apex(&self, labels: &[u8]) -> Option<Name> {
        service_name(labels, self.zone.apex())
    }

    fn addresses(&mut self, name: &Name, rtype: RecordType, addresses: &[IpAddr]) {
        for address in addresses.iter().filter(|address| [type_of(**address), RecordType::ANY].contains(&rtype)) {
            self.answer(self.record(name, type_of(*address), address_data(*address)));
        }
    }

    fn record(&self, name: &Name, rtype: RecordType, rdata: Rdata) -> Record {
        self.zone.authority.record(name, rtype, rdata)
    }

    fn answer(&mut self, record: Record) {
        if self.take_room(OWNER_LEN, &record.rdata) {
            self.message.answers.push(record);
        }
    }

    fn beside(&mut self, name: &Name, addresses: &[IpAddr]) {
        for address in addresses {
            let record = self.record(name, type_of(*address), address_data(*address));
            if self.take_room(name.as_wire().len(), &record.rdata) {
                self.message.additionals.push(record);
            }
        }
    }

    /// Whether there is room for a record; it is taken.
    fn take_room(&mut self, owner_len: usize, data: &Rdata) -> bool {
        let left = self.room.checked_sub(owner_len + HEAD_LEN + data.as_bytes().len());
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }
}

/// The name `<labels>.svc.<zone>`, `labels` being in wire form; none when that is too long for a name.
pub(crate) fn service_name(labels: &[u8], apex: &Name) -> Option<Name> {
    Name::from_wire(&[labels, b"\x03svc", apex.as_wire()].concat()).ok()
}
