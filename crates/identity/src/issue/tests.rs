#![allow(clippy::unwrap_used)]

use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::*;
use crate::pem_text;
use crate::testkit::{DAY, authority, leaf_request};

const GATEWAY: &str = "spiffe://cluster-a.example.com/gateway";

#[test]
fn an_authority_signs_leaves_and_nothing_more() {
    let a = authority("cluster-a.example.com");
    let der = pem_text::certificates(a.certificate_pem()).unwrap().remove(0);
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let constraints = parsed.basic_constraints().unwrap().unwrap().value;
    assert!(constraints.ca);
    assert_eq!(constraints.path_len_constraint, Some(0));
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && !usage.digital_signature());
    assert_eq!(Facts::read(&der).unwrap().uris, ["spiffe://cluster-a.example.com"]);
}

#[test]
fn a_leaf_says_what_was_asked_for() {
    let a = authority("cluster-a.example.com");
    let request = LeafRequest {
        dns_names: vec!["gateway.example.com".into(), "*.gw.example.com".into()],
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        ..leaf_request(GATEWAY)
    };
    let issued = a.issue(&request).unwrap();
    let der = pem_text::certificates(&issued.certificate_pem).unwrap().remove(0);
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let shown: Vec<String> = parsed
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(names),
            _ => None,
        })
        .flat_map(|names| names.general_names.iter().map(ToString::to_string))
        .collect();
    assert_eq!(
        shown,
        [
            "URI(spiffe://cluster-a.example.com/gateway)",
            "DNSName(gateway.example.com)",
            "DNSName(*.gw.example.com)",
            "IPAddress(c0:00:02:01)",
            "IPAddress(20:01:0d:b8:00:00:00:00:00:00:00:00:00:00:00:01)",
        ]
    );
    let uses = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(uses.client_auth && uses.server_auth);
    assert!(!parsed.is_ca());
    assert_eq!(parsed.validity().not_after.timestamp(), issued.not_after);
}

#[test]
fn a_leaf_never_outlives_its_authority() {
    let a = authority("cluster-a.example.com");
    let issued = a.issue(&LeafRequest { lifetime: 3650 * DAY, ..leaf_request(GATEWAY) }).unwrap();
    assert_eq!(issued.not_after, a.not_after());
}

#[test]
fn an_authority_read_back_issues_what_its_certificate_vouches_for() {
    let a = authority("cluster-a.example.com");
    let again = CertificateAuthority::from_pem(a.certificate_pem(), a.key_pem()).unwrap();
    assert_eq!(again.trust_domain(), a.trust_domain());
    assert_eq!(again.not_after(), a.not_after());
    let issued = again.issue(&leaf_request(GATEWAY)).unwrap();
    let leaf = pem_text::certificates(&issued.certificate_pem).unwrap();
    let roots = TrustBundle::from_pem(a.certificate_pem(), None).unwrap();
    let now = rustls_pki_types::UnixTime::now();
    assert!(roots.anchors()[0].verify(crate::verify::Presenter::Client, &leaf[0], &[], now).is_ok());
}

#[test]
fn what_cannot_be_issued_and_why() {
    let (a, b) = (authority("cluster-a.example.com"), authority("cluster-b.example.com"));
    let rows = [
        (
            a.issue(&leaf_request("spiffe://cluster-b.example.com/gateway")).unwrap_err(),
            "spiffe://cluster-b.example.com/gateway is not of the trust domain cluster-a.example.com, whose CA this is; \
             no other CA may issue it",
        ),
        (
            a.issue(&LeafRequest { lifetime: Duration::ZERO, ..leaf_request(GATEWAY) }).unwrap_err(),
            "a lifetime of 0 s cannot be issued; between 1 s and 100 years can",
        ),
        (
            a.issue(&LeafRequest { dns_names: vec!["no name".into()], ..leaf_request(GATEWAY) }).unwrap_err(),
            "\"no name\" is not a DNS name; letters, digits, '-', '_' and '.', or a leading '*.', are needed",
        ),
        (
            CertificateAuthority::from_pem(a.certificate_pem(), b.key_pem()).unwrap_err(),
            "the CA key is not the key of the CA certificate; give the ca.crt and ca.key that were written together",
        ),
        (
            CertificateAuthority::from_pem(&format!("{0}{0}", a.certificate_pem()), a.key_pem()).unwrap_err(),
            "the CA certificate: 2 certificates in it; one is needed, that of the key",
        ),
        (
            CertificateAuthority::from_pem("", a.key_pem()).unwrap_err(),
            "the CA certificate: no certificate in it; the ca.crt of the cluster is needed (-----BEGIN CERTIFICATE-----)",
        ),
    ];
    for (error, message) in rows {
        assert_eq!(error.to_string(), message);
    }
    let error = CertificateAuthority::from_pem(a.certificate_pem(), "").unwrap_err().to_string();
    assert!(error.starts_with("the CA key cannot be used: "), "{error}");
}
