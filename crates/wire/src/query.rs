//! A question as it arrives, and the cheap refusals.
//!
//! [`QueryView::parse`] is the one function that decides, for every transport, what is answered at
//! all: it reads the header, one question and the OPT record, in place, and allocates nothing.

use std::ops::Range;

use crate::edns::{self, close_opt, rcode_high, write_opt_head};
use crate::{
    Class, ClusterPath, Ede, Flags, Header, MAX_MESSAGE_LEN, Name, Opcode, Rcode, RecordType, UDP_PAYLOAD, option,
};

/// What the OPT record of a query says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryEdns {
    /// The UDP payload the client can take, at least 512 (RFC 6891 6.2.3).
    pub udp_payload: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
    /// Where the options lie in the message.
    options: Range<u16>,
}

/// A well-formed question in the bytes it came in.
#[derive(Debug, Clone)]
pub struct QueryView<'a> {
    bytes: &'a [u8],
    header: Header,
    qname_len: u16,
    rtype: RecordType,
    edns: Option<QueryEdns>,
}

/// Why a message gets no ordinary answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not even a header, or itself a response: silence, so that two servers never talk in circles.
    Ignore,
    /// The message cannot be read, or QDCOUNT is not one (RFC 9619).
    Malformed,
    /// Not the opcode QUERY.
    Opcode,
    /// An EDNS version we do not speak (RFC 6891 6.1.3).
    EdnsVersion,
    /// Not the class IN.
    Class,
    /// A query type that only makes sense elsewhere: zone transfers and other meta types.
    Type,
}

impl Refusal {
    /// A short word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Ignore => "ignored",
            Self::Malformed => "malformed",
            Self::Opcode => "opcode",
            Self::EdnsVersion => "edns_version",
            Self::Class => "class",
            Self::Type => "type",
        }
    }

    /// The rcode of the reply; none when there is to be no reply.
    pub const fn rcode(self) -> Option<Rcode> {
        match self {
            Self::Ignore => None,
            Self::Malformed => Some(Rcode::FORMERR),
            Self::Opcode | Self::Type => Some(Rcode::NOTIMP),
            Self::EdnsVersion => Some(Rcode::BADVERS),
            Self::Class => Some(Rcode::REFUSED),
        }
    }

    /// Why, in words for people; none where the rcode says it all.
    fn ede(self) -> Option<Ede> {
        let text = match self {
            Self::Ignore | Self::Malformed | Self::EdnsVersion => return None,
            Self::Opcode => "only the opcode QUERY is served",
            Self::Class => "only the class IN is served",
            Self::Type => "zone transfers and meta types are not served",
        };
        Some(Ede::new(Ede::NOT_SUPPORTED, text))
    }

    /// Appends the reply to `message`; nothing when there is to be none.
    pub fn write_reply(self, message: &[u8], out: &mut Vec<u8>) {
        let (Some(rcode), Some(header)) = (self.rcode(), Header::parse(message)) else { return };
        // The question is given back when it can be read (RFC 9619 leaves it out otherwise).
        let question =
            (header.qdcount == 1).then(|| question_end(message)).flatten().map(|end| &message[Header::LEN..end]);
        // OPT only in reply to OPT (RFC 6891 6.1.1), as far as one can be read.
        let edns = question.and_then(|q| find_edns(message, Header::LEN + q.len(), &header).ok()).flatten();
        let with_edns = edns.is_some() || rcode == Rcode::BADVERS;
        let opcode_and_rd = header.flags.0 & (0x7800 | Flags::RD);
        Header {
            id: header.id,
            flags: Flags(Flags::QR | opcode_and_rd).with_rcode(rcode),
            qdcount: u16::from(question.is_some()),
            ancount: 0,
            nscount: 0,
            arcount: u16::from(with_edns),
        }
        .write(out);
        out.extend_from_slice(question.unwrap_or_default());
        if with_edns {
            let start = write_opt_head(out, UDP_PAYLOAD, rcode_high(rcode), edns.is_some_and(|e| e.dnssec_ok));
            if let Some(ede) = self.ede() {
                ede.write(usize::MAX, out);
            }
            close_opt(out, start);
        }
    }
}

