//! Certificates that cannot be used, as `--check-config` tells it: file, line, column, caret, what to do.

use strait_tests::cluster::succeed;
use strait_tests::{Authority, Folder, Leaf};

use super::{call, stderr};

const DOMAIN: &str = "cluster-a.example.com";
const GATEWAY: &str = "spiffe://cluster-a.example.com/gateway";

fn copy(folder: &Folder, from: &str, to: &str) {
    std::fs::copy(folder.path(from), folder.path(to)).unwrap();
}

/// The line of the configuration that names the files; messages point into it.
const IDENTITY: &str = "identity: { certificate: tls.crt, key: tls.key, trustBundle: ca.crt }";

/// A folder with a gateway's configuration, and good files for it.
fn bench() -> (Folder, Authority) {
    let (folder, authority) = (Folder::new(), Authority::new(DOMAIN));
    folder.write(
        "gateway.yaml",
        format!(
            "{IDENTITY}\ncluster: cluster-a\nsuffix: {DOMAIN}\nlisten: [\"tls://127.0.0.1:8853\"]\nsocket: gw.sock\n\
             state: peers.json\nbackend: {{ clusterDns: [10.96.0.10] }}\n"
        ),
    );
    let good = authority.issue(&Leaf::of(GATEWAY));
    folder.write("tls.crt", &good.certificate);
    folder.write("tls.key", &good.key);
    folder.write("ca.crt", authority.certificate());
    (folder, authority)
}

/// What is said of the word at `column`, `length` long, and what to do.
fn told(folder: &Folder, column: usize, length: usize, what: &str, help: &str) -> String {
    let config = folder.path("gateway.yaml");
    let (blank, caret) = (" ".repeat(column - 1), "^".repeat(length));
    format!(
        "{}:1:{column}: error: {what}\n  |\n1 | {IDENTITY}\n  | {blank}{caret}\n  = help: {help}\n",
        config.display()
    )
    .replace("DIR/", &format!("{}/", folder.path("").display().to_string().trim_end_matches('/')))
}

const CERTIFICATE: (usize, usize) = (26, 7);
const KEY: (usize, usize) = (40, 7);
const BUNDLE: (usize, usize) = (62, 6);

