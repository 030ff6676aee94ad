#![allow(clippy::unwrap_used)]

use super::*;
use crate::testkit::{authority, bundle, expired_authority, leaf_request};

const A: &str = "cluster-a.example.com";
const B: &str = "cluster-b.example.com";

#[test]
fn broken_bundles_and_what_their_owner_reads() {
    let (a, b) = (authority(A), authority(B));
    let leaf = a.issue(&leaf_request("spiffe://cluster-a.example.com/gateway")).unwrap();
    let (expired, _) = expired_authority(A);
    let ended =
        moment(crate::certificate::Facts::read(&pem_text::certificates(&expired).unwrap()[0]).unwrap().not_after);
    let both = format!("{}{}", a.certificate_pem(), b.certificate_pem());
    let rows: [(&str, &str, Option<&str>, String); 11] = [
        (
            "empty",
            "",
            None,
            "no certificate in it; the ca.crt of the cluster is needed (-----BEGIN CERTIFICATE-----)".into(),
        ),
        (
            "something else",
            "apiVersion: v1\n",
            None,
            "no certificate in it; the ca.crt of the cluster is needed (-----BEGIN CERTIFICATE-----)".into(),
        ),
        (
            "cut off",
            &a.certificate_pem()[..200],
            None,
            "damaged PEM text: the line -----END CERTIFICATE----- is missing; copy the ca.crt again".into(),
        ),
        (
            "not base64",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
            None,
            "damaged PEM text: not base64: InvalidCharacter(33); copy the ca.crt again".into(),
        ),
        (
            "base64 of nothing in particular",
            "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
            None,
            "certificate 1 is malformed: not an X.509 certificate; copy the ca.crt again"
                .into(),
        ),
        (
            "a leaf",
            &leaf.certificate_pem,
            None,
            "certificate 1 (CN=gateway of cluster-a.example.com) is not a CA; give the cluster's ca.crt, not a leaf \
             such as tls.crt"
                .into(),
        ),
        // A bundle is handed to others.
        (
            "the key with it",
            &format!("{}{}", a.certificate_pem(), a.key_pem()),
            None,
            "a private key is in it; give the CA certificate (ca.crt) alone, and keep the key at home".into(),
        ),
        (
            "expired",
            &expired,
            None,
            format!("every CA in it has expired, the last one at {ended}; get the new ca.crt of that cluster"),
        ),
        (
            "two trust domains",
            &both,
            None,
            "certificate 2 is the CA of cluster-b.example.com, but cluster-a.example.com is wanted; a bundle holds the \
             CAs of one trust domain"
                .into(),
        ),
        (
            "another trust domain than asked for",
            b.certificate_pem(),
            Some(A),
            "certificate 1 is the CA of cluster-b.example.com, but cluster-a.example.com is wanted; a bundle holds the \
             CAs of one trust domain"
                .into(),
        ),
        (
            "far too many",
            &a.certificate_pem().repeat(17),
            None,
            "17 certificates in it, at most 16 are accepted; keep the CAs of this trust domain only".into(),
        ),
    ];
    for (name, pem, wanted, message) in rows {
        let error = TrustBundle::from_pem(pem, wanted.map(|text| text.parse().unwrap())).unwrap_err();
        assert_eq!(error.to_string(), message, "{name}");
    }
}

#[test]
fn a_ca_without_a_spiffe_san_needs_to_be_told_its_trust_domain() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let error = TrustBundle::from_pem(&pem, None).unwrap_err().to_string();
    assert!(error.starts_with("no certificate in it names a trust domain"), "{error}");
    let told = TrustBundle::from_pem(&pem, Some(A.parse().unwrap())).unwrap();
    assert_eq!(told.trust_domain().as_str(), A);
}

#[test]
fn errors_of_files_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let error = TrustBundle::from_file(&file, None).unwrap_err().to_string();
    assert_eq!(error, format!("{}: cannot be read: No such file or directory (os error 2)", file.display()));
    std::fs::write(&file, "nothing").unwrap();
    let error = TrustBundle::from_file(&file, None).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: no certificate in it", file.display())), "{error}");
}

#[test]
fn text_and_bundle_are_the_same() {
    let bundle = bundle(&authority(A));
    assert_eq!(TrustBundle::from_pem(&bundle.to_pem(), None).unwrap(), bundle);
}

/// While a CA is replaced, the old and the new bundle of one trust domain both count.
#[test]
fn bundles_of_one_trust_domain_are_joined() {
    let (old, new, b) = (bundle(&authority(A)), bundle(&authority(A)), bundle(&authority(B)));
    let store = TrustStore::new([old.clone(), b, new.clone(), old.clone()]);
    assert_eq!(store.bundles().count(), 2);
    let joined = store.get(old.trust_domain()).unwrap();
    assert_eq!(joined.certificates(), [old.certificates(), new.certificates()].concat());
    assert_eq!(joined.anchors().len(), 2);
}
