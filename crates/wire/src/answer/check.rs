//! What of a response is believed.
//!
//! A server is asked about one name of one zone, and may speak of nothing else: the chain of
//! aliases from that name as far as it lies within the zone, the records at its end, or their
//! denial. Everything else is dropped; a response of which nothing remains is no answer.

use std::collections::HashSet;

use super::{Answer, follow_aliases};
use crate::{Flags, Message, Name, Opcode, Question, Rcode, Record, RecordType, WireError};

/// Why a response is not an answer to the question that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The bytes are not a message.
    #[error("malformed response: {0}")]
    Malformed(#[from] WireError),
    /// QR is not set, or the opcode is not QUERY.
    #[error("not a response to a query")]
    NotAResponse,
    /// The question is another than the one asked.
    #[error("the response is to another question")]
    OtherQuestion,
    /// It says neither what there is nor that there is nothing.
    #[error("the response neither answers nor denies: a referral to other servers, or records of other names")]
    NoAnswer,
}

impl Answer {
    /// Checks the response that an upstream or a peer gave to `question`: it must be a response to
    /// that very question (the name without regard to case), and only what lies within `zone` and
    /// belongs to the answer is kept. Also says how many records were dropped.
    ///
    /// Kept are: the chain of aliases from the name asked for and the records at its end as far as
    /// they lie within the zone, the SOA of a negative answer (of this zone or one above it), signatures and proofs of both, and
    /// addresses of the targets. NS records are never kept: nothing here follows referrals.
    pub fn check(response: &[u8], question: &Question, zone: &Name) -> Result<(Self, usize), CheckError> {
        let plain = Self::read_plain(response, question).filter(|_| question.name.is_within(zone));
        plain.map_or_else(|| Self::check_closely(response, question, zone), |answer| Ok((answer, 0)))
    }

    /// The same, by taking the response apart.
    pub(super) fn check_closely(
        response: &[u8],
        question: &Question,
        zone: &Name,
    ) -> Result<(Self, usize), CheckError> {
        let mut message = Message::parse(response)?;
        if !message.flags.has(Flags::QR) || message.flags.opcode() != Opcode::QUERY {
            return Err(CheckError::NotAResponse);
        }
        if message.questions.as_slice() != std::slice::from_ref(question) {
            return Err(CheckError::OtherQuestion);
        }
        let before = message.records().count();
        keep_what_belongs(&mut message, question, |name| name.is_within(zone))?;
        let dropped = before - message.records().count();
        message.questions = vec![question.clone()];
        // AA speaks of the server that responded (RFC 1035 4.1.1), and that is not whoever passes this on.
        message.flags = message.flags.with(Flags::AA, false);
        Ok((Self::new(&message)?, dropped))
    }

    /// Whether it has anything to say, outside the authority section, about other names than the one asked for.
    pub fn tells_of_others(&self) -> bool {
        self.tells_of_others
    }

    /// The answer up to the first name that `belongs` is false for, for a server that knows more than it may be
    /// believed: names that others answer for.
    pub fn keep_names(&self, belongs: impl Fn(&Name) -> bool) -> Result<Self, CheckError> {
        let mut message = self.to_message()?;
        let question = message.questions.first().ok_or(CheckError::OtherQuestion)?.clone();
        keep_what_belongs(&mut message, &question, belongs)?;
        Ok(Self::new(&message)?)
    }

    /// The answer without the records that lead to names that `believed` is false for, and without aliases, which would
    /// have others asked in its place; also how many those are. A denial is believed as it is.
    pub fn keep_targets(&self, believed: impl Fn(&Name) -> bool) -> Result<(Self, usize), CheckError> {
        let is_alias = |record: &Record| matches!(record.rtype, RecordType::CNAME | RecordType::DNAME);
        let mut message = self.to_message()?;
        let before = message.answers.len();
        message.answers.retain(|record| !is_alias(record) && record.rdata.names().all(|name| believed(&name)));
        match (before, before - message.answers.len()) {
            (_, 0) => Ok((self.clone(), 0)),
            (before, dropped) if dropped == before => Err(CheckError::NoAnswer),
            (_, dropped) => Ok((Self::new(&message)?, dropped)),
        }
    }
}

