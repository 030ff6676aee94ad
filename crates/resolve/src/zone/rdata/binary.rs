//! Octets written as text: hex and base64 (RFC 4648), which may be cut by blanks anywhere.

use crate::zone::ZoneError;
use crate::zone::text::Token;

/// The octets that hex digits make.
pub(super) fn hex(tokens: &[Token]) -> Result<Vec<u8>, ZoneError> {
    let digits = hex_digits(tokens)?;
    match (digits.len() % 2, tokens.first()) {
        (1, Some(first)) => Err(first.error("an odd number of hex digits: two make an octet")),
        _ => Ok(pairs(&digits)),
    }
}

/// The values of hex digits.
pub(super) fn hex_digits(tokens: &[Token]) -> Result<Vec<u8>, ZoneError> {
    let mut digits = Vec::new();
    for token in tokens {
        for char in token.text.chars() {
            let digit = char.to_digit(16).ok_or_else(|| token.error(format!("{char:?} is not a hex digit")))?;
            digits.push(digit as u8);
        }
    }
    Ok(digits)
}

/// An octet of every two digits.
pub(super) fn pairs(digits: &[u8]) -> Vec<u8> {
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The octets that base64 stands for (RFC 4648 4), padded.
pub(super) fn base64(tokens: &[Token]) -> Result<Vec<u8>, ZoneError> {
    let Some(first) = tokens.first() else { return Ok(Vec::new()) };
    let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
    decode(&text).ok_or_else(|| {
        first.error("bad base64: letters, digits, '+' and '/' in fours, '=' only to fill up (RFC 4648 4)")
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for octet in digits.bytes() {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(octets)
}
