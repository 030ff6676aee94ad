//! What clusters are called in names of endpoints that they share (KEP-1645, `<clusterid>`): no two may be called the same,
//! or endpoints of one are taken for those of the other.

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::peers::PeerName;

/// Who is called what.
pub(super) struct Called {
    /// This cluster; none when it shares nothing.
    own: Option<String>,
    peers: BTreeMap<PeerName, String>,
    /// What was told last.
    told: Clashes,
}

/// Peers that are called as others are, and which: a peer, or this cluster.
pub(super) type Clashes = BTreeMap<PeerName, Vec<String>>;

impl Called {
    pub(super) fn new(own: Option<String>) -> Self {
        Self { own, peers: BTreeMap::new(), told: Clashes::new() }
    }

    /// The peer says so; empty: it is not called anything. What is no name of a cluster is not one: a peer that says such
    /// a thing is not told of with it.
    pub(super) fn note(&mut self, peer: PeerName, cluster_id: String) {
        match is_label(&cluster_id) {
            true => self.peers.insert(peer, cluster_id),
            false => self.peers.remove(&peer),
        };
    }

    /// Forgets the others.
    pub(super) fn keep(&mut self, is_peer: impl Fn(&PeerName) -> bool) {
        self.peers.retain(|name, _| is_peer(name));
    }

    fn clashes(&self) -> Clashes {
        let others = |name: &PeerName, id: &String| -> Vec<String> {
            let own = self.own.iter().filter(|own| *own == id).map(|_| "this cluster".to_owned());
            let peers = self.peers.iter().filter(|(other, its)| *other != name && *its == id);
            own.chain(peers.map(|(other, _)| format!("peer {other}"))).collect()
        };
        let with_others = self.peers.iter().map(|(name, id)| (name.clone(), others(name, id)));
        // Where this cluster shares nothing, names of what others share are not put together here.
        with_others.filter(|(_, others)| self.own.is_some() && !others.is_empty()).collect()
    }

    /// How it is now; the log has a line for what is new.
    pub(super) fn tell_changes(&mut self) -> &Clashes {
        let now = self.clashes();
        for (peer, others) in now.iter().filter(|(peer, others)| self.told.get(*peer) != Some(*others)) {
            warn!(%peer, cluster_id = self.peers.get(peer), with = others.join(", "),
                "two clusters are called the same in names of endpoints under clusterset.local, which are mixed up so; give one of them another clusterSet.clusterId");
        }
        for peer in self.told.keys().filter(|peer| !now.contains_key(*peer)) {
            info!(%peer, "no other cluster is called as the peer any more");
        }
        self.told = now;
        &self.told
    }
}

/// Whether it can stand in a name: a DNS label (RFC 1123 2.1).
fn is_label(text: &str) -> bool {
    let is_inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn clashes(own: Option<&str>, peers: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
        let mut called = Called::new(own.map(str::to_owned));
        for (peer, id) in peers {
            called.note(peer.parse().unwrap(), (*id).to_owned());
        }
        called.tell_changes().iter().map(|(peer, others)| (peer.to_string(), others.clone())).collect()
    }

    #[test]
    fn kep1645_clusters_that_are_called_the_same_are_told() {
        let clash =
            |peer: &str, others: &[&str]| (peer.to_owned(), others.iter().map(|&other| other.to_owned()).collect());
        assert_eq!(clashes(Some("a"), &[("x", "b"), ("y", "c")]), []);
        assert_eq!(clashes(Some("prod"), &[("x", "prod"), ("y", "c")]), [clash("x", &["this cluster"])]);
        assert_eq!(clashes(Some("a"), &[("x", "b"), ("y", "b")]), [clash("x", &["peer y"]), clash("y", &["peer x"])]);
        assert_eq!(
            clashes(Some("b"), &[("x", "b"), ("y", "b")]),
            [clash("x", &["this cluster", "peer y"]), clash("y", &["this cluster", "peer x"])]
        );
        // Those that share nothing are called nothing, and what is no label is no name.
        assert_eq!(clashes(Some("a"), &[("x", ""), ("y", ""), ("z", "B.c"), ("w", "B.c")]), []);
        // Nothing is put together here.
        assert_eq!(clashes(None, &[("x", "b"), ("y", "b")]), []);
        // The last word counts.
        assert_eq!(clashes(Some("b"), &[("x", "b"), ("x", "c")]), []);
        assert_eq!(clashes(Some("b"), &[("x", "b"), ("x", "")]), []);
    }

    #[test]
    fn a_cluster_that_is_a_peer_no_more_is_called_nothing() {
        let mut called = Called::new(Some("b".to_owned()));
        called.note("x".parse().unwrap(), "b".to_owned());
        assert_eq!(called.tell_changes().len(), 1);
        called.keep(|name| name.as_str() != "x");
        assert!(called.tell_changes().is_empty());
    }
}
