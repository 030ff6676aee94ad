//! One cluster of the lab: its names, files and services.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hickory_proto::rr::RecordType;

use super::ports::{ClusterPorts, Ports};
use super::question::Question;
use crate::pki::CA_CERTIFICATE;

/// How one cluster asks another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    Tls,
    Grpc,
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "DNS over TLS (tls://)",
            Self::Grpc => "gRPC (grpc://)",
        })
    }
}

/// One cluster: a gateway, a node-agent and a cluster DNS.
pub(super) struct Cluster {
    /// `cluster-a`.
    pub(super) name: &'static str,
    /// Where its programs listen, on loopback.
    pub(super) ports: ClusterPorts,
    /// 1 or 2: its services have addresses in `10.<number>.0.0/16`.
    number: u16,
    folder: PathBuf,
}

impl Cluster {
    /// Chooses ports and a folder.
    pub(super) fn plan(name: &'static str, number: u16, folder: &Path, ports: &mut Ports) -> anyhow::Result<Self> {
        Ok(Self { name, number, ports: ports.of_cluster(number)?, folder: folder.join(name) })
    }

    /// The suffix under which the other cluster knows it; also its trust domain.
    fn suffix(&self) -> String {
        format!("{}.example.com", self.name)
    }

    fn node(&self) -> String {
        format!("{}-worker-1", self.name)
    }

