//! PEM text in and out (RFC 7468), with errors in words.

use rustls_pki_types::pem::{Error, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a text, other blocks left out.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| describe(&error))
}

/// The first private key in a text, if there is one.
pub(crate) fn private_key(text: &str) -> Result<Option<PrivateKeyDer<'static>>, String> {
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok(Some(key)),
        Err(Error::NoItemsFound) => Ok(None),
        Err(error) => Err(describe(&error)),
    }
}

/// A certificate as PEM text.
pub(crate) fn encode(certificate: &CertificateDer<'_>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate.as_ref()), config)
}

fn describe(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { end_marker } => {
            format!("the line -----END {}----- is missing", String::from_utf8_lossy(end_marker))
        }
        Error::IllegalSectionStart { line } => {
            format!("the line {:?} begins no block", String::from_utf8_lossy(line).trim_end())
        }
        Error::Base64Decode(detail) => format!("not base64: {detail}"),
        other => other.to_string(),
    }
}
