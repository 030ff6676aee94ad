//! EDNS(0): the OPT record and its options (RFC 6891), extended errors (RFC 8914).

use crate::{Rcode, RecordType, WireError};

/// Option numbers.
pub mod option {
    /// Name server identifier (RFC 5001).
    pub const NSID: u16 = 3;
    /// Client subnet (RFC 7871). Never sent, never passed on.
    pub const CLIENT_SUBNET: u16 = 8;
    /// Cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// edns-tcp-keepalive (RFC 7828), on streams only.
    pub const TCP_KEEPALIVE: u16 = 11;
    /// Padding (RFC 7830), inside TLS only.
    pub const PADDING: u16 = 12;
    /// Extended DNS error (RFC 8914).
    pub const EDE: u16 = 15;
    /// The clusters a question has passed; from the local-use range (RFC 6891 9: 65001 to 65534).
    pub const CLUSTER_PATH: u16 = 65_053;
}

/// The most options read from one OPT record; a record with more is malformed to us.
pub(crate) const MAX_OPTIONS: usize = 32;

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdnsOption {
    /// Its number, see [`option`].
    pub code: u16,
    /// Its data.
    pub data: Vec<u8>,
}

/// A decoded OPT record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// The UDP payload the sender can take, in octets.
    pub udp_payload: u16,
    /// The high eight bits of the rcode.
    pub rcode_high: u8,
    /// Always 0 in what we send.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// The options, in order.
    pub options: Vec<EdnsOption>,
}

impl Default for Edns {
    fn default() -> Self {
        Self { udp_payload: crate::UDP_PAYLOAD, rcode_high: 0, version: 0, dnssec_ok: false, options: Vec::new() }
    }
}

impl Edns {
    /// The first option with that number.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|o| o.code == code).map(|o| o.data.as_slice())
    }

    /// The extended error, when there is one.
    ///
    /// A text that is longer than [`Ede::MAX_TEXT`] is cut, octets that are not UTF-8 are replaced.
    pub fn ede(&self) -> Option<Ede> {
        let (code, text) = self.option(option::EDE)?.split_first_chunk::<2>()?;
        let text = &text[..text.len().min(Ede::MAX_TEXT)];
        Some(Ede { code: u16::from_be_bytes(*code), text: String::from_utf8_lossy(text).into_owned().into() })
    }

    /// Appends the OPT record.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = write_opt_head(out, self.udp_payload, self.rcode_high, self.dnssec_ok);
        for o in &self.options {
            write_option(out, o.code, &o.data);
        }
        close_opt(out, start);
    }

    pub(crate) fn from_record(class: u16, ttl: u32, rdata: &[u8]) -> Result<Self, WireError> {
        let [rcode_high, version, flags, _] = ttl.to_be_bytes();
        let options = options(rdata).map(|o| o.map(|(code, data)| EdnsOption { code, data: data.to_vec() }));
        Ok(Self {
            udp_payload: class,
            rcode_high,
            version,
            dnssec_ok: flags & 0x80 != 0,
            options: options.collect::<Result<_, _>>()?,
        })
    }
}

/// Walks the options of an OPT record's data; at most [`MAX_OPTIONS`].
pub(crate) fn options(mut rdata: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), WireError>> {
    let mut count = 0;
    std::iter::from_fn(move || {
        if rdata.is_empty() {
            return None;
        }
        count += 1;
        let head = rdata.split_first_chunk::<4>().filter(|_| count <= MAX_OPTIONS);
        let parsed = head.and_then(|(&[c0, c1, l0, l1], rest)| {
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            Some((u16::from_be_bytes([c0, c1]), data, rest))
        });
        match parsed {
            Some((code, data, rest)) => {
                rdata = rest;
                Some(Ok((code, data)))
            }
            None => {
                rdata = &[];
                Some(Err(WireError::BadOption))
            }
        }
    })
}

/// The octets of an OPT record without options.
pub(crate) const OPT_HEAD: usize = 11;

