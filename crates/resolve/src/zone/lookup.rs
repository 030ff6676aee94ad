//! Finding the answer in a zone: RFC 1034 4.3.2 with the wildcards of RFC 4592 and the DNAME of RFC 6672.
//!
//! From the apex down: a delegation or a DNAME above the name decides; then the name itself; then
//! the templates; then the wildcard at the closest encloser. Aliases are followed within the zone.

use strait_wire::{Answer, Class, Ede, Flags, MAX_ALIASES, Message, Name, Question, Rcode, Rdata, Record, RecordType};

use super::data::{Node, RrSet, ZoneData};
use super::template::{Expansion, Templates};

/// The most addresses added for the targets of SRV and MX records.
const MAX_ADDITIONAL: usize = 32;

/// What the zone holds at a name for a type.
enum Found<'a> {
    /// Records as they are, with the node's own cached answer.
    Records(&'a RrSet),
    /// Records made for this name: from a wildcard or a template.
    Made(Vec<Record>),
    /// A DNAME above the name, and the CNAME that it makes; none when that would be too long.
    Dname(&'a RrSet, Option<Record>),
    /// The name exists without that type.
    NoData,
    /// The name does not exist.
    NoName,
    /// Delegated away at that name.
    Delegated(Name),
}

/// A zone's data to look in.
pub(super) struct Lookup<'a> {
    pub(super) data: &'a ZoneData,
    pub(super) templates: &'a Templates,
    /// The SOA record of negative answers (RFC 2308 3).
    pub(super) negative: &'a Record,
}

impl Lookup<'_> {
    /// The authoritative answer to a question within the zone.
    pub(super) fn answer(&self, question: &Question) -> Answer {
        match self.find(&question.name, question.rtype) {
            // The common case: encoded once, copied for ever.
            Found::Records(set) if set.rtype == Some(question.rtype) => {
                set.answer.get_or_init(|| self.compose(question)).clone()
            }
            _ => self.compose(question),
        }
    }

    fn compose(&self, question: &Question) -> Answer {
        let message = match self.message(question) {
            Ok(message) => message,
            Err(failure) => return failure,
        };
        // Fails only when the records exceed 65,535 octets.
        Answer::new(&message).unwrap_or_else(|error| {
            let ede =
                Ede::new(Ede::INVALID_DATA, format!("the records of {} do not fit a message: {error}", question.name));
            Answer::failure(question.clone(), Rcode::SERVFAIL, Some(ede))
        })
    }

    pub(super) fn message(&self, question: &Question) -> Result<Message, Answer> {
        let mut message = Message::response(question.clone(), Rcode::NOERROR);
        message.flags = message.flags.with(Flags::AA, true);
        self.follow(question, &mut message)?;
        self.add_addresses(&mut message);
        Ok(message)
    }

    /// Fills the answer and authority sections, from alias to alias.
    fn follow(&self, question: &Question, message: &mut Message) -> Result<(), Answer> {
        let mut name = question.name.clone();
        let mut passed = vec![name.clone()];
        loop {
            let (rrset, made) = match self.find(&name, question.rtype) {
                Found::Records(set) => (set.records.clone(), None),
                Found::Made(records) => (records, None),
                Found::Dname(set, made) => (set.records.clone(), Some(made)),
                Found::NoData => {
                    message.authorities.push(self.negative.clone());
                    return Ok(());
                }
                Found::NoName => {
                    message.rcode = Rcode::NXDOMAIN;
                    message.authorities.push(self.negative.clone());
                    return Ok(());
                }
                // The aliases so far are ours to tell; what is at their end is not.
                Found::Delegated(_) if passed.len() > 1 => return Ok(()),
                Found::Delegated(cut) => return Err(refuse_delegated(question, &cut)),
            };
            message.answers.extend(rrset);
            match made {
                Some(Some(cname)) => message.answers.push(cname),
                // The name after substitution is too long (RFC 6672 2.2).
                Some(None) => {
                    message.rcode = Rcode::YXDOMAIN;
                    return Ok(());
                }
                None => {}
            }
            let alias = message.answers.last().filter(|record| {
                record.rtype == RecordType::CNAME && !matches!(question.rtype, RecordType::CNAME | RecordType::ANY)
            });
            let Some(target) = alias.and_then(|record| record.rdata.names().next()) else { return Ok(()) };
            if !target.is_within(self.data.apex()) {
                return Ok(());
            }
            if passed.len() > MAX_ALIASES || passed.contains(&target) {
                return Err(refuse_circle(question, &target));
            }
            passed.push(target.clone());
            name = target;
        }
    }

    fn find(&self, name: &Name, rtype: RecordType) -> Found<'_> {
        let wire = name.as_wire().to_ascii_lowercase();
        let apex_at = wire.len() - self.data.apex().as_wire().len();
        let at_apex = self.data.node(&wire[apex_at..]).and_then(|node| node.get(RecordType::DNAME));
        if apex_at > 0
            && let Some(set) = at_apex
        {
            return Found::Dname(set, substitute(name, set));
        }
        let mut encloser_at = apex_at;
        // Down from below the apex to the name itself.
        for at in label_starts(&wire, apex_at).into_iter().rev() {
            let Some(node) = self.data.node(&wire[at..]) else { break };
            encloser_at = at;
            // DS belongs to the parent's side of a cut (RFC 4035 3.1.4.1).
            if node.get(RecordType::NS).is_some() && !(at == 0 && rtype == RecordType::DS) {
                return Found::Delegated(name_at(&wire, at));
            }
            if at > 0
                && let Some(set) = node.get(RecordType::DNAME)
            {
                return Found::Dname(set, substitute(name, set));
            }
        }
        let exact = (encloser_at == 0).then(|| self.data.node(&wire)).flatten();
        if let Some(node) = exact
            && node.first().is_some()
        {
            return at_node(node, rtype);
        }
        if let Some(found) = self.try_templates(name, rtype) {
            return found;
        }
        match exact {
            // An empty non-terminal exists (RFC 4592 2.2.2), and blocks the wildcard.
            Some(_) => Found::NoData,
            None => self.try_wildcard(name, &wire[encloser_at..], rtype),
        }
    }

    fn try_templates(&self, name: &Name, rtype: RecordType) -> Option<Found<'_>> {
        match self.templates.expand(name, rtype) {
            Expansion::None => None,
            Expansion::Record(record) => Some(Found::Made(vec![record])),
            Expansion::OtherType => Some(Found::NoData),
        }
    }

    /// The source of synthesis is the wildcard directly below the closest encloser, and no other (RFC 4592 3.3.1).
    fn try_wildcard(&self, name: &Name, encloser: &[u8], rtype: RecordType) -> Found<'_> {
        let Some(node) = self.data.wildcard_below(encloser) else { return Found::NoName };
        match at_node(node, rtype) {
            Found::Records(set) => {
                let renamed = |record: &Record| Record { name: name.clone(), ..record.clone() };
                Found::Made(set.records.iter().map(renamed).collect())
            }
            other => other,
        }
    }

    /// Addresses of SRV and MX targets within the zone, so that nobody has to ask again (RFC 2782, RFC 1035 3.3.9).
    pub(super) fn add_addresses(&self, message: &mut Message) {
        let mut targets: Vec<Name> = Vec::new();
        for record in &message.answers {
            if !matches!(record.rtype, RecordType::SRV | RecordType::MX | RecordType::SVCB | RecordType::HTTPS) {
                continue;
            }
            for target in record.rdata.names() {
                if target.is_within(self.data.apex()) && !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        for target in targets {
            for rtype in [RecordType::A, RecordType::AAAA] {
                let records = match self.find(&target, rtype) {
                    Found::Records(set) if set.rtype == Some(rtype) => set.records.clone(),
                    Found::Made(records) if records.iter().all(|record| record.rtype == rtype) => records,
                    _ => continue,
                };
                if message.additionals.len() + records.len() > MAX_ADDITIONAL {
                    return;
                }
                message.additionals.extend(records);
            }
        }
    }
}

/// The records of that type, or the alias; for ANY the first records there are (RFC 8482 4.1).
fn at_node(node: &Node, rtype: RecordType) -> Found<'_> {
    let set = match rtype {
        RecordType::ANY => node.first(),
        _ => node.get(rtype).or_else(|| node.get(RecordType::CNAME)),
    };
    set.map_or(Found::NoData, Found::Records)
}

