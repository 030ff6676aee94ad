//! A zone's records by name, with the rules that one zone's data must keep.

use std::collections::HashMap;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use strait_wire::{Answer, Class, Name, Question, Rdata, Record, RecordType};

use super::{MAX_RECORDS, MAX_TTL};

/// The most records of one type at one name: of the shortest, addresses, 65,535 octets hold fewer.
const MAX_RRSET: usize = 4096;
/// The first label of a wildcard (RFC 4592 2.1.1).
const WILDCARD: &[u8] = b"\x01*";

/// The records of one type at one name.
#[derive(Default)]
pub(super) struct RrSet {
    pub(super) rtype: Option<RecordType>,
    pub(super) records: Vec<Record>,
    /// The whole answer to the question for this very name and type, once it has been asked.
    pub(super) answer: OnceLock<Answer>,
    /// Of a wildcard: the answer for every name that it stands for.
    pub(super) for_any_name: Option<Box<Answer>>,
}

/// What is at one name; nothing at an empty non-terminal (RFC 4592 2.2.2).
#[derive(Default)]
pub(super) struct Node {
    rrsets: Vec<RrSet>,
}

impl Node {
    /// The records of one type.
    pub(super) fn get(&self, rtype: RecordType) -> Option<&RrSet> {
        self.rrsets.iter().find(|set| set.rtype == Some(rtype))
    }

    /// Any records; none at an empty non-terminal.
    pub(super) fn first(&self) -> Option<&RrSet> {
        self.rrsets.first()
    }

    fn types(&self) -> impl Iterator<Item = RecordType> {
        self.rrsets.iter().filter_map(|set| set.rtype)
    }
}

/// Every name of a zone, empty non-terminals included, under its lower-cased wire form.
pub(super) struct ZoneData {
    apex: Name,
    nodes: HashMap<Box<[u8]>, Node, RandomState>,
    records: usize,
    /// The most records, and the most names, that it may have.
    limit: usize,
    /// Whether there is a delegation or a DNAME: then what lies at a name does not tell what the name is.
    has_cuts: bool,
}

impl ZoneData {
    pub(super) fn new(apex: Name) -> Self {
        let mut nodes = HashMap::with_hasher(RandomState::default());
        nodes.insert(key(&apex), Node::default());
        Self { apex, nodes, records: 0, limit: MAX_RECORDS, has_cuts: false }
    }

    pub(super) fn apex(&self) -> &Name {
        &self.apex
    }

    /// The node at a name in lower-cased wire form.
    pub(super) fn node(&self, lower_wire: &[u8]) -> Option<&Node> {
        self.nodes.get(lower_wire)
    }

    /// The questions for each type at each wildcard.
    pub(super) fn wildcards(&self) -> impl Iterator<Item = Question> {
        let sets = self.nodes.iter().filter(|(key, _)| key.starts_with(WILDCARD)).flat_map(|(_, node)| &node.rrsets);
        sets.filter_map(|set| {
            let record = set.records.first()?;
            Some(Question { name: record.name.clone(), rtype: record.rtype, class: Class::IN })
        })
    }

    /// Keeps the answers for what wildcards stand for, in the order of [`ZoneData::wildcards`].
    pub(super) fn keep_for_wildcards(&mut self, answers: Vec<Option<Answer>>) {
        let nodes = self.nodes.iter_mut().filter(|(key, _)| key.starts_with(WILDCARD));
        let sets = nodes.flat_map(|(_, node)| &mut node.rrsets).filter(|set| !set.records.is_empty());
        for (set, answer) in sets.zip(answers) {
            set.for_any_name = answer.map(Box::new);
        }
    }

