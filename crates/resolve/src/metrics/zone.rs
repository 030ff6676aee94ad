//! The counters of one zone: a set for each thread that answers its questions, summed at each scrape.

use std::sync::{OnceLock, Weak};
use std::time::{Duration, Instant};

use strait_wire::{AnswerKind, Rcode, RecordType};

use super::families::Families;
use super::worker::{Count, OWN_COUNTERS, Worker};
use crate::Transport;

/// The types told apart; all others count as `other`, since a client can ask for any of 65,536.
pub(super) const TYPES: [RecordType; 17] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::PTR,
    RecordType::SRV,
    RecordType::TXT,
    RecordType::MX,
    RecordType::NS,
    RecordType::SOA,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::ANY,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::TLSA,
    RecordType::CAA,
    RecordType::NAPTR,
];

/// The rcodes told apart; an upstream can send any of 4,096.
pub(super) const RCODES: [Rcode; 6] =
    [Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::SERVFAIL, Rcode::REFUSED, Rcode::FORMERR, Rcode::NOTIMP];

pub(super) const KINDS: [&str; 3] = ["positive", "negative", "failure"];

/// Bounds of the duration buckets, in microseconds: a hit takes microseconds, a dead upstream the deadline.
pub(super) const DURATIONS: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// Of the answers given at once, one in so many is timed: reading the clock costs as much as a tenth of an answer.
const TIMED: u64 = 16;

/// The counters of one zone.
pub(crate) struct ZoneMetrics {
    label: Box<str>,
    families: Weak<Families>,
    workers: [OnceLock<Box<Counts>>; OWN_COUNTERS + 1],
}

/// What one worker counts; on cache lines that no other worker writes.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Counts {
    pub(super) requests: [[Count; TYPES.len() + 1]; Transport::ALL.len()],
    pub(super) responses: [Count; RCODES.len() + 1],
    pub(super) hits: [Count; KINDS.len()],
    pub(super) misses: Count,
    /// By bucket; the last is beyond all bounds.
    pub(super) durations: [Count; DURATIONS.len() + 1],
    pub(super) microseconds: Count,
    /// Answers given at once, and how long the last that was timed took, in microseconds.
    at_once: Count,
    last_timed: Count,
}

/// How long a question took to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Took {
    /// So long.
    Known(Duration),
    /// It was answered at once: one of sixteen such is timed, from its arrival; those after it count as it does.
    AtOnce(Instant),
}

impl ZoneMetrics {
    pub(super) fn new(families: Weak<Families>, label: &str) -> Self {
        Self { label: label.into(), families, workers: [const { OnceLock::new() }; OWN_COUNTERS + 1] }
    }

    /// A question has been answered.
    pub(crate) fn answered(&self, transport: Transport, rtype: RecordType, rcode: Rcode, took: Took) {
        let (worker, counts) = self.mine();
        let column = TYPES.iter().position(|known| *known == rtype).unwrap_or(TYPES.len());
        counts.requests[transport as usize][column].add(worker, 1);
        let column = RCODES.iter().position(|known| *known == rcode).unwrap_or(RCODES.len());
        counts.responses[column].add(worker, 1);
        counts.took(worker, took);
    }

    /// The cache had the answer.
    pub(crate) fn hit(&self, kind: AnswerKind) {
        let column = match kind {
            AnswerKind::Positive => 0,
            AnswerKind::NoData | AnswerKind::NxDomain => 1,
            AnswerKind::Failure => 2,
        };
        let (worker, counts) = self.mine();
        counts.hits[column].add(worker, 1);
    }

    /// The cache had no answer.
    pub(crate) fn miss(&self) {
        let (worker, counts) = self.mine();
        counts.misses.add(worker, 1);
    }

    /// Takes the zone's series off the families: the zone is no more.
    pub(crate) fn forget(&self) {
        if let Some(families) = self.families.upgrade() {
            families.forget(&self.label);
        }
    }

    /// What the workers have counted that have answered its questions.
    pub(super) fn counted(&self) -> Counted<'_> {
        Counted(self.workers.iter().filter_map(OnceLock::get).map(|counts| &**counts).collect())
    }

    fn mine(&self) -> (Worker, &Counts) {
        let worker = Worker::current();
        (worker, self.workers[worker.index()].get_or_init(Box::default))
    }
}

/// The counters of all workers.
pub(super) struct Counted<'a>(Vec<&'a Counts>);

impl Counted<'_> {
    /// The sum of what `of` takes from each.
    pub(super) fn sum(&self, of: impl Fn(&Counts) -> u64) -> u64 {
        self.0.iter().map(|counts| of(counts)).fold(0, u64::wrapping_add)
    }
}

impl Counts {
    fn took(&self, worker: Worker, took: Took) {
        let microseconds = match took {
            Took::Known(took) => micros(took),
            Took::AtOnce(arrived) => {
                if self.at_once.add(worker, 1).is_multiple_of(TIMED) {
                    self.last_timed.set(micros(arrived.elapsed()));
                }
                self.last_timed.get()
            }
        };
        let bucket = DURATIONS.iter().position(|bound| microseconds <= *bound).unwrap_or(DURATIONS.len());
        self.durations[bucket].add(worker, 1);
        self.microseconds.add(worker, microseconds);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn threads_that_share_counters_never_tell_a_time_that_none_of_them_took() {
        const THREADS: u64 = 4;
        const ANSWERS: u64 = 500_000;
        let (counts, start) = (Counts::default(), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for at in 0..ANSWERS {
                        // One in three took a tenth of a second, the others no time at all.
                        let now = Instant::now();
                        let arrived = match at % 3 {
                            0 => now.checked_sub(Duration::from_millis(100)).unwrap_or(now),
                            _ => now + Duration::from_secs(3_600),
                        };
                        counts.took(Worker::SHARED, Took::AtOnce(arrived));
                    }
                });
            }
        });
        let timed: u64 = counts.durations.iter().map(Count::get).sum();
        assert_eq!(timed, THREADS * ANSWERS);
        let [.., beyond] = &counts.durations;
        assert_eq!(beyond.get(), 0, "longer than five seconds");
    }
    #[test]
    fn a_zones_counters_take_what_is_said_of_them() {
        assert!(size_of::<ZoneMetrics>() < (2 << 10) + 128, "{}", size_of::<ZoneMetrics>());
        assert!(size_of::<Counts>() <= 1 << 10, "{}", size_of::<Counts>());
    }
}
