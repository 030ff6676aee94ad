//! Record data from presentation format.
//!
//! The types that carry names, addresses and text are read here: hickory's text form folds the case
//! of names, reads `\DDD` as octal and does not know `@`. The structured rest (CAA, HTTPS, SSHFP,
//! TLSA, ...) is hickory's. Every type can be written in the generic form of RFC 3597 5.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::BinEncodable;
use strait_wire::{Name, Rdata, RecordType};

use super::text::{Token, unescape};
use super::{MAX_TTL, ZoneError};

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
        RecordType::MX => fields.build(&["preference"], 0, 1)?,
        RecordType::SRV => {
            let mut number = |what| fields.parsed::<u16>(what);
            let (priority, weight, port) = (number("a priority")?, number("a weight")?, number("a port")?);
            Rdata::srv(priority, weight, port, &fields.name()?)
        }
        RecordType::NAPTR => fields.build(&["order", "preference"], 3, 1)?,
        RecordType::RP => fields.build(&[], 0, 2)?,
        RecordType::AFSDB | RecordType::KX | RecordType::RT => fields.build(&["number"], 0, 1)?,
        RecordType::SOA => fields.soa()?,
        RecordType::TXT | SPF => fields.text()?,
        _ => return fields.hickory(),
    };
    match fields.next() {
        None => Ok(rdata),
        Some(extra) => {
            let hint = if extra.text.contains(':') || extra.text.contains('.') {
                "; several values are several records"
            } else {
                ""
            };
            Err(extra.error(format!("{:?} is more than {rtype} data holds{hint}", extra.text)))
        }
    }
}

/// Text in the old type for mail policies (RFC 4408 3.1.1); still found in zone files.
const SPF: RecordType = RecordType(99);

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
        let missing = || format!("{} data needs {what} here", self.rtype);
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

    /// Data of 16-bit numbers, then character strings, then names.
    fn build(&mut self, numbers: &[&str], strings: usize, names: usize) -> Result<Rdata, ZoneError> {
        let mut bytes = Vec::new();
        for what in numbers {
            bytes.extend(self.parsed::<u16>(&format!("a {what} (0 to 65535)"))?.to_be_bytes());
        }
        for _ in 0..strings {
            push_string(self.required("a string")?, &mut bytes)?;
        }
        for _ in 0..names {
            bytes.extend_from_slice(self.name()?.as_wire());
        }
        self.checked(&bytes)
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
        let mut bytes = Vec::with_capacity(usize::from(length));
        let mut half = None;
        while let Some(token) = self.next() {
            for char in token.text.chars() {
                let digit = char.to_digit(16).ok_or_else(|| token.error(format!("{char:?} is not a hex digit")))? as u8;
                match half.take() {
                    None => half = Some(digit << 4),
                    Some(high) => bytes.push(high | digit),
                }
            }
        }
        if half.is_some() || bytes.len() != usize::from(length) {
            let says = &self.tokens[1];
            let octets = bytes.len();
            return Err(says.error(format!("the length says {length} octets, the hex digits make {octets}")));
        }
        self.checked(&bytes)
    }

    /// The types whose text form hickory reads.
    fn hickory(&mut self) -> Result<Rdata, ZoneError> {
        let rtype = self.rtype;
        let first = self.required("data")?;
        let mut line = String::new();
        for (i, token) in self.tokens.iter().enumerate() {
            if i > 0 {
                line.push(' ');
            }
            match (rtype, i) {
                _ if token.quoted => push_quoted(token, &mut line)?,
                // The target name: made absolute, since hickory knows no origin here.
                (RecordType::SVCB | RecordType::HTTPS, 1) => line.push_str(&name(token, self.origin)?.to_string()),
                _ => line.push_str(&token.text),
            }
        }
        let failed =
            |why: String| first.error(format!("bad {rtype} data: {why}; or write it as \\# LENGTH HEX (RFC 3597 5)"));
        let data = RData::try_from_str(hickory_proto::rr::RecordType::from(rtype.0), &line)
            .map_err(|error| failed(error.to_string()))?;
        let bytes = data.to_bytes().map_err(|error| failed(error.to_string()))?;
        self.checked(&bytes)
    }

    fn checked(&self, bytes: &[u8]) -> Result<Rdata, ZoneError> {
        let wrong = |why: String| match self.tokens.first() {
            Some(token) => token.error(why),
            None => ZoneError::value(1, why),
        };
        if bytes.len() > usize::from(u16::MAX) {
            return Err(wrong(format!("the data of a {} record is longer than 65535 octets", self.rtype)));
        }
        Rdata::parse(self.rtype, bytes).map_err(|error| wrong(format!("bad {} data: {error}", self.rtype)))
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

/// Appends a quoted string in the form that hickory's lexer reads: `\"` and `\\` escaped, the rest verbatim.
fn push_quoted(token: &Token, line: &mut String) -> Result<(), ZoneError> {
    let text = String::from_utf8(unescape(token)?)
        .map_err(|_| token.error("octets over 127 here: write the data as \\# LENGTH HEX (RFC 3597 5)"))?;
    line.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            line.push('\\');
        }
        line.push(char);
    }
    line.push('"');
    Ok(())
}
