//! `gatewayctl pki`: a cluster's own certificate authority and the certificates of its programs, as files.
//!
//! ```text
//! pki init                 ca.crt  ca.key
//! pki issue gateway        gateway/tls.crt  tls.key  ca.crt
//! pki issue node-agent     node-agent/<node>/tls.crt  tls.key  ca.crt
//! ```
//!
//! `ca.crt` is what other clusters are given; `ca.key` stays where it is.

mod files;
mod lifetime;

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use strait_identity::{CertificateAuthority, LeafRequest, Role, SpiffeId, TrustDomain};

use files::{Secrecy, replace, write_new};

/// The CA certificate, in the folder of the authority and beside every certificate it issued.
pub(crate) const CA_CERTIFICATE: &str = "ca.crt";
/// The CA key.
pub(crate) const CA_KEY: &str = "ca.key";
/// A program's certificate.
pub(crate) const CERTIFICATE: &str = "tls.crt";
/// A program's key.
pub(crate) const KEY: &str = "tls.key";

/// Certificates of this cluster.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PkiCommand {
    /// Create this cluster's certificate authority: ca.crt and ca.key
    Init(Init),
    /// Issue a certificate: tls.crt and tls.key, with ca.crt beside them
    #[command(subcommand)]
    Issue(Issue),
}

/// What the authority is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The trust domain it vouches for, for example cluster-a.example.com
    #[arg(long, value_name = "NAME")]
    trust_domain: TrustDomain,
    /// Folder to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// How long it is to last (s, m, h, d)
    #[arg(long, value_name = "TIME", default_value = "3650d", value_parser = lifetime::parse)]
    lifetime: Duration,
}

/// Whose certificate is to be issued.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Issue {
    /// The certificate of this cluster's gateway
    Gateway(Leaf),
    /// The certificate of one node's node-agent
    NodeAgent {
        /// The node; every-node: one certificate for all of them
        #[arg(long, value_name = "NAME")]
        node: String,
        #[command(flatten)]
        leaf: Leaf,
    },
}

/// What a certificate is to say besides its identity, and where it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Leaf {
    /// DNS name to put in, for clients that check names (kdig, CoreDNS)
    #[arg(long = "dns", value_name = "NAME")]
    dns_names: Vec<String>,
    /// IP address to put in, likewise
    #[arg(long = "ip", value_name = "ADDR")]
    addresses: Vec<IpAddr>,
    /// Folder of ca.crt and ca.key
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Folder to write to [default: DIR/gateway or DIR/node-agent/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long it is to last (s, m, h, d), never beyond the authority itself
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = lifetime::parse)]
    lifetime: Duration,
}

impl PkiCommand {
    /// Does it, and says on standard output what was written and what comes next.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.run_to(&mut std::io::stdout().lock())
    }

    /// Does it, and says so on `out`.
    pub(crate) fn run_to(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(out),
            Self::Issue(Issue::Gateway(leaf)) => leaf.run(Role::Gateway, out),
            Self::Issue(Issue::NodeAgent { node, leaf }) => leaf.run(Role::NodeAgent(node.into()), out),
        }
    }
}

impl Init {
    /// Writes a new authority; one that is there already is left alone.
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let (certificate, key) = (self.dir.join(CA_CERTIFICATE), self.dir.join(CA_KEY));
        for file in [&certificate, &key] {
            if file.exists() {
                bail!(
                    "{}: exists already; every certificate it issued would stop counting. Use another --dir, or move it away first",
                    file.display()
                );
            }
        }
        let authority = CertificateAuthority::create(&self.trust_domain, self.lifetime)?;
        // The key first: a certificate without its key would look finished.
        write_new(&key, authority.key_pem(), Secrecy::Owner)?;
        write_new(&certificate, authority.certificate_pem(), Secrecy::Everyone)?;

        let dir = self.dir.display();
        writeln!(
            out,
            "wrote {}  (spiffe://{}, until {})",
            certificate.display(),
            self.trust_domain,
            date(authority.not_after())
        )?;
        writeln!(out, "wrote {}  (keep it secret: whoever has it can speak for {})", key.display(), self.trust_domain)?;
        writeln!(out, "next: gatewayctl pki issue gateway --dir {dir}")?;
        writeln!(out, "      gatewayctl pki issue node-agent --dir {dir} --node NAME")?;
        Ok(())
    }
}

impl Leaf {
    /// Issues and writes; a certificate that is there already is replaced, which is how one is renewed.
    fn run(self, role: Role, out: &mut impl Write) -> anyhow::Result<()> {
        let authority = read_authority(&self.dir)?;
        let id = identity(authority.trust_domain(), role)?;
        let folder = self.out.unwrap_or_else(|| match &id.role {
            Role::Gateway => self.dir.join("gateway"),
            Role::NodeAgent(node) => self.dir.join("node-agent").join(&**node),
        });
        let (dns_names, addresses, lifetime) = (self.dns_names, self.addresses, self.lifetime);
        let issued = authority.issue(&LeafRequest { id: id.clone(), dns_names, addresses, lifetime })?;

        let [certificate, key, ca] = [CERTIFICATE, KEY, CA_CERTIFICATE].map(|name| folder.join(name));
        replace(&key, &issued.key_pem, Secrecy::Owner)?;
        replace(&certificate, &issued.certificate_pem, Secrecy::Everyone)?;
        replace(&ca, authority.certificate_pem(), Secrecy::Everyone)?;

        let program = match &id.role {
            Role::Gateway => "gateway",
            Role::NodeAgent(_) => "node-agent",
        };
        writeln!(out, "wrote {}  ({id}, until {})", certificate.display(), date(issued.not_after))?;
        writeln!(out, "wrote {}  (readable by its owner only)", key.display())?;
        writeln!(out, "wrote {}", ca.display())?;
        writeln!(out, "next: in the {program}'s configuration file")?;
        writeln!(out, "  identity:")?;
        for (setting, file) in [("certificate", &certificate), ("key", &key), ("trustBundle", &ca)] {
            let absolute = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            writeln!(out, "    {setting}: {}", absolute.display())?;
        }
        Ok(())
    }
}

fn read_authority(folder: &Path) -> anyhow::Result<CertificateAuthority> {
    let read = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file).with_context(|| {
            format!(
                "{}: cannot be read; give the folder of ca.crt and ca.key with --dir, or create them: gatewayctl pki init",
                file.display()
            )
        })
    };
    let (certificate, key) = (read(CA_CERTIFICATE)?, read(CA_KEY)?);
    CertificateAuthority::from_pem(&certificate, &key).with_context(|| folder.display().to_string())
}

/// The identity of a role, its text checked like any other's.
fn identity(trust_domain: &TrustDomain, role: Role) -> anyhow::Result<SpiffeId> {
    let id = SpiffeId { trust_domain: trust_domain.clone(), role };
    match (id.to_string().parse::<SpiffeId>(), &id.role) {
        (Ok(id), _) => Ok(id),
        (Err(_), Role::NodeAgent(node)) => {
            bail!("--node {node:?}: not a node name; letters, digits, '-', '_' and '.' are needed, as in worker-1")
        }
        (Err(error), Role::Gateway) => Err(error.into()),
    }
}

fn date(seconds: i64) -> String {
    let moment = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.map(|moment| moment.date().to_string()).unwrap_or_else(|| format!("{seconds} s since 1970"))
}

#[cfg(test)]
mod tests;
