//! Which zones can be in force together, and beside the peers. Like the verdict on peers it depends on nothing but what
//! is written and its order.

use std::collections::BTreeMap;

use strait_wire::Name;

use super::build::{apex, refuse};
use super::{MAX_TEMPLATES, MAX_ZONES, MAX_ZONES_SIZE, ZoneDocument, ZoneSet};
use crate::convert::without_final_dot as plain;
use crate::judge::Refusal;
use crate::peers::PeerSet;
use crate::rules::Home;

/// Names that clusters share (KEP-1645): the gateway has them.
const SHARED_NAMES: &str = "clusterset.local";

/// Judges zones in their order: of two that cannot be in force together, the first is. What `known` has already is not
/// built again.
pub(crate) fn judge<'a>(
    documents: impl IntoIterator<Item = &'a ZoneDocument>,
    peers: &PeerSet,
    home: &Home,
    known: &ZoneSet,
) -> (ZoneSet, BTreeMap<String, Refusal>) {
    let mut court =
        Court { peers, home, known, set: ZoneSet::default(), taken: BTreeMap::new(), templates: 0, size: 0 };
    let refused = documents.into_iter().filter_map(|document| {
        let refusal = court.hear(document).err()?;
        Some((document.name.clone(), refusal))
    });
    let refused = refused.collect();
    (court.set, refused)
}

struct Court<'a> {
    peers: &'a PeerSet,
    home: &'a Home,
    known: &'a ZoneSet,
    set: ZoneSet,
    /// Whose names of zones are.
    taken: BTreeMap<Name, String>,
    templates: usize,
    size: usize,
}

impl Court<'_> {
    /// Takes a zone in, or says why not. What is cheap is looked at first.
    fn hear(&mut self, document: &ZoneDocument) -> Result<(), Refusal> {
        let apex = apex(&document.apex)?;
        self.is_free(&apex)?;
        let (templates, size) = self.room(document)?;
        let zone = self.known.of(document);
        zone.zone().map_err(Refusal::clone)?;
        (self.templates, self.size) = (templates, size);
        self.taken.insert(apex, document.name.clone());
        self.set.insert(zone);
        Ok(())
    }

    /// Whether that name of a zone is nobody's.
    fn is_free(&self, apex: &Name) -> Result<(), Refusal> {
        let name = plain(apex);
        if let Some(other) = self.taken.get(apex) {
            return Err(taken(format!("{name} is that of zone {other}, which is older; join the two, or delete one")));
        }
        if let Some(peer) = self.peers.iter().find(|peer| peer.suffix == *apex) {
            return Err(taken(format!(
                "{name} is the suffix of peer {}, which answers for it; name a zone below it, or remove that peer",
                peer.name
            )));
        }
        let own = [
            (&self.home.home_zone, "the zone of this cluster's own DNS"),
            (&self.home.suffix, "this cluster's own suffix"),
        ];
        if let Some((_, what)) = own.into_iter().find(|(own, _)| *own == apex) {
            return Err(not_allowed(format!("{name} is {what}; name a zone below it, or another")));
        }
        match SHARED_NAMES.parse::<Name>().is_ok_and(|shared| apex.is_within(&shared)) {
            true => Err(not_allowed(format!(
                "{name} lies in {SHARED_NAMES}, whose names clusters share by ServiceExport; name another"
            ))),
            false => Ok(()),
        }
    }

    /// The templates and the size of all with this one, if there is room for it.
    fn room(&self, document: &ZoneDocument) -> Result<(usize, usize), Refusal> {
        if self.set.len() >= MAX_ZONES {
            return Err(refuse(
                "TooManyZones",
                format!("there are {MAX_ZONES} older zones, the most there may be; delete one"),
            ));
        }
        let templates = self.templates + document.templates.len();
        if templates > MAX_TEMPLATES {
            let message = format!(
                "spec.templates: with these, there are {templates} templates in all zones, more than {MAX_TEMPLATES}; write records, or zones in the node-agents' configuration"
            );
            return Err(refuse("TooManyTemplates", message));
        }
        let size = self.size + document.size();
        if size > MAX_ZONES_SIZE {
            let message = format!(
                "spec: with this one, all zones have {size} octets, more than {MAX_ZONES_SIZE}; put large zones into zone files of the node-agents"
            );
            return Err(refuse("TooLarge", message));
        }
        Ok((templates, size))
    }
}

fn taken(what: String) -> Refusal {
    refuse("NameTaken", format!("spec.name: {what}"))
}

fn not_allowed(what: String) -> Refusal {
    refuse("NameNotAllowed", format!("spec.name: {what}"))
}
