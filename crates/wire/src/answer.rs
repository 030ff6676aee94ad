//! An answer ready to send: wire bytes and where to patch them.
//!
//! Built once, when a source has answered; written many times. Writing copies the bytes, puts the
//! identifier, the flags and the question of the query in, and counts the TTLs down.

use bytes::Bytes;

use crate::edns::{close_opt, rcode_high, write_opt_head, write_option};
use crate::{
    Ede, Flags, Header, MAX_MESSAGE_LEN, Message, Name, QueryView, Question, Rcode, Record, RecordType, UDP_PAYLOAD,
    WireError, option,
};

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

/// An immutable answer in wire format, without an OPT record.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Header, question (in the case it was first asked in), records.
    bytes: Bytes,
    /// Where the TTLs lie.
    ttls: Box<[u16]>,
    rcode: Rcode,
    kind: AnswerKind,
    /// Seconds the answer as a whole may be cached.
    ttl: u32,
    question_len: u16,
    ede: Option<Ede>,
    dangling_alias: Option<Name>,
}

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
}

/// How a reply must be shaped for the client that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The largest reply, in octets; over it the reply is cut and TC set.
    pub max_len: usize,
    /// Inside TLS: pad to the block length of RFC 8467 when the client padded.
    pub padding: bool,
    /// On a stream: tell the idle timeout, in units of 100 ms, when the client asked (RFC 7828).
    pub keepalive: Option<u16>,
}

impl ReplyLimits {
    /// For UDP: what the client can take, at most 1232, and 512 without EDNS (RFC 1035 4.2.1).
    pub fn udp(query: &QueryView<'_>) -> Self {
        let max_len = query.edns().map_or(512, |e| e.udp_payload.min(UDP_PAYLOAD));
        Self { max_len: usize::from(max_len), padding: false, keepalive: None }
    }

    /// For TCP and gRPC.
    pub fn stream() -> Self {
        Self { max_len: MAX_MESSAGE_LEN, padding: false, keepalive: None }
    }
}

/// The block that replies inside TLS are padded to (RFC 8467 4.1).
const REPLY_BLOCK: usize = 468;

impl Answer {
    /// An answer from a message of our own making. The OPT record is left out but for its EDE.
    pub fn new(message: &Message) -> Result<Self, WireError> {
        let question = message.questions.first().ok_or(WireError::Truncated)?;
        let (kind, dangling_alias) = kind_of(message, question);
        let ttl = ttl_of(message, kind);
        let plain = Message { id: 0, edns: None, ..message.clone() };
        let bytes = plain.to_wire()?;
        let question_len = (question.name.as_wire().len() + 4) as u16;
        let ttls = ttl_offsets(&bytes, usize::from(question_len), message.records().count())?;
        Ok(Self {
            bytes: bytes.into(),
            ttls,
            rcode: message.rcode,
            kind,
            ttl,
            question_len,
            ede: message.edns.as_ref().and_then(crate::Edns::ede),
            dangling_alias,
        })
    }

    /// An answer without records that only says `rcode` and why.
    pub fn failure(question: Question, rcode: Rcode, ede: Option<Ede>) -> Self {
        let len = (question.name.as_wire().len() + 4) as u16;
        let mut bytes = Vec::with_capacity(Header::LEN + usize::from(len));
        let flags = Flags(Flags::QR).with_rcode(rcode);
        Header { id: 0, flags, qdcount: 1, ancount: 0, nscount: 0, arcount: 0 }.write(&mut bytes);
        bytes.extend_from_slice(question.name.as_wire());
        bytes.extend_from_slice(&question.rtype.0.to_be_bytes());
        bytes.extend_from_slice(&question.class.0.to_be_bytes());
        Self {
            bytes: bytes.into(),
            ttls: Box::new([]),
            rcode,
            kind: AnswerKind::Failure,
            ttl: 0,
            question_len: len,
            ede,
            dangling_alias: None,
        }
    }

