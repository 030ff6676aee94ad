//! Readers of single values: durations, sizes, TTLs, counts, words, addresses, names.
//!
//! What is out of range is refused, never moved into it.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use strait_wire::Name;

use crate::section::Problem;

/// The largest TTL (RFC 2181 8).
pub(crate) const MAX_TTL: u32 = i32::MAX as u32;

/// How a value is written in a configuration file.
pub(crate) trait Show {
    fn show(&self) -> String;
}

impl Show for String {
    fn show(&self) -> String {
        self.clone()
    }
}

impl Show for u32 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for Name {
    fn show(&self) -> String {
        let text = self.to_string();
        match text.strip_suffix('.') {
            Some(relative) if !relative.is_empty() => relative.to_owned(),
            _ => text,
        }
    }
}

impl Show for PathBuf {
    fn show(&self) -> String {
        self.display().to_string()
    }
}

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Show for Duration {
    fn show(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = match millis {
            0 => ("s", 1),
            _ => DURATION_UNITS.into_iter().rev().find(|(_, size)| millis.is_multiple_of(*size)).unwrap_or(("ms", 1)),
        };
        format!("{}{unit}", millis / size)
    }
}

/// A duration within `range`: `300ms`, `5s`, `1m`, `1h`, `1d`.
pub(crate) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, Problem> {
    const HELP: &str = "write a number and a unit: 300ms, 5s, 1m, 1h, 1d";
    move |text| {
        let (number, unit) = number_and_unit(text).ok_or_else(|| not_a("duration", text, HELP))?;
        if unit.is_empty() {
            return Err(Problem::new(format!("{text} has no unit"), format!("write {text}s for {text} seconds")));
        }
        let (_, size) =
            DURATION_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(|| not_a("duration", text, HELP))?;
        let millis = number.checked_mul(size).ok_or_else(|| not_a("duration", text, HELP))?;
        within(text, Duration::from_millis(millis), &range)
    }
}

/// A TTL in seconds within `range`: a plain number, or a duration of whole seconds.
pub(crate) fn ttl(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, Problem> {
    const HELP: &str = "write seconds, or a number and a unit: 300, 5m, 1h, 1d";
    move |text| {
        let (number, unit) = number_and_unit(text).ok_or_else(|| not_a("TTL", text, HELP))?;
        let seconds = match (unit, DURATION_UNITS.into_iter().find(|(name, _)| *name == unit)) {
            ("", _) => Some(number),
            (_, Some((_, millis))) if millis >= 1_000 => number.checked_mul(millis / 1_000),
            _ => return Err(not_a("TTL", text, HELP)),
        };
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(u32::MAX);
        within(text, seconds, &range).map_err(|problem| Problem { help: problem.help + " seconds", ..problem })
    }
}

const SIZE_UNITS: [(&str, u64); 4] = [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl Show for u64 {
    fn show(&self) -> String {
        let largest = SIZE_UNITS.into_iter().rev().find(|(_, size)| *self != 0 && self.is_multiple_of(*size));
        largest.map_or_else(|| self.to_string(), |(unit, size)| format!("{}{unit}", self / size))
    }
}

/// A size in octets: `65536`, `64KiB`, `32MiB`, `1GiB`; 0 where that turns something off, else within `range`.
pub(crate) fn size_or_zero(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Problem> {
    const HELP: &str = "write octets, or a number and a unit: 65536, 64KiB, 32MiB, 1GiB";
    move |text| {
        let (number, unit) = number_and_unit(text).ok_or_else(|| not_a("size", text, HELP))?;
        let size = SIZE_UNITS.into_iter().find(|(name, _)| *name == unit).map(|(_, size)| size);
        let size = size.ok_or_else(|| not_a("size", text, HELP))?;
        match number.saturating_mul(size) {
            0 => Ok(0),
            octets => within(text, octets, &range),
        }
    }
}

/// A whole number within `range`.
pub(crate) fn count(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, Problem> {
    move |text| match number_and_unit(text) {
        Some((number, "")) => within(text, u32::try_from(number).unwrap_or(u32::MAX), &range),
        _ => Err(not_a("whole number", text, &format!("write a number {}", span(&range)))),
    }
}

/// One of some words.
pub(crate) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, Problem> {
    move |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Problem::new(format!("{text:?} is not known here"), format!("write one of: {}", known.join(", ")))
        })
    }
}

/// An address and port, the port `default_port` when none is written.
pub(crate) fn address(default_port: u16) -> impl Fn(&str) -> Result<SocketAddr, Problem> {
    move |text| {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let alone = || bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, default_port));
        text.parse().ok().or_else(alone).ok_or_else(|| {
            let help =
                format!("write 127.0.0.1:{default_port} or \"[::1]:{default_port}\"; host names are not looked up");
            Problem::new(format!("{text:?} is not an address and port"), help)
        })
    }
}