    /// Where its node-agent answers.
    pub(super) fn agent(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.agent).into()
    }

    /// Its gateway's admin socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("gateway.sock")
    }

    fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// Its gateway's configuration file.
    pub(super) fn gateway_configuration(&self) -> PathBuf {
        self.folder.join("gateway.yaml")
    }

    /// Its node-agent's configuration file.
    pub(super) fn node_agent_configuration(&self) -> PathBuf {
        self.folder.join("node-agent.yaml")
    }

    /// The lines that make its CA and its certificates, as words after `gatewayctl`.
    pub(super) fn pki_lines(&self) -> [Vec<String>; 3] {
        let (trust_domain, node, dir) = (self.suffix(), self.node(), self.pki().display().to_string());
        [
            owned(&["pki", "init", "--trust-domain", &trust_domain, "--dir", &dir]),
            owned(&["pki", "issue", "gateway", "--ip", "127.0.0.1", "--dir", &dir]),
            owned(&["pki", "issue", "node-agent", "--node", &node, "--ip", "127.0.0.1", "--dir", &dir]),
        ]
    }

    /// Writes the files of both programs; paths in them are relative to the cluster's folder.
    pub(super) fn write_configurations(&self) -> anyhow::Result<()> {
        for (file, text) in [
            (self.gateway_configuration(), self.gateway_text()),
            (self.node_agent_configuration(), self.node_agent_text()),
        ] {
            std::fs::write(&file, text).with_context(|| format!("{}: cannot be written", file.display()))?;
        }
        Ok(())
    }

    fn gateway_text(&self) -> String {
        let ClusterPorts { tls, grpc, gateway_admin, cluster_dns, .. } = self.ports;
        format!(
            "\
# The gateway of {name}: answers its peers for its own services, which it asks its cluster DNS for.
cluster: {name}
suffix: {suffix}
listen: [\"tls://127.0.0.1:{tls}\", \"grpc://127.0.0.1:{grpc}\"]
admin: 127.0.0.1:{gateway_admin}
socket: gateway.sock
state: state/peers.json
identity:
  certificate: pki/gateway/tls.crt
  key: pki/gateway/tls.key
  trustBundle: pki/gateway/ca.crt
backend:
  clusterDns: [\"127.0.0.1:{cluster_dns}\"]
lameduck: 0s
",
            name = self.name,
            suffix = self.suffix(),
        )
    }

    fn node_agent_text(&self) -> String {
        let ClusterPorts { agent, agent_admin, grpc, cluster_dns, .. } = self.ports;
        format!(
            "\
# The node-agent of one node of {name}: its gateway tells it whom to ask for which names.
node: {node}
listen: [\"127.0.0.1:{agent}\"]
admin: 127.0.0.1:{agent_admin}
identity:
  certificate: pki/node-agent/{node}/tls.crt
  key: pki/node-agent/{node}/tls.key
  trustBundle: pki/node-agent/{node}/ca.crt
gateway:
  endpoints: [\"grpc://127.0.0.1:{grpc}\"]
state: state
forward:
  - zone: cluster.local
    servers: [\"127.0.0.1:{cluster_dns}\"]
lameduck: 0s
",
            name = self.name,
            node = self.node(),
        )
    }

    /// The words after `gatewayctl` for this cluster's gateway.
    pub(super) fn gatewayctl(&self, words: &[&str]) -> Vec<String> {
        let socket = self.socket().display().to_string();
        owned(&[&["--socket", socket.as_str()], words].concat())
    }

    /// The words that make `other` a peer of this cluster.
    pub(super) fn peer_add(&self, other: &Self, road: Road) -> Vec<String> {
        let endpoint = match road {
            Road::Tls => format!("tls://127.0.0.1:{}", other.ports.tls),
            Road::Grpc => format!("grpc://127.0.0.1:{}", other.ports.grpc),
        };
        let (suffix, ca) = (other.suffix(), other.pki().join(CA_CERTIFICATE).display().to_string());
        self.gatewayctl(&["peer", "add", other.name, "--suffix", &suffix, "--endpoint", &endpoint, "--ca", &ca])
    }

    fn address(&self, host: &str) -> String {
        format!("10.{}.{host}", self.number)
    }

    /// A namespace and service that only this cluster has.
    fn own_service(&self) -> &'static str {
        match self.number {
            1 => "ledger.bank",
            _ => "stock.depot",
        }
    }

    /// What its cluster DNS serves: records in the form that Kubernetes gives its services.
    pub(super) fn zone_text(&self) -> String {
        format!(
            "\
$TTL 30
@ IN SOA ns.dns hostmaster 1 7200 1800 86400 5
@ IN NS ns.dns
ns.dns IN A {dns}
; A service with a cluster IP and a named port.
web.shop.svc IN A {web}
_http._tcp.web.shop.svc IN SRV 0 100 80 web.shop.svc
; A headless service.
db.shop.svc IN A {db_0}
db.shop.svc IN A {db_1}
db-0.db.shop.svc IN A {db_0}
db-1.db.shop.svc IN A {db_1}
; A service of type ExternalName.
docs.shop.svc IN CNAME web.shop.svc
; A service that only this cluster has.
{own}.svc IN A {own_address}
",
            own = self.own_service(),
            dns = self.address("0.10"),
            web = self.address("0.20"),
            db_0 = self.address("1.11"),
            db_1 = self.address("1.12"),
            own_address = self.address("0.30"),
        )
    }

    /// What the other cluster asks of it, and the answers it must get: its own names under its suffix.
    pub(super) fn questions(&self) -> Vec<Question> {
        let suffix = self.suffix();
        let name = |service: &str| format!("{service}.svc.{suffix}");
        let address = |service: &str, host: &str| format!("{} A {}", dotted(&name(service)), self.address(host));
        let alias = format!("{} CNAME {}", dotted(&name("docs.shop")), dotted(&name("web.shop")));
        let port = "_http._tcp.web.shop";
        let target = format!("{} SRV 0 100 80 {}", dotted(&name(port)), dotted(&name("web.shop")));
        let own = self.own_service();
        vec![
            Question::records(name("web.shop"), RecordType::A, vec![address("web.shop", "0.20")]),
            Question::records(name(port), RecordType::SRV, vec![target]),
            Question::records(
                name("db.shop"),
                RecordType::A,
                vec![address("db.shop", "1.11"), address("db.shop", "1.12")],
            ),
            Question::records(name("docs.shop"), RecordType::A, vec![alias, address("web.shop", "0.20")]),
            Question::records(name(own), RecordType::A, vec![address(own, "0.30")]),
            Question::nothing(name("nosuch.shop")),
        ]
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn dotted(name: &str) -> String {
    format!("{name}.")
}