/// Appends an OPT record up to its data; the result goes to [`close_opt`].
pub(crate) fn write_opt_head(out: &mut Vec<u8>, udp_payload: u16, rcode_high: u8, dnssec_ok: bool) -> usize {
    out.push(0);
    out.extend_from_slice(&RecordType::OPT.0.to_be_bytes());
    out.extend_from_slice(&udp_payload.to_be_bytes());
    out.extend_from_slice(&[rcode_high, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    out.len()
}

/// Appends one option.
pub(crate) fn write_option(out: &mut Vec<u8>, code: u16, data: &[u8]) {
    write_option_head(out, code, data.len());
    out.extend_from_slice(data);
}

/// Appends the number of an option and the length of its data.
pub(crate) fn write_option_head(out: &mut Vec<u8>, code: u16, len: usize) {
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&(len as u16).to_be_bytes());
}

/// Sets the length of the OPT record whose data began at `start`.
pub(crate) fn close_opt(out: &mut [u8], start: usize) {
    let len = (out.len() - start) as u16;
    out[start - 2..start].copy_from_slice(&len.to_be_bytes());
}

/// An extended DNS error: why an answer is not a plain one (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ede {
    /// The info-code.
    pub code: u16,
    /// The extra text, for people; may be empty.
    pub text: std::borrow::Cow<'static, str>,
}

impl Ede {
    /// Other error.
    pub const OTHER: u16 = 0;
    /// Stale answer.
    pub const STALE_ANSWER: u16 = 3;
    /// Cached error.
    pub const CACHED_ERROR: u16 = 13;
    /// Not ready.
    pub const NOT_READY: u16 = 14;
    /// Blocked.
    pub const BLOCKED: u16 = 15;
    /// Prohibited: the client may not ask.
    pub const PROHIBITED: u16 = 18;
    /// Stale NXDOMAIN answer.
    pub const STALE_NXDOMAIN: u16 = 19;
    /// Not authoritative.
    pub const NOT_AUTHORITATIVE: u16 = 20;
    /// Not supported.
    pub const NOT_SUPPORTED: u16 = 21;
    /// No reachable authority.
    pub const NO_REACHABLE_AUTHORITY: u16 = 22;
    /// Network error.
    pub const NETWORK_ERROR: u16 = 23;
    /// Invalid data.
    pub const INVALID_DATA: u16 = 24;

    /// The longest extra text we send, in octets; what is over is cut at a character.
    pub const MAX_TEXT: usize = 160;

    /// An error with `text` for people.
    pub fn new(code: u16, text: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// The option that carries it.
    pub fn to_option(&self) -> EdnsOption {
        let data = [&self.code.to_be_bytes(), self.cut_text(Self::MAX_TEXT).as_bytes()].concat();
        EdnsOption { code: option::EDE, data }
    }

    /// Appends it as an option of at most `room` octets: without its text, or not at all, where it must be.
    pub(crate) fn write(&self, room: usize, out: &mut Vec<u8>) {
        let Some(room) = room.checked_sub(6) else { return };
        let text = self.cut_text(room);
        write_option_head(out, option::EDE, 2 + text.len());
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    fn cut_text(&self, room: usize) -> &str {
        let longest = self.text.len().min(room).min(Self::MAX_TEXT);
        let end = (0..=longest).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        &self.text[..end]
    }
}

/// Splits an rcode into its header bits and its EDNS bits.
pub(crate) const fn rcode_high(rcode: Rcode) -> u8 {
    (rcode.0 >> 4) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(data: &[u8]) -> Option<Ede> {
        let options = vec![EdnsOption { code: option::EDE, data: data.to_vec() }];
        Edns { options, ..Edns::default() }.ede()
    }

    #[test]
    fn rfc8914_2_extended_errors_are_read() {
        assert_eq!(told(b"\0\x12not you"), Some(Ede::new(Ede::PROHIBITED, "not you")));
        assert_eq!(told(b"\0\x12"), Some(Ede::new(Ede::PROHIBITED, "")));
        assert_eq!(told(b"\0"), None);
        assert_eq!(told(b"\0\0\xff"), Some(Ede::new(Ede::OTHER, "\u{fffd}")));
        // A long text is not kept.
        assert_eq!(told(&[0; 60_000]).map(|e| e.text.len()), Some(Ede::MAX_TEXT));
    }

    #[test]
    fn rfc8914_2_long_texts_are_cut_at_a_character() {
        let ede = Ede::new(Ede::OTHER, format!("{}\u{fc}", "a".repeat(Ede::MAX_TEXT - 1)));
        assert_eq!(ede.to_option().data.len(), 2 + Ede::MAX_TEXT - 1);
        let len = |room| {
            let mut out = Vec::new();
            ede.write(room, &mut out);
            out.len()
        };
        assert_eq!((len(0), len(5), len(6), len(7), len(1_000)), (0, 0, 6, 7, 6 + Ede::MAX_TEXT - 1));
    }
}
