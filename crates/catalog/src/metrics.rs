//! What is counted of the catalog, for `/metrics`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::watch::WatchFault;
use crate::{Catalog, Kind, LeftOut, SyncState};

/// From 1 ms, under which nobody can tell, to 10 s, over which something is broken.
const PROPAGATION_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// What the endpoints of all slices together are called among the kinds.
const ENDPOINTS: &str = "endpoints";
/// A watch that ended in order.
const ENDED: &str = "ended";

/// Counters of a catalog and of the road to it.
pub(crate) struct CatalogMetrics {
    held: Held,
    kinds: Box<[KindMetrics]>,
    stale: IntGauge,
    pub(crate) swaps: IntCounter,

    restarts: IntCounterVec,
    propagation: Histogram,
    labels_left_out: IntCounter,
    external_names_left_out: IntCounter,
}

/// Those of a kind.
struct KindMetrics {
    kind: Kind,
    synced: IntGauge,
    changes: IntCounter,
}

impl CatalogMetrics {
    /// Counters in `registry`, with a series for each of `kinds`.
    pub(crate) fn new(registry: &Registry, kinds: &[Kind]) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let left_out = counter(
            "strait_catalog_left_out_total",
            "What the API tells and DNS cannot, by what is wrong with it; counted whenever it is told.",
            &["reason"],
        )?;
        let synced = IntGaugeVec::new(
            Opts::new("strait_catalog_synced", "Whether objects of the kind are all known and their changes come."),
            &["kind"],
        )?;
        let changes =
            counter("strait_catalog_changes_total", "Changes told by the API server; a list is one.", &["kind"])?;
        let of_kind = |kind: &Kind| KindMetrics {
            kind: *kind,
            synced: synced.with_label_values(&[kind.resource()]),
            changes: changes.with_label_values(&[kind.resource()]),
        };
        let metrics = Self {
            held: Held::new()?,
            kinds: kinds.iter().map(of_kind).collect(),
            stale: IntGauge::new(
                "strait_catalog_stale",
                "Whether what is told has not been known to be current for longer than staleAfter.",
            )?,
            swaps: IntCounter::new("strait_catalog_swaps_total", "Catalogs put in place of the one before.")?,
            restarts: counter(
                "strait_catalog_watch_restarts_total",
                "Watches that ended and tries to begin one that failed, by why.",
                &["kind", "reason"],
            )?,
            propagation: Histogram::with_opts(
                HistogramOpts::new(
                    "strait_catalog_propagation_seconds",
                    "From the arrival of a change to the first catalog that has it.",
                )
                .buckets(PROPAGATION_BUCKETS.to_vec()),
            )?,
            labels_left_out: left_out.with_label_values(&["label"]),
            external_names_left_out: left_out.with_label_values(&["external_name"]),
        };
        for kind in kinds.iter().map(|kind| kind.resource()) {
            for reason in [ENDED].iter().chain(&WatchFault::REASONS) {
                metrics.restarts.with_label_values(&[kind, reason]);
            }
        }
        registry.register(Box::new(metrics.held.clone()))?;
        registry.register(Box::new(synced))?;
        registry.register(Box::new(metrics.stale.clone()))?;
        registry.register(Box::new(metrics.swaps.clone()))?;
        registry.register(Box::new(changes))?;
        registry.register(Box::new(metrics.restarts.clone()))?;
        registry.register(Box::new(metrics.propagation.clone()))?;
        registry.register(Box::new(left_out))?;
        Ok(metrics)
    }

    /// Looks into the catalog at each scrape from now on.
    pub(crate) fn observe(&self, catalog: &Arc<ArcSwap<Catalog>>) {
        // There is one for each of these.
        let _ = self.held.catalog.set(Arc::clone(catalog));
    }

    /// Which kinds are not all known, or whose changes do not come.
    pub(crate) fn set_missing(&self, missing: impl Iterator<Item = Kind>) {
        let missing: Vec<Kind> = missing.collect();
        for of_kind in &self.kinds {
            of_kind.synced.set((!missing.contains(&of_kind.kind)).into());
        }
    }

    /// Whether the catalog is stale.
    pub(crate) fn set_stale(&self, is_stale: bool) {
        self.stale.set(is_stale.into());
    }

    /// A watch ended, or did not begin.
    pub(crate) fn count_restart(&self, kind: Kind, fault: Option<&WatchFault>) {
        let reason = fault.map_or(ENDED, WatchFault::reason);
        self.restarts.with_label_values(&[kind.resource(), reason]).inc();
    }

    /// A change was taken in.
    pub(crate) fn count_change(&self, kind: Kind) {
        self.kinds.iter().filter(|of_kind| of_kind.kind == kind).for_each(|of_kind| of_kind.changes.inc());
    }

    /// What a follower has left out, before and now.
    pub(crate) fn count_left_out(&self, before: LeftOut, now: LeftOut) {
        self.labels_left_out.inc_by(now.labels.saturating_sub(before.labels));
        self.external_names_left_out.inc_by(now.external_names.saturating_sub(before.external_names));
    }

    /// How many changes were taken in.
    pub(crate) fn changes(&self) -> u64 {
        self.kinds.iter().map(|of_kind| of_kind.changes.get()).sum()
    }

    /// How many names were left out.
    pub(crate) fn left_out(&self) -> u64 {
        self.labels_left_out.get() + self.external_names_left_out.get()
    }

    /// A change is in the catalog, so long after it came.
    pub(crate) fn observe_propagation(&self, took: Duration) {
        self.propagation.observe(took.as_secs_f64());
    }
}

/// What is read at scrape time and not counted as it happens.
#[derive(Clone)]
struct Held {
    objects: IntGaugeVec,
    age: Gauge,
    catalog: Arc<OnceLock<Arc<ArcSwap<Catalog>>>>,
    /// Nothing is older.
    began: std::time::Instant,
}

impl Held {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            objects: IntGaugeVec::new(Opts::new("strait_catalog_objects", "Objects in the catalog."), &["kind"])?,
            age: Gauge::new(
                "strait_catalog_age_seconds",
                "How long ago what is told was known to be current; 0 while it is.",
            )?,
            catalog: Arc::default(),
            began: std::time::Instant::now(),
        })
    }

    fn read(&self) {
        let Some(catalog) = self.catalog.get().map(|catalog| catalog.load()) else { return };
        for (kind, count) in catalog.objects() {
            self.objects.with_label_values(&[kind.resource()]).set(count as i64);
        }
        self.objects.with_label_values(&[ENDPOINTS]).set(catalog.endpoints() as i64);
        let age = match catalog.sync() {
            SyncState::Synced { .. } => Duration::ZERO,
            SyncState::Stale { since } => since.elapsed().unwrap_or_default(),
            // It has never been known.
            SyncState::Waiting => self.began.elapsed(),
        };
        self.age.set(age.as_secs_f64());
    }
}

impl Collector for Held {
    fn desc(&self) -> Vec<&Desc> {
        self.objects.desc().into_iter().chain(self.age.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.read();
        self.objects.collect().into_iter().chain(self.age.collect()).collect()
    }
}