/// A name for people, logs and metrics.
pub(crate) fn label(text: &str) -> Result<String, Problem> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    match (1..=253).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('.') {
        true => Ok(text.to_owned()),
        false => Err(Problem::new(
            format!("{text:?} cannot be used as a name"),
            "write 1 to 253 letters, digits, '-', '_' and '.', not beginning with '.'",
        )),
    }
}

/// A domain name; always absolute.
pub(crate) fn name(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|error| {
        Problem::new(format!("{text:?} is not a domain name: {error}"), "write it like cluster-b.example.com")
    })
}

/// Anything that reads itself; its error says what to write.
pub(crate) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| {
        let message = error.to_string();
        match message.split_once("; ") {
            Some((what, help)) => Problem::new(what, help),
            None => Problem::new(message, ""),
        }
    })
}

fn not_a(what: &str, text: &str, help: &str) -> Problem {
    Problem::new(format!("{text:?} is not a {what}"), help)
}

fn within<T: PartialOrd + Show>(text: &str, value: T, range: &RangeInclusive<T>) -> Result<T, Problem> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(Problem::new(format!("{text} is out of range"), span(range))),
    }
}

fn span<T: Show>(range: &RangeInclusive<T>) -> String {
    format!("from {} to {}", range.start().show(), range.end().show())
}

/// Splits `32MiB` into 32 and `MiB`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value as it is shown, or what is wrong.
    fn told<T: Show>(read: Result<T, Problem>) -> Result<String, String> {
        read.map(|value| value.show()).map_err(|problem| problem.message)
    }

    #[test]
    fn durations_have_a_number_a_unit_and_a_range() {
        let read = duration(Duration::from_millis(10)..=Duration::from_secs(86_400));
        let cases = [
            ("300ms", Ok("300ms")),
            ("1000ms", Ok("1s")),
            ("90s", Ok("90s")),
            ("60m", Ok("1h")),
            ("24h", Ok("1d")),
            ("1d", Ok("1d")),
            // The bounds are in.
            ("10ms", Ok("10ms")),
            ("9ms", Err("9ms is out of range")),
            ("2d", Err("2d is out of range")),
            ("5", Err("5 has no unit")),
            ("5 s", Err("\"5 s\" is not a duration")),
            ("1h30m", Err("\"1h30m\" is not a duration")),
            ("-5s", Err("\"-5s\" is not a duration")),
            ("1.5s", Err("\"1.5s\" is not a duration")),
            ("", Err("\"\" is not a duration")),
            // Neither the number nor the product overflows.
            ("99999999999999999999s", Err("\"99999999999999999999s\" is not a duration")),
            ("18446744073709551615d", Err("\"18446744073709551615d\" is not a duration")),
        ];
        for (text, expected) in cases {
            assert_eq!(told(read(text)), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn ttls_are_seconds_or_durations() {
        let read = ttl(0..=MAX_TTL);
        let cases = [
            ("0", Ok("0")),
            ("300", Ok("300")),
            ("5m", Ok("300")),
            ("2147483647", Ok("2147483647")),
            // RFC 2181 8: the highest bit is never set.
            ("2147483648", Err("2147483648 is out of range")),
            ("4294967297", Err("4294967297 is out of range")),
            ("500ms", Err("\"500ms\" is not a TTL")),
            ("18446744073709551615d", Err("18446744073709551615d is out of range")),
        ];
        for (text, expected) in cases {
            assert_eq!(told(read(text)), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn sizes_count_in_powers_of_two() {
        let read = size_or_zero(1024..=1 << 30);
        let cases = [
            ("0", Ok("0")),
            ("65536", Ok("64KiB")),
            ("32MiB", Ok("32MiB")),
            ("1GiB", Ok("1GiB")),
            ("1025", Ok("1025")),
            ("1", Err("1 is out of range")),
            ("18446744073709551615GiB", Err("18446744073709551615GiB is out of range")),
            ("32MB", Err("\"32MB\" is not a size")),
            ("1.5GiB", Err("\"1.5GiB\" is not a size")),
        ];
        for (text, expected) in cases {
            assert_eq!(told(read(text)), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn addresses_may_leave_the_port_out() {
        let read = address(53);
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("127.0.0.1:5300", "127.0.0.1:5300"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:5300", "[::1]:5300"),
        ] {
            assert_eq!(read(text).map(|address| address.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["localhost", "127.0.0.1:", "127.0.0.1:65536", "[::1", "", ":53"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
