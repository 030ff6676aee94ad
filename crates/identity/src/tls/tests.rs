#![allow(clippy::unwrap_used)]

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use rustls::HandshakeKind;
use rustls::sign::CertifiedKey;
use rustls::version::TLS12;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::certificate::Facts;
use crate::testkit::{
    Presents, authority, bundle, certified, credentials, expired_authority, forge, forge_pem, handshake, trust,
};
use crate::{CertificateAuthority, TrustBundle, rejection_of};

const A: &str = "cluster-a.example.com";
const B: &str = "cluster-b.example.com";

fn gateway_of(trust_domain: &str) -> String {
    format!("spiffe://{trust_domain}/gateway")
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn expecting(trust_domain: &str) -> PeerExpectation {
    PeerExpectation { trust_domain: trust_domain.parse().unwrap(), role: Role::Gateway }
}

/// The moment a certificate says, at its own precision.
fn ends(certificate: &CertifiedKey) -> i64 {
    Facts::read(&certificate.cert[0]).unwrap().not_after
}

fn begins(certificate: &CertifiedKey) -> i64 {
    Facts::read(&certificate.cert[0]).unwrap().not_before
}

/// One row: what is presented, and what comes of it.
struct Row {
    name: &'static str,
    presents: Option<Arc<CertifiedKey>>,
    outcome: Result<SpiffeId, Rejection>,
}

/// The rows that are alike in both directions: `ours` is the CA of whom the other end knows as `us`, `known` another
/// cluster that it knows too.
fn common_rows(us: &str, ours: &CertificateAuthority, known: &CertificateAuthority) -> Vec<Row> {
    let gateway = gateway_of(us);
    let presented = id(&gateway);
    let plain = |_: &mut CertificateParams| {};
    let now = OffsetDateTime::now_utc();
    let expired = forge(ours, &[&gateway], |params| params.not_after = now - Duration::HOUR);
    let early = forge(ours, &[&gateway], |params| params.not_before = now + Duration::HOUR);
    let mut other_key = (*forge(ours, &[&gateway], plain)).clone();
    other_key.key = Arc::clone(&forge(ours, &[&gateway], plain).key);
    let mut long = (*forge(ours, &[&gateway], plain)).clone();
    let intermediate = bundle(ours).certificates()[0].clone();
    long.cert.extend(std::iter::repeat_n(intermediate, 5));
    let (first, second) = (gateway.clone(), "spiffe://elsewhere.example/gateway".to_owned());

    let refused = |name, presents, rejection| Row { name, presents: Some(presents), outcome: Err(rejection) };
    vec![
        Row {
            name: "right certificate",
            presents: Some(forge(ours, &[&gateway], plain)),
            outcome: Ok(presented.clone()),
        },
        // A namesake: another key under the very subject of the right CA.
        refused(
            "stranger's CA with the right CA's subject",
            forge(&authority(us), &[&gateway], plain),
            Rejection::UnknownCa { presented: presented.clone() },
        ),
        refused(
            "stranger's CA",
            forge(&authority("stranger.example"), &[&gateway], plain),
            Rejection::UnknownCa { presented: presented.clone() },
        ),
        // The attack that trust domains exist against: a peer's own CA speaking for another cluster.
        refused(
            "own CA claiming another trust domain",
            forge(known, &[&gateway], plain),
            Rejection::WrongTrustDomain { presented: presented.clone(), signer: known.trust_domain().clone() },
        ),
        refused(
            "expired",
            Arc::clone(&expired),
            Rejection::Expired { presented: presented.clone(), not_after: ends(&expired) },
        ),
        refused(
            "not yet valid",
            Arc::clone(&early),
            Rejection::NotYetValid { presented: presented.clone(), not_before: begins(&early) },
        ),
        refused(
            "two SPIFFE SANs, the first of them right",
            forge(ours, &[&gateway, &second], plain),
            Rejection::SeveralSpiffeIds { count: 2, first, second: second.clone() },
        ),
        refused(
            "a DNS SAN instead of a SPIFFE SAN",
            forge(ours, &[], |params| {
                params.subject_alt_names = vec![rcgen::SanType::DnsName("gateway.test".try_into().unwrap())];
            }),
            Rejection::NoSpiffeId { subject: "CN=rcgen self signed cert".to_owned() },
        ),
        refused(
            "a role that is none of ours",
            forge(ours, &[&format!("spiffe://{us}/prometheus")], plain),
            Rejection::NotAnIdentity { uri: format!("spiffe://{us}/prometheus") },
        ),
        // The CA's own certificate is no workload's.
        refused(
            "the CA itself",
            certified(ours.certificate_pem(), ours.key_pem()),
            Rejection::NotAnIdentity { uri: format!("spiffe://{us}") },
        ),
        refused("certificate of another key", Arc::new(other_key), Rejection::BadSignature),
        refused(
            "five intermediates",
            Arc::new(long),
            Rejection::Invalid { presented, detail: "5 intermediate certificates, at most 4 are".to_owned() },
        ),
    ]
}

/// What the other end decides, in the words of `Row::outcome`.
fn outcome(result: std::io::Result<Option<&[CertificateDer<'_>]>>) -> Result<SpiffeId, Rejection> {
    match result {
        Ok(certificates) => identity_of(certificates).map(|identity| identity.id),
        Err(error) => Err(rejection_of(&error).unwrap_or_else(|| panic!("not a rejection: {error}"))),
    }
}

#[test]
fn what_a_server_makes_of_clients() {
    let (a, b) = (authority(A), authority(B));
    let stranger = authority("stranger.example");
    let server = server_config(&credentials(&b, &gateway_of(B)), trust([&a, &b]));
    let mut rows = common_rows(A, &a, &b);
    rows.push(Row { name: "no certificate", presents: None, outcome: Err(Rejection::NoCertificate) });
    let node = format!("spiffe://{A}/node-agent/worker-1");
    rows.push(Row { name: "a node-agent", presents: Some(forge(&a, &[&node], |_| {})), outcome: Ok(id(&node)) });
    let unknown = id("spiffe://stranger.example/gateway");
    rows.push(Row {
        name: "trust domain nobody vouches for",
        presents: Some(forge(&stranger, &[&unknown.to_string()], |_| {})),
        outcome: Err(Rejection::UnknownTrustDomain { presented: unknown }),
    });
    rows.push(Row {
        name: "certificate for servers only",
        presents: Some(forge(&a, &[&gateway_of(A)], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })),
        outcome: Err(Rejection::Usage { presented: id(&gateway_of(A)), needed: "client" }),
    });
    for row in rows {
        let mut client =
            (*client_config(&credentials(&a, &gateway_of(A)), trust([&b]), expecting(B), Alpn::Dot)).clone();
        client.client_auth_cert_resolver = Arc::new(Presents(row.presents));
        let server = handshake(&server, &Arc::new(client)).server;
        assert_eq!(outcome(server.as_ref().map(|s| s.peer_certificates()).map_err(copy)), row.outcome, "{}", row.name);
    }
}

#[test]
fn what_a_client_makes_of_servers() {
    let (a, b) = (authority(A), authority(B));
    let client = client_config(&credentials(&a, &gateway_of(A)), trust([&a, &b]), expecting(B), Alpn::H2);
    let mut rows = common_rows(B, &b, &a);
    // Each is somebody, known and well-signed, but not the gateway that was dialled.
    for (name, signer, presented) in [
        ("a node-agent of the right cluster", &b, format!("spiffe://{B}/node-agent/worker-1")),
        ("the gateway of another known cluster", &a, gateway_of(A)),
    ] {
        rows.push(Row {
            name,
            presents: Some(forge(signer, &[&presented], |_| {})),
            outcome: Err(Rejection::OtherName { presented: id(&presented), expected: id(&gateway_of(B)) }),
        });
    }
    rows.push(Row {
        name: "certificate for clients only",
        presents: Some(forge(&b, &[&gateway_of(B)], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })),
        outcome: Err(Rejection::Usage { presented: id(&gateway_of(B)), needed: "server" }),
    });
    for row in rows {
        let mut server = (*server_config(&credentials(&b, &gateway_of(B)), trust([&a, &b]))).clone();
        server.cert_resolver = Arc::new(Presents(row.presents));
        let client = handshake(&Arc::new(server), &client).client;
        assert_eq!(outcome(client.as_ref().map(|c| c.peer_certificates()).map_err(copy)), row.outcome, "{}", row.name);
    }
}

