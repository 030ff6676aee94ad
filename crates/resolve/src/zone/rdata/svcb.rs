//! Service bindings: SVCB and HTTPS (RFC 9460).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Fields, binary};
use crate::zone::ZoneError;
use crate::zone::text::{Token, unescape};

/// Keys by number (RFC 9460 14.3.2, 9461 7, 9540 7).
const KEYS: &[(&str, u16)] = &[
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;

/// Priority, target and parameters in any order (RFC 9460 2.1); they are sent in the order of their keys (2.2).
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Vec<u8>, ZoneError> {
    let mut bytes = Vec::new();
    fields.number(2, "priority", &[], &mut bytes)?;
    bytes.extend_from_slice(fields.name()?.as_wire());
    let mut parameters: BTreeMap<u16, (&Token, Vec<u8>)> = BTreeMap::new();
    while let Some(token) = fields.next() {
        let (word, value) = match token.text.split_once('=').filter(|_| !token.quoted) {
            Some((word, "")) => (word, quoted_after(fields, token)),
            Some((word, value)) => (word, Some(Token { text: value.to_owned(), ..token.clone() })),
            None => (token.text.as_str(), None),
        };
        let key = key(word).filter(|_| !token.quoted).ok_or_else(|| {
            token.error(format!(
                "{word:?} is not a parameter: write alpn=, port=, ipv4hint=, ... or keyNNNNN= (RFC 9460 2.1)"
            ))
        })?;
        let value = encode(key, word, token, value.as_ref())?;
        if parameters.insert(key, (token, value)).is_some() {
            return Err(token.error(format!("{word} is there twice: a parameter may occur once (RFC 9460 2.1)")));
        }
    }
    check(&parameters)?;
    for (key, (token, value)) in &parameters {
        let length = u16::try_from(value.len()).map_err(|_| token.error("longer than 65535 octets"))?;
        bytes.extend(key.to_be_bytes().into_iter().chain(length.to_be_bytes()));
        bytes.extend(value);
    }
    Ok(bytes)
}

/// The quoted string right behind `KEY=`.
fn quoted_after(fields: &mut Fields<'_>, word: &Token) -> Option<Token> {
    let end = word.column + word.text.chars().count();
    let next = fields.tokens.get(fields.at)?;
    (next.quoted && next.line == word.line && next.column == end).then(|| {
        fields.at += 1;
        next.clone()
    })
}

fn key(word: &str) -> Option<u16> {
    let known = KEYS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, key)| *key);
    let number = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())?;
    // 65535 is reserved for the invalid key (RFC 9460 14.3.2).
    known.or_else(|| number(word.to_ascii_lowercase().strip_prefix("key")?)).filter(|key| *key != u16::MAX)
}

fn encode(key: u16, word: &str, token: &Token, value: Option<&Token>) -> Result<Vec<u8>, ZoneError> {
    // What is written keyNNNNN is opaque (RFC 9460 2.1).
    let is_opaque = !KEYS.iter().any(|(name, _)| word.eq_ignore_ascii_case(name));
    match (key, value) {
        _ if is_opaque => value.map_or(Ok(Vec::new()), unescape),
        (NO_DEFAULT_ALPN | OHTTP, None) => Ok(Vec::new()),
        (NO_DEFAULT_ALPN | OHTTP, Some(value)) => Err(value.error(format!("{word} takes no value"))),
        (_, None) => Err(token.error(format!("{word} needs a value: {word}=..."))),
        (MANDATORY, Some(value)) => {
            let mut keys = each(value, "a parameter", key_of)?;
            keys.sort_unstable();
            Ok(keys.into_iter().flatten().collect())
        }
        (ALPN, Some(value)) => protocols(value),
        (PORT, Some(value)) => match value.text.parse::<u16>() {
            Ok(port) => Ok(port.to_be_bytes().to_vec()),
            Err(_) => Err(value.error(format!("{:?} is not a port (0 to 65535)", value.text))),
        },
        (IPV4HINT, Some(value)) => {
            Ok(each(value, "an IPv4 address", |text| Some(Ipv4Addr::from_str(text).ok()?.octets()))?.concat())
        }
        (IPV6HINT, Some(value)) => {
            Ok(each(value, "an IPv6 address", |text| Some(Ipv6Addr::from_str(text).ok()?.octets()))?.concat())
        }
        (ECH, Some(value)) => binary::base64(std::slice::from_ref(value)),
        (_, Some(value)) => unescape(value),
    }
}

fn key_of(text: &str) -> Option<[u8; 2]> {
    key(text).map(u16::to_be_bytes)
}

/// The items of a list with commas between.
fn each<T>(value: &Token, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ZoneError> {
    let item = |text| read(text).ok_or_else(|| value.error(format!("{text:?} is not {what}")));
    value.text.split(',').map(item).collect()
}

/// Protocol names, each with its length; a comma or backslash in one has a backslash before it (RFC 9460 A.1).
fn protocols(value: &Token) -> Result<Vec<u8>, ZoneError> {
    let mut names = vec![Vec::new()];
    let mut octets = unescape(value)?.into_iter();
    while let Some(octet) = octets.next() {
        match (octet, names.last_mut()) {
            (b',', _) => names.push(Vec::new()),
            (b'\\', Some(name)) => name.push(octets.next().ok_or_else(|| value.error("a backslash at the end"))?),
            (_, Some(name)) => name.push(octet),
            (_, None) => {}
        }
    }
    let mut bytes = Vec::new();
    for name in names {
        let length = u8::try_from(name.len()).ok().filter(|length| *length > 0);
        bytes.push(length.ok_or_else(|| value.error("a protocol name has 1 to 255 octets (RFC 9460 7.1.1)"))?);
        bytes.extend(name);
    }
    Ok(bytes)
}

/// What parameters ask of one another.
fn check(parameters: &BTreeMap<u16, (&Token, Vec<u8>)>) -> Result<(), ZoneError> {
    if let (Some((token, _)), false) = (parameters.get(&NO_DEFAULT_ALPN), parameters.contains_key(&ALPN)) {
        return Err(token.error("no-default-alpn needs alpn beside it (RFC 9460 7.1.1)"));
    }
    let Some((token, listed)) = parameters.get(&MANDATORY) else { return Ok(()) };
    let keys: Vec<u16> = listed.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    if keys.contains(&MANDATORY) || keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(token.error("mandatory lists other parameters, each once (RFC 9460 8)"));
    }
    match keys.iter().all(|key| parameters.contains_key(key)) {
        true => Ok(()),
        false => Err(token.error("mandatory lists a parameter that is not there (RFC 9460 8)")),
    }
}
