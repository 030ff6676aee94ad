//! Record data from presentation format.
//!
//! The types made of numbers, names, strings, hex and base64 are rows of [`layout`]; those with a text form of
//! their own have a module each. Every type can be written in the generic form of RFC 3597 5.

mod binary;
mod loc;
mod svcb;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use strait_wire::{Name, Rdata, RecordType};

use super::text::{Token, unescape};
use super::types::{self, numbers};
use super::{MAX_TTL, ZoneError};

/// One field of a record's data.
#[derive(Clone, Copy)]
enum Field {
    /// A number of that many octets, and what it is.
    Number(usize, &'static str),
    /// A number of that many octets, or its mnemonic.
    Word(usize, &'static str, &'static [(&'static str, u16)]),
    /// A name.
    Name,
    /// A string with its length octet.
    Text,
    /// A string that fills the rest of the data, without length octet.
    Rest,
    /// Hex digits to the end.
    Hex,
    /// Base64 to the end.
    Base64,
    /// The types that are there, as a bit map (RFC 4034 4.1.2).
    Types,
}

use Field::{Base64, Hex, Name as N, Number, Rest, Text, Types, Word};

/// Numbers of DNSSEC algorithms (RFC 4034 A.1 and the IANA registry).
const ALGORITHMS: &[(&str, u16)] = &[
    ("DELETE", 0),
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];
/// Kinds of certificates (RFC 4398 2.1).
const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// The fields of the types that are nothing but their fields.
fn layout(rtype: RecordType) -> Option<&'static [Field]> {
    const ALGORITHM: Field = Word(1, "algorithm", ALGORITHMS);
    Some(match rtype {
        RecordType::MX => &[Number(2, "preference"), N],
        RecordType::NAPTR => &[Number(2, "order"), Number(2, "preference"), Text, Text, Text, N],
        RecordType::RP => &[N, N],
        RecordType::AFSDB | RecordType::KX | RecordType::RT => &[Number(2, "number"), N],
        RecordType::PX => &[Number(2, "preference"), N, N],
        RecordType::HINFO => &[Text, Text],
        // RFC 4034 5.3, 7344 3.1.
        RecordType::DS | numbers::CDS => &[Number(2, "key tag"), ALGORITHM, Number(1, "digest type"), Hex],
        // RFC 4034 2.2, 7344 3.2.
        RecordType::DNSKEY | numbers::CDNSKEY => {
            &[Number(2, "number of flags"), Number(1, "protocol"), ALGORITHM, Base64]
        }
        // RFC 4255 3.2.
        RecordType::SSHFP => &[Number(1, "algorithm"), Number(1, "fingerprint type"), Hex],
        // RFC 6698 2.2, 8162 2.
        RecordType::TLSA | numbers::SMIMEA => {
            &[Number(1, "certificate usage"), Number(1, "selector"), Number(1, "matching type"), Hex]
        }
        // RFC 8659 4.1.1.
        RecordType::CAA => &[Number(1, "number of flags"), Text, Rest],
        // RFC 7553 4.2.
        numbers::URI => &[Number(2, "priority"), Number(2, "weight"), Rest],
        // RFC 7929 2.3, 4701 3.2.
        numbers::OPENPGPKEY | numbers::DHCID => &[Base64],
        // RFC 4398 2.2.
        numbers::CERT => &[Word(2, "certificate type", CERTIFICATES), Number(2, "key tag"), ALGORITHM, Base64],
        // RFC 7477 2.1.2.
        numbers::CSYNC => &[Number(4, "serial"), Number(2, "number of flags"), Types],
        // RFC 8976 2.3.
        numbers::ZONEMD => &[Number(4, "serial"), Number(1, "scheme"), Number(1, "hash algorithm"), Hex],
        _ => return None,
    })
}

/// The data of a record of `rtype` that `tokens` say; relative names end in `origin`.
pub(super) fn parse(rtype: RecordType, tokens: &[Token], origin: &Name) -> Result<Rdata, ZoneError> {
    let mut fields = Fields { rtype, tokens, at: 0, origin };
    if tokens.first().is_some_and(|token| token.is_word("\\#")) {
        return fields.generic();
    }
    let rdata = match rtype {
        RecordType::A => Rdata::opaque(fields.parsed::<Ipv4Addr>("an IPv4 address")?.octets().to_vec()),
        RecordType::AAAA => Rdata::opaque(fields.parsed::<Ipv6Addr>("an IPv6 address")?.octets().to_vec()),
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => Rdata::name(&fields.name()?),
        RecordType::SRV => {
            let mut number = |what| fields.parsed::<u16>(what);
            let (priority, weight, port) = (number("a priority")?, number("a weight")?, number("a port")?);
            Rdata::srv(priority, weight, port, &fields.name()?)
        }
        RecordType::SOA => fields.soa()?,
        RecordType::TXT | numbers::SPF => fields.text()?,
        RecordType::SVCB | RecordType::HTTPS => fields.built(svcb::read)?,
        numbers::LOC => fields.built(loc::read)?,
        numbers::APL => fields.built(Fields::address_prefixes)?,
        numbers::EUI48 => fields.built(|fields| fields.eui(6))?,
        numbers::EUI64 => fields.built(|fields| fields.eui(8))?,
        _ => match layout(rtype) {
            Some(layout) => fields.built(|fields| fields.all(layout))?,
            None => return Err(fields.no_text_form()),
        },
    };
    match fields.next() {
        None => Ok(rdata),
        Some(extra) => {
            let hint = if extra.text.contains(':') || extra.text.contains('.') {
                "; several values are several records"
            } else {
                ""
            };
            Err(extra.error(format!("{:?} is more than {} data holds{hint}", extra.text, types::name(rtype))))
        }
    }
}

/// Reads the fields of one record's data in order.
struct Fields<'a> {
    rtype: RecordType,
    tokens: &'a [Token],
    at: usize,
    origin: &'a Name,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    fn required(&mut self, what: &str) -> Result<&'a Token, ZoneError> {
        let missing = || format!("{} data needs {what} here", types::name(self.rtype));
        match (self.tokens.get(self.at), self.tokens.last()) {
            (None, None) => Err(ZoneError::value(1, missing())),
            (None, Some(last)) => {
                let end = last.column + last.text.chars().count() + if last.quoted { 2 } else { 0 };
                Err(ZoneError::at(last.line, end, missing()))
            }
            (Some(token), _) => {
                self.at += 1;
                Ok(token)
            }
        }
    }

    fn parsed<T: FromStr>(&mut self, what: &str) -> Result<T, ZoneError> {
        let token = self.required(what)?;
        token.text.parse().map_err(|_| token.error(format!("{:?} is not {what}", token.text)))
    }

    fn name(&mut self) -> Result<Name, ZoneError> {
        let token = self.required("a name")?;
        name(token, self.origin)
    }

    /// A number of seconds, also with units: `1h30m`.
    fn seconds(&mut self, what: &str) -> Result<u32, ZoneError> {
        let token = self.required(what)?;
        seconds(&token.text).ok_or_else(|| token.error(format!("{:?} is not {what}: seconds, or 1h30m", token.text)))
    }

    /// The data that `read` puts together.
    fn built(&mut self, read: impl FnOnce(&mut Self) -> Result<Vec<u8>, ZoneError>) -> Result<Rdata, ZoneError> {
        let bytes = read(self)?;
        self.checked(&bytes)
    }

    fn all(&mut self, layout: &[Field]) -> Result<Vec<u8>, ZoneError> {
        let mut bytes = Vec::new();
        for field in layout {
            match *field {
                Number(octets, what) => self.number(octets, what, &[], &mut bytes)?,
                Word(octets, what, words) => self.number(octets, what, words, &mut bytes)?,
                N => bytes.extend_from_slice(self.name()?.as_wire()),
                Text => push_string(self.required("a string")?, &mut bytes)?,
                Rest => bytes.extend(unescape(self.required("a string")?)?),
                Hex => bytes.extend(binary::hex(self.rest("hex digits")?)?),
                Base64 => bytes.extend(binary::base64(self.rest("base64")?)?),
                Types => bytes.extend(types::bit_map(self.rest("a record type")?)?),
            }
        }
        Ok(bytes)
    }

    fn number(
        &mut self,
        octets: usize,
        what: &str,
        words: &[(&str, u16)],
        bytes: &mut Vec<u8>,
    ) -> Result<(), ZoneError> {
        let most = u32::MAX >> (32 - 8 * octets);
        let what = format!("{} {what} (0 to {most})", if what.starts_with(['a', 'o']) { "an" } else { "a" });
        let token = self.required(&what)?;
        let word = words.iter().find(|(word, _)| token.is_word(word)).map(|(_, number)| u32::from(*number));
        let number = word.or_else(|| token.text.parse().ok()).filter(|number| *number <= most);
        let number = number.ok_or_else(|| token.error(format!("{:?} is not {what}", token.text)))?;
        bytes.extend_from_slice(&number.to_be_bytes()[4 - octets..]);
        Ok(())
    }

    /// Everything that is left, at least one token.
    fn rest(&mut self, what: &str) -> Result<&'a [Token], ZoneError> {
        let from = self.at;
        self.required(what)?;
        self.at = self.tokens.len();
        Ok(&self.tokens[from..])
    }

    /// Octets in hex with hyphens between (RFC 7043 3.2, 4.2).
    fn eui(&mut self, octets: usize) -> Result<Vec<u8>, ZoneError> {
        let token = self.required("an EUI address")?;
        let octet = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2);
        let bytes: Option<Vec<u8>> = token.text.split('-').map(octet).collect();
        bytes.filter(|bytes| bytes.len() == octets).ok_or_else(|| {
            token.error(format!(
                "{:?} is not {octets} octets in hex with hyphens between, as 00-00-5e-00-53-2a",
                token.text
            ))
        })
    }