    /// Checks the response that an upstream or a peer gave to `question`: it must be a response to
    /// that very question (the name without regard to case), and only what lies within `zone` and
    /// belongs to the answer is kept. Also says how many records were dropped.
    ///
    /// Kept are: the chain of aliases from the name asked for and the records at its end as far as
    /// they lie within the zone, the SOA of a negative answer, and signatures of both. NS records
    /// and glue are never kept: nothing here follows referrals.
    pub fn check(response: &[u8], question: &Question, zone: &Name) -> Result<(Self, usize), CheckError> {
        let mut message = Message::parse(response)?;
        if !message.flags.has(Flags::QR) || message.flags.opcode() != crate::Opcode::QUERY {
            return Err(CheckError::NotAResponse);
        }
        if message.questions.as_slice() != std::slice::from_ref(question) {
            return Err(CheckError::OtherQuestion);
        }
        let before = message.records().count();
        keep_what_belongs(&mut message, question, zone);
        let dropped = before - message.records().count();
        message.questions = vec![question.clone()];
        Ok((Self::new(&message)?, dropped))
    }

    /// The rcode.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// What it says.
    pub fn kind(&self) -> AnswerKind {
        self.kind
    }

    /// Seconds it may be cached: the least TTL of its records; of a negative answer the lesser of
    /// the SOA's TTL and its minimum (RFC 2308 5); 0 for failures and negative answers without SOA.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Why it is not a plain answer.
    pub fn ede(&self) -> Option<&Ede> {
        self.ede.as_ref()
    }

    /// Where its last alias leads, when it says nothing about the name there: neither records of the type
    /// asked for nor that there are none.
    pub fn dangling_alias(&self) -> Option<&Name> {
        self.dangling_alias.as_ref()
    }

    /// The same answer with every TTL, and that of the whole, raised to `min` and lowered to `max`.
    #[must_use]
    pub fn clamp_ttls(&self, min: u32, max: u32) -> Self {
        let clamp = |ttl: u32| ttl.max(min).min(max);
        let mut bytes = self.bytes.to_vec();
        for &at in &self.ttls {
            let at = usize::from(at);
            let ttl = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            bytes[at..at + 4].copy_from_slice(&clamp(ttl).to_be_bytes());
        }
        Self { bytes: bytes.into(), ttl: clamp(self.ttl), ..self.clone() }
    }

    /// Whether the source is authoritative for it.
    pub fn is_authoritative(&self) -> bool {
        self.flags().has(Flags::AA)
    }

    /// Whether the response it was made from was truncated.
    pub fn is_truncated(&self) -> bool {
        self.flags().has(Flags::TC)
    }

    /// The octets it holds, for the cache's budget.
    pub fn weight(&self) -> usize {
        let alias = self.dangling_alias.as_ref().map_or(0, |name| name.as_wire().len());
        let ede = self.ede.as_ref().map_or(0, |e| e.text.len());
        size_of::<Self>() + self.bytes.len() + self.ttls.len() * 2 + ede + alias
    }

    /// The answer decoded.
    pub fn to_message(&self) -> Result<Message, WireError> {
        Message::parse(&self.bytes)
    }

    fn flags(&self) -> Flags {
        Flags(u16::from_be_bytes([self.bytes[2], self.bytes[3]]))
    }

