//! Certificate files replaced while a gateway runs.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use strait_tests::client::{TlsIdentity, query, tls};
use strait_tests::{Cluster, Leaf, lines, peered, until};

const GATEWAY_OF_B: &str = "spiffe://cluster-b.example.com/gateway";

/// The leaf that the gateway shows on a new connection, and whether it answers there.
fn shown(b: &Cluster, client: &TlsIdentity) -> Vec<u8> {
    let mut link = tls(b.gateway().seat.tls, Some(client), &["dot"]).unwrap();
    let answer = link.ask(&query("web.shop.svc.cluster-b.example.com", "A")).unwrap();
    assert_eq!(lines(&answer).len(), 1);
    link.0.conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(identity: &TlsIdentity) -> Vec<u8> {
    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap().to_vec()
}

#[test]
fn a_new_pair_is_shown_on_new_connections_and_a_bad_one_changes_nothing() {
    let (a, b) = peered("tls");
    let client = a.authority().issue(&Leaf::of("spiffe://cluster-a.example.com/gateway"));
    let gateway = b.gateway().program();
    let mut standing = tls(b.gateway().seat.tls, Some(&client), &["dot"]).unwrap();
    let name = "web.shop.svc.cluster-b.example.com";
    assert_eq!(lines(&standing.ask(&query(name, "A")).unwrap()).len(), 1);
    let before = shown(&b, &client);
    let write = |identity: &TlsIdentity| {
        b.folder.write("gateway-0/tls.key", &identity.key);
        b.folder.write("gateway-0/tls.crt", &identity.certificate);
    };

    let renewed = b.authority().issue(&Leaf::of(GATEWAY_OF_B));
    write(&renewed);
    until("the new certificate to be shown", || shown(&b, &client) == der(&renewed));
    assert_ne!(before, der(&renewed));
    gateway.wait_log(&["certificate replaced", GATEWAY_OF_B]);
    assert_eq!(gateway.metric("strait_certificate_reloads_total{result=\"replaced\"}"), 1.0);
    let ends = gateway.metric("strait_certificate_not_after_timestamp_seconds");

    // What is bad about a pair, and the word of the log for it.
    let stranger = b.authority().issue(&Leaf::of("spiffe://cluster-b.example.com/node-agent/node-9"));
    let cases = [
        (TlsIdentity { key: stranger.key.clone(), ..renewed.clone() }, "not the key of the certificate in"),
        (b.authority().issue(&Leaf::of(GATEWAY_OF_B).expired()), "expired at"),
        (stranger, "but this process runs as spiffe://cluster-b.example.com/gateway"),
        (TlsIdentity { certificate: "nonsense\n".to_owned(), ..renewed.clone() }, "no certificate in it"),
    ];
    for (bad, words) in cases {
        write(&bad);
        gateway.wait_log(&["the certificate files cannot be used; the certificate from before stays in force", words]);
        assert_eq!(shown(&b, &client), der(&renewed), "{words}");
    }
    std::fs::remove_file(b.folder.path("gateway-0/tls.crt")).unwrap();
    gateway.wait_log(&["stays in force", "cannot be read: No such file or directory"]);
    assert_eq!(shown(&b, &client), der(&renewed));
    assert!(gateway.metric("strait_certificate_reloads_total{result=\"failed\"}") >= 5.0);
    assert_eq!(gateway.metric("strait_certificate_not_after_timestamp_seconds"), ends);
    assert_eq!(gateway.log().matches("certificate replaced").count(), 1);

    // The connection from the beginning has seen nothing of all this.
    assert_eq!(lines(&standing.ask(&query(name, "A")).unwrap()).len(), 1);
}
