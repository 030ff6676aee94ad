//! How the addresses that peers advertise stand, for Prometheus.

use std::collections::BTreeSet;

use prometheus::{IntGaugeVec, Opts, Registry};

use super::called::Clashes;
use super::judge::{Judged, Judgement};
use crate::peers::PeerName;

const STATES: [&str; 3] = ["accepted", "overlapping", "refused"];

/// The series of each peer that has advertised something.
pub(super) struct AddressMetrics {
    ranges: IntGaugeVec,
    clashes: IntGaugeVec,
    told: BTreeSet<PeerName>,
    peers: BTreeSet<PeerName>,
}

impl AddressMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ranges = IntGaugeVec::new(
            Opts::new(
                "strait_peer_address_ranges",
                "Ranges of addresses that a peer advertises: accepted, of these overlapping others, or refused.",
            ),
            &["peer", "state"],
        )?;
        registry.register(Box::new(ranges.clone()))?;
        let clashes = IntGaugeVec::new(
            Opts::new(
                "strait_peer_cluster_id_clash",
                "Whether a peer is called as this cluster or another peer is, in names of endpoints that clusters share.",
            ),
            &["peer"],
        )?;
        registry.register(Box::new(clashes.clone()))?;
        Ok(Self { ranges, clashes, told: BTreeSet::new(), peers: BTreeSet::new() })
    }

    /// Of these peers, those in `clashes` are called as somebody else is.
    pub(super) fn show_clashes(&mut self, peers: BTreeSet<PeerName>, clashes: &Clashes) {
        for peer in &peers {
            self.clashes.with_label_values(&[peer.as_str()]).set(clashes.contains_key(peer).into());
        }
        for gone in self.peers.difference(&peers) {
            // It has a series, since it was shown.
            let _ = self.clashes.remove_label_values(&[gone.as_str()]);
        }
        self.peers = peers;
    }

    /// This is how it stands now.
    pub(super) fn show(&mut self, judgement: &Judgement) {
        for (name, Judged { accepted, overlaps, refused }) in &judgement.peers {
            for (state, count) in STATES.into_iter().zip([accepted.len(), overlaps.len(), refused.len()]) {
                // At most some hundred.
                self.ranges.with_label_values(&[name.as_str(), state]).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        let now: BTreeSet<PeerName> = judgement.peers.keys().cloned().collect();
        for gone in self.told.difference(&now) {
            for state in STATES {
                // It has a series, since it was told.
                let _ = self.ranges.remove_label_values(&[gone.as_str(), state]);
            }
        }
        self.told = now;
    }
}
