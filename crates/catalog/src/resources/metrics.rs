//! How resources stand, for `/metrics`: whether they are followed, how many are not in force, and whether this replica is
//! the one that writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::sync::watch;

use super::keeper::View;
use super::objects::ResourceKind;

/// Gauges of the resources.
pub(super) struct ResourceMetrics {
    kinds: [KindMetrics; 2],
    lease_held: IntGauge,
}

/// Those of a kind.
struct KindMetrics {
    kind: ResourceKind,
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
        let kinds = [ResourceKind::Peer, ResourceKind::Zone].map(|kind| {
            let label = &[kind.collection().resource];
            KindMetrics {
                kind,
                synced: synced.with_label_values(label),
                not_in_force: not_in_force.with_label_values(label),
                age: Age::new(ages.with_label_values(label)),
            }
        });
        let ages = Ages { kinds: kinds.each_ref().map(|kind| kind.age.clone()), family: ages };
        registry.register(Box::new(synced))?;
        registry.register(Box::new(not_in_force))?;
        registry.register(Box::new(ages))?;
        registry.register(Box::new(lease_held.clone()))?;
        Ok(Self { kinds, lease_held })
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
        for kind in &self.kinds {
            let known = view.of(kind.kind);
            let is_synced = known.resources.is_some() && known.fault.is_none();
            kind.synced.set(is_synced.into());
            kind.age.set_synced(is_synced);
            // There are at most as many as the API server keeps.
            kind.not_in_force.set(i64::try_from(known.refused.len()).unwrap_or(i64::MAX));
        }
    }

    /// Whether this replica holds the lease.
    pub(super) fn set_lease_held(&self, is_held: bool) {
        self.lease_held.set(is_held.into());
    }
}

/// How old what is known of a kind is.
#[derive(Clone)]
struct Age {
    gauge: Gauge,
    /// Since when it may be out of date; none while it is current.
    since: Arc<Mutex<Option<Instant>>>,
}

impl Age {
    /// Of what has never been known.
    fn new(gauge: Gauge) -> Self {
        Self { gauge, since: Arc::new(Mutex::new(Some(Instant::now()))) }
    }

    fn set_synced(&self, is_synced: bool) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if is_synced { None } else { since.or_else(|| Some(Instant::now())) };
    }

    fn show(&self) {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauge.set(since.map_or(Duration::ZERO, |since| since.elapsed()).as_secs_f64());
    }
}

/// The ages of all kinds, at the time of the scrape.
struct Ages {
    kinds: [Age; 2],
    family: GaugeVec,
}

impl Collector for Ages {
    fn desc(&self) -> Vec<&Desc> {
        self.family.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.kinds.iter().for_each(Age::show);
        self.family.collect()
    }
}
