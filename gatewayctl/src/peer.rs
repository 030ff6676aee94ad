//! `gatewayctl peer`: the clusters that answer for each other.

mod show;
mod view;

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use strait_federation::{Namespace, PeerName};
use strait_identity::{TrustBundle, TrustDomain};
use strait_link::EndpointUrl;
use strait_proto::v1;
use strait_resolve::IpNet;
use strait_wire::Name;

use crate::admin::{Gateway, answer};
use crate::cli::{Failure, Outcome};
use crate::moments::now;
use crate::output::Output;
use view::{PeerView, PeersView};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum PeerCommand {
    /// Add a peer: another cluster that we ask, and that may ask us
    Add(AddArgs),
    /// List the peers, with the state of each direction
    List,
    /// Show all that is known of a peer
    Show {
        /// The peer's name
        name: PeerName,
    },
    /// Remove a peer: it is asked no more, and its connections are cut
    Remove {
        /// The peer's name
        name: PeerName,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// What to call it: one DNS label, such as cluster-b
    name: PeerName,
    /// The DNS suffix under which it is known, such as cluster-b.example.com
    #[arg(long, value_name = "SUFFIX")]
    suffix: Name,
    /// Its gateways: tls://host:853 or grpc://host:8443; may be given several times, the preferred first
    #[arg(long = "endpoint", value_name = "URL", required_unless_present = "inbound_only")]
    endpoints: Vec<EndpointUrl>,
    /// Its CA certificates, a PEM file (the ca.crt of that cluster)
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Its trust domain [default: what the CA certificates say]
    #[arg(long, value_name = "NAME")]
    trust_domain: Option<TrustDomain>,
    /// Ask it, but do not let it ask us
    #[arg(long, conflicts_with = "inbound_only")]
    outbound_only: bool,
    /// Let it ask us, but do not ask it
    #[arg(long)]
    inbound_only: bool,
    /// Let it see this namespace of this cluster, and only those named so; '*' stands for all but kube-system, which is
    /// shown when it is named [default: '*']
    #[arg(long = "allow-namespace", value_name = "NAMESPACE", conflicts_with = "outbound_only")]
    allow_namespaces: Vec<Namespace>,
    /// Do not let it see this namespace of this cluster
    #[arg(long = "deny-namespace", value_name = "NAMESPACE", conflicts_with = "outbound_only")]
    deny_namespaces: Vec<Namespace>,
    /// These addresses are its, whatever others advertise: 10.96.0.0/16; those that it advertises elsewhere are refused
    /// [default: the private ones that it advertises, unless others do as well]
    #[arg(long = "addresses", value_name = "RANGE", conflicts_with = "inbound_only")]
    addresses: Vec<IpNet>,
    /// Change the peer of that name when there is one
    #[arg(long)]
    replace: bool,
}

/// What a change has led to.
#[derive(Debug, Serialize)]
struct Changed {
    peer: String,
    generation: u64,
}

impl PeerCommand {
    /// Does it at the gateway.
    pub(crate) async fn run(self, gateway: &Gateway, output: &mut Output<impl Write>) -> Result<Outcome, Failure> {
        match self {
            Self::Add(args) => args.run(gateway, output).await?,
            Self::List => {
                let mut client = gateway.connect().await?;
                let peers = PeersView::from(answer(client.list_peers(v1::ListPeersRequest {})).await?);
                output.write(&peers, |peers| show::list(peers, now()))?;
            }
            Self::Show { name } => {
                let mut client = gateway.connect().await?;
                let request = v1::GetPeerRequest { name: name.to_string() };
                let peer = PeerView::from(answer(client.get_peer(request)).await?.peer.unwrap_or_default());
                output.write(&peer, |peer| show::one(peer, now()))?;
            }
            Self::Remove { name } => {
                let mut client = gateway.connect().await?;
                let request = v1::RemovePeerRequest { name: name.to_string() };
                let generation = answer(client.remove_peer(request)).await?.generation;
                let changed = Changed { peer: name.to_string(), generation };
                output.write(&changed, |c| format!("peer {} removed (generation {})", c.peer, c.generation))?;
            }
        }
        Ok(Outcome::Done)
    }
}

impl AddArgs {
    async fn run(self, gateway: &Gateway, output: &mut Output<impl Write>) -> Result<(), Failure> {
        let name = self.name.to_string();
        let replace = self.replace;
        let peer = self.peer()?;
        let mut client = gateway.connect().await?;
        let request = v1::AddPeerRequest { peer: Some(peer), replace };
        let generation = answer(client.add_peer(request)).await?.generation;
        Ok(output.write(&Changed { peer: name, generation }, |c| {
            let name = &c.peer;
            format!("peer {name} stored (generation {}); see its links with: gatewayctl peer show {name}", c.generation)
        })?)
    }

    /// The peer as the gateway is told of it. The file is read here, so that its errors name it.
    fn peer(self) -> anyhow::Result<v1::Peer> {
        let bundle = TrustBundle::from_file(&self.ca, self.trust_domain)?;
        Ok(v1::Peer {
            name: self.name.to_string(),
            suffix: self.suffix.to_string(),
            endpoints: self.endpoints.iter().map(|url| v1::Endpoint { url: url.to_string() }).collect(),
            trust_domain: bundle.trust_domain().to_string(),
            trust_bundle: bundle.to_pem(),
            outbound: !self.inbound_only,
            inbound: !self.outbound_only,
            changed_at: 0,
            allow_namespaces: self.allow_namespaces.iter().map(ToString::to_string).collect(),
            deny_namespaces: self.deny_namespaces.iter().map(ToString::to_string).collect(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