/// An `io::Error` like this one, which cannot be cloned.
fn copy(error: &std::io::Error) -> std::io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).unwrap();
    std::io::Error::new(error.kind(), inner.clone())
}

/// webpki does not look at a trust anchor's dates, and a bundle may still hold last year's CA beside the new one.
#[test]
fn a_ca_that_ended_vouches_no_more() {
    let (a, b) = (authority(A), authority(B));
    let (old_pem, old_key) = expired_authority(A);
    let both = TrustBundle::from_pem(&format!("{old_pem}{}", a.certificate_pem()), None).unwrap();
    let not_after = Facts::read(&both.certificates()[0]).unwrap().not_after;
    let server = server_config(&credentials(&b, &gateway_of(B)), Arc::new(TrustStore::new([both, bundle(&b)])));
    let presented = id(&gateway_of(A));
    let (pem, key) = forge_pem(&old_pem, &old_key, &[&gateway_of(A)], |_| {});
    for (certificate, expected) in [
        (certified(&pem, &key), Err(Rejection::AuthorityExpired { presented: presented.clone(), not_after })),
        // The successor in the same bundle is believed.
        (forge(&a, &[&gateway_of(A)], |_| {}), Ok(presented)),
    ] {
        let mut client =
            (*client_config(&credentials(&a, &gateway_of(A)), trust([&b]), expecting(B), Alpn::Dot)).clone();
        client.client_auth_cert_resolver = Arc::new(Presents(Some(certificate)));
        let server = handshake(&server, &Arc::new(client)).server;
        assert_eq!(outcome(server.as_ref().map(|s| s.peer_certificates()).map_err(copy)), expected);
    }
}

