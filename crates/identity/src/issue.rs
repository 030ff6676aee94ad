//! A cluster's own certificate authority: what `gatewayctl pki` and the lab issue with.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use time::OffsetDateTime;

use crate::certificate::{Facts, moment};
use crate::{BundleError, Role, SpiffeId, TrustBundle, TrustDomain};

/// How far before now a certificate begins, for machines whose clocks are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Common names are at most this long (RFC 5280 appendix A.1, ub-common-name).
const MAX_COMMON_NAME: usize = 64;

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The CA certificate is not one.
    #[error("the CA certificate: {0}")]
    Authority(#[from] BundleError),
    /// The CA certificate file has several certificates.
    #[error("the CA certificate: {0} certificates in it; one is needed, that of the key")]
    SeveralAuthorities(usize),
    /// The CA key cannot be read.
    #[error("the CA key cannot be used: {0}; the ca.key that was written with ca.crt is needed")]
    Key(String),
    /// The CA key belongs to another certificate.
    #[error("the CA key is not the key of the CA certificate; give the ca.crt and ca.key that were written together")]
    OtherKey,
    /// The identity is not of this trust domain.
    #[error("{id} is not of the trust domain {authority}, whose CA this is; no other CA may issue it")]
    OtherTrustDomain {
        /// What was asked for.
        id: SpiffeId,
        /// Whose CA it is.
        authority: TrustDomain,
    },
    /// The lifetime is nothing, or beyond what a certificate can say.
    #[error("a lifetime of {} s cannot be issued; between 1 s and 100 years can", .0.as_secs())]
    Lifetime(Duration),
    /// A DNS SAN is not a name.
    #[error("{0:?} is not a DNS name; letters, digits, '-', '_' and '.', or a leading '*.', are needed")]
    DnsName(String),
    /// The text cannot be put into a certificate.
    #[error("cannot be put into a certificate: {0}")]
    Encoding(#[from] rcgen::Error),
}

/// A CA certificate (URI SAN `spiffe://<trust domain>`) and its key.
pub struct CertificateAuthority {
    trust_domain: TrustDomain,
    certificate_pem: String,
    key_pem: String,
    not_after: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
}

/// What a leaf certificate is to say.
#[derive(Debug, Clone)]
pub struct LeafRequest {
    /// The URI SAN.
    pub id: SpiffeId,
    /// DNS SANs, for clients that can only check names.
    pub dns_names: Vec<String>,
    /// IP SANs, likewise.
    pub addresses: Vec<IpAddr>,
    /// From now on; never beyond the CA's own end.
    pub lifetime: Duration,
}

/// A certificate chain and its key, PEM.
pub struct IssuedCertificate {
    /// Leaf first, without the root.
    pub certificate_pem: String,
    /// PKCS #8.
    pub key_pem: String,
    /// When it ends, seconds since 1970-01-01 UTC.
    pub not_after: i64,
}

impl CertificateAuthority {
    /// A new self-signed authority for a trust domain.
    pub fn create(trust_domain: &TrustDomain, lifetime: Duration) -> Result<Self, IssueError> {
        let (not_before, not_after) = validity(lifetime)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("{trust_domain} CA"));
        params.not_before = not_before;
        params.not_after = not_after;
        // It signs leaves, never another CA.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate_pem = params.self_signed(&key)?.pem();
        let trust_domain = trust_domain.clone();
        let key_pem = key.serialize_pem();
        Ok(Self { trust_domain, certificate_pem, key_pem, not_after, issuer: Issuer::new(params, key) })
    }

    /// An authority from its PEM texts.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IssueError> {
        let bundle = TrustBundle::from_pem(certificate, None)?;
        let [authority] = bundle.certificates() else {
            return Err(IssueError::SeveralAuthorities(bundle.certificates().len()));
        };
        let facts = Facts::read(authority).map_err(|detail| BundleError::Malformed { position: 1, detail })?;
        let pair = KeyPair::from_pem(key).map_err(|error| IssueError::Key(error.to_string()))?;
        if pair.subject_public_key_info() != facts.public_key {
            return Err(IssueError::OtherKey);
        }
        Ok(Self {
            trust_domain: bundle.trust_domain().clone(),
            certificate_pem: certificate.to_owned(),
            key_pem: key.to_owned(),
            not_after: OffsetDateTime::from_unix_timestamp(facts.not_after).unwrap_or(OffsetDateTime::UNIX_EPOCH),
            issuer: Issuer::from_ca_cert_der(authority, pair)?,
        })
    }

    /// The trust domain it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The CA certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The CA key, PEM (PKCS #8).
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// When the CA certificate ends, seconds since 1970-01-01 UTC.
    pub fn not_after(&self) -> i64 {
        self.not_after.unix_timestamp()
    }

    /// Issues a leaf for both client and server use. The identity must be of this trust domain.
    pub fn issue(&self, request: &LeafRequest) -> Result<IssuedCertificate, IssueError> {
        if request.id.trust_domain != self.trust_domain {
            let (id, authority) = (request.id.clone(), self.trust_domain.clone());
            return Err(IssueError::OtherTrustDomain { id, authority });
        }
        let (not_before, not_after) = validity(request.lifetime)?;
        let not_after = not_after.min(self.not_after);
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&match &request.id.role {
            Role::Gateway => format!("gateway of {}", self.trust_domain),
            Role::NodeAgent(node) => format!("node-agent {node}"),
        });
        params.not_before = not_before;
        params.not_after = not_after;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = alternative_names(request)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        let not_after = not_after.unix_timestamp();
        Ok(IssuedCertificate { certificate_pem, key_pem: key.serialize_pem(), not_after })
    }
}

/// Never prints the key.
impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let not_after = moment(self.not_after());
        f.debug_struct("CertificateAuthority")
            .field("trust_domain", &self.trust_domain)
            .field("not_after", &not_after)
            .finish_non_exhaustive()
    }
}

/// Never prints the key.
impl std::fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedCertificate").field("not_after", &moment(self.not_after)).finish_non_exhaustive()
    }
}

/// From a little before now until `lifetime` from now.
fn validity(lifetime: Duration) -> Result<(OffsetDateTime, OffsetDateTime), IssueError> {
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    if !(SHORTEST..=LONGEST).contains(&lifetime) {
        return Err(IssueError::Lifetime(lifetime));
    }
    let now = OffsetDateTime::now_utc();
    Ok((now - CLOCK_SKEW, now + lifetime))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name.chars().take(MAX_COMMON_NAME).collect::<String>());
    name
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    Ok(SanType::URI(Ia5String::try_from(text)?))
}

fn alternative_names(request: &LeafRequest) -> Result<Vec<SanType>, IssueError> {
    let mut names = vec![uri(&request.id.to_string())?];
    for name in &request.dns_names {
        if !is_dns_name(name) {
            return Err(IssueError::DnsName(name.clone()));
        }
        names.push(SanType::DnsName(Ia5String::try_from(name.as_str())?));
    }
    names.extend(request.addresses.iter().copied().map(SanType::IpAddress));
    Ok(names)
}

/// A DNS SAN: preferred name syntax, with `_` and a leading wildcard label (RFC 6125 section 6.4.3).
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= 253 && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

#[cfg(test)]
mod tests;
