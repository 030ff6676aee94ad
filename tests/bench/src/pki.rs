//! Certificates of the two clusters, made with `gatewayctl pki`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::contender::Place;
use crate::program::output;
use crate::rivals::PEER_ZONE;

/// The trust domain of the cluster that asks.
const ASKING: &str = "cluster-a.example.com";

/// A folder of certificates: `<trust domain>/ca.crt`, `<trust domain>/gateway/tls.crt` and so on.
pub(crate) struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// Makes the certificates of both clusters.
    pub(crate) fn make(place: &Place) -> anyhow::Result<Self> {
        let pki = Self { folder: place.folder("pki")? };
        let gatewayctl = place.binary("gatewayctl");
        for (domain, issue) in [
            (ASKING, ["node-agent", "--node", "bench"]),
            // The name is for the rivals, which know no identities.
            (PEER_ZONE, ["gateway", "--dns", &pki.server_name()]),
        ] {
            let dir = pki.dir(domain);
            output(&[&gatewayctl, "pki", "init", "--trust-domain", domain, "--dir", &dir])?;
            let [kind, option, value] = issue;
            output(&[&gatewayctl, "pki", "issue", kind, option, value, "--dir", &dir])?;
        }
        Ok(pki)
    }

    /// The folder of the cluster that asks.
    pub(crate) fn asking(&self) -> String {
        self.dir(ASKING)
    }

    /// The folder of the cluster that is asked.
    pub(crate) fn asked(&self) -> String {
        self.dir(PEER_ZONE)
    }

    /// The CA of a cluster.
    pub(crate) fn ca(&self, domain: &str) -> String {
        format!("{}/ca.crt", self.dir(domain))
    }

    /// The CA of the cluster that asks.
    pub(crate) fn asking_ca(&self) -> String {
        self.ca(ASKING)
    }

    /// A file of the certificate that servers show.
    pub(crate) fn gateway(&self, file: &str) -> String {
        format!("{}/gateway/{file}", self.asked())
    }

    /// The DNS name in that certificate.
    pub(crate) fn server_name(&self) -> String {
        format!("gateway.{PEER_ZONE}")
    }

    /// What a generator needs to ask a gateway as a node-agent.
    pub(crate) fn agent_client(&self) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        let folder = PathBuf::from(self.asking()).join("node-agent/bench");
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        crate::load::tls::client_config(self.ca(PEER_ZONE).as_ref(), Some((&certificate, &key)))
    }

    /// What a generator needs to ask a server that wants no certificate.
    pub(crate) fn plain_client(&self) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        crate::load::tls::client_config(self.ca(PEER_ZONE).as_ref(), None)
    }

    fn dir(&self, domain: &str) -> String {
        self.folder.join(domain).display().to_string()
    }
}