    /// Appends the reply to `query`, `age` seconds after the answer was made.
    ///
    /// The query must ask what the answer answers; its name may differ in case. TTLs are counted
    /// down to no less than 0. `ede` comes before the answer's own.
    pub fn write_reply(
        &self,
        query: &QueryView<'_>,
        age: u32,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        out: &mut Vec<u8>,
    ) {
        debug_assert_eq!(query.question_wire().len(), usize::from(self.question_len));
        let start = out.len();
        let opt_len = opt_room(query, limits, ede.into_iter().chain(&self.ede));
        let fits = self.bytes.len() + opt_len <= limits.max_len;
        let records_from = Header::LEN + usize::from(self.question_len);
        let kept = if fits { self.bytes.len() } else { records_from };
        out.extend_from_slice(&self.bytes[..kept]);
        let reply = &mut out[start..];
        reply[..2].copy_from_slice(&query.header().id.to_be_bytes());
        reply[2..4].copy_from_slice(&self.reply_flags(query, fits).0.to_be_bytes());
        reply[Header::LEN..records_from].copy_from_slice(query.question_wire());
        if fits {
            for &at in &self.ttls {
                let at = usize::from(at);
                let ttl = u32::from_be_bytes([reply[at], reply[at + 1], reply[at + 2], reply[at + 3]]);
                reply[at..at + 4].copy_from_slice(&ttl.saturating_sub(age).to_be_bytes());
            }
        } else {
            reply[6..Header::LEN].fill(0);
        }
        if let Some(edns) = query.edns() {
            let additional = u16::from_be_bytes([reply[10], reply[11]]) + 1;
            reply[10..12].copy_from_slice(&additional.to_be_bytes());
            self.write_opt(query, edns.dnssec_ok, limits, ede, start, out);
        }
    }

    fn reply_flags(&self, query: &QueryView<'_>, fits: bool) -> Flags {
        let kept = query.header().flags.0 & (Flags::RD | Flags::CD);
        // AD only for who asked for it with AD or DO (RFC 6840 5.7, 5.8).
        let wants_ad = query.dnssec_ok() || query.header().flags.has(Flags::AD);
        self.flags()
            .with(Flags::RD | Flags::CD, false)
            .with(kept, true)
            .with(Flags::RA, true)
            .with(Flags::AD, wants_ad && self.flags().has(Flags::AD))
            .with(Flags::TC, !fits)
    }

    fn write_opt(
        &self,
        query: &QueryView<'_>,
        dnssec_ok: bool,
        limits: ReplyLimits,
        ede: Option<&Ede>,
        start: usize,
        out: &mut Vec<u8>,
    ) {
        let opt = write_opt_head(out, UDP_PAYLOAD, rcode_high(self.rcode), dnssec_ok);
        for ede in ede.into_iter().chain(&self.ede) {
            ede.write(out);
        }
        if let Some(timeout) = limits.keepalive.filter(|_| query.option(option::TCP_KEEPALIVE).is_some()) {
            write_option(out, option::TCP_KEEPALIVE, &timeout.to_be_bytes());
        }
        if limits.padding && query.option(option::PADDING).is_some() {
            let unpadded = out.len() - start + 4;
            let padding = unpadded.next_multiple_of(REPLY_BLOCK).min(limits.max_len.max(unpadded)) - unpadded;
            write_option(out, option::PADDING, &vec![0; padding]);
        }
        close_opt(out, opt);
    }
}

/// The octets the OPT record of a reply takes, without padding.
fn opt_room<'a>(query: &QueryView<'_>, limits: ReplyLimits, edes: impl Iterator<Item = &'a Ede>) -> usize {
    if query.edns().is_none() {
        return 0;
    }
    let edes: usize = edes.map(|ede| 6 + ede.text.len().min(Ede::MAX_TEXT)).sum();
    11 + edes + limits.keepalive.map_or(0, |_| 6)
}

/// What the message says to `question`, and where its last alias leads when it says nothing about that.
fn kind_of(message: &Message, question: &Question) -> (AnswerKind, Option<Name>) {
    match message.rcode {
        Rcode::NXDOMAIN => (AnswerKind::NxDomain, None),
        Rcode::NOERROR => {
            let (mut chain, found) = follow_aliases(&message.answers, question);
            let denied = message.answers.is_empty() || message.authorities.iter().any(|r| r.rtype == RecordType::SOA);
            match (found, denied) {
                (true, _) => (AnswerKind::Positive, None),
                (false, true) => (AnswerKind::NoData, None),
                (false, false) => (AnswerKind::Positive, (chain.len() > 1).then(|| chain.pop()).flatten()),
            }
        }
        _ => (AnswerKind::Failure, None),
    }
}

