//! The links to all peers: started, kept and dropped as the list of peers changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strait_identity::{Credentials, TrustBundle, TrustDomain};
use strait_resolve::Route;
use strait_wire::Name;

use crate::{EndpointUrl, HealthSettings, LinkMetrics, Peer, PeerSettings};

/// The most peers of a cluster.
pub const MAX_PEERS: usize = 256;
/// The most endpoints of a peer.
pub const MAX_ENDPOINTS: usize = 16;
/// One endpoint's budget for a question before another endpoint is asked as well.
const TRY_BUDGET: Duration = Duration::from_millis(150);
/// A connection is replaced at this age: sooner than its certificates end, which are renewed at half of 24 h; and so
/// gateways that were added get their part.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// The budget of a question to a peer as a whole.
const DEADLINE: Duration = Duration::from_secs(2);
/// Questions to one peer outstanding at most.
const MAX_OUTSTANDING: usize = 4096;

/// The name in logs and metrics of this cluster's own gateway; no peer can have it.
const OWN_GATEWAY: &str = "own gateway";

/// What the links to all peers have in common.
#[derive(Clone)]
pub struct LinkDefaults {
    /// Our own certificate.
    pub credentials: Credentials,
    /// Our own trust domain, appended to the cluster path of each question.
    pub own_cluster: TrustDomain,
    /// How health is judged.
    pub health: HealthSettings,
    /// Counters.
    pub metrics: Arc<LinkMetrics>,
}

/// A peer as far as linking to it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTarget {
    /// Its name.
    pub name: String,
    /// The zone it answers.
    pub suffix: Name,
    /// Its gateways.
    pub endpoints: Vec<EndpointUrl>,
    /// Who vouches for its gateways.
    pub trust_bundle: TrustBundle,
}

/// Live peers by name.
pub struct PeerLinks {
    defaults: LinkDefaults,
    live: Mutex<BTreeMap<String, (LinkTarget, Arc<Peer>)>>,
}

impl PeerLinks {
    /// No links yet.
    pub fn new(defaults: LinkDefaults) -> Self {
        Self { defaults, live: Mutex::default() }
    }

    /// Makes the live peers those of `targets`: starts new ones, replaces changed ones, keeps the
    /// connections of those that are as they were, drops the rest. Of two with one name the first counts.
    pub fn apply(&self, targets: impl IntoIterator<Item = LinkTarget>) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *live);
        for target in targets {
            if live.contains_key(&target.name) {
                tracing::warn!(peer = target.name, suffix = %target.suffix, "two peers have this name; the later one is left out");
                continue;
            }
            let peer = match before.remove(&target.name) {
                Some((same, peer)) if same == target => peer,
                _ => self.start(&target, Some(self.defaults.own_cluster.clone()), Vec::new()),
            };
            live.insert(target.name.clone(), (target, peer));
        }
    }

    /// The live peer of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Peer>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(|(_, peer)| Arc::clone(peer))
    }

    /// Each live peer, with its name and the zone it answers.
    pub fn peers(&self) -> Vec<(String, Name, Arc<Peer>)> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let peer =
            |(target, peer): &(LinkTarget, Arc<Peer>)| (target.name.clone(), target.suffix.clone(), Arc::clone(peer));
        live.values().map(peer).collect()
    }

    /// A route to each live peer.
    pub fn routes(&self) -> Vec<Route> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let route = |(target, peer): &(LinkTarget, Arc<Peer>)| Route {
            zone: target.suffix.clone(),
            kind: "peer",
            source: Arc::clone(peer) as _,
            cached: true,
        };
        live.values().map(route).collect()
    }

    /// Links to the gateways of our own cluster, which answer for `zones`; health questions ask for the first of them.
    /// None without any zone.
    pub fn to_own_gateway(
        &self,
        endpoints: Vec<EndpointUrl>,
        trust_bundle: TrustBundle,
        zones: &[Name],
    ) -> Option<Arc<Peer>> {
        let (suffix, also) = zones.split_first()?;
        let target = LinkTarget { name: OWN_GATEWAY.to_owned(), suffix: suffix.clone(), endpoints, trust_bundle };
        Some(self.start(&target, None, also.to_vec()))
    }

    fn start(&self, target: &LinkTarget, own_cluster: Option<TrustDomain>, also: Vec<Name>) -> Arc<Peer> {
        let settings = PeerSettings {
            name: target.name.clone(),
            suffix: target.suffix.clone(),
            also,
            endpoints: target.endpoints.clone(),
            trust_bundle: target.trust_bundle.clone(),
            own_cluster,
            health: self.defaults.health.clone(),
            try_budget: TRY_BUDGET,
            max_age: MAX_AGE,
            deadline: DEADLINE,
            max_outstanding: MAX_OUTSTANDING,
        };
        Peer::start(settings, self.defaults.credentials.clone(), Arc::clone(&self.defaults.metrics))
    }
}
