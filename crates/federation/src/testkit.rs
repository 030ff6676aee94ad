//! Clusters with an authority each, their peers, and patience.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use prometheus::Registry;
use strait_identity::{CertificateAuthority, Credentials, LeafRequest, TrustBundle};

use crate::{AddressSettings, Addresses, Directions, Federation, Home, NamespacePolicy, PeerRecord};

/// Generous: it is only waited out when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok(), "never happened: {what}");
}

static AUTHORITIES: LazyLock<Mutex<HashMap<String, (String, String)>>> = LazyLock::new(Mutex::default);

/// The authority of a trust domain; the same one each time.
pub(crate) fn authority(trust_domain: &str) -> CertificateAuthority {
    let mut made = AUTHORITIES.lock().unwrap();
    let (certificate, key) = made.entry(trust_domain.to_owned()).or_insert_with(|| {
        let authority = CertificateAuthority::create(&trust_domain.parse().unwrap(), 30 * DAY).unwrap();
        (authority.certificate_pem().to_owned(), authority.key_pem().to_owned())
    });
    CertificateAuthority::from_pem(certificate, key).unwrap()
}

pub(crate) fn bundle(trust_domain: &str) -> TrustBundle {
    TrustBundle::from_pem(authority(trust_domain).certificate_pem(), None).unwrap()
}

/// The PEM text of an authority that ended an hour ago.
pub(crate) fn expired_authority_pem(trust_domain: &str) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let uri = rcgen::string::Ia5String::try_from(format!("spiffe://{trust_domain}")).unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    params.not_before = time::OffsetDateTime::now_utc() - 30 * DAY;
    params.not_after = time::OffsetDateTime::now_utc() - Duration::from_secs(3600);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

/// A bundle of some 20 KiB of text.
pub(crate) fn long_bundle(trust_domain: &str) -> TrustBundle {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let uri = rcgen::string::Ia5String::try_from(format!("spiffe://{trust_domain}")).unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "x".repeat(14_000));
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    TrustBundle::from_known_pem(&pem, None).unwrap()
}

/// Credentials of that identity, signed by the authority of `signer`.
pub(crate) fn credentials(signer: &str, id: &str) -> Credentials {
    let request = LeafRequest { id: id.parse().unwrap(), dns_names: vec![], addresses: vec![], lifetime: DAY };
    let issued = authority(signer).issue(&request).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, issued.certificate_pem).unwrap();
    std::fs::write(&key, issued.key_pem).unwrap();
    Credentials::load(&certificate, &key).unwrap()
}

/// cluster-a, which most tests are at home in.
pub(crate) fn home() -> Home {
    Home {
        suffix: "cluster-a.example.com".parse().unwrap(),
        trust_domain: "cluster-a.example.com".parse().unwrap(),
        home_zone: "cluster.local".parse().unwrap(),
    }
}

/// The addresses of cluster-a, which has `own`, and of its peers; kept beside `state`.
pub(crate) fn addresses(federation: &Federation, own: &[&str], state: &Path) -> Addresses {
    Addresses::start(AddressSettings {
        federation: federation.clone(),
        own: own.iter().map(|range| range.parse().unwrap()).collect(),
        cluster_id: None,
        credentials: credentials("cluster-a.example.com", "spiffe://cluster-a.example.com/gateway"),
        state: state.to_owned(),
        registry: Registry::new(),
    })
    .unwrap()
}

/// A peer of that name as others know it: suffix and trust domain `NAME.example.com`.
pub(crate) fn peer(name: &str) -> PeerRecord {
    let suffix = format!("{name}.example.com");
    PeerRecord {
        name: name.parse().unwrap(),
        suffix: suffix.parse().unwrap(),
        endpoints: vec!["tls://192.0.2.1:853".parse().unwrap(), "grpc://192.0.2.2:8443".parse().unwrap()],
        trust_bundle: bundle(&suffix),
        directions: Directions::Both,
        namespaces: NamespacePolicy::default(),
        addresses: Vec::new(),
        changed_at: 1_700_000_000,
    }
}
