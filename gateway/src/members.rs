//! The other clusters of the set: the peers that we ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strait_catalog::{Member, Members, Standing};
use strait_config::ClusterSetOptions;
use strait_link::{PeerLinks, State};

/// Peers, by their links.
pub(crate) struct LinkedMembers {
    links: Arc<PeerLinks>,
    /// Those whose exports are taken; none: all.
    from: Option<BTreeSet<String>>,
    /// Those that are not named have a weight of 1.
    weights: BTreeMap<String, u32>,
}

impl LinkedMembers {
    /// Those of the peers of `links` that are wanted.
    pub(crate) fn new(links: Arc<PeerLinks>, options: &ClusterSetOptions) -> Self {
        Self { links, from: options.from.clone(), weights: options.weights.clone() }
    }
}

impl Members for LinkedMembers {
    fn members(&self) -> Vec<Member> {
        let member = |(name, suffix, peer): (String, _, Arc<strait_link::Peer>)| Member {
            standing: match peer.state() {
                State::Up => Standing::Well,
                State::Degraded | State::Connecting => Standing::Doubtful,
                State::Down => Standing::Gone,
            },
            weight: self.weights.get(&name).copied().unwrap_or(1),
            name,
            suffix,
            source: peer,
        };
        let is_wanted = |name: &String| self.from.as_ref().is_none_or(|from| from.contains(name));
        self.links.peers().into_iter().filter(|(name, ..)| is_wanted(name)).map(member).collect()
    }
}