/// A cluster of one server and one client that believe each other.
fn pair() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let (a, b) = (authority(A), authority(B));
    let server = server_config(&credentials(&b, &gateway_of(B)), trust([&a]));
    (server, client_config(&credentials(&a, &gateway_of(A)), trust([&b]), expecting(B), Alpn::Dot))
}

#[test]
fn application_protocols() {
    type Offered = &'static [&'static [u8]];
    type Chosen = Result<Option<&'static [u8]>, Rejection>;
    let rows: [(Offered, Chosen); 5] = [
        (&[b"dot"], Ok(Some(b"dot"))),
        (&[b"h2"], Ok(Some(b"h2"))),
        // Offers both: DNS over TLS is the faster road.
        (&[b"h2", b"dot"], Ok(Some(b"dot"))),
        // Offers none, as kdig does: what the port is for.
        (&[], Ok(None)),
        (&[b"http/1.1"], Err(Rejection::NoCommonProtocol)),
    ];
    for (offered, expected) in rows {
        let (server, client) = pair();
        let mut client = (*client).clone();
        client.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        let shaken = handshake(&server, &Arc::new(client));
        let chosen = shaken.server.as_ref().map(|s| s.alpn_protocol());
        assert_eq!(chosen.map_err(|error| rejection_of(error).unwrap()), expected, "{offered:?}");
        if expected.is_err() {
            assert_eq!(rejection_of(&shaken.client.unwrap_err()), Some(Rejection::NoCommonProtocol));
        }
    }
}

#[test]
fn tls_1_2_is_refused_in_both_directions() {
    let (a, b) = (authority(A), authority(B));
    let (server, client) = pair();
    let roots = || {
        let mut roots = RootCertStore::empty();
        roots.add(bundle(&b).certificates()[0].clone()).unwrap();
        roots
    };
    let old_client = versions(ClientConfig::builder_with_provider(provider()), &[&TLS12])
        .with_root_certificates(roots())
        .with_client_cert_resolver(Arc::new(credentials(&a, &gateway_of(A))));
    let shaken = handshake(&server, &Arc::new(old_client));
    assert_eq!(rejection_of(&shaken.server.unwrap_err()), Some(Rejection::TlsVersion));

    let old_server = versions(ServerConfig::builder_with_provider(provider()), &[&TLS12])
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(credentials(&b, &gateway_of(B))));
    let shaken = handshake(&Arc::new(old_server), &client);
    assert_eq!(rejection_of(&shaken.client.unwrap_err()), Some(Rejection::TlsVersion));
}