fn ttl_of(message: &Message, kind: AnswerKind) -> u32 {
    let least = message.answers.iter().map(|r| r.ttl).min();
    let negative = message.authorities.iter().find(|r| r.rtype == RecordType::SOA).map_or(0, |soa| {
        let minimum = soa.rdata.as_bytes().last_chunk().map_or(0, |m| u32::from_be_bytes(*m));
        soa.ttl.min(minimum)
    });
    match kind {
        AnswerKind::Positive => least.unwrap_or(0),
        AnswerKind::NoData | AnswerKind::NxDomain => least.unwrap_or(u32::MAX).min(negative),
        AnswerKind::Failure => 0,
    }
}

/// The most aliases followed in one answer.
const MAX_ALIASES: usize = 11;

/// The names from the question's along CNAME and DNAME records, and whether the last of them has records
/// of the type asked for.
pub(crate) fn follow_aliases(answers: &[Record], question: &Question) -> (Vec<Name>, bool) {
    let mut names = vec![question.name.clone()];
    loop {
        let last = &names[names.len() - 1];
        let is_wanted = |r: &&Record| r.rtype == question.rtype || question.rtype == RecordType::ANY;
        if answers.iter().filter(|r| r.name == *last).any(|r| is_wanted(&r)) {
            return (names, true);
        }
        let alias = answers.iter().find(|r| r.rtype == RecordType::CNAME && r.name == *last);
        let target = alias.and_then(|r| r.rdata.names().next());
        match target {
            Some(target) if names.len() <= MAX_ALIASES && !names.contains(&target) => names.push(target),
            _ => return (names, false),
        }
    }
}

/// Drops every record that does not belong to the answer to `question` from a server of `zone`.
fn keep_what_belongs(message: &mut Message, question: &Question, zone: &Name) {
    let (chain, _) = follow_aliases(&message.answers, question);
    // The chain counts up to the first name outside the zone.
    let inside: Vec<&Name> = chain.iter().take_while(|name| name.is_within(zone)).collect();
    message.answers.retain(|r| {
        let on_chain = inside.iter().any(|name| **name == r.name);
        let above_chain =
            r.rtype == RecordType::DNAME && r.name.is_within(zone) && inside.iter().any(|n| n.is_within(&r.name));
        on_chain || above_chain
    });
    let negative = matches!(message.rcode, Rcode::NXDOMAIN | Rcode::NOERROR);
    let end_inside = inside.len() == chain.len();
    message.authorities.retain(|r| {
        let denies = matches!(r.rtype, RecordType::SOA | RecordType::NSEC | RecordType::NSEC3 | RecordType::RRSIG);
        negative && denies && end_inside && r.name.is_within(zone)
    });
    // SRV targets' addresses help; they count only within the zone.
    let targets: Vec<Name> = message
        .answers
        .iter()
        .filter(|r| matches!(r.rtype, RecordType::SRV | RecordType::MX | RecordType::SVCB | RecordType::HTTPS))
        .flat_map(|r| r.rdata.names())
        .collect();
    message.additionals.retain(|r| {
        matches!(r.rtype, RecordType::A | RecordType::AAAA) && r.name.is_within(zone) && targets.contains(&r.name)
    });
    if !end_inside && message.rcode == Rcode::NXDOMAIN {
        // The name that does not exist is outside the zone: not theirs to say.
        message.rcode = Rcode::NOERROR;
    }
}

/// Where the TTLs of `count` records lie in a message of our own making.
fn ttl_offsets(bytes: &[u8], question_len: usize, count: usize) -> Result<Box<[u16]>, WireError> {
    let mut at = Header::LEN + question_len;
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
    Ok(offsets.into())
}
