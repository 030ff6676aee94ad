//! Why a certificate was not believed: one word for metrics, one sentence for the log that names what
//! was presented and what would be needed.

mod host;

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::certificate::moment;
use crate::{SpiffeId, TrustDomain};

/// Why the other end of a handshake was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// It sent no certificate.
    #[error("no client certificate was presented; one with a SPIFFE ID from the CA of a known peer is needed")]
    NoCertificate,
    /// Its certificate cannot be read.
    #[error("the certificate presented is malformed: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// Its certificate has no URI SAN.
    #[error("the certificate presented ({subject}) has no SPIFFE ID: a URI SAN spiffe://<trust domain>/... is needed")]
    NoSpiffeId {
        /// Its subject.
        subject: String,
    },
    /// Its certificate has more than one URI SAN (X509-SVID section 2).
    #[error(
        "the certificate presented has {count} URI SANs ({first}, {second}, ...); exactly one is needed, its SPIFFE ID"
    )]
    SeveralSpiffeIds {
        /// How many.
        count: usize,
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// Its URI SAN is not an identity of ours.
    #[error(
        "the certificate presented is for {uri}; spiffe://<trust domain>/gateway or spiffe://<trust domain>/node-agent/<node> is needed"
    )]
    NotAnIdentity {
        /// The URI.
        uri: String,
    },
    /// It is somebody, but not whom we dialled.
    #[error("the certificate presented is for {presented}; {expected} is needed here")]
    OtherName {
        /// Who it is.
        presented: SpiffeId,
        /// Who was expected.
        expected: SpiffeId,
    },
    /// No bundle here vouches for its trust domain.
    #[error(
        "the certificate presented is for {presented}, and the trust domain {} is not known here; to trust it: gatewayctl peer add NAME --ca <its ca.crt> ...",
        presented.trust_domain
    )]
    UnknownTrustDomain {
        /// Who it claims to be.
        presented: SpiffeId,
    },
    /// It claims a known trust domain, but that domain's CA did not sign it.
    #[error(
        "the certificate presented is for {presented}, but no CA in the bundle of {} signed it; if that CA was replaced, give its new ca.crt",
        presented.trust_domain
    )]
    UnknownCa {
        /// Who it claims to be.
        presented: SpiffeId,
    },
    /// The CA of one trust domain signed for another.
    #[error(
        "the certificate presented is for {presented}, but the CA of {signer} signed it; only the CA of {} can",
        presented.trust_domain
    )]
    WrongTrustDomain {
        /// Who it claims to be.
        presented: SpiffeId,
        /// Whose CA signed.
        signer: TrustDomain,
    },
    /// The CA that signed has ended.
    #[error(
        "the certificate presented is for {presented}, but the CA that signed it expired at {}; a bundle with its successor is needed",
        moment(*.not_after)
    )]
    AuthorityExpired {
        /// Who it claims to be.
        presented: SpiffeId,
        /// When the CA ended, seconds since 1970-01-01 UTC.
        not_after: i64,
    },
    /// Its certificate has ended.
    #[error("the certificate presented for {presented} expired at {}; a renewed one is needed", moment(*.not_after))]
    Expired {
        /// Who it claims to be.
        presented: SpiffeId,
        /// When it ended, seconds since 1970-01-01 UTC.
        not_after: i64,
    },
    /// Its certificate does not count yet.
    #[error("the certificate presented for {presented} is not valid before {}; check the clocks of both ends", moment(*.not_before))]
    NotYetValid {
        /// Who it claims to be.
        presented: SpiffeId,
        /// When it begins, seconds since 1970-01-01 UTC.
        not_before: i64,
    },
    /// Its certificate is not for this use.
    #[error(
        "the certificate presented for {presented} is not for {needed} use; the extended key usage {needed}Auth is needed"
    )]
    Usage {
        /// Who it claims to be.
        presented: SpiffeId,
        /// `client` or `server`.
        needed: &'static str,
    },
    /// Its chain fails in another way.
    #[error("the certificate presented for {presented} is not acceptable: {detail}")]
    Invalid {
        /// Who it claims to be.
        presented: SpiffeId,
        /// What is wrong with it.
        detail: String,
    },
    /// Its certificate, which is believed by host name, is not the one needed.
    #[error("its certificate {fault}")]
    Host {
        /// The word for metrics.
        reason: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// It showed a certificate, but not that it holds the key.
    #[error("the handshake is not signed with the key of the certificate presented")]
    BadSignature,
    /// ALPN found nothing in common.
    #[error("no application protocol in common; dot (DNS over TLS) or h2 (gRPC) is needed")]
    NoCommonProtocol,
    /// It does not speak TLS 1.3.
    #[error("no TLS version in common; TLS 1.3 is needed")]
    TlsVersion,
}

