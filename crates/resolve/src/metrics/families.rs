//! The families with a zone label: sums over the threads that count, made at each scrape. No thread that answers
//! questions waits for a scrape, nor writes anything for one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::zone::{Counted, DURATIONS, KINDS, RCODES, TYPES, ZoneMetrics};
use crate::Transport;

/// Name, type, help and labels of each family.
const FAMILIES: [(&str, MetricType, &str, &[&str]); 5] = [
    (
        "strait_requests_total",
        MetricType::COUNTER,
        "Questions admitted, by the zone of their name (none: no zone holds it), transport and type.",
        &["transport", "type", "zone"],
    ),
    (
        "strait_responses_total",
        MetricType::COUNTER,
        "Replies to admitted questions, by zone and rcode.",
        &["rcode", "zone"],
    ),
    (
        "strait_request_duration_seconds",
        MetricType::HISTOGRAM,
        "Time from a question's arrival at the resolver to its reply, by the zone of its name. \
         Of answers given at once one in 16 is timed; those after it count as it does.",
        &["zone"],
    ),
    (
        "strait_cache_hits_total",
        MetricType::COUNTER,
        "Questions answered from the cache, by zone and what the answer says: positive, negative, failure.",
        &["kind", "zone"],
    ),
    (
        "strait_cache_misses_total",
        MetricType::COUNTER,
        "Questions of cached zones that the cache could not answer, by zone.",
        &["zone"],
    ),
];

/// The zones that are counted, by their labels.
pub(super) struct Families {
    descriptions: Vec<Desc>,
    /// Only scrapes and changes of the route table take the lock.
    zones: Mutex<BTreeMap<Box<str>, Arc<ZoneMetrics>>>,
}

impl Families {
    pub(super) fn new() -> Result<Arc<Self>, prometheus::Error> {
        let describe = |(name, _, help, labels): &(&str, MetricType, &str, &[&str])| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new((*name).to_owned(), (*help).to_owned(), labels, HashMap::new())
        };
        let descriptions = FAMILIES.iter().map(describe).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { descriptions, zones: Mutex::default() }))
    }

    /// The counters under a label: those that are there, or new ones.
    pub(super) fn zone(self: &Arc<Self>, label: &str) -> Arc<ZoneMetrics> {
        let new = || Arc::new(ZoneMetrics::new(Arc::downgrade(self), label));
        Arc::clone(self.lock().entry(label.into()).or_insert_with(new))
    }

    pub(super) fn forget(&self, label: &str) {
        self.lock().remove(label);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<ZoneMetrics>>> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the registry holds.
pub(super) struct ZoneCollector(pub(super) Arc<Families>);

impl Collector for ZoneCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut series: [Vec<Metric>; FAMILIES.len()] = Default::default();
        let [requests, responses, durations, hits, misses] = &mut series;
        for (label, zone) in self.0.lock().iter() {
            let zone = &zone.counted();
            for transport in Transport::ALL {
                for column in 0..=TYPES.len() {
                    let labels = [transport.as_str(), type_label(column), label];
                    let count = zone.sum(|counts| counts.requests[transport as usize][column].get());
                    requests.extend(counter(0, &labels, count));
                }
            }
            for column in 0..=RCODES.len() {
                let count = zone.sum(|counts| counts.responses[column].get());
                responses.extend(counter(1, &[rcode_label(column), label], count));
            }
            durations.extend(histogram(zone, label));
            for (column, kind) in KINDS.iter().enumerate() {
                hits.extend(counter(3, &[kind, label], zone.sum(|counts| counts.hits[column].get())));
            }
            misses.extend(counter(4, &[label], zone.sum(|counts| counts.misses.get())));
        }
        std::iter::zip(FAMILIES, series)
            .map(|((name, kind, help, _), series)| family(name, kind, help, series))
            .collect()
    }
}

fn family(name: &str, kind: MetricType, help: &str, series: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(series);
    family
}

fn metric(of: usize, values: &[&str]) -> Metric {
    let label = |(name, value): (&&str, &&str)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    };
    Metric::from_label(FAMILIES[of].3.iter().zip(values).map(label).collect())
}

/// A series appears with its first event, so that a zone costs what it is used for.
fn counter(of: usize, values: &[&str], count: u64) -> Option<Metric> {
    let counter = || {
        let (mut counter, mut metric) = (Counter::default(), metric(of, values));
        counter.set_value(count as f64);
        metric.set_counter(counter);
        metric
    };
    (count > 0).then(counter)
}

fn histogram(zone: &Counted<'_>, label: &str) -> Option<Metric> {
    let mut total = 0;
    let mut upto = |bucket: usize| {
        total += zone.sum(|counts| counts.durations[bucket].get());
        total
    };
    let buckets: Vec<Bucket> = DURATIONS
        .iter()
        .enumerate()
        .map(|(at, bound)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(*bound));
            bucket.set_cumulative_count(upto(at));
            bucket
        })
        .collect();
    let count = upto(DURATIONS.len());
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(count);
    histogram.set_sample_sum(seconds(zone.sum(|counts| counts.microseconds.get())));
    let mut metric = metric(2, &[label]);
    metric.set_histogram(histogram);
    (count > 0).then_some(metric)
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn type_label(column: usize) -> &'static str {
    TYPES.get(column).and_then(|rtype| rtype.mnemonic()).unwrap_or("other")
}

fn rcode_label(column: usize) -> &'static str {
    RCODES.get(column).and_then(|rcode| rcode.mnemonic()).unwrap_or("other")
}
