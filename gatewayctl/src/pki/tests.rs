#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use clap::Parser;
use strait_identity::{Credentials, TrustBundle};

use super::*;

/// The commands as they are typed.
#[derive(Debug, Parser)]
struct Typed {
    #[command(subcommand)]
    command: PkiCommand,
}

/// Runs a command line in which `DIR` stands for the folder; returns what it printed, with `DIR` again.
fn pki(folder: &Path, line: &str) -> Result<String, String> {
    let folder = folder.display().to_string();
    let words = std::iter::once("pki".to_owned()).chain(line.split(' ').map(|word| word.replace("DIR", &folder)));
    let typed = Typed::try_parse_from(words).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    match typed.command.run_to(&mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap().replace(&folder, "DIR")),
        Err(error) => Err(format!("{error:#}").replace(&folder, "DIR")),
    }
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn from_nothing_to_certificates_that_the_daemons_load() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let said = pki(dir, "init --trust-domain cluster-a.example.com --dir DIR/ca").unwrap();
    assert!(said.starts_with("wrote DIR/ca/ca.crt  (spiffe://cluster-a.example.com, until 20"), "{said}");
    assert!(said.contains("\nnext: gatewayctl pki issue gateway --dir DIR/ca\n"), "{said}");
    let said = pki(dir, "issue gateway --dir DIR/ca --dns gw.example.com --ip 192.0.2.1 --out DIR/gateway").unwrap();
    assert!(said.contains("wrote DIR/gateway/tls.crt  (spiffe://cluster-a.example.com/gateway, until 20"), "{said}");
    assert!(said.contains("\n    trustBundle: DIR/gateway/ca.crt\n"), "{said}");
    pki(dir, "issue node-agent --node worker-1 --dir DIR/ca --lifetime 1h").unwrap();

    for (folder, id) in [
        ("gateway", "spiffe://cluster-a.example.com/gateway"),
        ("ca/node-agent/worker-1", "spiffe://cluster-a.example.com/node-agent/worker-1"),
    ] {
        let folder = dir.join(folder);
        let credentials = Credentials::load(&folder.join(CERTIFICATE), &folder.join(KEY)).unwrap();
        assert_eq!(credentials.id().to_string(), id);
        let bundle = TrustBundle::from_file(&folder.join(CA_CERTIFICATE), None).unwrap();
        assert_eq!(bundle.trust_domain().as_str(), "cluster-a.example.com");
        assert_eq!((mode(&folder.join(CERTIFICATE)), mode(&folder.join(KEY))), (0o644, 0o600));
    }
    assert_eq!((mode(&dir.join("ca/ca.crt")), mode(&dir.join("ca/ca.key"))), (0o644, 0o600));
}

#[test]
fn an_authority_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pki(dir, "init --trust-domain cluster-a.example.com --dir DIR").unwrap();
    let before = std::fs::read(dir.join(CA_KEY)).unwrap();
    let error = pki(dir, "init --trust-domain cluster-b.example.com --dir DIR").unwrap_err();
    assert_eq!(
        error,
        "DIR/ca.crt: exists already; every certificate it issued would stop counting. Use another --dir, or move it \
         away first"
    );
    // The key alone counts too.
    std::fs::remove_file(dir.join(CA_CERTIFICATE)).unwrap();
    let error = pki(dir, "init --trust-domain cluster-b.example.com --dir DIR").unwrap_err();
    assert!(error.starts_with("DIR/ca.key: exists already"), "{error}");
    assert_eq!(std::fs::read(dir.join(CA_KEY)).unwrap(), before);
    // And so when it appears between the look and the write.
    assert!(write_new(&dir.join(CA_KEY), "another", Secrecy::Owner).is_err());
    assert_eq!(std::fs::read(dir.join(CA_KEY)).unwrap(), before);
}

#[test]
fn issuing_again_renews() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pki(dir, "init --trust-domain cluster-a.example.com --dir DIR").unwrap();
    pki(dir, "issue gateway --dir DIR").unwrap();
    let (certificate, key) = (dir.join("gateway/tls.crt"), dir.join("gateway/tls.key"));
    let credentials = Credentials::load(&certificate, &key).unwrap();
    pki(dir, "issue gateway --dir DIR").unwrap();
    assert!(credentials.reload().unwrap());
}

#[test]
fn wrong_arguments_and_what_their_user_reads() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    pki(dir, "init --trust-domain cluster-a.example.com --dir DIR/a").unwrap();
    pki(dir, "init --trust-domain cluster-b.example.com --dir DIR/b").unwrap();
    std::fs::create_dir(dir.join("mixed")).unwrap();
    std::fs::copy(dir.join("a/ca.crt"), dir.join("mixed/ca.crt")).unwrap();
    std::fs::copy(dir.join("b/ca.key"), dir.join("mixed/ca.key")).unwrap();
    std::fs::write(dir.join("file"), "").unwrap();
    let rows = [
        (
            "init --trust-domain Cluster_A! --dir DIR",
            "\"Cluster_A!\" is not a trust domain: lower-case letters, digits, '-', '.', '_', 1 to 255 of them (for example \
             cluster-b.example.com)",
        ),
        (
            "init --trust-domain c --dir DIR/c --lifetime 1y",
            "not a lifetime; a number and a unit (s, m, h, d) are needed, as in 12h or 30d",
        ),
        ("init --trust-domain c --dir DIR/c --lifetime 0s", "a lifetime of 0 s cannot be issued"),
        (
            "init --trust-domain c --dir DIR/file/c",
            "DIR/file/c/ca.key: cannot be written; choose a folder that this user may write to: ",
        ),
        (
            "issue gateway --dir DIR/nowhere",
            "DIR/nowhere/ca.crt: cannot be read; give the folder of ca.crt and ca.key with --dir, or create them: \
             gatewayctl pki init: No such file or directory",
        ),
        (
            "issue gateway --dir DIR/mixed",
            "DIR/mixed: the CA key is not the key of the CA certificate; give the ca.crt and ca.key that were written \
             together",
        ),
        (
            "issue node-agent --dir DIR/a --node ../worker",
            "--node \"../worker\": not a node name; letters, digits, '-', '_' and '.' are needed, as in worker-1",
        ),
        ("issue gateway --dir DIR/a --dns under/score", "\"under/score\" is not a DNS name"),
        ("issue gateway --dir DIR/a --ip 192.0.2", "invalid IP address syntax"),
    ];
    for (line, message) in rows {
        let error = pki(dir, line).unwrap_err();
        assert!(error.contains(message), "{line}\n{error}");
    }
}
