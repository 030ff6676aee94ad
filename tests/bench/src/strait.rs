//! Our own programs, started from the templates in `strait/` with metrics on and the query log off.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use crate::contender::{Contender, Place, fill};
use crate::names::Names;
use crate::pki::Pki;
use crate::program::{Core, Program, free_address, output};
use crate::rivals::{Forwarding, LOCAL_ZONE, PEER_ZONE, lines, local_names, pair};

/// How an agent asks a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tls,
    Grpc,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "tls",
            Self::Grpc => "grpc",
        })
    }
}

/// The node-agent as a caching forwarder.
pub(crate) fn forward(place: &Place, plan: &Forwarding) -> anyhow::Result<Contender> {
    let folder = place.folder("strait")?;
    start(place, "node-agent", &folder, include_str!("../strait/forward.yaml"), &plan.words(), plan.names.clone())
}

/// The node-agent with `count` static records.
pub(crate) fn local(place: &Place, count: usize) -> anyhow::Result<Contender> {
    let folder = place.folder("strait")?;
    start(place, "node-agent", &folder, include_str!("../strait/local.yaml"), &[records(count)], local_names(count))
}

/// The node-agent with static records, an upstream and a peer, and the gateway of that peer.
pub(crate) fn everything(place: &Place, pki: &Pki, upstream: SocketAddr, count: usize) -> anyhow::Result<Contender> {
    let gateway = gateway(place, pki, Scheme::Tls)?;
    let words = [
        ("PKI_A", pki.asking()),
        ("PKI_B", pki.asked()),
        ("GATEWAY_PORT", gateway.server.port().to_string()),
        ("UPSTREAM_PORT", upstream.port().to_string()),
        records(count),
    ];
    let folder = place.folder("strait")?;
    let names = Names::fresh(PEER_ZONE);
    let agent = start(place, "node-agent", &folder, include_str!("../strait/everything.yaml"), &words, names)?;
    Ok(pair(gateway, agent, "strait agent and gateway"))
}

/// The records of [`LOCAL_ZONE`].
fn records(count: usize) -> (&'static str, String) {
    let suffix = format!(".{LOCAL_ZONE}");
    lines(count, |name| {
        let relative = name.trim_end_matches(&suffix);
        format!("      - {{ name: {relative}, type: A, value: 192.0.2.1 }}")
    })
}

/// The gateway with one address for every name of [`PEER_ZONE`], and the other cluster as its peer.
pub(crate) fn gateway(place: &Place, pki: &Pki, scheme: Scheme) -> anyhow::Result<Contender> {
    let folder = place.folder("gateway")?;
    let words = [("SCHEME", scheme.to_string()), ("PKI_B", pki.asked())];
    let names = Names::fresh(PEER_ZONE);
    let gateway = start(place, "gateway", &folder, include_str!("../strait/gateway.yaml"), &words, names)?;
    with_peer(place, pki, gateway, &folder)
}

/// The gateway that follows that API server, and the other cluster as its peer.
pub(crate) fn catalog_gateway(place: &Place, pki: &Pki, api: SocketAddr) -> anyhow::Result<Contender> {
    let folder = place.folder("gateway")?;
    let words = [("PKI_B", pki.asked()), ("API", api.to_string())];
    fill(include_str!("../strait/kubeconfig.yaml"), &words, &folder.join("kubeconfig.yaml"))?;
    let names = Names::fresh(PEER_ZONE);
    let gateway = start(place, "gateway", &folder, include_str!("../strait/catalog.yaml"), &words, names)?;
    with_peer(place, pki, gateway, &folder)
}

/// The gateway in `folder` with the other cluster as its peer.
fn with_peer(place: &Place, pki: &Pki, mut gateway: Contender, folder: &Path) -> anyhow::Result<Contender> {
    let socket = folder.join("gateway.sock");
    let program = gateway.programs.first_mut().context("a gateway is a program")?;
    program.wait_until(|| socket.exists())?;
    let (gatewayctl, socket, ca) = (place.binary("gatewayctl"), socket.display().to_string(), pki.asking_ca());
    let peer = ["peer", "add", "cluster-a", "--inbound-only", "--suffix", "cluster-a.example.com", "--ca", &ca];
    output(&[[gatewayctl.as_str(), "--socket", &socket].as_slice(), &peer].concat())?;
    Ok(gateway)
}

/// The node-agent before the gateway.
pub(crate) fn agent_and_gateway(place: &Place, pki: &Pki, scheme: Scheme) -> anyhow::Result<Contender> {
    let gateway = gateway(place, pki, scheme)?;
    let words = [
        ("SCHEME", scheme.to_string()),
        ("PKI_A", pki.asking()),
        ("PKI_B", pki.asked()),
        ("UPSTREAM_PORT", gateway.server.port().to_string()),
    ];
    let folder = place.folder("strait")?;
    let names = Names::fresh(PEER_ZONE);
    let agent = start(place, "node-agent", &folder, include_str!("../strait/agent.yaml"), &words, names)?;
    let name = match scheme {
        Scheme::Tls => "strait agent → gateway, DoT",
        Scheme::Grpc => "strait agent → gateway, gRPC",
    };
    Ok(pair(gateway, agent, name))
}

fn start(
    place: &Place,
    program: &str,
    folder: &Path,
    template: &str,
    words: &[(&str, String)],
    names: Names,
) -> anyhow::Result<Contender> {
    let (server, admin) = (free_address()?, free_address()?);
    let mut words = words.to_vec();
    words.extend([("PORT", server.port().to_string()), ("ADMIN_PORT", admin.port().to_string())]);
    let config = fill(template, &words, &folder.join("config.yaml"))?;
    let program = Program::start(program, Core::Server, folder, &[place.binary(program), "--config".into(), config])?;
    Ok(Contender { name: "strait".into(), programs: vec![program], server, admin: Some(admin), names })
}