    /// `[!]FAMILY:ADDRESS/PREFIX`, none or more (RFC 3123 5).
    fn address_prefixes(&mut self) -> Result<Vec<u8>, ZoneError> {
        let mut bytes = Vec::new();
        while let Some(token) = self.next() {
            let bad = || {
                token.error(format!("{:?} is not an address prefix, as 1:192.0.2.0/24 or !2:2001:db8::/32", token.text))
            };
            let (negated, text) = token.text.strip_prefix('!').map_or((0, token.text.as_str()), |rest| (0x80, rest));
            let (family, rest) = text.split_once(':').ok_or_else(bad)?;
            let (address, prefix) = rest.split_once('/').ok_or_else(bad)?;
            let (mut address, family_number) = match (family, address.parse().map_err(|_| bad())?) {
                ("1", IpAddr::V4(address)) => (address.octets().to_vec(), 1),
                ("2", IpAddr::V6(address)) => (address.octets().to_vec(), 2),
                _ => return Err(bad()),
            };
            let bits = address.len() * 8;
            let prefix: u8 = prefix.parse().ok().filter(|prefix| usize::from(*prefix) <= bits).ok_or_else(bad)?;
            // Trailing zero octets are left out (RFC 3123 4).
            address.truncate(address.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1));
            // At most sixteen octets.
            bytes.extend([0, family_number, prefix, negated | address.len() as u8]);
            bytes.extend(address);
        }
        Ok(bytes)
    }

    /// Types that only tools write, and those whose text form nobody has told us.
    fn no_text_form(&self) -> ZoneError {
        let message = format!(
            "this program does not read {} data as text: write it generic, \\# LENGTH HEX (RFC 3597 5)",
            types::name(self.rtype)
        );
        match self.tokens.first() {
            Some(token) => token.error(message),
            None => ZoneError::value(1, message),
        }
    }

    fn soa(&mut self) -> Result<Rdata, ZoneError> {
        let (mname, rname) = (self.name()?, self.name()?);
        let serial = self.parsed("a serial (0 to 4294967295)")?;
        let mut timers = [serial, 0, 0, 0, 0];
        for (timer, what) in timers[1..].iter_mut().zip(["a refresh", "a retry", "an expire", "a minimum"]) {
            *timer = self.seconds(what)?;
        }
        Ok(Rdata::soa(&mname, &rname, timers))
    }

    fn text(&mut self) -> Result<Rdata, ZoneError> {
        let mut bytes = Vec::new();
        push_string(self.required("a string")?, &mut bytes)?;
        while let Some(token) = self.next() {
            push_string(token, &mut bytes)?;
        }
        self.checked(&bytes)
    }

    /// `\# LENGTH HEX...` (RFC 3597 5).
    fn generic(&mut self) -> Result<Rdata, ZoneError> {
        self.at += 1;
        let length: u16 = self.parsed("the length of the data in octets")?;
        let digits = &self.tokens[self.at..];
        self.at = self.tokens.len();
        let bytes = binary::hex_digits(digits)?;
        if bytes.len() != 2 * usize::from(length) {
            let octets = bytes.len() / 2;
            let message = format!("the length says {length} octets, the hex digits make {octets}");
            return Err(self.tokens[1].error(message));
        }
        let bytes = binary::pairs(&bytes);
        self.checked(&bytes)
    }

    fn checked(&self, bytes: &[u8]) -> Result<Rdata, ZoneError> {
        let wrong = |why: String| match self.tokens.first() {
            Some(token) => token.error(why),
            None => ZoneError::value(1, why),
        };
        if bytes.len() > usize::from(u16::MAX) {
            return Err(wrong(format!("the data of a {} record is longer than 65535 octets", types::name(self.rtype))));
        }
        Rdata::parse(self.rtype, bytes).map_err(|error| wrong(format!("bad {} data: {error}", types::name(self.rtype))))
    }
}

