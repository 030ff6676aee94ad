//! Answers that are made when they are asked for: aliases, ports, endpoints, pods, and the zone itself.

use std::collections::HashSet;
use std::net::IpAddr;

use strait_wire::{
    Answer, Ede, Flags, MAX_ALIASES, MAX_MESSAGE_LEN, Message, Name, Question, Rcode, Rdata, Record, RecordType,
};

use super::{Authority, CatalogZone};
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
    let mut answering = Answering { zone, catalog, sections: Sections::new(&zone.authority, question) };
    if let Err(ede) = answering.follow(question) {
        return Answer::failure(question.clone(), Rcode::SERVFAIL, Some(ede));
    }
    answering.sections.finish(question)
}

/// An answer being put together.
struct Answering<'a> {
    zone: &'a CatalogZone,
    catalog: &'a Catalog,
    sections: Sections<'a>,
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
        let before = self.sections.message.answers.len();
        let any = rtype == RecordType::ANY;
        let is_asked = |kind: RecordType| any || rtype == kind;
        match find(self.catalog, &relative) {
            Found::Nothing => {
                self.sections.message.rcode = Rcode::NXDOMAIN;
            }
            Found::Empty => {}
            Found::Apex => {
                if is_asked(RecordType::SOA) {
                    let soa = self.zone.authority.soa.clone();
                    self.sections.answer(soa);
                } else if rtype == RecordType::NS {
                    let server = &self.zone.authority.name_server;
                    self.sections.answer(self.sections.record(name, RecordType::NS, Rdata::name(server)));
                    self.sections.beside(server, &self.zone.settings.name_server);
                }
            }
            Found::Version if is_asked(RecordType::TXT) => {
                let version = [&[SCHEMA_VERSION.len() as u8], SCHEMA_VERSION.as_bytes()].concat();
                self.sections.answer(self.sections.record(name, RecordType::TXT, Rdata::opaque(version)));
            }
            Found::NameServer => self.sections.addresses(name, rtype, &self.zone.settings.name_server),
            Found::Endpoint(service, label) => {
                let mut addresses: Vec<_> = service.endpoint(label).collect();
                in_order(&mut addresses);
                self.sections.addresses(name, rtype, &addresses);
            }
            Found::Pod(address) => self.sections.addresses(name, rtype, &[address]),
            Found::Port(service, port, protocol) if is_asked(RecordType::SRV) => {
                self.targets(name, service, Some((port, protocol)));
            }
            Found::Service(service) => match service.alias() {
                Some(target) => {
                    let target = self.told(target)?;
                    self.sections.answer(self.sections.record(name, RecordType::CNAME, Rdata::name(&target)));
                    return Ok((!is_asked(RecordType::CNAME)).then_some(target));
                }
                None if rtype == RecordType::SRV => self.targets(name, service, None),
                None => {
                    for family in [RecordType::A, RecordType::AAAA].into_iter().filter(|family| is_asked(*family)) {
                        // Any set will do for ANY (RFC 8482 4.1).
                        if self.sections.message.answers.len() == before {
                            self.sections.addresses(name, family, &service.addresses(family));
                        }
                    }
                }
            },
            Found::Version | Found::Port(..) => {}
        }
        if self.sections.message.answers.len() == before {
            self.sections.deny();
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

    /// The SRV records of a service's ports.
    fn targets(&mut self, name: &Name, service: &ServiceView, port: Option<(&[u8], Protocol)>) {
        let Some(own) = self.below_apex(service.id().as_wire()) else { return };
        let targets = service.targets(port);
        let named = targets.iter().filter_map(|target| Some((target, self.name_of(target, service, &own)?)));
        let named: Vec<_> = named.collect();
        let addresses: Vec<(Name, IpAddr)> = match service.is_headless() {
            true => {
                let endpoints =
                    named.iter().filter_map(|(target, name)| Some((name.clone(), target.endpoint?.address())));
                endpoints.collect()
            }
            false => service.all_addresses().map(|address| (own.clone(), address)).collect(),
        };
        let targets: Vec<_> = named.into_iter().map(|(target, name)| (target.port, name)).collect();
        // Addresses help whoever is told a target.
        let addresses = if targets.is_empty() { &[] } else { &*addresses };
        self.sections.targets(name, &targets, addresses);
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
}

/// The sections of an answer, as far as there is room.
pub(crate) struct Sections<'a> {
    authority: &'a Authority,
    room: usize,
    pub(crate) message: Message,
}

impl<'a> Sections<'a> {
    /// Empty ones, of the authority for its zone.
    pub(crate) fn new(authority: &'a Authority, question: &Question) -> Self {
        let mut message = Message::response(question.clone(), Rcode::NOERROR);
        message.flags = message.flags.with(Flags::AA, true);
        Self { authority, room: MAX_RECORDS_LEN, message }
    }

    /// A record of the zone.
    pub(crate) fn record(&self, name: &Name, rtype: RecordType, rdata: Rdata) -> Record {
        self.authority.record(name, rtype, rdata)
    }

    /// The addresses of that type.
    pub(crate) fn addresses(&mut self, name: &Name, rtype: RecordType, addresses: &[IpAddr]) {
        for address in addresses.iter().filter(|address| [type_of(**address), RecordType::ANY].contains(&rtype)) {
            self.answer(self.record(name, type_of(*address), address_data(*address)));
        }
    }

    /// The SRV records of those targets, which are told once each, and their addresses beside them (RFC 2782).
    pub(crate) fn targets(&mut self, name: &Name, targets: &[(u16, Name)], addresses: &[(Name, IpAddr)]) {
        // As they come; what is asked for is told once (RFC 2181 5).
        let mut told = HashSet::new();
        let once: Vec<_> = targets.iter().filter(|target| told.insert(*target)).collect();
        // At most 100.
        let weight = (WEIGHTS / once.len().max(1)).max(1) as u16;
        for (port, target) in once {
            self.answer(self.record(name, RecordType::SRV, Rdata::srv(0, weight, *port, target)));
        }
        let mut beside = HashSet::new();
        for (target, address) in addresses.iter().filter(|(_, address)| beside.insert(*address)) {
            self.beside(target, &[*address]);
        }
    }

    /// Puts a record into the answer section.
    pub(crate) fn answer(&mut self, record: Record) {
        if self.take_room(OWNER_LEN, &record.rdata) {
            self.message.answers.push(record);
        }
    }

    /// Puts addresses into the additional section.
    pub(crate) fn beside(&mut self, name: &Name, addresses: &[IpAddr]) {
        for address in addresses {
            self.put_beside(self.record(name, type_of(*address), address_data(*address)));
        }
    }

    /// Puts a record into the additional section.
    pub(crate) fn put_beside(&mut self, record: Record) {
        if self.take_room(record.name.as_wire().len(), &record.rdata) {
            self.message.additionals.push(record);
        }
    }

    /// Says that there is nothing, or nothing more (RFC 2308 2).
    pub(crate) fn deny(&mut self) {
        self.message.authorities.push(self.authority.soa.clone());
    }

    /// The answer.
    pub(crate) fn finish(self, question: &Question) -> Answer {
        // There is room for every record that is put in.
        Answer::new(&self.message).unwrap_or_else(|_| Answer::failure(question.clone(), Rcode::SERVFAIL, None))
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
