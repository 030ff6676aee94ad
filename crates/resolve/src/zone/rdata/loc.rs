//! Places on earth (RFC 1876).

use super::Fields;
use crate::zone::ZoneError;
use crate::zone::text::Token;

/// Altitudes are counted from this many centimetres below the reference spheroid (RFC 1876 2).
const DEPTH: i64 = 10_000_000;

/// `D [M [S]] N|S  D [M [S]] E|W  ALTITUDE [SIZE [HORIZONTAL [VERTICAL]]]` (RFC 1876 3).
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Vec<u8>, ZoneError> {
    let latitude = angle(fields, 90, "N", "S")?;
    let longitude = angle(fields, 180, "E", "W")?;
    let token = fields.required("an altitude in metres")?;
    let altitude = metres(token).and_then(|centimetres| u32::try_from(centimetres + DEPTH).ok());
    let altitude = altitude
        .ok_or_else(|| token.error(format!("{:?} is not an altitude (-100000.00m to 42849672.95m)", token.text)))?;
    let mut bytes = vec![0];
    // Size, horizontal and vertical precision, with the defaults of RFC 1876 3: 1 m, 10 km, 10 m.
    for default in [0x12, 0x16, 0x13] {
        bytes.push(fields.next().map_or(Ok(default), precision)?);
    }
    for number in [latitude, longitude, altitude] {
        bytes.extend(number.to_be_bytes());
    }
    Ok(bytes)
}

/// Thousandths of a second of arc, the equator or the prime meridian at 2^31.
fn angle(fields: &mut Fields<'_>, most: i64, positive: &str, negative: &str) -> Result<u32, ZoneError> {
    let what = format!("degrees, minutes and seconds, then {positive} or {negative}");
    let mut total = 0;
    for (unit, limit) in [(3_600_000, most), (60_000, 59), (1_000, 59)].into_iter().chain([(0, 0)]) {
        let token = fields.required(&what)?;
        let bad = || token.error(format!("{:?} is not {what} (RFC 1876 3)", token.text));
        let is_first = unit == 3_600_000;
        for (word, sign) in [(positive, 1), (negative, -1)] {
            if !is_first && token.is_word(word) {
                // At most 180 degrees: 648,000,000.
                return u32::try_from((1i64 << 31) + sign * total).map_err(|_| bad());
            }
        }
        let decimals = if unit == 1_000 { 3 } else { 0 };
        let scale = 10i64.pow(decimals);
        let value = decimal(&token.text, decimals).filter(|value| (0..(limit + 1) * scale).contains(value));
        total += value.filter(|_| unit > 0).ok_or_else(bad)? * (unit / scale);
        if total > most * 3_600_000 {
            return Err(bad());
        }
    }
    Err(ZoneError::whole(what))
}

/// Centimetres as a digit and a power of ten (RFC 1876 2).
fn precision(token: &Token) -> Result<u8, ZoneError> {
    let bad = || token.error(format!("{:?} is not a size in metres (0 to 90000000.00)", token.text));
    let mut digit = metres(token).filter(|size| (0..=9_000_000_000).contains(size)).ok_or_else(bad)?;
    let mut power = 0;
    while digit > 9 {
        digit /= 10;
        power += 1;
    }
    Ok((digit as u8) << 4 | power)
}

/// Metres, with or without the unit, in centimetres.
fn metres(token: &Token) -> Option<i64> {
    decimal(token.text.strip_suffix(['m', 'M']).unwrap_or(&token.text), 2)
}

/// A decimal number with at most so many decimals, as a number of its smallest steps.
fn decimal(text: &str, decimals: u32) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || whole.len() > 10 || part.len() > decimals as usize || !is_number(whole) || !is_number(part) {
        return None;
    }
    let part: i64 = format!("{part:0<width$}", width = decimals as usize).parse().unwrap_or(0);
    Some(sign * (whole.parse::<i64>().ok()? * 10i64.pow(decimals) + part))
}