/// The name that `token` says: absolute with a final dot, `@` for the origin, otherwise ending in `origin`.
pub(super) fn name(token: &Token, origin: &Name) -> Result<Name, ZoneError> {
    let text = token.text.as_str();
    if token.quoted {
        return Err(token.error("a name is written without quotes"));
    }
    if text == "@" {
        return Ok(origin.clone());
    }
    if !text.is_ascii() {
        return Err(
            token.error(format!("{text:?} is not ASCII: write internationalised names as xn-- labels (RFC 5890)"))
        );
    }
    let wrong = |error: strait_wire::NameError| token.error(format!("{text:?} is not a name: {error}"));
    let parsed: Name = text.parse().map_err(wrong)?;
    if ends_in_dot(text) {
        return Ok(parsed);
    }
    Name::from_labels(parsed.labels().chain(origin.labels())).map_err(wrong)
}

/// Whether the text ends in a dot that is not escaped.
fn ends_in_dot(text: &str) -> bool {
    let Some(rest) = text.strip_suffix('.') else { return false };
    rest.bytes().rev().take_while(|octet| *octet == b'\\').count() % 2 == 0
}

/// Seconds as zone files write them: `300`, `1h30m`, `2W`; at most 2^31 - 1 (RFC 2181 8).
pub(super) fn seconds(text: &str) -> Option<u32> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut has_units = false;
    for octet in text.bytes() {
        if octet.is_ascii_digit() {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(octet - b'0'))?);
            continue;
        }
        let unit = match octet.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        has_units = true;
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    total = match (number, has_units) {
        (Some(seconds), false) => seconds,
        (None, true) => total,
        // A number without unit after one with: nobody can say what it counts.
        _ => return None,
    };
    u32::try_from(total).ok().filter(|seconds| *seconds <= MAX_TTL)
}

/// Appends a character string with its length octet (RFC 1035 3.3).
fn push_string(token: &Token, bytes: &mut Vec<u8>) -> Result<(), ZoneError> {
    let octets = unescape(token)?;
    let length = u8::try_from(octets.len()).map_err(|_| {
        let message = format!(
            "a string of {} octets, at most 255 are allowed: split it into several quoted strings",
            octets.len()
        );
        token.error(message)
    })?;
    bytes.push(length);
    bytes.extend_from_slice(&octets);
    Ok(())
}