#[test]
fn each_bad_certificate_is_told_with_its_place_and_its_remedy() {
    type Damage = Box<dyn Fn(&Folder, &Authority)>;
    /// What is wrong, how it comes about, where the message points, what it says, what to do.
    type Case<'a> = (&'a str, Damage, (usize, usize), &'a str, &'a str);
    let leaf = |leaf: Leaf| -> Damage {
        Box::new(move |folder, authority| {
            let issued = authority.issue(&leaf);
            folder.write("tls.crt", &issued.certificate);
            folder.write("tls.key", &issued.key);
        })
    };
    let remove =
        |name: &'static str| -> Damage { Box::new(move |folder, _| std::fs::remove_file(folder.path(name)).unwrap()) };
    let cases: Vec<Case<'_>> = vec![
        (
            "the key of another certificate",
            Box::new(|folder, authority| drop(folder.write("tls.key", authority.issue(&Leaf::of(GATEWAY)).key))),
            KEY,
            "DIR/tls.key: not the key of the certificate in DIR/tls.crt",
            "give the two files that were issued together",
        ),
        (
            "expired",
            leaf(Leaf::of(GATEWAY).expired()),
            CERTIFICATE,
            "DIR/tls.crt: expired at MOMENT",
            "issue a new one: gatewayctl pki issue",
        ),
        (
            "not yet valid",
            leaf(Leaf { from: time::Duration::hours(1), ..Leaf::of(GATEWAY) }),
            CERTIFICATE,
            "DIR/tls.crt: not valid before MOMENT",
            "check this machine's clock",
        ),
        (
            "without a SPIFFE ID",
            leaf(Leaf { uris: Vec::new(), dns_names: vec!["gateway.example.com".to_owned()], ..Leaf::of(GATEWAY) }),
            CERTIFICATE,
            "DIR/tls.crt: the certificate presented (CN=leaf) has no SPIFFE ID: a URI SAN spiffe://<trust domain>/... is needed",
            "issue one: gatewayctl pki issue",
        ),
        (
            "a node-agent's",
            leaf(Leaf::of("spiffe://cluster-a.example.com/node-agent/node-1")),
            CERTIFICATE,
            "`certificate`: it is a node-agent's (spiffe://cluster-a.example.com/node-agent/node-1); peers accept a gateway \
             only as spiffe://cluster-a.example.com/gateway",
            "issue one with `gatewayctl pki issue gateway`",
        ),
        (
            "missing",
            remove("tls.crt"),
            CERTIFICATE,
            "`certificate`: cannot read DIR/tls.crt: it does not exist",
            "put the file there, or correct the path (relative paths start at the configuration file's folder)",
        ),
        (
            "a missing key",
            remove("tls.key"),
            KEY,
            "`key`: cannot read DIR/tls.key: it does not exist",
            "put the file there, or correct the path (relative paths start at the configuration file's folder)",
        ),
        (
            "a folder",
            Box::new(|folder, _| {
                std::fs::remove_file(folder.path("ca.crt")).unwrap();
                std::fs::create_dir(folder.path("ca.crt")).unwrap();
            }),
            BUNDLE,
            "`trustBundle`: cannot read DIR/ca.crt: it is a folder",
            "name a file in it",
        ),
        (
            "no key in the key's file",
            Box::new(|folder, _| copy(folder, "tls.crt", "tls.key")),
            KEY,
            "DIR/tls.key: no private key in it",
            "one is needed (-----BEGIN PRIVATE KEY-----)",
        ),
        (
            "no certificate in the certificate's file",
            Box::new(|folder, _| drop(folder.write("tls.crt", "hello\n"))),
            CERTIFICATE,
            "DIR/tls.crt: no certificate in it",
            "the leaf, then its intermediates, are needed (-----BEGIN CERTIFICATE-----)",
        ),
        (
            "the CA as leaf",
            Box::new(|folder, _| {
                let dir = folder.path("pki").to_string_lossy().into_owned();
                succeed(&["pki", "init", "--trust-domain", DOMAIN, "--dir", &dir]);
                for (from, to) in [("pki/ca.crt", "tls.crt"), ("pki/ca.key", "tls.key"), ("pki/ca.crt", "ca.crt")] {
                    copy(folder, from, to);
                }
            }),
            CERTIFICATE,
            "DIR/tls.crt: the certificate presented is for spiffe://cluster-a.example.com",
            "spiffe://<trust domain>/gateway or spiffe://<trust domain>/node-agent/<node> is needed; issue one: gatewayctl \
             pki issue",
        ),
        (
            "a leaf as CA",
            Box::new(|folder, _| copy(folder, "tls.crt", "ca.crt")),
            BUNDLE,
            "DIR/ca.crt: certificate 1 (CN=leaf) is not a CA",
            "give the cluster's ca.crt, not a leaf such as tls.crt",
        ),
        (
            "another cluster's CA",
            Box::new(|folder, _| drop(folder.write("ca.crt", Authority::new("cluster-b.example.com").certificate()))),
            BUNDLE,
            "DIR/ca.crt: certificate 1 is the CA of cluster-b.example.com, but cluster-a.example.com is wanted",
            "a bundle holds the CAs of one trust domain",
        ),
    ];
    for (what, damage, (column, length), message, help) in cases {
        let (folder, authority) = bench();
        damage(&folder, &authority);
        let config = folder.path("gateway.yaml").to_string_lossy().into_owned();
        let output = call("gateway", &["--config", &config, "--check-config"]);
        assert_eq!(output.status.code(), Some(2), "{what}: {output:?}");
        assert_eq!(without_moment(&stderr(&output)), told(&folder, column, length, message, help), "{what}");
    }
}

/// `expired at 2026-01-01T00:00:00Z` with the moment taken out.
fn without_moment(text: &str) -> String {
    let shown = |word: &str| match word.trim_end_matches('\n') {
        bare if bare.len() == 20 && bare.ends_with('Z') && bare.contains('T') => "MOMENT",
        _ => "",
    };
    text.split_inclusive([' ', '\n'])
        .map(|word| match shown(word.trim_end()) {
            "" => word.to_owned(),
            moment => word.replace(word.trim_end(), moment),
        })
        .collect()
}

#[test]
fn good_certificates_are_ok() {
    let (folder, _) = bench();
    let config = folder.path("gateway.yaml").to_string_lossy().into_owned();
    let output = call("gateway", &["--config", &config, "--check-config"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
