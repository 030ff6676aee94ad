//! An answer ready to send: wire bytes and where to patch them.
//!
//! Built once, when a source has answered; written many times. Writing copies the bytes, puts the
//! identifier, the flags and the question of the query in, and counts the TTLs down.

mod any_name;
mod chain;
mod check;
mod plain;
mod reply;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::chain::MAX_ALIASES;
use self::chain::follow_aliases;
pub use self::check::CheckError;
pub use self::reply::ReplyLimits;
use crate::{Ede, Edns, Flags, Header, Message, Name, Question, Rcode, Record, RecordType, WireError};

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerKind {
    /// There are records of the type asked for, or an alias.
    Positive,
    /// The name exists, but not with that type (RFC 2308 2.2).
    NoData,
    /// The name does not exist (RFC 2308 2.1).
    NxDomain,
    /// Any other rcode.
    Failure,
}

/// An immutable answer in wire format, without an OPT record. Small, and one piece of memory besides: answers are kept
/// by the ten thousand.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The message: header, question (in the case it was first asked in; of the root, when it is for any name), records.
    /// After it the places of its TTLs in ascending order, two octets each.
    octets: Arc<[u8]>,
    message_len: u16,
    /// Where the additional section begins.
    additional_at: u16,
    question_len: u16,
    rcode: Rcode,
    kind: AnswerKind,
    /// Whether the answer or the additional section holds records of other names than the one asked for.
    tells_of_others: bool,
    /// Whether it may be told to any question: see [`Answer::for_any_name`].
    for_any_name: bool,
    /// Which names it holds besides the one asked for.
    names: Names,
    /// Seconds the answer as a whole may be cached.
    ttl: u32,
    besides: Option<Box<Besides>>,
}

/// What few answers have.
#[derive(Debug, Clone, Default)]
struct Besides {
    ede: Option<Ede>,
    dangling_alias: Option<Name>,
}

/// Which names an answer holds besides the one asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// None: it has addresses of that name, or nothing.
    OnlyAddresses,
    /// None that is known, or those of an SOA, which are the zone's own.
    OnlyOwn,
    /// Others, as owners of records or in their data.
    Others,
}

impl Names {
    fn of(message: &Message, question: &Question) -> Self {
        let is_address = |r: &Record| r.name == question.name && matches!(r.rtype, RecordType::A | RecordType::AAAA);
        let is_own = |r: &Record| r.name == question.name && r.rdata.names().next().is_none();
        match () {
            () if message.records().all(is_address) => Self::OnlyAddresses,
            () if message.records().all(|r| r.rtype == RecordType::SOA || is_own(r)) => Self::OnlyOwn,
            () => Self::Others,
        }
    }
}

impl Besides {
    fn of(ede: Option<Ede>, dangling_alias: Option<Name>) -> Option<Box<Self>> {
        (ede.is_some() || dangling_alias.is_some()).then(|| Box::new(Self { ede, dangling_alias }))
    }
}

impl Answer {
    /// An answer from a message of our own making. The OPT record is left out but for its EDE; the
    /// SOA of a negative answer gets the lesser of its TTL and its minimum (RFC 2308 5).
    pub fn new(message: &Message) -> Result<Self, WireError> {
        let question = message.questions.first().ok_or(WireError::Truncated)?;
        let (kind, dangling_alias) = kind_of(message, question);
        let mut plain = Message { id: 0, edns: None, questions: vec![question.clone()], ..message.clone() };
        let ttl = settle_ttls(&mut plain, kind);
        let bytes = plain.to_wire()?;
        let question_len = (question.name.as_wire().len() + 4) as u16;
        let records_at = Header::LEN + usize::from(question_len);
        let (mut ttls, additional_at) = ttl_offsets(&bytes, records_at, plain.answers.len() + plain.authorities.len())?;
        ttls.extend(ttl_offsets(&bytes, additional_at, plain.additionals.len())?.0);
        Ok(Self {
            message_len: bytes.len() as u16,
            octets: with_places(bytes, ttls.into_iter()),
            additional_at: additional_at as u16,
            question_len,
            rcode: message.rcode,
            kind,
            ttl,
            besides: Besides::of(message.edns.as_ref().and_then(Edns::ede), dangling_alias),
            tells_of_others: message.answers.iter().chain(&message.additionals).any(|r| r.name != question.name),
            for_any_name: false,
            names: Names::of(&plain, question),
        })
    }