/// The end of the first question, which must hold its name uncompressed.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = Header::LEN;
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1 + len;
        if len > Name::MAX_LABEL || at - Header::LEN > Name::MAX_LEN {
            return None;
        }
        if len == 0 {
            return (at + 4 <= message.len()).then_some(at + 4);
        }
    }
}

impl<'a> QueryView<'a> {
    /// Reads a query; anything but one plain question is a [`Refusal`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let header = Header::parse(bytes).ok_or(Refusal::Ignore)?;
        if header.flags.has(Flags::QR) {
            return Err(Refusal::Ignore);
        }
        if header.flags.opcode() != Opcode::QUERY {
            return Err(Refusal::Opcode);
        }
        if header.qdcount != 1 || header.flags.has(Flags::TC) {
            return Err(Refusal::Malformed);
        }
        let end = question_end(bytes).ok_or(Refusal::Malformed)?;
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (rtype, class) = (RecordType(word(end - 4)), Class(word(end - 2)));
        let edns = find_edns(bytes, end, &header)?;
        if class != Class::IN {
            return Err(Refusal::Class);
        }
        if rtype.is_meta() && rtype != RecordType::ANY {
            return Err(Refusal::Type);
        }
        Ok(Self { bytes, header, qname_len: (end - 4 - Header::LEN) as u16, rtype, edns })
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The name asked for, in wire form and in the case it was asked in.
    pub fn qname_wire(&self) -> &'a [u8] {
        &self.bytes[Header::LEN..Header::LEN + usize::from(self.qname_len)]
    }

    /// The question section as it came: name, type, class.
    pub fn question_wire(&self) -> &'a [u8] {
        &self.bytes[Header::LEN..Header::LEN + usize::from(self.qname_len) + 4]
    }

    /// The name asked for.
    pub fn qname(&self) -> Name {
        // `parse` has walked these very octets.
        Name::from_wire(self.qname_wire()).unwrap_or_else(|_| Name::root())
    }

    /// The name asked for, in lower case.
    pub fn qname_lower(&self) -> Name {
        Name::from_wire_lower(self.qname_wire()).unwrap_or_else(|_| Name::root())
    }

    /// The type asked for.
    pub fn rtype(&self) -> RecordType {
        self.rtype
    }

    /// Whether recursion is desired.
    pub fn recursion_desired(&self) -> bool {
        self.header.flags.has(Flags::RD)
    }

    /// Whether checking is disabled (RFC 4035 3.2.2).
    pub fn checking_disabled(&self) -> bool {
        self.header.flags.has(Flags::CD)
    }

    /// Whether DNSSEC records are wanted.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.as_ref().is_some_and(|e| e.dnssec_ok)
    }

    /// What the OPT record says, when there is one.
    pub fn edns(&self) -> Option<&QueryEdns> {
        self.edns.as_ref()
    }

    /// The data of the first EDNS option with that number.
    pub fn option(&self, code: u16) -> Option<&'a [u8]> {
        let range = &self.edns.as_ref()?.options;
        let rdata = &self.bytes[usize::from(range.start)..usize::from(range.end)];
        edns::options(rdata).filter_map(Result::ok).find(|(c, _)| *c == code).map(|(_, data)| data)
    }

    /// The clusters this question has passed. A path that cannot be read is an error: it must
    /// not be lost, since then a loop would not be seen.
    pub fn cluster_path(&self) -> Result<ClusterPath, Refusal> {
        match self.option(option::CLUSTER_PATH) {
            None => Ok(ClusterPath::default()),
            Some(data) => ClusterPath::parse(data).ok_or(Refusal::Malformed),
        }
    }

    /// Appends a reply without records: `rcode`, the question, and `ede` when the client speaks EDNS.
    ///
    /// It fits into 512 octets. For one that is padded take [`Answer::failure`](crate::Answer::failure).
    pub fn write_error(&self, rcode: Rcode, ede: Option<&Ede>, out: &mut Vec<u8>) {
        let kept = self.header.flags.0 & (Flags::RD | Flags::CD);
        let header_rcode = if self.edns.is_some() { rcode } else { rcode.without_edns() };
        Header {
            id: self.header.id,
            flags: Flags(Flags::QR | Flags::RA | kept).with_rcode(header_rcode),
            qdcount: 1,
            ancount: 0,
            nscount: 0,
            arcount: u16::from(self.edns.is_some()),
        }
        .write(out);
        out.extend_from_slice(self.question_wire());
        if let Some(edns) = &self.edns {
            let start = write_opt_head(out, UDP_PAYLOAD, rcode_high(rcode), edns.dnssec_ok);
            if let Some(ede) = ede {
                ede.write(usize::MAX, out);
            }
            close_opt(out, start);
        }
    }
}

