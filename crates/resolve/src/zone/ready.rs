//! Answers that lie ready, so that a static name costs a look-up and makes nothing.
//!
//! Each says what [`Lookup`] would say. Where that takes more than looking (aliases, delegations, captures, odd
//! octets in a name that a template is tried on) there is none, and [`Lookup`] is asked.

use strait_wire::{Answer, Class, Flags, Message, Name, Question, Rcode, Record, RecordType};

use super::Zone;
use super::data::{Node, ZoneData};
use super::lookup::Lookup;
use super::template::{Template, Templates};

/// The answers of a zone that are the same for many names.
pub(super) struct Ready {
    no_data: Answer,
    no_name: Answer,
}

impl Ready {
    /// Prepares them; those of wildcards and templates are put where these are. None: an answer would not fit a message.
    pub(super) fn prepare(data: &mut ZoneData, templates: &mut Templates, negative: &Record) -> Option<Self> {
        let lookup = Lookup { data, templates, negative };
        let wildcards: Vec<_> = data.wildcards().map(|question| lookup.for_any_name(&question)).collect();
        let literals: Vec<_> = templates.literals().map(|literal| literal.and_then(|r| lookup.made(r))).collect();
        let none = |rcode| {
            let mut message = Message::response(anybody(RecordType::A), rcode);
            message.flags = message.flags.with(Flags::AA, true);
            message.authorities.push(negative.clone());
            Answer::for_any_name(&message).ok()
        };
        let ready = Self { no_data: none(Rcode::NOERROR)?, no_name: none(Rcode::NXDOMAIN)? };
        data.keep_for_wildcards(wildcards);
        templates.keep_for_literals(literals);
        Some(ready)
    }
}

impl Lookup<'_> {
    /// What a wildcard's own name is answered, for every name it stands for.
    fn for_any_name(&self, question: &Question) -> Option<Answer> {
        let message = self.message(question).ok()?;
        let is_beside = message.additionals.iter().any(|record| record.name == question.name);
        Answer::for_any_name(&message).ok().filter(|_| !is_beside)
    }

    /// The answer with a record that a template makes for every name that it matches.
    fn made(&self, record: Record) -> Option<Answer> {
        let question = anybody(record.rtype);
        let mut message = Message::response(question.clone(), Rcode::NOERROR);
        message.flags = message.flags.with(Flags::AA, true);
        message.answers.push(Record { name: question.name, ..record });
        self.add_addresses(&mut message);
        Answer::for_any_name(&message).ok()
    }
}

/// A question for a name that no zone has for its apex.
fn anybody(rtype: RecordType) -> Question {
    let name = Name::from_labels([b"*".as_slice(), b"invalid"]).unwrap_or_else(|_| Name::root());
    Question { name, rtype, class: Class::IN }
}

impl Zone {
    /// The answer for a name in lower-cased wire form, if it lies ready.
    pub(super) fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<&Answer> {
        let exact = self.data.node(lower);
        if let Some(set) = exact.and_then(|node| node.get(rtype)) {
            // There from its first look-up on, which has seen whatever lies above.
            return set.answer.get();
        }
        if rtype == RecordType::ANY || self.data.has_cuts() {
            return None;
        }
        let encloser = self.closest_encloser(lower)?;
        if let Some(node) = exact.filter(|node| node.first().is_some()) {
            return self.at_node(node);
        }
        match self.templates.ready(lower, self.data.apex(), rtype) {
            Matched::Nothing => {}
            Matched::Record(answer) => return answer,
            Matched::OtherType => return Some(&self.ready.no_data),
        }
        match (exact, self.data.wildcard_below(encloser)) {
            (Some(_), _) => Some(&self.ready.no_data),
            (None, None) => Some(&self.ready.no_name),
            (None, Some(wildcard)) => match wildcard.get(rtype) {
                Some(set) => set.for_any_name.as_deref(),
                None => self.at_node(wildcard),
            },
        }
    }

    /// Where there are records, but none of the type asked for.
    fn at_node(&self, node: &Node) -> Option<&Answer> {
        node.get(RecordType::CNAME).is_none().then_some(&self.ready.no_data)
    }

    /// The longest end of the name that is a name of the zone, itself included; none when it is not within the zone.
    fn closest_encloser<'n>(&self, lower: &'n [u8]) -> Option<&'n [u8]> {
        let mut rest = lower;
        while self.data.node(rest).is_none() {
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
        Some(rest)
    }
}

/// What the templates have ready for a name.
enum Matched<'a> {
    /// None matches.
    Nothing,
    /// The record of the type asked for; none when it is still to be made.
    Record(Option<&'a Answer>),
    /// There are records, of other types.
    OtherType,
}

impl Templates {
    /// As [`Templates::expand`] has it: for every type the first that matches counts.
    fn ready(&self, lower: &[u8], apex: &Name, rtype: RecordType) -> Matched<'_> {
        if self.is_empty() {
            return Matched::Nothing;
        }
        let mut buffer = [0; Name::MAX_LEN];
        let Some(relative) = relative(lower, apex, &mut buffer) else { return Matched::Record(None) };
        let mut other = false;
        for (at, template) in self.iter().enumerate() {
            let matches = |template: &Template| template.pattern.is_match(relative);
            if !matches(template) || self.iter().take(at).any(|t| t.rtype == template.rtype && matches(t)) {
                continue;
            }
            match &template.ready {
                Some(answer) if template.rtype == rtype => return Matched::Record(Some(answer)),
                // Others make no alias and always a record.
                Some(_) if template.rtype != RecordType::CNAME => other = true,
                _ => return Matched::Record(None),
            }
        }
        if other { Matched::OtherType } else { Matched::Nothing }
    }
}

/// The name as patterns see it, without escapes: none for a name that needs them.
fn relative<'b>(lower: &[u8], apex: &Name, buffer: &'b mut [u8; Name::MAX_LEN]) -> Option<&'b [u8]> {
    let (mut at, mut len) = (0, 0);
    let end = lower.len().checked_sub(apex.as_wire().len())?;
    while at < end {
        let label = lower.get(at + 1..at + 1 + usize::from(lower[at]))?;
        if !label.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet)) {
            return None;
        }
        if at > 0 {
            buffer[len] = b'.';
            len += 1;
        }
        buffer.get_mut(len..len + label.len())?.copy_from_slice(label);
        len += label.len();
        at += 1 + label.len();
    }
    Some(&buffer[..len])
}