    /// An answer without records that only says `rcode` and why.
    pub fn failure(question: Question, rcode: Rcode, ede: Option<Ede>) -> Self {
        let name = question.name.as_wire();
        let mut bytes = Vec::with_capacity(Header::LEN + name.len() + 4);
        let flags = Flags(Flags::QR).with_rcode(rcode.without_edns());
        Header { id: 0, flags, qdcount: 1, ancount: 0, nscount: 0, arcount: 0 }.write(&mut bytes);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&question.rtype.0.to_be_bytes());
        bytes.extend_from_slice(&question.class.0.to_be_bytes());
        Self {
            message_len: bytes.len() as u16,
            additional_at: bytes.len() as u16,
            question_len: (bytes.len() - Header::LEN) as u16,
            octets: bytes.into(),
            rcode,
            kind: match rcode {
                Rcode::NOERROR => AnswerKind::NoData,
                Rcode::NXDOMAIN => AnswerKind::NxDomain,
                _ => AnswerKind::Failure,
            },
            ttl: 0,
            besides: Besides::of(ede, None),
            tells_of_others: false,
            for_any_name: false,
            names: Names::OnlyAddresses,
        }
    }

    /// The rcode.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// What it says.
    pub fn kind(&self) -> AnswerKind {
        self.kind
    }

    /// Seconds it may be cached: the least TTL of its records, the SOA of a negative answer
    /// counted with its minimum (RFC 2308 5); 0 for failures and negative answers without SOA.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Why it is not a plain answer.
    pub fn ede(&self) -> Option<&Ede> {
        self.besides.as_ref()?.ede.as_ref()
    }

    /// The same answer with `ede` for its extended error.
    #[must_use]
    pub fn with_ede(self, ede: Ede) -> Self {
        let dangling_alias = self.besides.and_then(|besides| besides.dangling_alias);
        Self { besides: Besides::of(Some(ede), dangling_alias), ..self }
    }

    /// Where its last alias leads, when it says nothing about the name there: neither records of the type
    /// asked for nor that there are none.
    pub fn dangling_alias(&self) -> Option<&Name> {
        self.besides.as_ref()?.dangling_alias.as_ref()
    }

    /// The same answer with every TTL, and that of the whole, raised to `min` and lowered to `max`.
    /// What must not be cached at all, a failure or a negative answer without SOA, stays at 0.
    #[must_use]
    pub fn clamp_ttls(&self, min: u32, max: u32) -> Self {
        let clamp = |ttl: u32| ttl.max(min).min(max);
        if self.ttl > 0 && self.ttl_places().all(|at| read_ttl(&self.octets, at).is_some_and(|ttl| clamp(ttl) == ttl)) {
            return self.clone();
        }
        let mut octets: Arc<[u8]> = self.octets.as_ref().into();
        // Just made: nobody else has it.
        if let Some(octets) = Arc::get_mut(&mut octets) {
            self.ttl_places().for_each(|at| change_ttl(octets, at, clamp));
        }
        let ttl = match (self.kind, self.ttl) {
            (AnswerKind::NoData | AnswerKind::NxDomain | AnswerKind::Failure, 0) => 0,
            (_, ttl) => clamp(ttl),
        };
        Self { octets, ttl, ..self.clone() }
    }

    /// Whether the source is authoritative for it.
    pub fn is_authoritative(&self) -> bool {
        self.flags().has(Flags::AA)
    }

    /// Whether the response it was made from was truncated.
    pub fn is_truncated(&self) -> bool {
        self.flags().has(Flags::TC)
    }

    /// Whether it holds names besides the one asked for, in any section, that whoever asks might not be meant to see;
    /// those of an SOA are the zone's own and do not count. Nor do names in data of a type that is not known.
    pub fn names_others(&self) -> bool {
        self.names == Names::Others
    }

    /// The octets it holds, for the cache's budget.
    pub fn weight(&self) -> usize {
        let besides = self.besides.as_ref().map_or(0, |besides| {
            let alias = besides.dangling_alias.as_ref().map_or(0, |name| name.as_wire().len());
            size_of::<Besides>() + besides.ede.as_ref().map_or(0, |ede| ede.text.len()) + alias
        });
        size_of::<Self>() + self.octets.len() + besides
    }

    /// The question in wire form, in the case it was first asked in: name, type, class.
    pub fn question_wire(&self) -> &[u8] {
        &self.octets[Header::LEN..self.records_at()]
    }

    /// The answer decoded; its extended error, when it has one, in an OPT record.
    pub fn to_message(&self) -> Result<Message, WireError> {
        let edns = self.ede().map(|ede| Edns { options: vec![ede.to_option()], ..Edns::default() });
        Ok(Message { rcode: self.rcode, edns, ..Message::parse(self.message())? })
    }

    fn message(&self) -> &[u8] {
        &self.octets[..usize::from(self.message_len)]
    }

    fn records_at(&self) -> usize {
        Header::LEN + usize::from(self.question_len)
    }

    /// Where the TTLs lie, in ascending order.
    fn ttl_places(&self) -> impl Iterator<Item = usize> {
        let (places, _) = self.octets[usize::from(self.message_len)..].as_chunks();
        places.iter().map(|place| usize::from(u16::from_be_bytes(*place)))
    }

    fn flags(&self) -> Flags {
        Flags(u16::from_be_bytes([self.octets[2], self.octets[3]]))
    }
}

