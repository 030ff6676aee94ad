//! How resources stand, for `/metrics`: whether they are followed, how many are not in force, and whether this replica is
//! the one that writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::watch;

use super::keeper::View;
use super::objects::PEERS;

/// Gauges of the resources.
pub(super) struct ResourceMetrics {
    peers: KindMetrics,
    lease_held: IntGauge,
}

/// Those of a kind.
struct KindMetrics {
    synced: IntGauge,
    not_in_force: IntGauge,
    age: Age,
}

impl ResourceMetrics {
    /// Gauges in `registry`.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name, help| IntGaugeVec::new(Opts::new(name, help), &["kind"]);
        let synced =
            gauges("strait_resources_synced", "Whether resources of the kind are all known and their changes come.")?;
        let not_in_force = gauges("strait_resources_not_in_force", "Resources that cannot be in force as they are.")?;
        let age = Opts::new(
            "strait_resources_age_seconds",
            "How long ago the resources in force were known to be current; 0 while they are.",
        );
        let ages = GaugeVec::new(age, &["kind"])?;
        let lease_held = IntGauge::new(
            "strait_lease_held",
            "Whether this replica holds the lease, and so tells in the resources what has become of them.",
        )?;
        let kind = PEERS.resource;
        let age = Age::new(ages.with_label_values(&[kind]), ages);
        let peers = KindMetrics {
            synced: synced.with_label_values(&[kind]),
            not_in_force: not_in_force.with_label_values(&[kind]),
            age: age.clone(),
        };
        registry.register(Box::new(synced))?;
        registry.register(Box::new(not_in_force))?;
        registry.register(Box::new(age))?;
        registry.register(Box::new(lease_held.clone()))?;
        Ok(Self { peers, lease_held })
    }

    /// Shows what is known, for ever.
    pub(super) async fn follow(self: Arc<Self>, mut view: watch::Receiver<View>) {
        loop {
            self.show(&view.borrow_and_update());
            if view.changed().await.is_err() {
                return;
            }
        }
    }

    fn show(&self, view: &View) {
        let is_synced = view.resources.is_some() && view.fault.is_none();
        self.peers.synced.set(is_synced.into());
        self.peers.age.set_synced(is_synced);
        // There are at most as many as the API server keeps.
        self.peers.not_in_force.set(i64::try_from(view.refused.len()).unwrap_or(i64::MAX));
    }

    /// Whether this replica holds the lease.
    pub(super) fn set_lease_held(&self, is_held: bool) {
        self.lease_held.set(is_held.into());
    }
}

/// How old what is known is, at the time of the scrape.
#[derive(Clone)]
struct Age {
    gauge: Gauge,
    family: GaugeVec,
    /// Since when it may be out of date; none while it is current.
    since: Arc<Mutex<Option<Instant>>>,
}

impl Age {
    /// Of what has never been known.
    fn new(gauge: Gauge, family: GaugeVec) -> Self {
        Self { gauge, family, since: Arc::new(Mutex::new(Some(Instant::now()))) }
    }

    fn set_synced(&self, is_synced: bool) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if is_synced { None } else { since.or_else(|| Some(Instant::now())) };
    }
}

impl Collector for Age {
    fn desc(&self) -> Vec<&Desc> {
        self.family.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauge.set(since.map_or(Duration::ZERO, |since| since.elapsed()).as_secs_f64());
        self.family.collect()
    }
}
