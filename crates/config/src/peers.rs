//! `peers`: clusters asked directly.

use std::time::Duration;

use strait_identity::{TrustBundle, TrustDomain};
use strait_link::{EndpointUrl, HealthSettings, PeerSettings};
use strait_wire::Name;

/// One endpoint's budget for a question before another endpoint is asked as well.
pub const PEER_TRY_BUDGET: Duration = Duration::from_millis(150);
/// The budget of a question to a peer as a whole.
pub const PEER_DEADLINE: Duration = Duration::from_secs(2);
/// Questions to one peer outstanding at most.
pub const PEER_MAX_OUTSTANDING: usize = 4096;

/// A peer from the file.
#[derive(Debug, Clone)]
pub struct StaticPeer {
    /// Its name, for people.
    pub name: String,
    /// The names it answers for.
    pub suffix: Name,
    /// Its gateways, in order of preference.
    pub endpoints: Vec<EndpointUrl>,
    /// Who vouches for its gateways.
    pub trust_bundle: TrustBundle,
}

impl StaticPeer {
    /// Settings for a link to it.
    pub fn settings(&self, own_cluster: TrustDomain, health: HealthSettings) -> PeerSettings {
        PeerSettings {
            name: self.name.clone(),
            suffix: self.suffix.clone(),
            endpoints: self.endpoints.clone(),
            trust_bundle: self.trust_bundle.clone(),
            own_cluster,
            health,
            try_budget: PEER_TRY_BUDGET,
            deadline: PEER_DEADLINE,
            max_outstanding: PEER_MAX_OUTSTANDING,
        }
    }
}