/// Where the labels before `end` start, leftmost first.
fn label_starts(wire: &[u8], end: usize) -> Vec<usize> {
    let mut starts = Vec::with_capacity(8);
    let mut at = 0;
    while at < end {
        starts.push(at);
        at += 1 + usize::from(wire[at]);
    }
    starts
}

fn name_at(wire: &[u8], at: usize) -> Name {
    // A label start within a name that has been read.
    Name::from_wire(&wire[at..]).unwrap_or_else(|_| Name::root())
}

/// The CNAME that a DNAME makes for a name below it (RFC 6672 3.1), with the DNAME's TTL.
fn substitute(name: &Name, dname: &RrSet) -> Option<Record> {
    let record = dname.records.first()?;
    let target = name.replace_suffix(&record.name, &record.rdata.names().next()?)?.ok()?;
    let rdata = Rdata::name(&target);
    Some(Record { name: name.clone(), rtype: RecordType::CNAME, class: Class::IN, ttl: record.ttl, rdata })
}

fn refuse_delegated(question: &Question, cut: &Name) -> Answer {
    let text = format!("{cut} is delegated away in this zone; give it a forward of its own");
    Answer::failure(question.clone(), Rcode::REFUSED, Some(Ede::new(Ede::NOT_AUTHORITATIVE, text)))
}

fn refuse_circle(question: &Question, target: &Name) -> Answer {
    let text = format!("the aliases from {} go in a circle or are more than {MAX_ALIASES}, at {target}", question.name);
    Answer::failure(question.clone(), Rcode::SERVFAIL, Some(Ede::new(Ede::OTHER, text)))
}