/// What the message says to `question`, and where its last alias leads when it says nothing about that.
fn kind_of(message: &Message, question: &Question) -> (AnswerKind, Option<Name>) {
    match message.rcode {
        Rcode::NXDOMAIN => (AnswerKind::NxDomain, None),
        Rcode::NOERROR => {
            let mut chain = follow_aliases(&message.answers, question);
            // An alias to itself is one as well: the road sees the circle.
            let is_alias = !chain.links.is_empty();
            let denied = message.authorities.iter().any(|r| r.rtype == RecordType::SOA);
            match (chain.found, is_alias && !denied) {
                (true, _) => (AnswerKind::Positive, None),
                (false, true) => (AnswerKind::Positive, chain.names.pop()),
                (false, false) => (AnswerKind::NoData, None),
            }
        }
        _ => (AnswerKind::Failure, None),
    }
}

/// Gives the records of a set one TTL, and the SOA of a negative answer no more than its minimum; the seconds the
/// whole may be cached.
fn settle_ttls(message: &mut Message, kind: AnswerKind) -> u32 {
    for section in [&mut message.answers, &mut message.authorities, &mut message.additionals] {
        even_out(section);
    }
    let mut may_cache = kind == AnswerKind::Positive;
    if matches!(kind, AnswerKind::NoData | AnswerKind::NxDomain) {
        for soa in message.authorities.iter_mut().filter(|r| r.rtype == RecordType::SOA) {
            // The minimum is the last field (RFC 1035 3.3.13).
            let minimum = soa.rdata.as_bytes().last_chunk().map_or(0, |m| u32::from_be_bytes(*m));
            soa.ttl = soa.ttl.min(minimum);
            may_cache = true;
        }
    }
    message.records().map(|r| r.ttl).min().filter(|_| may_cache).unwrap_or(0)
}

/// The lowest TTL of each set for all its records (RFC 2181 5.2). Signatures are left alone: those of several types
/// at a name are no set (RFC 4034 3).
fn even_out(section: &mut [Record]) {
    let mut lowest: HashMap<(Name, RecordType), u32> = HashMap::new();
    let is_of_set = |record: &&mut Record| record.rtype != RecordType::RRSIG;
    for record in section.iter_mut().filter(is_of_set) {
        let ttl = lowest.entry((record.name.clone(), record.rtype)).or_insert(record.ttl);
        *ttl = record.ttl.min(*ttl);
    }
    for record in section.iter_mut().filter(is_of_set) {
        record.ttl = lowest.get(&(record.name.clone(), record.rtype)).copied().unwrap_or(record.ttl);
    }
}

/// The message with the places of its TTLs behind it.
fn with_places(mut message: Vec<u8>, ttls: impl ExactSizeIterator<Item = u16>) -> Arc<[u8]> {
    message.reserve_exact(2 * ttls.len());
    for at in ttls {
        message.extend_from_slice(&at.to_be_bytes());
    }
    message.into()
}

/// Where the TTLs of `count` records lie that begin at `at` in a message of our own making, and where
/// these records end.
fn ttl_offsets(bytes: &[u8], mut at: usize, count: usize) -> Result<(Vec<u16>, usize), WireError> {
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        loop {
            match *bytes.get(at).ok_or(WireError::Truncated)? {
                0 => break at += 1,
                0xc0.. => break at += 2,
                len => at += 1 + usize::from(len),
            }
        }
        let head: &[u8; 10] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(WireError::Truncated)?;
        offsets.push((at + 4) as u16);
        at += 10 + usize::from(u16::from_be_bytes([head[8], head[9]]));
    }
    Ok((offsets, at))
}

/// The TTL at `at`.
fn read_ttl(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|ttl| u32::from_be_bytes(*ttl))
}

/// Changes the TTL at `at`.
fn change_ttl(bytes: &mut [u8], at: usize, change: impl Fn(u32) -> u32) {
    if let Some(field) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *field = change(u32::from_be_bytes(*field)).to_be_bytes();
    }
}