/// Drops every record that does not belong to the answer to `question` from a server of the names that `inside` says.
fn keep_what_belongs(
    message: &mut Message,
    question: &Question,
    inside: impl Fn(&Name) -> bool,
) -> Result<(), CheckError> {
    if !matches!(message.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
        // An error has no records.
        for section in [&mut message.answers, &mut message.authorities, &mut message.additionals] {
            section.clear();
        }
        return Ok(());
    }
    let refers = !message.answers.is_empty() || message.authorities.iter().any(|r| r.rtype == RecordType::NS);
    let denies = message.rcode == Rcode::NXDOMAIN || message.authorities.iter().any(|r| r.rtype == RecordType::SOA);

    let chain = follow_aliases(&message.answers, question);
    // The chain counts up to the first name outside.
    let named: Vec<&Name> = chain.names.iter().take_while(|name| inside(name)).collect();
    let end = named.last().copied().filter(|_| named.len() == chain.names.len());
    let links = &chain.links[..chain.links.len().min(named.len())];
    let in_zone = |r: &Record| r.class == question.class && inside(&r.name);

    let mut at = 0..;
    message.answers.retain(|r| {
        let at = at.next();
        let is_alias = |alias: &usize| if r.rtype == RecordType::CNAME { at == Some(*alias) } else { true };
        in_zone(r)
            && match covered(r) {
                _ if is_wanted(r, question) => chain.found && end.is_some_and(|end| *end == r.name),
                RecordType::CNAME => links.iter().zip(&named).any(|(link, name)| **name == r.name && is_alias(link)),
                RecordType::DNAME => r.rtype == RecordType::RRSIG || explains_an_alias(r, &chain.names),
                _ => false,
            }
    });
    message.authorities.retain(|r| match (covered(r), end) {
        // The SOA is of the zone of the name at the end of the chain (RFC 2308 2.1, 2.2). That zone may be larger than
        // the part of it that is asked here: the record says how long this denial lasts, and nothing else.
        (RecordType::SOA, Some(end)) => r.class == question.class && !chain.found && end.is_within(&r.name),
        (RecordType::NSEC | RecordType::NSEC3, Some(_)) => in_zone(r),
        _ => false,
    });
    // Addresses of the targets help; they count only within the zone.
    let has_target =
        |r: &&Record| matches!(r.rtype, RecordType::SRV | RecordType::MX | RecordType::SVCB | RecordType::HTTPS);
    let targets: HashSet<Name> = message.answers.iter().filter(has_target).flat_map(|r| r.rdata.names()).collect();
    message
        .additionals
        .retain(|r| matches!(r.rtype, RecordType::A | RecordType::AAAA) && in_zone(r) && targets.contains(&r.name));

    if end.is_none() {
        // The name at the end is outside the zone: whether it exists is not theirs to say.
        message.rcode = Rcode::NOERROR;
    }
    let nothing_said = message.answers.is_empty() && (named.is_empty() || refers && !denies);
    // A truncated response may lack what matters; it is asked for again over a stream.
    match nothing_said && !message.flags.has(Flags::TC) {
        true => Err(CheckError::NoAnswer),
        false => Ok(()),
    }
}

/// Whether a record is of the type asked for, or signs such records.
fn is_wanted(record: &Record, question: &Question) -> bool {
    question.rtype == RecordType::ANY || record.rtype == question.rtype || covered(record) == question.rtype
}

/// The type of a record, or for a signature the type it covers (RFC 4034 3.1.1).
fn covered(record: &Record) -> RecordType {
    match (record.rtype, record.rdata.as_bytes().first_chunk()) {
        (RecordType::RRSIG, Some(covered)) => RecordType(u16::from_be_bytes(*covered)),
        (rtype, _) => rtype,
    }
}

/// Whether a link of the chain follows from the DNAME record (RFC 6672 2.2).
fn explains_an_alias(dname: &Record, names: &[Name]) -> bool {
    let Some(target) = dname.rdata.names().next() else { return false };
    names.windows(2).any(|link| {
        link[0] != dname.name
            && link[0].replace_suffix(&dname.name, &target).is_some_and(|n| n.as_ref() == Ok(&link[1]))
    })
}
