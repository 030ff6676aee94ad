//! The catalog under a zone: a source of answers for `cluster.local`, or for the suffix by which peers know the cluster.

pub(crate) mod records;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, Class, Ede, Flags, Message, Name, NameError, Rcode, Rdata, Record, RecordType};

use crate::Catalog;
use crate::lookup::{Found, Relative, find};
use crate::service::{anybody, type_of};

/// Which zone the catalog is given.
#[derive(Debug, Clone)]
pub struct ZoneSettings {
    /// The zone: the home zone itself, or the suffix.
    pub apex: Name,
    /// What the cluster calls itself (`cluster.local`): aliases to names there are told under `apex`.
    pub home: Name,
    /// The addresses of `ns.dns.<apex>`, its name server.
    pub name_server: Box<[IpAddr]>,
}

/// The catalog under a zone.
pub struct CatalogZone {
    catalog: Arc<ArcSwap<Catalog>>,
    settings: ZoneSettings,
    authority: Authority,
}

/// What a zone says about itself, and that there is nothing.
pub(crate) struct Authority {
    pub(crate) apex: Name,
    pub(crate) name_server: Name,
    pub(crate) ttl: u32,
    pub(crate) soa: Record,
    no_data: Answer,
    no_name: Answer,
}

impl CatalogZone {
    /// Gives whatever catalog is in `catalog` at the time the zone of `settings`. An error: nothing fits below that apex.
    pub fn new(catalog: Arc<ArcSwap<Catalog>>, settings: ZoneSettings) -> Result<Self, NameError> {
        let ttl = catalog.load().settings().ttl;
        let settings = ZoneSettings { apex: settings.apex.to_lowercase(), ..settings };
        let name_server = below(&settings.apex, &[b"ns", b"dns"])?;
        let authority = Authority::new(settings.apex.clone(), name_server, &settings.apex, ttl)?;
        Ok(Self { catalog, settings, authority })
    }

    /// The zone.
    pub fn apex(&self) -> &Name {
        &self.settings.apex
    }

    fn look_up(&self, ask: &Ask) -> Result<Answer, SourceError> {
        let catalog = self.catalog.load();
        may_tell(&catalog)?;
        self.authority.check(&ask.question.name)?;
        Ok(marked(&catalog, records::answer(self, &catalog, &ask.question)))
    }
}

impl Source for CatalogZone {
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        let catalog = self.catalog.load();
        if rtype == RecordType::ANY || !lies_ready(&catalog) {
            return None;
        }
        match find(&catalog, &Relative::new(lower, self.settings.apex.as_wire())?) {
            Found::Service(service) if service.alias().is_some() || rtype == RecordType::SRV => None,
            Found::Service(service) => match service.ready_answer(rtype) {
                // Its octets are shared: the catalog may be another one at any time.
                Some(answer) => Some(Cow::Owned(answer.clone())),
                None => Some(self.authority.no_data()),
            },
            // What there is is made when it is asked for; that there is nothing of a type lies ready.
            Found::Endpoint(service, label) if service.endpoint(label).any(|address| type_of(address) == rtype) => None,
            Found::Pod(address) if type_of(address) == rtype => None,
            Found::Port(..) if rtype == RecordType::SRV => None,
            Found::Version if rtype == RecordType::TXT => None,
            Found::Apex | Found::NameServer => None,
            Found::Endpoint(..) | Found::Pod(_) | Found::Port(..) | Found::Version | Found::Empty => {
                Some(self.authority.no_data())
            }
            Found::Nothing => Some(self.authority.no_name()),
        }
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.look_up(ask).ok()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(self.look_up(ask)))
    }
}

impl Authority {
    /// Of the zone `apex`, whose name server and whose administrator's mail domain are these.
    pub(crate) fn new(apex: Name, name_server: Name, mail: &Name, ttl: u32) -> Result<Self, NameError> {
        let hostmaster = below(mail, &[b"hostmaster"])?;
        // Nobody transfers the zone, so that nobody reads the serial or the timers.
        let rdata = Rdata::soa(&name_server, &hostmaster, [1, 7_200, 1_800, 86_400, ttl]);
        let soa = Record { name: apex.clone(), rtype: RecordType::SOA, class: Class::IN, ttl, rdata };
        let none = |rcode| {
            let mut message = Message::response(anybody(RecordType::A), rcode);
            message.flags = message.flags.with(Flags::AA, true);
            message.authorities.push(soa.clone());
            // A record of three names fits any message.
            Answer::for_any_name(&message).map_err(|_| NameError::NameTooLong)
        };
        let (no_data, no_name) = (none(Rcode::NOERROR)?, none(Rcode::NXDOMAIN)?);
        Ok(Self { apex, name_server, ttl, soa, no_data, no_name })
    }

    /// The name exists, but not with that type (RFC 2308 2.2).
    pub(crate) fn no_data(&self) -> Cow<'_, Answer> {
        Cow::Borrowed(&self.no_data)
    }

    /// The name does not exist (RFC 2308 2.1).
    pub(crate) fn no_name(&self) -> Cow<'_, Answer> {
        Cow::Borrowed(&self.no_name)
    }

    /// A record of the zone.
    pub(crate) fn record(&self, owner: &Name, rtype: RecordType, rdata: Rdata) -> Record {
        Record { name: owner.clone(), rtype, class: Class::IN, ttl: self.ttl, rdata }
    }

    /// That a question has come to the right zone.
    pub(crate) fn check(&self, name: &Name) -> Result<(), SourceError> {
        match name.is_within(&self.apex) {
            true => Ok(()),
            false => Err(SourceError::BadAnswer(format!("{name} is not within {}", self.apex))),
        }
    }
}

/// Unknown is not absent: before every kind has been listed nothing is told.
pub(crate) fn may_tell(catalog: &Catalog) -> Result<(), SourceError> {
    match catalog.may_tell() {
        true => Ok(()),
        false => Err(SourceError::NotReady("the cluster's services are not known yet".to_owned())),
    }
}

/// Whether what it tells needs no mark, and can lie ready.
pub(crate) fn lies_ready(catalog: &Catalog) -> bool {
    catalog.may_tell() && !catalog.is_stale()
}

/// The answer with the mark of what is stale, if it is (RFC 8914 4.4, 4.20).
pub(crate) fn marked(catalog: &Catalog, answer: Answer) -> Answer {
    let code = if answer.rcode() == Rcode::NXDOMAIN { Ede::STALE_NXDOMAIN } else { Ede::STALE_ANSWER };
    match catalog.is_stale() && answer.ede().is_none() {
        true => answer.with_ede(Ede::new(code, "the cluster's API server does not tell of changes")),
        false => answer,
    }
}

/// The name with these labels below `apex`.
pub(crate) fn below(apex: &Name, labels: &[&[u8]]) -> Result<Name, NameError> {
    Name::from_labels(labels.iter().copied().chain(apex.labels()))
}