    /// The wildcard directly below a name in lower-cased wire form.
    pub(super) fn wildcard_below(&self, lower_wire: &[u8]) -> Option<&Node> {
        let mut source = [0; Name::MAX_LEN];
        let source = source.get_mut(..WILDCARD.len() + lower_wire.len())?;
        source[..WILDCARD.len()].copy_from_slice(WILDCARD);
        source[WILDCARD.len()..].copy_from_slice(lower_wire);
        self.node(source)
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_RECORDS);
    }

    pub(super) fn record_count(&self) -> usize {
        self.records
    }

    pub(super) fn has_cuts(&self) -> bool {
        self.has_cuts
    }

    /// Adds a record; the error says which rule it breaks.
    pub(super) fn insert(&mut self, name: Name, rtype: RecordType, ttl: u32, rdata: Rdata) -> Result<(), String> {
        self.check(&name, rtype, ttl, &rdata)?;
        let mut above = name.parent();
        while let Some(ancestor) = above.filter(|ancestor| ancestor.is_within(&self.apex)) {
            self.nodes.entry(key(&ancestor)).or_default();
            above = ancestor.parent();
        }
        self.has_cuts |= rtype == RecordType::DNAME || (rtype == RecordType::NS && name != self.apex);
        let node = self.nodes.entry(key(&name)).or_default();
        if node.get(rtype).is_none() {
            node.rrsets.push(RrSet { rtype: Some(rtype), ..RrSet::default() });
        }
        let Some(set) = node.rrsets.iter_mut().find(|set| set.rtype == Some(rtype)) else { return Ok(()) };
        // The same record twice is one record (RFC 2181 5).
        if set.records.iter().all(|record| record.rdata != rdata) {
            set.records.push(Record { name, rtype, class: Class::IN, ttl, rdata });
            self.records += 1;
        }
        // One RRset has one TTL; of several the least is the safe one (RFC 2181 5.2).
        let least = set.records.iter().map(|record| record.ttl).min().unwrap_or(ttl).min(ttl);
        for record in &mut set.records {
            record.ttl = least;
        }
        Ok(())
    }

    fn check(&self, name: &Name, rtype: RecordType, ttl: u32, rdata: &Rdata) -> Result<(), String> {
        let apex = &self.apex;
        // Empty non-terminals count too: one record may bring a hundred of them.
        let limit = self.limit;
        if self.records >= limit || self.nodes.len() >= limit {
            return Err(format!("the zone has more than {limit} records or names, the most that are loaded"));
        }
        if ttl > MAX_TTL {
            return Err(format!("TTL {ttl} is over {MAX_TTL} seconds, the most there is (RFC 2181 8)"));
        }
        if !name.is_within(apex) {
            return Err(format!(
                "{name} is not within the zone {apex}: move it to its own zone, or drop the final dot"
            ));
        }
        if rtype == RecordType::SOA && name != apex {
            return Err(format!("the SOA record belongs at the zone's apex {apex}, not at {name}"));
        }
        if name.is_wildcard() && matches!(rtype, RecordType::NS | RecordType::DNAME) {
            return Err(format!(
                "{rtype} at a wildcard has no defined meaning (RFC 4592 4.2, 4.4): name the zones one by one"
            ));
        }
        let lower = key(name);
        if let Some(node) = self.node(&lower) {
            check_beside(name, node, rtype, rdata)?;
            if node.get(rtype).is_some_and(|set| set.records.len() >= MAX_RRSET) {
                return Err(format!("more than {MAX_RRSET} {rtype} records at {name}: no message could carry them"));
            }
        }
        self.check_dname(name, &lower, rtype)
    }

    /// Nothing lies below a DNAME (RFC 6672 2.4).
    fn check_dname(&self, name: &Name, lower: &[u8], rtype: RecordType) -> Result<(), String> {
        let below =
            |owner: &Name| format!("{owner} has a DNAME record, so there can be no names below it (RFC 6672 2.4)");
        let mut above = name.parent();
        while let Some(ancestor) = above.filter(|ancestor| ancestor.is_within(&self.apex)) {
            if self.node(&key(&ancestor)).is_some_and(|node| node.get(RecordType::DNAME).is_some()) {
                return Err(below(&ancestor));
            }
            above = ancestor.parent();
        }
        let is_below =
            |other: &[u8]| other.len() > lower.len() && Name::from_wire(other).is_ok_and(|other| other.is_within(name));
        match rtype == RecordType::DNAME && self.nodes.keys().any(|other| is_below(other)) {
            true => Err(below(name)),
            false => Ok(()),
        }
    }
}

/// Refuses the types that only questions have.
pub(super) fn check_type(rtype: RecordType) -> Result<(), String> {
    match rtype.is_meta() || rtype.0 == 0 {
        true => Err(format!("{rtype} is a type of question, not of data")),
        false => Ok(()),
    }
}

/// What may stand beside the records that are at a name already.
fn check_beside(name: &Name, node: &Node, rtype: RecordType, rdata: &Rdata) -> Result<(), String> {
    // Signatures and denials stand beside anything (RFC 4034 2, RFC 4035 2.5).
    let alone = |rtype| !matches!(rtype, RecordType::RRSIG | RecordType::NSEC);
    let differs = |set: &RrSet| set.records.iter().any(|record| record.rdata != *rdata);
    if rtype == RecordType::CNAME {
        if let Some(other) = node.types().find(|other| *other != rtype && alone(*other)) {
            return Err(format!("CNAME beside {other} at {name}: an alias can have no other data (RFC 2181 10.1)"));
        }
    } else if alone(rtype) && node.get(RecordType::CNAME).is_some() {
        return Err(format!("{rtype} beside CNAME at {name}: an alias can have no other data (RFC 2181 10.1)"));
    }
    match rtype {
        RecordType::CNAME | RecordType::DNAME | RecordType::SOA if node.get(rtype).is_some_and(differs) => {
            Err(format!("a second {rtype} record at {name}: there can be only one"))
        }
        _ => Ok(()),
    }
}

fn key(name: &Name) -> Box<[u8]> {
    name.as_wire().to_ascii_lowercase().into()
}
