//! Counters of the road: requests, responses, durations, cache.
//!
//! A zone's handles are resolved once and kept in its [`ZoneMetrics`]: counting a question hashes no
//! label. Series appear with their first event, so that a zone costs what it is used for.

mod cells;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

pub(crate) use cells::ZoneMetrics;

use crate::{AnswerCache, QueryLog};

/// Bounds of the duration buckets, in seconds: a hit takes microseconds, a dead upstream the deadline.
const DURATION_BUCKETS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Families with a zone label.
#[derive(Clone)]
pub(crate) struct ZoneFamilies {
    requests: IntCounterVec,
    responses: IntCounterVec,
    durations: HistogramVec,
    hits: IntCounterVec,
    misses: IntCounterVec,
}

/// The metric families of `resolve`; names in `docs/metrics.md`.
pub struct ResolveMetrics {
    zones: ZoneFamilies,
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
        let counters = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let durations = HistogramOpts::new(
            "strait_request_duration_seconds",
            "Time from a question's arrival at the resolver to its reply, by the zone of its name.",
        );
        let metrics = Self {
            zones: ZoneFamilies {
                requests: counters(
                    "strait_requests_total",
                    "Questions admitted, by the zone of their name (none: no zone holds it), transport and type.",
                    &["zone", "transport", "type"],
                )?,
                responses: counters(
                    "strait_responses_total",
                    "Replies to admitted questions, by zone and rcode.",
                    &["zone", "rcode"],
                )?,
                durations: HistogramVec::new(durations.buckets(DURATION_BUCKETS.to_vec()), &["zone"])?,
                hits: counters(
                    "strait_cache_hits_total",
                    "Questions answered from the cache, by zone and what the answer says: positive, negative, failure.",
                    &["zone", "kind"],
                )?,
                misses: counters(
                    "strait_cache_misses_total",
                    "Questions of cached zones that the cache could not answer, by zone.",
                    &["zone"],
                )?,
            },
            refused: counters(
                "strait_refused_total",
                "Messages refused or dropped before a source was asked, by reason.",
                &["reason"],
            )?,
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
        let ZoneFamilies { requests, responses, durations, hits, misses } = metrics.zones.clone();
        for family in [requests, responses, hits, misses, metrics.refused.clone()] {
            registry.register(Box::new(family))?;
        }
        registry.register(Box::new(durations))?;
        registry.register(Box::new(metrics.shared.clone()))?;
        registry.register(Box::new(metrics.evictions.clone()))?;
        registry.register(Box::new(metrics.prefetches.clone()))?;
        registry.register(Box::new(metrics.stale.clone()))?;
        registry.register(Box::new(metrics.held.clone()))?;
        Ok(metrics)
    }

    /// The handles of a zone.
    pub(crate) fn zone(&self, label: &str) -> ZoneMetrics {
        ZoneMetrics::new(self.zones.clone(), label)
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
