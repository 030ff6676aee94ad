//! What is told of the peers in force, at the gateway and at a node-agent, and of an agent's subscription.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use crate::peers::{Generation, PeerName, PeerSet};
use crate::zones::ZoneSet;

/// The peers in force at a gateway.
pub(crate) struct PeerSetMetrics {
    generation: IntGauge,
    bundle_ends: IntGaugeVec,
    /// The peers that have series.
    told: Mutex<BTreeSet<PeerName>>,
    zones: ZoneMetrics,
}

impl PeerSetMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let bundle_ends = IntGaugeVec::new(
            Opts::new(
                "strait_peer_bundle_not_after_timestamp_seconds",
                "When the last CA of a peer's trust bundle ends, seconds since 1970-01-01 UTC.",
            ),
            &["peer"],
        )?;
        registry.register(Box::new(bundle_ends.clone()))?;
        let (generation, zones) = (generation(registry)?, ZoneMetrics::new(registry)?);
        Ok(Self { generation, bundle_ends, told: Mutex::default(), zones })
    }

    /// These peers are in force.
    pub(crate) fn apply(&self, peers: &PeerSet) {
        self.generation.set(number(peers.generation()));
        self.zones.apply(peers.zones());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for peer in peers.iter() {
            self.bundle_ends.with_label_values(&[peer.name.as_str()]).set(peer.trust_bundle.not_after());
        }
        let now: BTreeSet<PeerName> = peers.iter().map(|peer| peer.name.clone()).collect();
        for gone in told.difference(&now) {
            // It has a series, since it was told.
            let _ = self.bundle_ends.remove_label_values(&[gone.as_str()]);
        }
        *told = now;
    }
}

/// A node-agent's subscription at its gateway.
pub(crate) struct SubscriptionMetrics {
    generation: IntGauge,
    subscribed: IntGauge,
    zones: ZoneMetrics,
}

impl SubscriptionMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let subscribed = IntGauge::new(
            "strait_agent_subscribed",
            "1 while a gateway of this cluster tells this node-agent its peers.",
        )?;
        registry.register(Box::new(subscribed.clone()))?;
        Ok(Self { generation: generation(registry)?, subscribed, zones: ZoneMetrics::new(registry)? })
    }

    /// The peers of this generation are in force.
    pub(crate) fn applied(&self, generation: Generation) {
        self.generation.set(number(generation));
    }

    /// These zones are in force.
    pub(crate) fn zones(&self, zones: &ZoneSet) {
        self.zones.apply(zones);
    }

    /// There is a gateway that tells peers, or none.
    pub(crate) fn subscribed(&self, gateway: Option<&strait_link::EndpointUrl>) {
        self.subscribed.set(i64::from(gateway.is_some()));
    }
}

/// The shared zones in force.
struct ZoneMetrics {
    records: IntGaugeVec,
    /// The zones that have series.
    told: Mutex<BTreeSet<String>>,
}

impl ZoneMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let records = IntGaugeVec::new(
            Opts::new(
                "strait_shared_zone_records",
                "Records of a shared zone (resource Zone) in force, its SOA among them.",
            ),
            &["zone"],
        )?;
        registry.register(Box::new(records.clone()))?;
        Ok(Self { records, told: Mutex::default() })
    }

    fn apply(&self, zones: &ZoneSet) {
        let in_force = zones.iter().filter_map(|zone| zone.zone().ok());
        let now: BTreeSet<String> = in_force
            .map(|zone| {
                let name = zone.apex().to_string();
                self.records.with_label_values(&[&name]).set(i64::try_from(zone.record_count()).unwrap_or(i64::MAX));
                name
            })
            .collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in told.difference(&now) {
            // It has a series, since it was told.
            let _ = self.records.remove_label_values(&[gone.as_str()]);
        }
        *told = now;
    }
}

fn generation(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new("strait_peers_generation", "The generation of the peers in force.")?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn number(generation: Generation) -> i64 {
    i64::try_from(generation.0).unwrap_or(i64::MAX)
}
