//! Reading X.509: the few facts of a certificate that trust is decided on.
//!
//! Everything here is what a certificate *says*; whether it is believed is decided in `verify`.

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{Identity, Rejection, SpiffeId};

/// What one certificate says.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The subject, for messages.
    pub(crate) subject: String,
    /// Every URI SAN.
    pub(crate) uris: Vec<String>,
    /// From when it counts, seconds since 1970-01-01 UTC.
    pub(crate) not_before: i64,
    /// Until when it counts, seconds since 1970-01-01 UTC.
    pub(crate) not_after: i64,
    /// Whether it may sign other certificates (RFC 5280 section 4.2.1.9).
    pub(crate) is_authority: bool,
    /// Its SubjectPublicKeyInfo, DER.
    pub(crate) public_key: Vec<u8>,
}

impl Facts {
    /// Reads a certificate; the error says what is malformed.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (rest, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| "not an X.509 certificate".to_owned())?;
        if !rest.is_empty() {
            return Err("bytes after its end".to_owned());
        }
        let names = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
        let uris = names.iter().flat_map(|san| &san.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        Ok(Self {
            subject: parsed.subject().to_string(),
            uris: uris.collect(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_authority: parsed.is_ca(),
            public_key: parsed.public_key().raw.to_vec(),
        })
    }

    /// The identity of a leaf. Exactly one URI SAN, which is the SPIFFE ID (X509-SVID section 2).
    pub(crate) fn spiffe_id(&self) -> Result<SpiffeId, Rejection> {
        match self.uris.as_slice() {
            [] => Err(Rejection::NoSpiffeId { subject: printable(&self.subject) }),
            [uri] => uri.parse().map_err(|_| Rejection::NotAnIdentity { uri: printable(uri) }),
            [first, second, ..] => Err(Rejection::SeveralSpiffeIds {
                count: self.uris.len(),
                first: printable(first),
                second: printable(second),
            }),
        }
    }
}

/// The identity a leaf claims, with its end.
pub(crate) fn claimed_identity(leaf: &CertificateDer<'_>) -> Result<(Identity, Facts), Rejection> {
    let facts = Facts::read(leaf).map_err(|detail| Rejection::Malformed { detail })?;
    Ok((Identity { id: facts.spiffe_id()?, not_after: facts.not_after }, facts))
}

/// A moment, in seconds since 1970-01-01 UTC, as people write it: `2026-11-21T14:47:53Z` (RFC 3339).
pub fn moment(seconds: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s since 1970"))
}

/// Now, seconds since 1970-01-01 UTC.
pub(crate) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// A stranger's text made safe and short for a log line.
pub(crate) fn printable(text: &str) -> String {
    const MAX_SHOWN: usize = 300;
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
