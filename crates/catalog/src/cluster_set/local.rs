//! What this cluster says of a name of the set, without asking any other.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_resolve::SourceError;
use strait_wire::{Answer, Ede, Name, NameError, Question, Rcode, Rdata, RecordType};

use super::lookup::{Found, Shared, Shown, find};
use crate::lookup::Relative;
use crate::service::in_order;
use crate::source::records::{Sections, service_name};
use crate::source::{Authority, below, lies_ready, marked};
use crate::{Catalog, Label, Protocol, SET_SCHEMA_VERSION, SetState};

/// The catalog's part of the set, under a zone.
pub(super) struct LocalPart {
    catalog: Arc<ArcSwap<Catalog>>,
    pub(super) authority: Authority,
    /// This cluster among those of the set.
    own: Label,
    shown: Shown,
}

/// What is said here.
pub(super) enum Said {
    /// All there is to say.
    Whole(Answer),
    /// Some of the endpoints of a headless service: the others are in other clusters (2.4.1).
    Part(Answer),
    /// A service of which no endpoint is ready here.
    Unready(Answer),
    /// Nothing: others may know.
    Nothing,
}

impl LocalPart {
    /// What of the catalog is shown so, under `apex`. An error: nothing fits below that apex.
    pub(super) fn new(
        catalog: Arc<ArcSwap<Catalog>>,
        apex: &Name,
        own: Label,
        shown: Shown,
    ) -> Result<Self, NameError> {
        let apex = apex.to_lowercase();
        let ttl = catalog.load().settings().ttl;
        let authority = Authority::new(apex.clone(), below(&apex, &[b"ns", b"dns"])?, &apex, ttl)?;
        Ok(Self { catalog, authority, own, shown })
    }

    /// What there is to say. An error: nothing is known yet.
    pub(super) fn say(&self, question: &Question) -> Result<Said, SourceError> {
        self.authority.check(&question.name)?;
        let catalog = self.catalog.load();
        match catalog.set_state() {
            SetState::On if catalog.may_tell() => Ok(match self.look_up(&catalog, question) {
                Said::Whole(answer) => Said::Whole(marked(&catalog, answer)),
                other => other,
            }),
            SetState::Off => Ok(Said::Whole(takes_no_part(question))),
            SetState::Waiting | SetState::On => {
                let text = "what this cluster shares with others is not known yet";
                Err(SourceError::NotReady(text.to_owned()))
            }
        }
    }

    /// The addresses of a service, when they lie ready and are all there is to say.
    pub(super) fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        let catalog = self.catalog.load();
        if catalog.set_state() != SetState::On || !lies_ready(&catalog) {
            return None;
        }
        let name = Relative::new(lower, self.authority.apex.as_wire())?;
        match find(&catalog, &name, self.shown, &self.own) {
            Found::Service(shared) if is_whole(shared) => shared.view.ready_answer(rtype).cloned().map(Cow::Owned),
            _ => None,
        }
    }

    fn look_up(&self, catalog: &Catalog, question: &Question) -> Said {
        let mut sections = Sections::new(&self.authority, question);
        let (name, rtype) = (&question.name, question.rtype);
        let lower = name.to_lowercase();
        let is_asked = |kind: RecordType| [kind, RecordType::ANY].contains(&rtype);
        let Some(relative) = Relative::new(lower.as_wire(), self.authority.apex.as_wire()) else {
            return Said::Nothing;
        };
        let mut of = None;
        match find(catalog, &relative, self.shown, &self.own) {
            Found::Elsewhere => return Said::Nothing,
            Found::Nothing => sections.message.rcode = Rcode::NXDOMAIN,
            Found::Empty | Found::NameServer => {}
            Found::Apex if is_asked(RecordType::SOA) => sections.answer(self.authority.soa.clone()),
            Found::Apex if rtype == RecordType::NS => {
                let server = Rdata::name(&self.authority.name_server);
                sections.answer(sections.record(name, RecordType::NS, server));
            }
            Found::Version if is_asked(RecordType::TXT) => {
                let version = [&[SET_SCHEMA_VERSION.len() as u8], SET_SCHEMA_VERSION.as_bytes()].concat();
                sections.answer(sections.record(name, RecordType::TXT, Rdata::opaque(version)));
            }
            Found::Endpoint(shared, label, cluster) => {
                let there = shared.view.endpoint_in(label, |of| shared.is_in(of, cluster));
                let mut addresses: Vec<_> = there.collect();
                in_order(&mut addresses);
                sections.addresses(name, rtype, &addresses);
            }
            Found::Port(shared, port, protocol) => {
                of = Some(shared).filter(|_| rtype == RecordType::SRV);
                if is_asked(RecordType::SRV) {
                    self.targets(&mut sections, name, shared, Some((port, protocol)));
                }
            }
            Found::Service(shared) => {
                let families = [RecordType::A, RecordType::AAAA];
                of = Some(shared).filter(|_| families.contains(&rtype) || rtype == RecordType::SRV);
                if rtype == RecordType::SRV {
                    self.targets(&mut sections, name, shared, None);
                }
                for family in families.into_iter().filter(|family| is_asked(*family)) {
                    sections.addresses(name, family, &shared.view.addresses(family));
                }
            }
            Found::Apex | Found::Version => {}
        }
        if sections.message.answers.is_empty() {
            sections.deny();
        }
        let answer = sections.finish(question);
        match of {
            Some(shared) if is_whole(shared) => Said::Whole(answer),
            Some(shared) if shared.view.is_headless() => Said::Part(answer),
            Some(_) => Said::Unready(answer),
            None => Said::Whole(answer),
        }
    }

    /// The SRV records of a port, or of every named one (2.3.2, 2.4.2).
    fn targets(&self, sections: &mut Sections<'_>, name: &Name, shared: Shared<'_>, port: Option<(&[u8], Protocol)>) {
        let id = shared.view.id().as_wire();
        let Some(own) = service_name(id, &self.authority.apex) else { return };
        let (mut targets, mut addresses) = (Vec::new(), Vec::new());
        for target in shared.view.targets(port) {
            let Some(endpoint) = &target.endpoint else {
                targets.push((target.port, own.clone()));
                continue;
            };
            // An endpoint whose cluster is not known has no name.
            let Some(cluster) = shared.cluster(target.cluster) else { continue };
            let label = endpoint.label();
            let mut wire = vec![label.len() as u8];
            wire.extend_from_slice(label.as_bytes());
            cluster.push_wire(&mut wire);
            wire.extend_from_slice(id);
            if let Some(target_name) = service_name(&wire, &self.authority.apex) {
                addresses.push((target_name.clone(), endpoint.address()));
                targets.push((target.port, target_name));
            }
        }
        if !shared.view.is_headless() && !targets.is_empty() {
            addresses = shared.view.all_addresses().map(|address| (own.clone(), address)).collect();
        }
        sections.targets(name, &targets, &addresses);
    }
}

/// Whether nobody else has anything to say of a service: it is imported from all of them, or answers here, where it is
/// nearest.
fn is_whole(shared: Shared<'_>) -> bool {
    shared.is_import || !shared.view.is_headless() && shared.view.is_served()
}

/// A cluster without the definitions of exports and imports is none of the set.
fn takes_no_part(question: &Question) -> Answer {
    let text = "this cluster has no ServiceExport and ServiceImport (multicluster.x-k8s.io): install their definitions";
    Answer::failure(question.clone(), Rcode::REFUSED, Some(Ede::new(Ede::NOT_AUTHORITATIVE, text)))
}
