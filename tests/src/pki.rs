//! Certificates, right and wrong: expired, of a stranger, with somebody else's identity.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};

use crate::TlsIdentity;

/// A certificate authority that issues whatever it is asked for.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a leaf is to say.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// URI SANs.
    pub uris: Vec<String>,
    /// DNS SANs.
    pub dns_names: Vec<String>,
    /// Begins so long from now; negative: in the past.
    pub from: Duration,
    /// Ends so long from now; negative: in the past.
    pub until: Duration,
}

impl Leaf {
    /// A good certificate for that identity: `spiffe://cluster-a.example.com/gateway`.
    pub fn of(uri: &str) -> Self {
        Self {
            uris: vec![uri.to_owned()],
            dns_names: Vec::new(),
            from: Duration::minutes(-5),
            until: Duration::hours(1),
        }
    }

    /// The same, ended a minute ago.
    #[must_use]
    pub fn expired(self) -> Self {
        Self { from: Duration::hours(-2), until: Duration::minutes(-1), ..self }
    }
}

impl Authority {
    /// A new one, of a trust domain: `cluster-a.example.com`.
    pub fn new(trust_domain: &str) -> Self {
        Self::valid(trust_domain, Duration::days(-1), Duration::days(1))
    }

    /// One that has ended an hour ago.
    pub fn expired(trust_domain: &str) -> Self {
        Self::valid(trust_domain, Duration::days(-2), Duration::hours(-1))
    }

    /// One that is valid from and until so long from now.
    fn valid(trust_domain: &str, from: Duration, until: Duration) -> Self {
        let mut params = params(&format!("{trust_domain} test CA"), from, until);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// An authority from the files of `gatewayctl pki init`, to issue with it what that would refuse.
    pub fn from_pem(certificate: &str, key: &str) -> Self {
        let key = KeyPair::from_pem(key).unwrap();
        Self { certificate: certificate.to_owned(), issuer: Issuer::from_ca_cert_pem(certificate, key).unwrap() }
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues without asking.
    pub fn issue(&self, leaf: &Leaf) -> TlsIdentity {
        let mut params = params("leaf", leaf.from, leaf.until);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let names = leaf.dns_names.iter().map(|name| SanType::DnsName(name.as_str().try_into().unwrap()));
        params.subject_alt_names = leaf.uris.iter().map(|text| uri(text)).chain(names).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        TlsIdentity { certificate, key: key.serialize_pem() }
    }
}

fn params(name: &str, from: Duration, until: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now + from, now + until);
    params.use_authority_key_identifier_extension = true;
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
