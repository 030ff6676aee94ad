//! What a certificate lacks that is believed by host name (RFC 8310), not by SPIFFE identity: that of an upstream.

use rustls::CertificateError;
use rustls_pki_types::{ServerName, UnixTime};

use super::Rejection;
use crate::certificate::{moment, printable};

/// Names of a certificate that are shown; the others are counted.
const MAX_NAMES: usize = 2;

/// The rejection that a fault found by webpki stands for.
pub(super) fn rejection(error: &CertificateError) -> Rejection {
    use CertificateError as E;
    let (reason, fault) = match error {
        E::BadEncoding => return Rejection::Malformed { detail: error.to_string() },
        E::NotValidForNameContext { expected, presented } => ("other_name", other_name(expected, presented)),
        E::NotValidForName => ("other_name", "is for another host name".to_owned()),
        E::UnknownIssuer => ("unknown_ca", "is signed by no CA of `ca` (default: public roots)".to_owned()),
        E::ExpiredContext { not_after, .. } => ("expired", format!("expired at {}", at(not_after))),
        E::Expired => ("expired", "has expired".to_owned()),
        E::NotValidYetContext { not_before, .. } => {
            ("not_yet_valid", format!("is not valid before {}; check the clocks of both ends", at(not_before)))
        }
        E::NotValidYet => ("not_yet_valid", "is not valid yet; check the clocks of both ends".to_owned()),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            ("usage", "is not for server use; the extended key usage serverAuth is needed".to_owned())
        }
        E::Other(other) => ("invalid", format!("is not acceptable: {}", printable(&other.0.to_string()))),
        other => ("invalid", format!("is not acceptable: {}", printable(&other.to_string()))),
    };
    Rejection::Host { reason, fault }
}

fn other_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let names: Vec<String> = presented.iter().take(MAX_NAMES).map(|name| printable(bare(name))).collect();
    let more = match presented.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.is_empty() {
        true => format!("names no host; {} is needed", expected.to_str()),
        false => format!("is for {}{more}, not for {}", names.join(", "), expected.to_str()),
    }
}

/// The name inside the form that webpki writes: `DnsName("dns.example.net")`, `IpAddress(192.0.2.1)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

fn at(time: &UnixTime) -> String {
    moment(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_fault_in_words() {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(1_795_000_000));
        let expected = || ServerName::try_from("dns.example.net").unwrap();
        let other = |names: &[&str]| CertificateError::NotValidForNameContext {
            expected: expected(),
            presented: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let rows = [
            (other(&["DnsName(\"a.example\")"]), "other_name", "is for a.example, not for dns.example.net"),
            (other(&["IpAddress(192.0.2.1)"]), "other_name", "is for 192.0.2.1, not for dns.example.net"),
            (
                other(&["DnsName(\"a.example\")", "DnsName(\"b.example\")", "c", "d"]),
                "other_name",
                "is for a.example, b.example and 2 more, not for dns.example.net",
            ),
            (other(&[]), "other_name", "names no host; dns.example.net is needed"),
            (CertificateError::UnknownIssuer, "unknown_ca", "is signed by no CA of `ca` (default: public roots)"),
            (
                CertificateError::ExpiredContext { time: at, not_after: at },
                "expired",
                "expired at 2026-11-18T11:06:40Z",
            ),
            (
                CertificateError::NotValidYetContext { time: at, not_before: at },
                "not_yet_valid",
                "is not valid before 2026-11-18T11:06:40Z; check the clocks of both ends",
            ),
            (
                CertificateError::InvalidPurpose,
                "usage",
                "is not for server use; the extended key usage serverAuth is needed",
            ),
        ];
        for (error, reason, fault) in rows {
            let rejection = rejection(&error);
            assert_eq!(rejection.reason(), reason);
            assert_eq!(rejection.to_string(), format!("its certificate {fault}"));
        }
        assert_eq!(rejection(&CertificateError::BadEncoding).reason(), "malformed");
    }
}
