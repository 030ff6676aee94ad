#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::CertificateAuthority;
use crate::testkit::{authority, forge_pem, leaf_request};

const GATEWAY: &str = "spiffe://cluster-a.example.com/gateway";

/// A folder with `tls.crt` and `tls.key` of these texts.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(certificate: &str, key: &str) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write(certificate, key);
        files
    }

    fn issued(authority: &CertificateAuthority, id: &str) -> Self {
        let issued = authority.issue(&leaf_request(id)).unwrap();
        Self::new(&issued.certificate_pem, &issued.key_pem)
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.certificate(), certificate).unwrap();
        std::fs::write(self.key(), key).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("tls.key")
    }

    fn load(&self) -> Result<Credentials, CredentialsError> {
        Credentials::load(&self.certificate(), &self.key())
    }
}

#[test]
fn broken_pairs_and_what_their_owner_reads() {
    let a = authority("cluster-a.example.com");
    let good = a.issue(&leaf_request(GATEWAY)).unwrap();
    let other = a.issue(&leaf_request(GATEWAY)).unwrap();
    let forged = |uris: &[&str], before: i64, after: i64| {
        forge_pem(a.certificate_pem(), a.key_pem(), uris, |params| {
            params.not_before = time::OffsetDateTime::from_unix_timestamp(before).unwrap();
            params.not_after = time::OffsetDateTime::from_unix_timestamp(after).unwrap();
        })
    };
    let (past, future) = (1_000_000_000, 4_000_000_000);
    let expired = forged(&[GATEWAY], past, past + 1);
    let early = forged(&[GATEWAY], future, future + 1);
    let nobody = forged(&[], past, future);
    let several = forged(&[GATEWAY, "spiffe://b.example/gateway"], past, future);
    let rows: [(&str, &str, &str, &str); 9] = [
        (
            "no certificate",
            "",
            &good.key_pem,
            "CERT: no certificate in it; the leaf, then its intermediates, are needed (-----BEGIN CERTIFICATE-----)",
        ),
        (
            "no key",
            &good.certificate_pem,
            &good.certificate_pem,
            "KEY: no private key in it; one is needed (-----BEGIN PRIVATE KEY-----)",
        ),
        (
            "key cut off",
            &good.certificate_pem,
            &good.key_pem[..60],
            "KEY: damaged PEM text: the line -----END PRIVATE KEY----- is missing",
        ),
        (
            "a key of nothing",
            &good.certificate_pem,
            "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n",
            "KEY: the private key cannot be used: unexpected error: failed to parse private key as RSA, ECDSA, or EdDSA; \
             ECDSA P-256 or P-384, Ed25519 or RSA is needed",
        ),
        (
            "key of another certificate",
            &good.certificate_pem,
            &other.key_pem,
            "KEY: not the key of the certificate in CERT; give the two files that were issued together",
        ),
        (
            "no identity",
            &nobody.0,
            &nobody.1,
            "CERT: the certificate presented (CN=rcgen self signed cert) has no SPIFFE ID: a URI SAN \
             spiffe://<trust domain>/... is needed; issue one: gatewayctl pki issue",
        ),
        (
            "several identities",
            &several.0,
            &several.1,
            "CERT: the certificate presented has 2 URI SANs (spiffe://cluster-a.example.com/gateway, \
             spiffe://b.example/gateway, ...); exactly one is needed, its SPIFFE ID; issue one: gatewayctl pki issue",
        ),
        (
            "expired",
            &expired.0,
            &expired.1,
            "CERT: expired at 2001-09-09T01:46:41Z; issue a new one: gatewayctl pki issue",
        ),
        (
            "not yet valid",
            &early.0,
            &early.1,
            "CERT: not valid before 2096-10-02T07:06:40Z; check this machine's clock",
        ),
    ];
    for (name, certificate, key, message) in rows {
        let files = Files::new(certificate, key);
        let expected = message
            .replace("CERT:", &format!("{}:", files.certificate().display()))
            .replace("in CERT;", &format!("in {};", files.certificate().display()))
            .replace("KEY:", &format!("{}:", files.key().display()));
        assert_eq!(files.load().unwrap_err().to_string(), expected, "{name}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let files = Files::new("", "");
    std::fs::remove_file(files.key()).unwrap();
    let error = files.load().unwrap_err().to_string();
    assert_eq!(error, format!("{}: cannot be read: No such file or directory (os error 2)", files.key().display()));
}

#[test]
fn a_reload_swaps_for_every_clone_and_only_what_is_good() {
    let a = authority("cluster-a.example.com");
    let files = Files::issued(&a, GATEWAY);
    let credentials = files.load().unwrap();
    let clone = credentials.clone();
    let first = credentials.certified_key();
    assert!(!credentials.reload().unwrap(), "unchanged files are no change");

    let renewed =
        a.issue(&crate::LeafRequest { lifetime: Duration::from_secs(3600), ..leaf_request(GATEWAY) }).unwrap();
    let first_end = credentials.not_after();
    // Half a renewal: the new certificate is there, its key not yet.
    std::fs::write(files.certificate(), &renewed.certificate_pem).unwrap();
    assert!(matches!(credentials.reload(), Err(CredentialsError::OtherKey { .. })));
    assert!(Arc::ptr_eq(&credentials.certified_key(), &first), "a bad pair changes nothing");

    files.write(&renewed.certificate_pem, &renewed.key_pem);
    assert!(credentials.reload().unwrap());
    assert!(!Arc::ptr_eq(&clone.certified_key(), &first));
    assert_eq!(clone.id().to_string(), GATEWAY);
    assert_eq!(clone.not_after(), renewed.not_after);
    assert!(clone.not_after() < first_end);
    // The beginning lies a little back, for clocks that are slow.
    assert!((3600..7200).contains(&(clone.not_after() - clone.not_before())), "{}", clone.not_before());
}

/// What a process is, its routes and delegations are made of: it cannot become somebody else on the way.
#[test]
fn a_reload_does_not_change_who_we_are() {
    let a = authority("cluster-a.example.com");
    let files = Files::issued(&a, GATEWAY);
    let credentials = files.load().unwrap();
    let node = "spiffe://cluster-a.example.com/node-agent/node-1";
    let other = a.issue(&leaf_request(node)).unwrap();
    files.write(&other.certificate_pem, &other.key_pem);
    let expected = format!(
        "{}: it is for {node}, but this process runs as {GATEWAY}; put a certificate for {GATEWAY} there, or restart to run as {node}",
        files.certificate().display()
    );
    assert_eq!(credentials.reload().unwrap_err().to_string(), expected);
    assert_eq!(credentials.id().to_string(), GATEWAY);
}

#[test]
fn keys_are_never_printed() {
    let a = authority("cluster-a.example.com");
    let credentials = Files::issued(&a, GATEWAY).load().unwrap();
    let issued = a.issue(&leaf_request(GATEWAY)).unwrap();
    for text in [format!("{credentials:?}"), format!("{a:?}"), format!("{issued:?}")] {
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}
