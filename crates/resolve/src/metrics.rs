//! Counters of the road: requests, responses, durations, cache.
//!
//! What is counted for each question is in [`ZoneMetrics`]: every thread has counters of its own there, and a scrape
//! sums them.

mod families;
mod worker;
mod zone;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use families::{Families, ZoneCollector};
pub(crate) use zone::{Took, ZoneMetrics};

use crate::{AnswerCache, QueryLog};

/// The metric families of `resolve`; names in `docs/metrics.md`.
pub struct ResolveMetrics {
    zones: Arc<Families>,
    refused: IntCounterVec,
    pub(crate) shared: IntCounter,
    pub(crate) evictions: IntCounter,
    pub(crate) prefetches: IntCounter,
    pub(crate) stale: IntCounter,
    held: Held,
}

impl ResolveMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused =
            Opts::new("strait_refused_total", "Messages refused or dropped before a source was asked, by reason.");
        let metrics = Self {
            zones: Families::new()?,
            refused: IntCounterVec::new(refused, &["reason"])?,
            shared: IntCounter::new(
                "strait_single_flight_shared_total",
                "Questions that shared the exchange of an equal question in flight.",
            )?,
            evictions: IntCounter::new(
                "strait_cache_evictions_total",
                "Answers put out of the cache before their time for want of room.",
            )?,
            stale: IntCounter::new(
                "strait_cache_stale_answers_total",
                "Answers told past their time, since their source was late or failed.",
            )?,
            prefetches: IntCounter::new(
                "strait_cache_prefetches_total",
                "Answers asked for anew before their time was over, being asked for often.",
            )?,
            held: Held::new()?,
        };
        registry.register(Box::new(ZoneCollector(Arc::clone(&metrics.zones))))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.shared.clone()))?;
        registry.register(Box::new(metrics.evictions.clone()))?;
        registry.register(Box::new(metrics.prefetches.clone()))?;
        registry.register(Box::new(metrics.stale.clone()))?;
        registry.register(Box::new(metrics.held.clone()))?;
        Ok(metrics)
    }

    /// The handles of a zone.
    pub(crate) fn zone(&self, label: &str) -> Arc<ZoneMetrics> {
        self.zones.zone(label)
    }

    /// Counts a message that gets no answer from a source; `reason` is one of a fixed few words.
    pub(crate) fn refuse(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Reads the cache and the query log at each scrape from now on.
    pub(crate) fn observe(&self, cache: &AnswerCache, log: &QueryLog) {
        let mut observed = self.held.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.push((cache.clone(), log.lost()));
    }
}

/// What is read at scrape time and not counted as it happens. Only scrapes take its lock.
#[derive(Clone)]
struct Held {
    entries: IntGauge,
    bytes: IntGauge,
    log_dropped: IntCounter,
    observed: Arc<Mutex<Vec<Observed>>>,
}

/// A cache, and the lines that the query log beside it has lost.
type Observed = (AnswerCache, Arc<AtomicU64>);

impl Held {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            entries: IntGauge::new("strait_cache_entries", "Answers in the cache.")?,
            bytes: IntGauge::new("strait_cache_bytes", "Bytes the cache holds: keys, answers and bookkeeping.")?,
            log_dropped: IntCounter::new(
                "strait_query_log_dropped_total",
                "Query log lines lost: the writer fell behind by its whole queue, or could not write.",
            )?,
            observed: Arc::default(),
        })
    }
}

impl Collector for Held {
    fn desc(&self) -> Vec<&Desc> {
        [self.entries.desc(), self.bytes.desc(), self.log_dropped.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut entries, mut bytes, mut dropped) = (0, 0, 0);
        for (cache, lost) in observed.iter() {
            let held = cache.held();
            entries += held.0;
            bytes += held.1;
            dropped += lost.load(Ordering::Relaxed);
        }
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.log_dropped.inc_by(dropped.saturating_sub(self.log_dropped.get()));
        [self.entries.collect(), self.bytes.collect(), self.log_dropped.collect()].concat()
    }
}

#[cfg(test)]
mod tests;
