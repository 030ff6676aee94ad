//! Every configuration under `broken/` and `warned/` with the exact text its user gets.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test -p strait-config` writes the expected texts anew; read the difference before committing it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strait_config::{ConfigFile, Diagnostic, GatewayConfig, Loaded, NodeAgentConfig};
use strait_identity::{CertificateAuthority, LeafRequest, TrustDomain};

/// A folder with the cases and the certificates they name.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(cases: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(cases).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let bench = Self(folder);
        bench.issue();
        bench
    }

    fn issue(&self) {
        let day = Duration::from_secs(86_400);
        let write = |name: &str, text: &str| fs::write(self.0.path().join(name), text).unwrap();
        let domain = |name: &str| name.parse::<TrustDomain>().unwrap();
        let own = CertificateAuthority::create(&domain("cluster-a.example.com"), day).unwrap();
        let peer = CertificateAuthority::create(&domain("cluster-b.example.com"), day).unwrap();
        write("ca.crt", own.certificate_pem());
        write("peer-ca.crt", peer.certificate_pem());
        for (name, path) in
            [("tls", "node-agent/worker-1"), ("every-node", "node-agent/every-node"), ("gateway", "gateway")]
        {
            let id = format!("spiffe://cluster-a.example.com/{path}").parse().unwrap();
            let leaf = LeafRequest { id, dns_names: Vec::new(), addresses: Vec::new(), lifetime: day };
            let issued = own.issue(&leaf).unwrap();
            write(&format!("{name}.crt"), &issued.certificate_pem);
            write(&format!("{name}.key"), &issued.key_pem);
        }
    }

    fn load(&self, case: &Path) -> String {
        let path = self.0.path().join(case.file_name().unwrap());
        let gateway = case.file_name().unwrap().to_str().unwrap().starts_with("gateway-");
        let told = match gateway {
            true => outcome(GatewayConfig::load(&path)),
            false => outcome(NodeAgentConfig::load(&path)),
        };
        let folder = format!("{}/", self.0.path().display());
        told.replace(&folder, "") + "\n"
    }
}

fn outcome<C>(loaded: Result<Loaded<C>, strait_config::ConfigErrors>) -> String {
    match loaded {
        Err(errors) => errors.to_string(),
        Ok(loaded) => loaded.warnings.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n"),
    }
}

fn compare(folder: &str, severity: &str) -> usize {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let bench = Bench::new(&cases);
    let mut paths: Vec<PathBuf> = fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut different = Vec::new();
    for case in &paths {
        let told = bench.load(case);
        assert!(told.contains(&format!("{severity}: ")), "{} is accepted without a word", case.display());
        let expected = case.with_extension("txt");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&expected, &told).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if told != wanted {
            different.push(format!("{}\n--- wanted\n{wanted}--- told\n{told}", case.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    paths.len()
}

#[test]
fn broken_configurations_are_refused_with_these_words() {
    assert!(compare("broken", "error") >= 40);
}

#[test]
fn doubtful_configurations_are_accepted_with_these_words() {
    assert!(compare("warned", "warning") >= 5);
}