/// The OPT record of a query, which may stand anywhere in the additional section (RFC 6891 6.1.1).
fn find_edns(bytes: &[u8], question_end: usize, header: &Header) -> Result<Option<QueryEdns>, Refusal> {
    if bytes.len() > MAX_MESSAGE_LEN {
        return Err(Refusal::Malformed);
    }
    let records = u32::from(header.ancount) + u32::from(header.nscount) + u32::from(header.arcount);
    let mut at = question_end;
    let mut found = None;
    for record in 0..records {
        let (owner_is_root, owner_end) = skip_name(bytes, at).ok_or(Refusal::Malformed)?;
        let head: &[u8; 10] = bytes.get(owner_end..).and_then(<[u8]>::first_chunk).ok_or(Refusal::Malformed)?;
        let data = owner_end + 10;
        let end = data + usize::from(u16::from_be_bytes([head[8], head[9]]));
        let rdata = bytes.get(data..end).ok_or(Refusal::Malformed)?;
        at = end;
        if RecordType(u16::from_be_bytes([head[0], head[1]])) != RecordType::OPT {
            continue;
        }
        // More than one OPT is a format error, and so is one in another section or not at the root.
        let is_additional = record >= u32::from(header.ancount) + u32::from(header.nscount);
        if found.is_some() || !is_additional || !owner_is_root || edns::options(rdata).any(|o| o.is_err()) {
            return Err(Refusal::Malformed);
        }
        let (version, flags) = (head[5], head[6]);
        if version != 0 {
            return Err(Refusal::EdnsVersion);
        }
        found = Some(QueryEdns {
            udp_payload: u16::from_be_bytes([head[2], head[3]]).max(512),
            dnssec_ok: flags & 0x80 != 0,
            options: data as u16..end as u16,
        });
    }
    if at != bytes.len() {
        return Err(Refusal::Malformed);
    }
    Ok(found)
}

/// Steps over a name that may be compressed; whether it is the root, and where it ends.
fn skip_name(bytes: &[u8], start: usize) -> Option<(bool, usize)> {
    let mut at = start;
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some((at == start, at + 1)),
            len @ 1..=Name::MAX_LABEL => at += 1 + len,
            0xc0.. => return Some((false, at + 2)),
            _ => return None,
        }
    }
}

/// A well-formed question that owns its bytes, for work that outlives the receive buffer.
#[derive(Debug, Clone)]
pub struct Query {
    bytes: Box<[u8]>,
    header: Header,
    qname_len: u16,
    rtype: RecordType,
    edns: Option<QueryEdns>,
}

impl Query {
    /// Copies the question that `view` shows.
    pub fn new(view: &QueryView<'_>) -> Self {
        Self {
            bytes: view.bytes.into(),
            header: view.header,
            qname_len: view.qname_len,
            rtype: view.rtype,
            edns: view.edns.clone(),
        }
    }

    /// The question again, borrowed.
    pub fn view(&self) -> QueryView<'_> {
        QueryView {
            bytes: &self.bytes,
            header: self.header,
            qname_len: self.qname_len,
            rtype: self.rtype,
            edns: self.edns.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