impl Rejection {
    /// A word for metrics, such as `expired`, `unknown_ca`, `wrong_trust_domain`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Malformed { .. } => "malformed",
            Self::NoSpiffeId { .. } => "no_spiffe_id",
            Self::SeveralSpiffeIds { .. } => "several_spiffe_ids",
            Self::NotAnIdentity { .. } | Self::OtherName { .. } => "other_name",
            Self::UnknownTrustDomain { .. } => "unknown_trust_domain",
            Self::UnknownCa { .. } => "unknown_ca",
            Self::WrongTrustDomain { .. } => "wrong_trust_domain",
            Self::AuthorityExpired { .. } => "authority_expired",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Usage { .. } => "usage",
            Self::Invalid { .. } => "invalid",
            Self::Host { reason, .. } => reason,
            Self::BadSignature => "bad_signature",
            Self::NoCommonProtocol => "no_common_protocol",
            Self::TlsVersion => "tls_version",
        }
    }

    /// The trust domains it is about: the one claimed, and the one whose CA signed, when known.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        let (presented, signer) = match self {
            Self::WrongTrustDomain { presented, signer } => (Some(presented), Some(signer)),
            Self::OtherName { presented, .. }
            | Self::UnknownTrustDomain { presented }
            | Self::UnknownCa { presented }
            | Self::AuthorityExpired { presented, .. }
            | Self::Expired { presented, .. }
            | Self::NotYetValid { presented, .. }
            | Self::Usage { presented, .. }
            | Self::Invalid { presented, .. } => (Some(presented), None),
            Self::NoCertificate
            | Self::Malformed { .. }
            | Self::NoSpiffeId { .. }
            | Self::SeveralSpiffeIds { .. }
            | Self::NotAnIdentity { .. }
            | Self::Host { .. }
            | Self::BadSignature
            | Self::NoCommonProtocol
            | Self::TlsVersion => (None, None),
        };
        presented.map(|id| &id.trust_domain).into_iter().chain(signer)
    }

    /// Carries the rejection through rustls; [`rejection_of`] gets it back.
    pub(crate) fn into_tls(self) -> rustls::Error {
        CertificateError::Other(rustls::OtherError(std::sync::Arc::new(self))).into()
    }

    /// The rejection that an error of rustls stands for, if it is about who the other end is.
    fn from_tls(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::NoCertificatesPresented => Some(Self::NoCertificate),
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                let ours = other.0.downcast_ref::<Self>().cloned();
                Some(ours.unwrap_or_else(|| host::rejection(&CertificateError::Other(other.clone()))))
            }
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => Some(Self::BadSignature),
            rustls::Error::InvalidCertificate(other) => Some(host::rejection(other)),
            rustls::Error::NoApplicationProtocol
            | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Some(Self::NoCommonProtocol),
            rustls::Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            )
            | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => Some(Self::TlsVersion),
            _ => None,
        }
    }
}

/// The rejection behind a failed handshake, when it was one of ours and not the network's.
pub fn rejection_of(error: &io::Error) -> Option<Rejection> {
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Rejection::from_tls(tls);
        }
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