/// rustls skips the client verifier on resumption: a ticket must never stand in for a certificate.
#[test]
fn no_session_is_resumed() {
    let (server, client) = pair();
    let mut client = (*client).clone();
    client.resumption = Resumption::default();
    let client = Arc::new(client);
    for _ in 0..3 {
        let shaken = handshake(&server, &client);
        assert_eq!(shaken.server.unwrap().handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(shaken.client.unwrap().handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn replaced_trust_counts_from_the_next_handshake_on() {
    let (a, b) = (authority(A), authority(B));
    let own = credentials(&b, &gateway_of(B));
    let tls = ServerTls::new(server_config(&own, trust([&a])));
    let mut client = (*client_config(&credentials(&a, &gateway_of(A)), trust([&b]), expecting(B), Alpn::Dot)).clone();
    client.resumption = Resumption::default();
    let client = Arc::new(client);
    assert!(handshake(&tls.current(), &client).server.is_ok());
    tls.replace(server_config(&own, trust([&b])));
    let error = handshake(&tls.current(), &client).server.unwrap_err();
    assert_eq!(rejection_of(&error), Some(Rejection::UnknownTrustDomain { presented: id(&gateway_of(A)) }));
}

/// What stands is judged again when trust changes: a CA that was replaced vouches for nobody any more.
#[test]
fn who_was_believed_is_judged_again() {
    let (old, new) = (authority(A), authority(A));
    let certificates = forge(&old, &[&gateway_of(A)], |_| {}).cert.clone();
    let presented = id(&gateway_of(A));
    assert_eq!(trust([&old, &new]).still_believes(&certificates).map(|identity| identity.id), Ok(presented.clone()));
    assert_eq!(trust([&new]).still_believes(&certificates), Err(Rejection::UnknownCa { presented: presented.clone() }));
    assert_eq!(trust([]).still_believes(&certificates), Err(Rejection::UnknownTrustDomain { presented }));
    assert_eq!(trust([&old]).still_believes(&[]), Err(Rejection::NoCertificate));
}

#[test]
fn the_network_s_errors_are_no_rejections() {
    assert_eq!(rejection_of(&std::io::Error::from(std::io::ErrorKind::UnexpectedEof)), None);
    let decode = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
    assert_eq!(rejection_of(&std::io::Error::new(std::io::ErrorKind::InvalidData, decode)), None);
    // Wrapped once more, as a connector does, it is still found.
    let inner = std::io::Error::new(std::io::ErrorKind::InvalidData, rustls::Error::NoCertificatesPresented);
    assert_eq!(rejection_of(&std::io::Error::other(inner)), Some(Rejection::NoCertificate));
}

#[test]
fn upstream_roots() {
    let own = authority(A);
    assert!(public_client_config(None).is_ok());
    assert!(public_client_config(Some(own.certificate_pem())).is_ok());
    assert!(matches!(public_client_config(Some("")), Err(BundleError::NoCertificate)));
}

#[test]
fn a_rejection_says_what_came_and_what_is_needed() {
    let presented = id(&gateway_of(B));
    let rows = [
        (
            Rejection::UnknownTrustDomain { presented: presented.clone() },
            "unknown_trust_domain",
            "the certificate presented is for spiffe://cluster-b.example.com/gateway, and the trust domain \
             cluster-b.example.com is not known here; to trust it: gatewayctl peer add NAME --ca <its ca.crt> ...",
        ),
        (
            Rejection::WrongTrustDomain { presented: presented.clone(), signer: A.parse().unwrap() },
            "wrong_trust_domain",
            "the certificate presented is for spiffe://cluster-b.example.com/gateway, but the CA of \
             cluster-a.example.com signed it; only the CA of cluster-b.example.com can",
        ),
        (
            Rejection::Expired { presented, not_after: 1_795_000_000 },
            "expired",
            "the certificate presented for spiffe://cluster-b.example.com/gateway expired at 2026-11-18T11:06:40Z; \
             a renewed one is needed",
        ),
    ];
    for (rejection, reason, text) in rows {
        assert_eq!(rejection.reason(), reason);
        assert_eq!(rejection.to_string(), text);
    }
}

/// Neither a panic nor a belief: every octet of a good certificate is under its signature.
#[test]
fn no_damaged_certificate_is_believed() {
    use rustls::server::danger::ClientCertVerifier;

    let a = authority(A);
    let good = forge(&a, &[&gateway_of(A)], |_| {}).cert[0].clone();
    let verifier = PeerVerifier::of_clients(trust([&a]), provider());
    let now = rustls_pki_types::UnixTime::now();
    assert!(verifier.verify_client_cert(&good, &[], now).is_ok());
    for position in 0..good.len() {
        for damage in [0x01, 0x80, 0xff] {
            let mut bytes = good.to_vec();
            bytes[position] ^= damage;
            let damaged = CertificateDer::from(bytes);
            assert!(verifier.verify_client_cert(&damaged, &[], now).is_err(), "octet {position} ^ {damage:#x}");
        }
        let short = CertificateDer::from(good[..position].to_vec());
        assert!(verifier.verify_client_cert(&short, &[], now).is_err(), "cut off at {position}");
    }
}
