//! The peers in force: those of the configuration file, and those this cluster's gateway tells, with the zones that the
//! cluster shares.

use std::sync::Arc;

use strait_config::{HandOver, NodeAgentConfig};
use strait_federation::{AgentSubscription, PeerSet, SubscriptionSettings};
use strait_link::{LinkTarget, PeerLinks};
use strait_process::{Gate, Process};
use strait_resolve::Resolver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::addresses;
use crate::routes::LocalRoutes;

/// Follows the gateway's peer list and puts each generation in force. Works until dropped.
pub(crate) struct PeerFeed {
    follower: Option<JoinHandle<()>>,
}

impl PeerFeed {
    /// Puts the peers of the file, and those kept on disk, in force before it returns.
    pub(crate) fn start(
        config: &NodeAgentConfig,
        links: Option<Arc<PeerLinks>>,
        local: LocalRoutes,
        resolver: Arc<Resolver>,
        process: &Process,
    ) -> anyhow::Result<Self> {
        let Some(links) = links else { return Ok(Self { follower: None }) };
        let apply = Applier { fixed: config.peers.clone(), links, local, resolver };
        let Some(settings) = subscription_settings(config, process) else {
            apply.put_in_force(None);
            return Ok(Self { follower: None });
        };
        let gate = process.readiness.gate("peers");
        gate.not_ready("no list of peers yet: none on disk, and the gateway has not been reached");
        let subscription = AgentSubscription::start(settings)?;
        let mut sets = subscription.subscribe();
        let first = sets.borrow_and_update().clone();
        apply.announce(first.as_deref(), &subscription, &gate);
        Ok(Self { follower: Some(tokio::spawn(follow(apply, subscription, sets, gate))) })
    }
}

impl Drop for PeerFeed {
    fn drop(&mut self) {
        if let Some(follower) = &self.follower {
            follower.abort();
        }
    }
}

async fn follow(
    apply: Applier,
    subscription: AgentSubscription,
    mut sets: watch::Receiver<Option<Arc<PeerSet>>>,
    gate: Gate,
) {
    while sets.changed().await.is_ok() {
        let set = sets.borrow_and_update().clone();
        apply.announce(set.as_deref(), &subscription, &gate);
    }
}

/// Turns a list of peers into links and routes.
struct Applier {
    fixed: Vec<LinkTarget>,
    links: Arc<PeerLinks>,
    local: LocalRoutes,
    resolver: Arc<Resolver>,
}

impl Applier {
    /// Links first, then routes: no question goes to a peer that is not there.
    fn put_in_force(&self, set: Option<&PeerSet>) {
        let told = set.into_iter().flat_map(PeerSet::outbound).map(|peer| peer.link_target());
        self.links.apply(self.fixed.iter().cloned().chain(told));
        let addresses = set.map(|set| addresses::routes(set.addresses(), &self.links)).unwrap_or_default();
        let unknown = if set.is_none() { self.local.of_unknown_peers() } else { Vec::new() };
        let peers = self.links.routes().into_iter().chain(unknown).collect();
        let zones = set.map(|set| Arc::clone(set.zones())).unwrap_or_default();
        self.resolver.replace_routes(self.local.table(peers, &zones, addresses));
    }

    fn announce(&self, set: Option<&PeerSet>, subscription: &AgentSubscription, gate: &Gate) {
        self.put_in_force(set);
        if let Some(set) = set {
            let trouble = set.zones().trouble();
            if let Some(trouble) = &trouble {
                tracing::warn!(generation = %set.generation(), trouble, "the gateway's zones are not all in force");
            }
            subscription.applied(set, trouble.map_or(Ok(()), Err));
            gate.ready();
            tracing::info!(generation = %set.generation(), peers = set.len(), zones = set.zones().len(), "peers in force");
        }
    }
}

fn subscription_settings(config: &NodeAgentConfig, process: &Process) -> Option<SubscriptionSettings> {
    let identity = config.identity.as_ref()?;
    let state = config.state.clone()?;
    (!config.gateway.is_empty()).then(|| SubscriptionSettings {
        endpoints: config.gateway.clone(),
        credentials: identity.credentials.clone(),
        trust_bundle: identity.trust_bundle.clone(),
        node: config.node.clone(),
        state,
        has_successor: config.daemon.hand_over == HandOver::On,
        registry: process.registry.clone(),
    })
}
