//! The other clusters of the set: the peers that we ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use strait_catalog::{Member, Members, Standing};
use strait_link::{PeerLinks, State};

/// Peers, by their links.
pub(crate) struct LinkedMembers {
    links: Arc<PeerLinks>,
    /// Those that are not named have a weight of 1.
    weights: BTreeMap<String, u32>,
}

impl LinkedMembers {
    /// The peers of `links`, with these weights.
    pub(crate) fn new(links: Arc<PeerLinks>, weights: BTreeMap<String, u32>) -> Self {
        Self { links, weights }
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
        self.links.peers().into_iter().map(member).collect()
    }
}
